//! Where the tests look for data that is too large to live in the repository.

use std::fmt;
use std::path::{Path, PathBuf};

const VARIABLE: &str = "RUSSET_TEST_DATA";
/// Used when the variable is unset, relative to the workspace root.
const DEFAULT: &str = "../shared/data";
/// The folders the tests know how to use.
const FOLDERS: &[&str] = &[
    "audio",
    "evals",
    "golden",
    "grammars",
    "jsonschema",
    "openapi",
    "stories260K",
    "templates",
    "text",
    "tokenizers",
    "toolcall",
    "vocab",
    "wire",
];

/// A test data folder and what is in it.
pub(crate) struct TestData {
    folder: PathBuf,
    source: &'static str,
    found: Vec<&'static str>,
    missing: Vec<&'static str>,
}

/// Where the data is, whether or not it is there.
pub(crate) fn folder(root: &Path) -> PathBuf {
    root.join(std::env::var_os(VARIABLE).unwrap_or_else(|| DEFAULT.into()))
}

/// Looks in `RUSSET_TEST_DATA`, else in the default folder next to the workspace.
pub(crate) fn find(root: &Path) -> TestData {
    match std::env::var_os(VARIABLE) {
        Some(folder) => inspect(root.join(folder), VARIABLE),
        None => inspect(root.join(DEFAULT), "default"),
    }
}

fn inspect(folder: PathBuf, source: &'static str) -> TestData {
    let (found, missing) = FOLDERS.iter().partition(|name| folder.join(name).is_dir());
    TestData { folder, source, found, missing }
}

impl fmt::Display for TestData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, source, found, missing } = self;
        let folder = folder.display();
        if found.is_empty() {
            return write!(
                f,
                "test data: NONE at {folder} ({source}); tests that need it skip. Set {VARIABLE}."
            );
        }
        write!(f, "test data: {folder} ({source}): found {}", found.join(" "))?;
        if !missing.is_empty() {
            write!(f, "; MISSING {} (tests that need these skip)", missing.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_folder_is_said_plainly() {
        let data = inspect(PathBuf::from("no/such/folder"), "default");
        let text = data.to_string();
        assert!(text.starts_with("test data: NONE at no/such/folder (default)"), "{text}");
    }

    #[test]
    fn found_and_missing_folders_are_both_listed() {
        let data = TestData {
            folder: PathBuf::from("data"),
            source: VARIABLE,
            found: vec!["golden"],
            missing: vec!["vocab", "wire"],
        };
        let text = data.to_string();
        assert!(text.contains("found golden; MISSING vocab wire"), "{text}");
    }
}
