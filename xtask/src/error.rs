//! What can go wrong while running a check.

use std::path::PathBuf;
use std::process::ExitStatus;

/// Why an `xtask` command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A command ran and reported failure.
    #[error("`{command}` failed: {status}")]
    Failed { command: String, status: ExitStatus },
    /// A command could not be started.
    #[error("could not start `{command}`: {source}")]
    Start { command: String, source: std::io::Error },
    /// A file or folder of the tree could not be read.
    #[error("could not read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// `cargo metadata` printed something that is not JSON.
    #[error("`cargo metadata` did not print JSON: {0}")]
    Metadata(#[from] serde_json::Error),
    /// The tree breaks rules, which were printed.
    #[error("tidy: {0} violation(s), listed above")]
    Untidy(usize),
}
