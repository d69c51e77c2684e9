//! An engine with one model file and one setting of its switches, and how it is run.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::execute::Failure;
use super::model::Format;
use super::probe::{Probe, Sample};

/// The engines that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
pub(super) enum Engine {
    #[serde(rename = "russet")]
    #[value(skip)]
    Russet,
    #[serde(rename = "llama.cpp")]
    #[value(name = "llama.cpp")]
    LlamaCpp,
    #[serde(rename = "ik_llama.cpp")]
    #[value(name = "ik")]
    Ik,
    #[serde(rename = "OpenVINO GenAI")]
    #[value(name = "openvino")]
    OpenVino,
    #[serde(rename = "mlx-lm")]
    #[value(name = "mlx-lm")]
    MlxLm,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Russet => "Russet",
            Self::LlamaCpp => "llama.cpp",
            Self::Ik => "ik_llama.cpp",
            Self::OpenVino => "OpenVINO",
            Self::MlxLm => "mlx-lm",
        })
    }
}

/// Gives the commands of a probe for a number of threads; none if the probe is not possible.
type Commands = Box<dyn Fn(Probe, usize) -> Vec<Invocation>>;

/// One engine, file and setting.
pub(super) struct Contender {
    pub(super) engine: Engine,
    pub(super) format: Format,
    /// How the weights are stored.
    pub(super) encoding: String,
    /// The switches that are not the same for all, for people.
    pub(super) switches: String,
    pub(super) commands: Commands,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, encoding, switches, .. } = self;
        let space = if switches.is_empty() { "" } else { " " };
        write!(f, "{engine} {encoding}{space}{switches}")
    }
}

/// One process to run and how to read what it prints.
pub(super) struct Invocation {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(&'static str, &'static str)>,
    /// Where the figures are.
    pub(super) prints_to: Stream,
    pub(super) parse: fn(&str, Probe) -> Result<Output, Failure>,
}

/// What of a process is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Invocation {
    /// `arguments` are separated by spaces.
    pub(super) fn new(
        program: &Path,
        arguments: &str,
        parse: fn(&str, Probe) -> Result<Output, Failure>,
    ) -> Self {
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        let (program, prints_to) = (program.to_owned(), Stream::Stdout);
        Self { program, arguments, environment: Vec::new(), prints_to, parse }
    }

    /// The command line without the folders of this machine and the texts of scripts.
    pub(super) fn shown(&self) -> String {
        let environment = self.environment.iter().map(|(key, value)| format!("{key}={value}"));
        let program = std::iter::once(file_name(&self.program));
        let arguments = self.arguments.iter().map(|argument| match argument {
            script if script.contains('\n') => "SCRIPT".to_owned(),
            path if path.contains('/') => file_name(Path::new(path)),
            other => other.clone(),
        });
        environment.chain(program).chain(arguments).collect::<Vec<_>>().join(" ")
    }

    /// Adds a flag and a path, which may contain spaces.
    pub(super) fn with_path(mut self, flag: &str, path: &Path) -> Self {
        self.arguments.extend([flag.to_owned(), path.display().to_string()]);
        self
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What an engine printed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Output {
    pub(super) version: Option<String>,
    pub(super) samples: Vec<Sample>,
}

/// An engine that is not there, and the line that gets it.
#[derive(Debug)]
pub(super) struct Absent {
    pub(super) engine: Engine,
    pub(super) how: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_shows_no_folders_and_no_scripts() {
        let parse = |_: &str, _: Probe| Ok(Output::default());
        let mut command = Invocation::new("bin/python3".as_ref(), "-c", parse);
        command.arguments.extend(["import a\nf()".to_owned(), "{\"batch\": 1}".to_owned()]);
        command.environment.push(("KEY", "0"));
        let command = command.with_path("-m", "models/a.gguf".as_ref());
        assert_eq!(command.shown(), "KEY=0 python3 -c SCRIPT {\"batch\": 1} -m a.gguf");
    }
}
