//! Llama, and what differs from it in name only: Mistral, SmolLM, TinyLlama, stories.

use russet_weights::{ArchLayout, Checkpoint, QkRows};

use super::Architecture;
use super::layers::{self, SlidingDefaults, Widths};
use super::rotary::{self, RotaryDefaults};
use crate::{LoadError, ModelSpec};

pub(super) const LLAMA: Architecture =
    Architecture { name: "llama", model_types: &["llama", "mistral"], layout, spec };

fn layout() -> ArchLayout {
    ArchLayout { gguf_qk_rows: QkRows::Pairs, ..ArchLayout::default() }
}

fn spec(checkpoint: &Checkpoint) -> Result<ModelSpec, LoadError> {
    let c = checkpoint.config();
    let widths = Widths::read(c)?;
    let context_len = c.get_or("max_position_embeddings", 2048)?;
    let defaults = RotaryDefaults { theta: 10_000.0, context_len };
    let rope = rotary::read(checkpoint, widths.head_dim, &defaults)?;
    let reaches = layers::reaches(c, widths.num_layers, SlidingDefaults::ALL)?;
    let mut spec = layers::llama_like(checkpoint, &widths, (context_len, rope), &reaches)?;
    spec.biases = layers::flagged_biases(checkpoint)?;
    Ok(spec)
}
