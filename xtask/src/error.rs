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
    /// A file or folder could not be written.
    #[error("could not write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// A model could not be converted.
    #[error(transparent)]
    Model(#[from] russet_weights::Error),
    /// Memory for a measurement could not be had.
    #[error("no memory to measure with: {0}")]
    Memory(std::io::Error),
    /// `bench-peers` was told no model.
    #[error("nothing to compare on: name --starter PATH.. or --synth DIR")]
    NoModel,
    /// Paths for `bench-peers` that do not make one model.
    #[error("{name}: {found} MLX folders and {ggufs} GGUF files, wanted one folder and any files")]
    PeerModel { name: String, found: usize, ggufs: usize },
    /// The server was not built.
    #[error("{} is missing: run `cargo build --release`", path.display())]
    NoRusset { path: PathBuf },
    /// `cargo metadata` printed something that is not JSON, or a record could not be made JSON.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The tree breaks rules, which were printed.
    #[error("tidy: {0} violation(s), listed above")]
    Untidy(usize),
}
