//! The rules the source tree is held to, each in a module of its own, run as one test.

mod arrows;
mod documents;
mod files;
mod functions;
mod machine_paths;
mod names;
mod phrases;
mod rust_file;
mod sizes;
mod unsafe_code;
mod words;
mod workspace;

use std::fmt;

pub(crate) use self::workspace::Workspace;

/// A rule: its name in reports, and what finds its violations.
type Rule = (&'static str, fn(&Workspace) -> Vec<Violation>);

/// Every rule there is.
pub(crate) const RULES: &[Rule] = &[
    ("syntax", workspace::check_syntax),
    ("arrows", arrows::check),
    ("file-size", sizes::check_files),
    ("line-length", sizes::check_lines),
    ("function-size", functions::check),
    ("module-doc", names::check_docs),
    ("module-name", names::check_names),
    ("banned-word", words::check),
    ("unsafe-fence", unsafe_code::check_use),
    ("unsafe-lint", unsafe_code::check_roots),
    ("model-type", phrases::check_model_type),
    ("cargo-feature", phrases::check_features),
    ("environment", phrases::check_environment),
    ("status-code", phrases::check_status_codes),
    ("machine-path", machine_paths::check),
    ("changelog", documents::check_changelog),
    ("links", documents::check_links),
];

/// How much a violation matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Printed only.
    Warning,
    /// Makes tidy fail.
    Failure,
}

/// One place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Set by [`check`].
    pub(crate) rule: &'static str,
    pub(crate) level: Level,
    /// Relative to the workspace root, with forward slashes.
    pub(crate) path: String,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Violation {
    fn new(path: &str, line: usize, message: String) -> Self {
        Self { rule: "", level: Level::Failure, path: path.to_owned(), line, message }
    }

    fn warning(path: &str, line: usize, message: String) -> Self {
        Self { level: Level::Warning, ..Self::new(path, line, message) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, level, path, line, message } = self;
        let level = if *level == Level::Warning { "warning: " } else { "" };
        write!(f, "{path}:{line}: {level}{message} [{rule}]")
    }
}

/// The violations of every rule, in the order of [`RULES`].
pub(crate) fn check(workspace: &Workspace) -> Vec<Violation> {
    let named = |&(rule, find): &Rule| {
        find(workspace).into_iter().map(move |violation| Violation { rule, ..violation })
    };
    RULES.iter().flat_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let workspace = Workspace::read(&crate::workspace_root()).expect("the tree can be read");
        assert!(workspace.rust.len() > 10, "too few files found: {}", workspace.rust.len());
        let failures = check(&workspace).into_iter().filter(|v| v.level == Level::Failure);
        let report: Vec<String> = failures.map(|violation| violation.to_string()).collect();
        assert!(report.is_empty(), "{} violations\n{}", report.len(), report.join("\n"));
    }

    #[test]
    fn a_report_can_be_clicked() {
        let violation = Violation { rule: "r", ..Violation::new("a/b.rs", 7, "bad".to_owned()) };
        assert_eq!(violation.to_string(), "a/b.rs:7: bad [r]");
        let warning = Violation { rule: "r", ..Violation::warning("a.rs", 1, "big".to_owned()) };
        assert_eq!(warning.to_string(), "a.rs:1: warning: big [r]");
    }
}
