//! Finding the programs of external backends.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Backend;

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// The folders that are searched for programs, as in `PATH`.
    pub search_path: OsString,
    /// The `llama-server` to take, and no other.
    pub llama_server: Option<PathBuf>,
    /// The `mlx_lm.server` to take, and no other.
    pub mlx_server: Option<PathBuf>,
    /// The URL of a server somewhere else.
    pub remote_url: Option<String>,
}

/// How a program is started: itself and its first arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// The file to execute.
    pub program: PathBuf,
    /// What comes before the backend's own arguments.
    pub arguments: Vec<String>,
}

/// A program that is not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not installed; tried {}", tried.join(", "))]
pub struct NotFound {
    /// Every place, in order.
    pub tried: Vec<String>,
}

/// What was found of each external program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// `llama-server`.
    pub llama_server: Result<Launcher, NotFound>,
    /// `mlx_lm.server`.
    pub mlx_server: Result<Launcher, NotFound>,
    /// The URL of a server somewhere else, if one is named.
    pub remote_url: Option<String>,
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

impl Installed {
    /// The program of a backend that has one.
    pub fn program(&self, backend: Backend) -> Option<&Result<Launcher, NotFound>> {
        match backend {
            Backend::Llama => Some(&self.llama_server),
            Backend::MlxLm => Some(&self.mlx_server),
            Backend::Native | Backend::Remote => None,
        }
    }
}

impl Programs {
    /// Looks for everything. Starts a Python interpreter if there is no other `mlx_lm.server`.
    pub fn find(&self) -> Installed {
        Installed {
            llama_server: self.llama_server(),
            mlx_server: self.mlx_server(),
            remote_url: self.remote_url.clone(),
        }
    }

    fn llama_server(&self) -> Result<Launcher, NotFound> {
        let mut search = Search::new(self);
        let found = match &self.llama_server {
            Some(path) => search.file(path),
            None => search.on_path("llama-server"),
        };
        found.ok_or_else(|| search.into())
    }

    fn mlx_server(&self) -> Result<Launcher, NotFound> {
        let mut search = Search::new(self);
        let found = match &self.mlx_server {
            Some(path) => search.file(path),
            None => search
                .on_path("mlx_lm.server")
                .or_else(|| search.module("python3", "mlx_lm"))
                .or_else(|| search.module("python", "mlx_lm")),
        };
        found.ok_or_else(|| search.into())
    }
}

/// One search, which remembers where it looked.
struct Search<'a> {
    programs: &'a Programs,
    tried: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(programs: &'a Programs) -> Self {
        Self { programs, tried: Vec::new() }
    }

    /// The file that was named, if it can be executed.
    fn file(&mut self, path: &Path) -> Option<Launcher> {
        self.tried.push(path.display().to_string());
        is_program(path).then(|| Launcher { program: path.to_owned(), arguments: Vec::new() })
    }

    fn on_path(&mut self, name: &str) -> Option<Launcher> {
        self.tried.push(format!("{name} on PATH"));
        let program = self.which(name)?;
        Some(Launcher { program, arguments: Vec::new() })
    }

    /// The interpreter `python` on the path, if it has the package whose `server` is wanted.
    fn module(&mut self, python: &str, package: &str) -> Option<Launcher> {
        let module = format!("{package}.server");
        self.tried.push(format!("{python} -m {module}"));
        let program = self.which(python)?;
        // Looks for the package without running any of it.
        let script = format!("import importlib.util as u; exit(u.find_spec('{package}') is None)");
        let mut command = Command::new(&program);
        command.args(["-c", &script]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let has_it = command.status().is_ok_and(|status| status.success());
        has_it.then(|| Launcher { program, arguments: vec!["-m".to_owned(), module] })
    }

    fn which(&self, name: &str) -> Option<PathBuf> {
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        let folders = std::env::split_paths(&self.programs.search_path);
        let mut files = folders.map(|folder| folder.join(&file));
        files.find(|path| is_program(path))
    }
}

impl From<Search<'_>> for NotFound {
    fn from(search: Search<'_>) -> Self {
        Self { tried: search.tried }
    }
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(path: &Path, text: &str) {
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn on(folder: &Path) -> Programs {
        Programs { search_path: folder.into(), ..Programs::default() }
    }

    #[test]
    fn nothing_installed_names_every_place() {
        let folder = tempfile::tempdir().unwrap();
        // There, but not to be executed.
        fs::write(folder.path().join("llama-server"), "").unwrap();
        let found = on(folder.path()).find();
        let error = found.llama_server.unwrap_err().to_string();
        assert_eq!(error, "not installed; tried llama-server on PATH");
        let error = found.mlx_server.unwrap_err().to_string();
        let places = "mlx_lm.server on PATH, python3 -m mlx_lm.server, python -m mlx_lm.server";
        assert_eq!(error, format!("not installed; tried {places}"));
    }

    #[test]
    fn programs_come_before_modules() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // An interpreter that has every package, and one that has none.
        script(&at("python"), "exit 0");
        script(&at("python3"), "exit 1");
        let found = on(folder.path()).find().mlx_server.unwrap();
        assert_eq!(found.to_string(), format!("{} -m mlx_lm.server", at("python").display()));
        script(&at("python3"), "exit 0");
        let found = on(folder.path()).find().mlx_server.unwrap();
        assert_eq!(found.program, at("python3"));
        script(&at("mlx_lm.server"), "");
        script(&at("llama-server"), "");
        let found = on(folder.path()).find();
        assert_eq!(
            found.mlx_server.unwrap().to_string(),
            at("mlx_lm.server").display().to_string()
        );
        assert_eq!(found.llama_server.unwrap().program, at("llama-server"));
    }

    #[test]
    fn a_named_program_is_the_only_one_tried() {
        let folder = tempfile::tempdir().unwrap();
        script(&folder.path().join("llama-server"), "");
        let missing = folder.path().join("missing");
        let programs = Programs { llama_server: Some(missing.clone()), ..on(folder.path()) };
        let error = programs.find().llama_server.unwrap_err();
        assert_eq!(error.tried, [missing.display().to_string()]);
    }
}
