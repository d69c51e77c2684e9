//! Gemma 3, the text model: norms before and after each branch, QK-norm, five sliding layers to one
//! full.

use russet_weights::{ArchLayout, Checkpoint, Config, Format, HfNames, NormStorage, Role};
use serde_json::json;

use super::Architecture;
use super::layers::{self, SlidingDefaults, Widths};
use super::rotary::{self, RotaryDefaults};
use crate::{Activation, Ffn, LoadError, Mixer, ModelSpec, Reach, Rope, RopePairing, RopeScaling};

pub(super) const GEMMA3: Architecture =
    Architecture { name: "gemma3", model_types: &["gemma3_text", "gemma3"], layout, spec };

fn layout() -> ArchLayout {
    let names = HfNames::default()
        .with(Role::PostAttentionNorm, "model.layers.{}.post_attention_layernorm")
        .with(Role::FfnNorm, "model.layers.{}.pre_feedforward_layernorm")
        .with(Role::PostFfwNorm, "model.layers.{}.post_feedforward_layernorm");
    ArchLayout { names, hf_norms: NormStorage::FactorMinusOne, ..ArchLayout::default() }
}

fn spec(checkpoint: &Checkpoint) -> Result<ModelSpec, LoadError> {
    let c = checkpoint.config();
    if c.contains("text_config") {
        return Err(c.unsupported("text_config", "a text model (model_type gemma3_text)").into());
    }
    c.expect("hidden_activation", &[json!("gelu_pytorch_tanh")])?;
    c.expect("use_bidirectional_attention", &[json!(false)])?;
    let widths = Widths::read(c)?;
    let context_len = c.get_or("max_position_embeddings", 32_768)?;
    let defaults = RotaryDefaults { theta: 1_000_000.0, context_len };
    let global = rotary::read(checkpoint, widths.head_dim, &defaults)?;
    let theta = rotary::above_zero(c, "rope_local_base_freq")?.unwrap_or(10_000.0);
    let local = Rope::new(widths.head_dim, theta, RopePairing::Halves, &RopeScaling::None);
    let reaches = reaches(c, widths.num_layers)?;
    let mut spec = layers::llama_like(checkpoint, &widths, (context_len, global), &reaches)?;
    spec.biases = layers::flagged_biases(checkpoint)?;
    spec.ropes.push(local);
    spec.embed_scale = embed_scale(widths.hidden_len);
    let scale = query_scale(checkpoint, &widths)?;
    let norm = Some(spec.final_norm);
    for layer in &mut spec.layers {
        (layer.post_mixer, layer.post_ffn) = (norm, norm);
        let Ffn::Gated(ffn) = &mut layer.ffn;
        ffn.activation = Activation::GeluTanh;
        let Mixer::Attention(attention) = &mut layer.mixer;
        attention.qk_norm = norm;
        attention.scale = scale;
        attention.rope = Some(usize::from(attention.reach != Reach::All));
    }
    Ok(spec)
}

/// `sqrt(hidden_len)` in bfloat16, as the model was trained.
fn embed_scale(hidden_len: usize) -> f32 {
    half::bf16::from_f32((hidden_len as f32).sqrt()).to_f32()
}

/// `query_pre_attn_scalar ^ -0.5`. GGUF files do not have the scalar; it is the head width except
/// in the 27B model (62 layers), where it is the hidden width by head (Gemma 3 technical report;
/// llama.cpp has the same rule).
fn query_scale(checkpoint: &Checkpoint, widths: &Widths) -> Result<f32, LoadError> {
    let default = match (checkpoint.format(), widths.num_layers) {
        (Format::Gguf, 62) => widths.hidden_len as f64 / widths.num_heads as f64,
        (Format::Gguf, _) => widths.head_dim as f64,
        _ => 256.0,
    };
    let scalar: f64 = checkpoint.config().get_or("query_pre_attn_scalar", default)?;
    Ok(scalar.powf(-0.5) as f32)
}

fn reaches(c: &Config, num_layers: usize) -> Result<Vec<Reach>, LoadError> {
    c.ignore("_sliding_window_pattern");
    if c.contains("layer_types") {
        c.ignore("sliding_window_pattern");
        return layers::reaches(c, num_layers, SlidingDefaults::ALL);
    }
    let window = layers::window(c)?.unwrap_or(512);
    let pattern: usize = c.get_or("sliding_window_pattern", 6)?;
    if pattern == 0 {
        return Err(c.unsupported("sliding_window_pattern", "1 or more").into());
    }
    let reach = |i: usize| match (i + 1).is_multiple_of(pattern) {
        true => Reach::All,
        false => Reach::Window(window),
    };
    Ok((0..num_layers).map(reach).collect())
}
