//! What takes part in a comparison, as users say it: in short, or in a JSON file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

use super::Error;
use super::template::Values;

/// The kinds of arms in short.
pub(super) const SHORTHANDS: &str = "native, llama, mlx-lm";
/// The launchers of a spec.
pub(super) const LAUNCHERS: &str = "russet, llama, mlx-lm, command, url";

/// What takes part in a comparison. What is `None` or empty was not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    /// What reports call it.
    pub name: String,
    /// What it serves: a model of the command line's, or for a server that runs already, the
    /// model's name there.
    #[serde(default)]
    pub model: String,
    /// How it is started.
    #[serde(default)]
    pub launcher: Launcher,
    /// A program and its arguments, each a template.
    #[serde(default)]
    pub command: Vec<String>,
    /// The address of a server that runs already, up to and with `/v1`.
    pub url: Option<String>,
    /// The model's name in requests, if it is not to be asked for.
    pub request_model: Option<String>,
    /// The port on 127.0.0.1, if it shall be a certain one.
    pub port: Option<u16>,
    /// Arguments after all others, each a template.
    #[serde(default)]
    pub extra_args: Vec<String>,
    /// Environment variables besides those of this process, each a template.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The path that answers 200 once the server is ready.
    pub ready_path: Option<String>,
}

/// How an arm is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Launcher {
    /// This program's own server.
    #[default]
    Russet,
    /// `llama-server`.
    Llama,
    /// `mlx_lm.server`.
    MlxLm,
    /// A command of the user's.
    Command,
    /// Not at all: it runs already.
    Url,
}

impl Launcher {
    /// Its name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Russet => "russet",
            Self::Llama => "llama",
            Self::MlxLm => "mlx-lm",
            Self::Command => "command",
            Self::Url => "url",
        }
    }
}

impl ArmSpec {
    /// The arms of a JSON file: a list of objects with the fields of this struct.
    ///
    /// # Errors
    /// [`Error::SpecFile`] if it is no such list, or what [`ArmSpec::check`] finds.
    pub fn read(path: &Path) -> Result<Vec<Self>, Error> {
        let failed = |problem: String| Error::SpecFile { path: path.to_owned(), problem };
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let arms: Vec<Self> =
            serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        arms.iter().try_for_each(Self::check)?;
        Ok(arms)
    }

    fn new(name: &str, model: &str, launcher: Launcher) -> Self {
        Self {
            name: name.to_owned(),
            model: model.to_owned(),
            launcher,
            command: Vec::new(),
            url: None,
            request_model: None,
            port: None,
            extra_args: Vec::new(),
            env: BTreeMap::new(),
            ready_path: None,
        }
    }

    /// Refuses what is missing, what would be ignored, and templates that cannot be filled in.
    ///
    /// # Errors
    /// Names the arm and the field.
    pub fn check(&self) -> Result<(), Error> {
        let value = |field, found: &str, accepted| {
            let (arm, found) = (self.name.clone(), found.to_owned());
            Err(Error::Value { arm, field, found, accepted })
        };
        if self.name.trim().is_empty() {
            return value("name", &self.name, "some text");
        }
        let is_given = |field: &str| self.given().contains(&field);
        let launcher = self.launcher.name();
        if let Some(field) = self.needs().iter().find(|field| !is_given(field)) {
            return Err(Error::Missing { arm: self.name.clone(), launcher, field });
        }
        let refused = self.refuses();
        if let Some(field) = refused.iter().find(|field| is_given(field)) {
            return Err(Error::NoEffect { arm: self.name.clone(), launcher, field });
        }
        match &self.ready_path {
            Some(path) if !path.starts_with('/') || path.contains(char::is_whitespace) => {
                return value("ready_path", path, "a path that begins with `/`");
            }
            _ => {}
        }
        if self.port == Some(0) {
            return value("port", "0", "1 to 65535, or none for a free one");
        }
        let values = Values { model: &self.model, port: 1, name: &self.name };
        let texts = self.command.iter().chain(&self.extra_args).chain(self.env.values());
        texts.map(|text| values.fill(text)).find_map(Result::err).map_or(Ok(()), Err)
    }

    /// The fields that were given, besides the name and the launcher.
    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("model", !self.model.is_empty()),
            ("command", !self.command.is_empty()),
            ("url", self.url.is_some()),
            ("request_model", self.request_model.is_some()),
            ("port", self.port.is_some()),
            ("extra_args", !self.extra_args.is_empty()),
            ("env", !self.env.is_empty()),
            ("ready_path", self.ready_path.is_some()),
        ];
        all.into_iter().filter(|(_, is_given)| *is_given).map(|(field, _)| field).collect()
    }

    fn needs(&self) -> &'static [&'static str] {
        match self.launcher {
            Launcher::Russet | Launcher::Llama | Launcher::MlxLm => &["model"],
            Launcher::Command => &["model", "command"],
            Launcher::Url => &["url"],
        }
    }

    fn refuses(&self) -> &'static [&'static str] {
        match self.launcher {
            Launcher::Russet | Launcher::Llama => &["command", "url"],
            // It says by its answer to a request that it is ready.
            Launcher::MlxLm => &["command", "url", "ready_path"],
            Launcher::Command => &["url"],
            Launcher::Url => &["command", "port", "extra_args", "env", "ready_path"],
        }
    }
}

impl FromStr for ArmSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |problem: &str| Error::Shorthand {
            found: text.to_owned(),
            problem: problem.to_owned(),
        };
        let (left, what) = text.split_once('=').ok_or_else(|| refuse("it has no `=`"))?;
        let (name, kind) = left.split_once(':').unwrap_or((left, left));
        let launcher = match kind {
            "native" => Launcher::Russet,
            "llama" => Launcher::Llama,
            "mlx-lm" => Launcher::MlxLm,
            "url" => Launcher::Url,
            _ => return Err(refuse(&format!("`{kind}` is no kind"))),
        };
        if what.is_empty() {
            return Err(refuse("nothing follows the `=`"));
        }
        let arm = match launcher {
            Launcher::Url => Self { url: Some(what.to_owned()), ..Self::new(name, "", launcher) },
            _ => Self::new(name, what, launcher),
        };
        arm.check()?;
        Ok(arm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ArmSpec>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("arms.json");
        fs::write(&path, text).unwrap();
        ArmSpec::read(&path)
    }

    #[test]
    fn arms_in_short_are_read() {
        let arm = |text: &str| text.parse::<ArmSpec>().unwrap();
        assert_eq!(arm("native=starter"), ArmSpec::new("native", "starter", Launcher::Russet));
        assert_eq!(arm("a:llama=x=y.gguf"), ArmSpec::new("a", "x=y.gguf", Launcher::Llama));
        assert_eq!(arm("mlx-lm=org/repo").launcher, Launcher::MlxLm);
        let url = arm("far:url=http://host:80/v1");
        assert_eq!((url.name.as_str(), url.url.as_deref()), ("far", Some("http://host:80/v1")));
        assert_eq!(url.launcher, Launcher::Url);
    }

    #[test]
    fn other_texts_are_refused_with_what_is_accepted() {
        for (text, problem) in [
            ("starter", "no `=`"),
            ("vllm=m", "`vllm` is no kind"),
            ("a:b:native=m", "`b:native` is no kind"),
            ("native=", "nothing follows"),
            (":native=m", "`name`"),
        ] {
            let error = text.parse::<ArmSpec>().unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("accepted"), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_has_everything_or_little() {
        let arms = read(
            r#"[
            {"name": "a", "model": "starter"},
            {"name": "b", "model": "m.gguf", "launcher": "command", "port": 99,
             "command": ["srv", "-m", "{model}", "-p", "{port}"], "extra_args": ["-x"],
             "env": {"K": "{name}"}, "ready_path": "/ok", "request_model": "m"},
            {"name": "c", "launcher": "url", "url": "http://h/v1", "model": "m"},
            {"name": "d", "launcher": "mlx-lm", "model": "m", "extra_args": ["--trust"]}
            ]"#,
        )
        .unwrap();
        assert_eq!(arms[0], ArmSpec::new("a", "starter", Launcher::Russet));
        assert_eq!((arms[1].command.len(), arms[1].port), (5, Some(99)));
        assert_eq!((arms[1].env["K"].as_str(), arms[1].extra_args.len()), ("{name}", 1));
        assert_eq!(arms[2].launcher, Launcher::Url);
        assert_eq!(arms[3].launcher, Launcher::MlxLm);
    }

    #[test]
    fn what_would_be_ignored_or_is_missing_is_refused_by_name() {
        for (arm, parts) in [
            (r#"{"name": "a", "model": "m", "modle": 1}"#, &["modle", "ready_path"][..]),
            (r#"{"model": "m"}"#, &["missing field `name`"][..]),
            (r#"{"name": "a"}"#, &["`a`", "`model`", "`russet`"][..]),
            (r#"{"name": "a", "model": "m", "launcher": "mesh"}"#, &["mesh", "mlx-lm"][..]),
            (r#"{"name": "a", "model": "m", "launcher": "command"}"#, &["needs `command`"][..]),
            (r#"{"name": "a", "launcher": "url"}"#, &["needs `url`"][..]),
            (r#"{"name": "a", "model": "m", "command": ["x"]}"#, &["`command`", "no effect"][..]),
            (
                r#"{"name": "a", "launcher": "url", "url": "http://h/v1", "env": {"A": "b"}}"#,
                &["`env`", "no effect"][..],
            ),
            (
                r#"{"name": "a", "model": "m", "launcher": "mlx-lm", "ready_path": "/x"}"#,
                &["`ready_path`", "no effect"][..],
            ),
            (r#"{"name": "a", "model": "m", "ready_path": "health"}"#, &["`health`", "`/`"][..]),
            (r#"{"name": "a", "model": "m", "port": 0}"#, &["`port`", "65535"][..]),
            (r#"{"name": "a", "model": "m", "extra_args": ["{prot}"]}"#, &["{prot}", "{port}"][..]),
            (r#"{"name": " ", "model": "m"}"#, &["`name`"][..]),
            (
                r#"{"name": "a", "model": "m", "launcher": "command", "command": "srv -m x"}"#,
                &["expected a sequence"][..],
            ),
        ] {
            let error = read(&format!("[{arm}]")).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{arm}: {error}");
        }
        assert!(read(r#"{"backends": []}"#).unwrap_err().to_string().contains("arms.json"));
    }
}
