//! From what a user names to what can be started: models are found, programs too, and what cannot
//! be honoured is refused before anything runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use russet_backends::process::Health;
use russet_backends::{
    Backend, Feature, Launch, Launcher as Program, MLX_MODEL_NAME, ModelId, NotFound, Programs,
};
use russet_bench::load::{Arm, Client, Limits};
use russet_bench::servers::{ArmSpec, Launcher, Values};
use russet_hub::{Format, Hub, ModelRef};

use crate::opened;
use crate::progress::Bar;
use crate::settings::{BenchServeSettings, model_ref};

/// What takes part, ready to be started.
pub(super) struct Resolved {
    pub(super) spec: ArmSpec,
    pub(super) id: ModelId,
    /// Where the model is, if it is known to be here.
    pub(super) path: Option<PathBuf>,
    /// Of the model's files; 0 if they are not known.
    pub(super) weights_bytes: u64,
    /// The model's name in requests, as far as it is known before the server can be asked.
    pub(super) request_model: Option<String>,
    launch: Launch,
    /// What is started; a server that runs already is not.
    program: Option<Program>,
}

/// Resolves every arm; fetches models that are not here.
pub(super) fn all(
    hub: &Hub,
    settings: &BenchServeSettings,
    arms: Vec<ArmSpec>,
) -> Result<Vec<Resolved>> {
    let programs = settings.programs.programs();
    let resolve = |spec: ArmSpec| {
        let name = spec.name.clone();
        if let Some(threads) = settings.threads {
            check_threads(&spec).with_context(|| format!("--threads {threads}, arm `{name}`"))?;
        }
        let mut resolved = one(hub, &programs, spec).with_context(|| format!("arm `{name}`"))?;
        resolved.launch.threads = settings.threads;
        Ok(resolved)
    };
    arms.into_iter().map(resolve).collect()
}

/// The backend that a launcher starts, if Russet knows it.
fn backend(launcher: Launcher) -> Option<Backend> {
    match launcher {
        Launcher::Russet => Some(Backend::Native),
        Launcher::Llama => Some(Backend::Llama),
        Launcher::MlxLm => Some(Backend::MlxLm),
        Launcher::Command | Launcher::Url => None,
    }
}

fn check_threads(spec: &ArmSpec) -> Result<()> {
    match backend(spec.launcher) {
        Some(backend) => {
            let has_it = backend.capabilities().features.contains(&Feature::Threads);
            ensure!(has_it, "{backend} has no {}", Feature::Threads);
        }
        None if spec.launcher == Launcher::Command => {
            bail!("what a command of yours starts is told its threads by that command")
        }
        None => bail!("a server that runs already cannot be told"),
    }
    Ok(())
}

fn one(hub: &Hub, programs: &Programs, spec: ArmSpec) -> Result<Resolved> {
    let program = program(programs, &spec)?;
    let path = match backend(spec.launcher) {
        Some(backend) => Some(find(hub, backend, &spec.model)?),
        None => Some(PathBuf::from(&spec.model))
            .filter(|path| spec.launcher == Launcher::Command && path.exists()),
    };
    let path = path.map(std::path::absolute).transpose()?;
    let request_model = match spec.launcher {
        _ if spec.request_model.is_some() => spec.request_model.clone(),
        Launcher::MlxLm => Some(MLX_MODEL_NAME.to_owned()),
        _ => None,
    };
    Ok(Resolved {
        id: path.as_deref().map_or_else(|| id_of_name(&spec.model), ModelId::of_path),
        weights_bytes: path.as_deref().map_or(0, opened::weights_bytes),
        launch: Launch::new(path.clone().unwrap_or_default()),
        path,
        request_model,
        program,
        spec,
    })
}

/// The identity behind a name of the hub's or a server's. A revision is no part of the family.
fn id_of_name(name: &str) -> ModelId {
    let (name, rest) = name.split_once('@').unwrap_or((name, ""));
    let quantisation = rest.split_once(':').map_or(String::new(), |(_, of)| format!(":{of}"));
    let name = name.to_owned() + &quantisation;
    let id = ModelId::of_path(Path::new(&name));
    // Some servers list a path, of which only the end is a name.
    if name.starts_with('/') { id } else { ModelId { alias: name, ..id } }
}

/// What is started for an arm.
fn program(programs: &Programs, spec: &ArmSpec) -> Result<Option<Program>> {
    let named = |name: &'static str| {
        move |missing: NotFound| anyhow::anyhow!("{name} is {missing}").context("cannot start it")
    };
    Ok(match spec.launcher {
        Launcher::Russet => {
            let program = std::env::current_exe().context("which program this is")?;
            Some(Program { program, arguments: Vec::new() })
        }
        Launcher::Llama => Some(programs.find().llama_server.map_err(named("llama-server"))?),
        Launcher::MlxLm => Some(programs.find().mlx_server.map_err(named("mlx_lm.server"))?),
        Launcher::Command => {
            let program = spec.command.first().map(PathBuf::from);
            program.map(|program| Program { program, arguments: Vec::new() })
        }
        Launcher::Url => None,
    })
}

/// Where a model is, in a form that the backend reads.
fn find(hub: &Hub, backend: Backend, model: &str) -> Result<PathBuf> {
    let model = model_ref(model)?;
    // The starter is there in two forms of the very same weights.
    if backend == Backend::Llama && model == ModelRef::Starter {
        return Ok(hub.starter_gguf(&mut Bar::default())?);
    }
    let located = opened::locate(hub, &model)?;
    let format = match located.format {
        Format::Gguf => russet_weights::Format::Gguf,
        Format::Mlx => russet_weights::Format::Mlx,
        Format::HuggingFace => russet_weights::Format::HuggingFace,
    };
    let accepted = backend.capabilities().formats;
    let names: Vec<&str> = accepted.iter().map(|format| format.name()).collect();
    ensure!(
        accepted.contains(&format),
        "{backend} reads {}, and {} is {}",
        names.join(" and "),
        located.path.display(),
        format.name()
    );
    Ok(located.path)
}

impl Resolved {
    /// What is started, with all its arguments.
    pub(super) fn command(&self, port: u16) -> Option<(Program, Vec<OsString>)> {
        let program = self.program.clone()?;
        let mut arguments = match self.spec.launcher {
            Launcher::Russet => self.russet(port),
            Launcher::Llama => self.launch.llama_server(port),
            Launcher::MlxLm => self.launch.mlx_server(port),
            Launcher::Command => self.filled(self.spec.command.iter().skip(1), port),
            Launcher::Url => Vec::new(),
        };
        arguments.extend(self.filled(self.spec.extra_args.iter(), port));
        Some((program, arguments))
    }

    fn russet(&self, port: u16) -> Vec<OsString> {
        let port = port.to_string();
        let mut line: Vec<OsString> = vec!["serve".into(), "--model".into()];
        line.push(self.launch.model.clone().into());
        line.extend(["--host", "127.0.0.1", "--port", &port].map(OsString::from));
        if let Some(threads) = self.launch.threads {
            line.extend(["--threads".into(), threads.to_string().into()]);
        }
        line
    }

    /// The variables that are set for it.
    pub(super) fn env(&self, port: u16) -> Vec<(String, String)> {
        let filled = |(name, value): (&String, &String)| (name.clone(), self.fill(value, port));
        let mut env: Vec<(String, String)> = self.spec.env.iter().map(filled).collect();
        if self.spec.launcher == Launcher::Russet {
            // Whatever is elected elsewhere, this arm is the native one.
            env.push(("RUSSET_BACKEND".to_owned(), Backend::Native.name().to_owned()));
        }
        env
    }

    fn filled<'a>(&self, texts: impl Iterator<Item = &'a String>, port: u16) -> Vec<OsString> {
        texts.map(|text| self.fill(text, port).into()).collect()
    }

    fn fill(&self, text: &str, port: u16) -> String {
        let values = Values { model: &self.spec.model, port, name: &self.spec.name };
        // Templates were checked when they were read.
        values.fill(text).unwrap_or_else(|_| text.to_owned())
    }

    /// How it says that it is ready, and the same in words.
    pub(super) fn health(&self) -> (Health, String) {
        let default = match self.spec.launcher {
            Launcher::MlxLm => {
                let words = "it answered with one token".to_owned();
                return (Health::of_mlx_server(), words);
            }
            Launcher::Command => "/v1/models",
            _ => "/health",
        };
        let path = self.spec.ready_path.clone().unwrap_or_else(|| default.to_owned());
        let words = format!("GET {path} answered 200");
        (Health::Tells { path }, words)
    }

    /// Asks a server that runs already what it serves, so that it is known before others start.
    pub(super) async fn ask_for_the_model(&mut self, limits: Limits) -> Result<()> {
        let Some(url) = self.spec.url.clone() else { return Ok(()) };
        let model = self.model_in_requests(&url, limits).await?;
        let named = if self.spec.model.is_empty() { &model } else { &self.spec.model };
        self.id = id_of_name(named);
        self.request_model = Some(model);
        Ok(())
    }

    /// The model's name in requests: the one that was said, or the one that the server lists.
    pub(super) async fn model_in_requests(&self, base_url: &str, limits: Limits) -> Result<String> {
        if let Some(model) = &self.request_model {
            return Ok(model.clone());
        }
        let name = &self.spec.name;
        let client = Client::new(Arm { limits, ..Arm::new(name, base_url, "") })?;
        let listed = client.models().await?;
        match listed.as_slice() {
            _ if listed.contains(&self.spec.model) => Ok(self.spec.model.clone()),
            [only] if self.spec.launcher != Launcher::Url || self.spec.model.is_empty() => {
                Ok(only.clone())
            }
            _ => bail!(
                "the server `{name}` lists {} models: {}; say by `model` or `request_model` of a \
                 --spec which one is meant",
                listed.len(),
                listed.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_servers_and_of_the_hub_have_a_family() {
        for name in ["org/Model-1B-4bit", "org/Model-1B@main", "org/Model-1B-GGUF@v1:Q4_K_M"] {
            assert_eq!(id_of_name(name).family(), "Model-1B", "{name}");
        }
        assert_eq!(id_of_name("org/Model-1B-4bit").alias, "org/Model-1B-4bit");
        assert_eq!(id_of_name("/models/Model-1B.Q4_0.gguf").alias, "Model-1B.Q4_0");
    }

    fn resolved(arm: &str) -> Resolved {
        let spec: ArmSpec = arm.parse().unwrap();
        Resolved {
            id: id_of_name(&spec.model),
            path: None,
            weights_bytes: 0,
            request_model: None,
            launch: Launch::new("/models/a b".into()),
            program: Some(Program { program: "program".into(), arguments: Vec::new() }),
            spec,
        }
    }

    #[test]
    fn every_launcher_is_told_model_port_and_threads() {
        let line = |arm: &Resolved| {
            let words = arm.command(81).unwrap().1;
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            words.join("|")
        };
        let mut native = resolved("native=m");
        native.launch.threads = std::num::NonZeroUsize::new(3);
        native.spec.extra_args = vec!["--alias".to_owned(), "{name}-{port}".to_owned()];
        let expected = "serve|--model|/models/a b|--host|127.0.0.1|--port|81|--threads|3|--alias|\
                        native-81";
        assert_eq!(line(&native), expected);
        assert!(line(&resolved("llama=m")).starts_with("--model|/models/a b|--host|127.0.0.1"));
        let mut command = resolved("x:native=some/model");
        command.spec.launcher = Launcher::Command;
        command.spec.command = ["srv", "{model}", "-p{port}"].map(str::to_owned).to_vec();
        assert_eq!(line(&command), "some/model|-p81");
        command.spec.env.insert("K".to_owned(), "{name}:{port}".to_owned());
        assert_eq!(command.env(81), [("K".to_owned(), "x:81".to_owned())]);
    }

    #[test]
    fn readiness_is_asked_where_each_one_tells() {
        let path = |arm: &Resolved| match arm.health().0 {
            Health::Tells { path } => path,
            other => panic!("{other:?}"),
        };
        let mut arm = resolved("native=m");
        assert_eq!(path(&arm), "/health");
        arm.spec.ready_path = Some("/ok".to_owned());
        assert_eq!(path(&arm), "/ok");
        arm.spec.ready_path = None;
        arm.spec.launcher = Launcher::Command;
        assert_eq!(path(&arm), "/v1/models");
        assert!(matches!(resolved("mlx-lm=m").health().0, Health::Listens { .. }));
    }

    #[test]
    fn threads_are_refused_where_nobody_takes_them() {
        assert!(check_threads(&resolved("native=m").spec).is_ok());
        assert!(check_threads(&resolved("llama=m").spec).is_ok());
        let error = check_threads(&resolved("mlx-lm=m").spec).unwrap_err().to_string();
        assert_eq!(error, "mlx-lm has no setting for threads");
        assert!(check_threads(&resolved("url=http://h/v1").spec).is_err());
    }
}
