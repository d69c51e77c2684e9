//! Refusals to load a model.

use crate::Unsupported;

/// Why a model was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The files or their configuration.
    #[error(transparent)]
    Weights(#[from] russet_weights::Error),
    /// A configuration value of the wrong type, or missing.
    #[error(transparent)]
    Config(#[from] russet_weights::ConfigError),
    /// Something the device cannot do.
    #[error(transparent)]
    Device(#[from] Unsupported),
    /// An architecture that is not in the table.
    #[error("architecture `{found}` is not supported; accepted: {}", accepted.join(", "))]
    Architecture {
        /// config.json's `model_type` or GGUF's `general.architecture`.
        found: String,
        /// All names in the table.
        accepted: Vec<&'static str>,
    },
    /// A pipeline stage that is not part of the model.
    #[error("layers {start}..{end} were asked for, the model has {num_layers}")]
    Stage {
        /// First layer asked for.
        start: usize,
        /// Layer after the last asked for.
        end: usize,
        /// Layers there are.
        num_layers: usize,
    },
}
