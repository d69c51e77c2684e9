//! The architectures, each a file that turns a configuration into a [`ModelSpec`]. This table is
//! the only list of them.

mod gemma3;
mod layers;
mod llama;
mod qwen2;
mod qwen3;
mod rotary;

use russet_weights::{ArchLayout, Checkpoint};

use crate::{LoadError, ModelSpec};

/// One architecture.
pub(crate) struct Architecture {
    /// Its name in messages and in `docs/supported.md`.
    pub(crate) name: &'static str,
    /// Values of `model_type` (or GGUF's `general.architecture`) that mean it.
    model_types: &'static [&'static str],
    /// How its files name and store tensors.
    pub(crate) layout: fn() -> ArchLayout,
    /// Its configuration as data.
    pub(crate) spec: fn(&Checkpoint) -> Result<ModelSpec, LoadError>,
}

const ARCHITECTURES: &[Architecture] = &[llama::LLAMA, qwen2::QWEN2, qwen3::QWEN3, gemma3::GEMMA3];

/// Every architecture's name with the `model_type` values that select it.
pub fn architectures() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    ARCHITECTURES.iter().map(|a| (a.name, a.model_types))
}

/// The architecture that the checkpoint says it is.
pub(crate) fn of(checkpoint: &Checkpoint) -> Result<&'static Architecture, LoadError> {
    let model_type = checkpoint.config().model_type()?;
    let found = ARCHITECTURES.iter().find(|a| a.model_types.contains(&model_type));
    found.ok_or_else(|| LoadError::Architecture {
        found: model_type.into(),
        accepted: ARCHITECTURES.iter().flat_map(|a| a.model_types).copied().collect(),
    })
}
