//! Qwen 2 and 2.5: llama with biases on q, k and v.

use russet_weights::{ArchLayout, Checkpoint, Role};

use super::Architecture;
use super::layers::{self, SlidingDefaults, Widths};
use super::rotary::{self, RotaryDefaults};
use crate::{LoadError, ModelSpec};

pub(super) const QWEN2: Architecture =
    Architecture { name: "qwen2", model_types: &["qwen2"], layout: ArchLayout::default, spec };

fn spec(checkpoint: &Checkpoint) -> Result<ModelSpec, LoadError> {
    let c = checkpoint.config();
    let widths = Widths::read(c)?;
    let context_len = c.get_or("max_position_embeddings", 32_768)?;
    let defaults = RotaryDefaults { theta: 1_000_000.0, context_len };
    let rope = rotary::read(checkpoint, widths.head_dim, &defaults)?;
    let reaches = layers::reaches(c, widths.num_layers, SlidingDefaults::QWEN)?;
    let mut spec = layers::llama_like(checkpoint, &widths, (context_len, rope), &reaches)?;
    spec.biases = vec![Role::AttnQ, Role::AttnK, Role::AttnV];
    Ok(spec)
}
