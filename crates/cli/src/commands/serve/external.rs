//! Serving a model with the program of an external backend.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use russet_backends::process::{Guard, Process};
use russet_backends::{Backend, Launch, Launcher, MLX_MODEL_NAME, ModelId, Upstream};
use russet_server::{Catalog, ServedBy};
use serde_json::json;

use super::{Served, aliases, served_model};
use crate::console;
use crate::described::Described;
use crate::settings::{ServeSettings, choice_name};

/// The backend that was elected, and what for.
pub(super) struct Chosen<'a> {
    pub(super) backend: Backend,
    pub(super) program: &'a Launcher,
    /// As the operator typed it.
    pub(super) model: &'a str,
    pub(super) described: &'a Described,
}

/// Starts the program and waits until it is ready.
pub(super) fn serve(chosen: Chosen<'_>, settings: &ServeSettings) -> Result<Served> {
    let Chosen { backend, program, model, described } = chosen;
    if settings.split.split && settings.split.llama_rpc.is_empty() {
        bail!("--split needs workers: --llama-rpc HOST:PORT,..");
    }
    let path = described.located.path.canonicalize()?;
    let id = identity(model, &path);
    let launch = launch(path.clone(), described, settings);
    console::note(format_args!("{backend} serves {id}: starting {program}"));
    let guard = Guard::of_this_program().context("cannot start programs")?;
    let spec = launch.spec(backend, guard, program.clone());
    let process = Process::start(spec.context("no program serves this backend")?)?;
    let upstream = Upstream::program(backend, process, &path, &id.alias)?;
    let name = match backend {
        Backend::MlxLm => MLX_MODEL_NAME.to_owned(),
        _ => id.alias.clone(),
    };
    let by = ServedBy::Upstream { upstream: Arc::new(upstream), name };
    let info = json!({
        "model": id.alias,
        "backend": backend.name(),
        "program": program.to_string(),
        "repository": id.repo,
        "revision": id.revision,
        "quantisation": id.quantisation,
    });
    let served = served_model(&id.alias, aliases(model, &settings.listen), by);
    let catalog = Catalog { models: vec![served], rest: None };
    let summary = format!("{} with {backend} ({program})", id.alias);
    Ok(Served { catalog, engine: None, summary, info })
}

/// The model's name for clients.
fn identity(typed: &str, path: &Path) -> ModelId {
    let mut id = ModelId::of_path(path);
    if typed == super::DEFAULT_MODEL {
        id.alias = typed.to_owned();
    }
    id
}

/// What the user asked for. llama-server would take memory for the longest context there is, so it
/// gets one that fits.
fn launch(model: PathBuf, described: &Described, settings: &ServeSettings) -> Launch {
    let kernels = &settings.compute.kernels;
    Launch {
        context: kernels.context.or(described.context),
        threads: settings.compute.threads,
        prefill_chunk: kernels.prefill_chunk,
        kv_type: kernels.kv_type.map(choice_name),
        rpc_workers: settings.split.llama_rpc.clone(),
        ..Launch::new(model)
    }
}
