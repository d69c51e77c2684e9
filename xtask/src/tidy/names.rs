//! What every module must say of itself, and what it may not be called.

use super::{Violation, Workspace};

/// Names that say nothing about what a module holds.
const BANNED: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

/// Rust files that do not start with a `//!` line.
pub(super) fn check_docs(workspace: &Workspace) -> Vec<Violation> {
    let sources = workspace.files.iter().filter(|file| file.path.ends_with(".rs"));
    let documented = |text: &str| text.strip_prefix("//!").is_some_and(|doc| doc.starts_with(" "));
    let bare = sources.filter(|file| !documented(&file.text));
    let message = "the first line must be `//!` and say what the module holds";
    bare.map(|file| Violation::new(&file.path, 1, message.to_owned())).collect()
}

/// Files, folders and inline modules named by a word that says nothing.
pub(super) fn check_names(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in &workspace.rust {
        let stem = file.path.trim_end_matches(".rs");
        let bad = stem.split('/').filter(|part| BANNED.contains(part)).map(|part| (1, part));
        let declared = file.tokens.windows(3).filter(|w| w[0].text == "mod" && w[2].text == "{");
        let inline = declared.map(|w| (w[1].line, w[1].text.as_str()));
        for (line, name) in bad.chain(inline.filter(|(_, name)| BANNED.contains(name))) {
            let message = format!("`{name}` is no name for a module: say what it holds");
            violations.push(Violation::new(&file.path, line, message));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_starts_with_its_doc() {
        let count = |text: &str| check_docs(&Workspace::planted(&[("a.rs", text)])).len();
        assert_eq!(count("//! What it holds.\nfn f() {}\n"), 0);
        assert_eq!(count("fn f() {}\n"), 1);
        assert_eq!(count("\n//! Late.\n"), 1);
        assert_eq!(count("//!\n"), 1);
        assert_eq!(count(""), 1);
    }

    #[test]
    fn empty_names_fail_wherever_they_stand() {
        let lines = |path: &str, text: &str| -> Vec<usize> {
            let found = check_names(&Workspace::planted(&[(path, text)]));
            found.into_iter().map(|violation| violation.line).collect()
        };
        assert!(lines("crates/a/src/sampler.rs", "mod tests {}\n").is_empty());
        assert_eq!(lines("crates/a/src/utils.rs", ""), [1]);
        assert_eq!(lines("crates/a/tests/common/mod.rs", ""), [1]);
        assert_eq!(lines("crates/a/src/sampler.rs", "\npub mod helpers { fn f() {} }\n"), [2]);
    }
}
