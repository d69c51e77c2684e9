//! Why servers cannot be compared.

use std::path::PathBuf;

use super::arm_spec::{LAUNCHERS, SHORTHANDS};

/// Why servers cannot be compared as was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An arm in short that cannot be read.
    #[error(
        "`{found}` is no arm: {problem}; accepted: [NAME:]KIND=MODEL with KIND one of {}; \
         [NAME:]url=http://host:port/v1",
        SHORTHANDS
    )]
    Shorthand {
        /// The text.
        found: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of arms that cannot be read.
    #[error("cannot read the arms of {}: {problem}", path.display())]
    SpecFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An arm without something that its launcher needs.
    #[error("the arm `{arm}` needs `{field}` with the launcher `{launcher}`")]
    Missing {
        /// The arm's name.
        arm: String,
        /// How it is launched.
        launcher: &'static str,
        /// What is missing.
        field: &'static str,
    },
    /// An arm with something that its launcher has no use for.
    #[error(
        "`{field}` of the arm `{arm}` has no effect with the launcher `{launcher}`; launchers: {}",
        LAUNCHERS
    )]
    NoEffect {
        /// The arm's name.
        arm: String,
        /// How it is launched.
        launcher: &'static str,
        /// What would be ignored.
        field: &'static str,
    },
    /// A value that cannot be used.
    #[error("`{field}` of the arm `{arm}` is `{found}`; accepted: {accepted}")]
    Value {
        /// The arm's name.
        arm: String,
        /// Whose value.
        field: &'static str,
        /// The value.
        found: String,
        /// What could be.
        accepted: &'static str,
    },
    /// A template with something that nobody fills in.
    #[error(
        "`{{{found}}}` in `{text}` stands for nothing; accepted: {{model}}, {{port}}, {{name}}"
    )]
    Template {
        /// The template.
        text: String,
        /// What stands between the braces.
        found: String,
    },
    /// An earlier report that cannot be read.
    #[error("{} is no report of `bench serve`: {problem}", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An earlier report of something else.
    #[error("the baseline cannot be compared with this benchmark: {problem}")]
    OtherBaseline {
        /// What differs.
        problem: String,
    },
}
