//! Everything the rules look at, read once: the text files, the Rust tokens, cargo's metadata.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Violation;
use super::files::{self, TextFile};
use super::rust_file::RustFile;
use crate::error::Error;

/// The tree under check.
pub(crate) struct Workspace {
    pub(crate) files: Vec<TextFile>,
    pub(crate) rust: Vec<RustFile>,
    /// What `cargo metadata --no-deps` prints.
    pub(crate) metadata: Value,
    unreadable: Vec<Violation>,
}

impl Workspace {
    /// Reads the tree at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self, Error> {
        Ok(Self::new(files::read_all(root)?, cargo_metadata(root)?))
    }

    fn new(files: Vec<TextFile>, metadata: Value) -> Self {
        let mut rust = Vec::new();
        let mut unreadable = Vec::new();
        for TextFile { path, text } in files.iter().filter(|file| file.path.ends_with(".rs")) {
            match RustFile::parse(path, text) {
                Ok(file) => rust.push(file),
                Err((line, reason)) => unreadable.push(Violation::new(path, line, reason)),
            }
        }
        let test_only: Vec<String> = rust.iter().flat_map(RustFile::test_modules).collect();
        for file in rust.iter_mut().filter(|file| test_only.contains(&file.path)) {
            file.mark_as_test();
        }
        Self { files, rust, metadata, unreadable }
    }

    /// The file at `path`, if it is part of the tree.
    pub(crate) fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// A tree in memory, for the tests of the rules.
    #[cfg(test)]
    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        let own = |&(path, text): &(&str, &str)| TextFile { path: path.into(), text: text.into() };
        Self::new(files.iter().map(own).collect(), Value::Null)
    }
}

/// Rust files that cannot be split into tokens, which no other rule could look at.
pub(crate) fn check_syntax(workspace: &Workspace) -> Vec<Violation> {
    workspace.unreadable.clone()
}

fn cargo_metadata(root: &Path) -> Result<Value, Error> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1"];
    let command = format!("cargo {}", arguments.join(" "));
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let result = Command::new(program).args(arguments).current_dir(root).output();
    let output = result.map_err(|source| Error::Start { command: command.clone(), source })?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        return Err(Error::Failed { command, status: output.status });
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unbalanced_braces_are_reported() {
        let found = check_syntax(&Workspace::planted(&[("crates/a/src/lib.rs", "fn f() {\n")]));
        assert_eq!(found.len(), 1);
        assert!(check_syntax(&Workspace::planted(&[("a.rs", "fn f() {}\n")])).is_empty());
    }

    #[test]
    fn a_module_declared_for_tests_only_is_test_code() {
        let workspace = Workspace::planted(&[
            ("crates/a/src/lib.rs", "mod real;\n#[cfg(test)]\nmod checks;\n"),
            ("crates/a/src/real.rs", "#[cfg(test)]\n#[path = \"x\"] mod deep;\n"),
            ("crates/a/src/checks.rs", "fn a() {}"),
            ("crates/a/src/real/deep.rs", "fn b() {}"),
        ]);
        let tests: Vec<bool> = workspace.rust.iter().map(|file| file.is_test(1)).collect();
        assert_eq!(tests, [false, true, true, true]);
    }
}
