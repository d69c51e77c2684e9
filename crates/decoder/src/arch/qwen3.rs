//! Qwen 3: llama with a norm on each query and key head.

use russet_weights::{ArchLayout, Checkpoint};

use super::Architecture;
use super::layers::{self, SlidingDefaults, Widths};
use super::rotary::{self, RotaryDefaults};
use crate::{LoadError, Mixer, ModelSpec};

pub(super) const QWEN3: Architecture =
    Architecture { name: "qwen3", model_types: &["qwen3"], layout: ArchLayout::default, spec };

fn spec(checkpoint: &Checkpoint) -> Result<ModelSpec, LoadError> {
    let c = checkpoint.config();
    let widths = Widths::read(c)?;
    let context_len = c.require("max_position_embeddings")?;
    let defaults = RotaryDefaults { theta: 1_000_000.0, context_len };
    let rope = rotary::read(checkpoint, widths.head_dim, &defaults)?;
    let reaches = layers::reaches(c, widths.num_layers, SlidingDefaults::QWEN)?;
    let mut spec = layers::llama_like(checkpoint, &widths, (context_len, rope), &reaches)?;
    spec.biases = layers::flagged_biases(checkpoint)?;
    for layer in &mut spec.layers {
        let Mixer::Attention(attention) = &mut layer.mixer;
        attention.qk_norm = Some(spec.final_norm);
    }
    Ok(spec)
}
