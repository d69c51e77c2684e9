//! What most architectures share: the widths in a configuration, which layers slide, and llama's
//! layer.

use russet_weights::{Checkpoint, Config, Part, Role};
use serde_json::json;

use crate::{
    Activation, AttentionSpec, Ffn, GatedFfnSpec, Head, LayerSpec, LoadError, Mixer, ModelSpec,
    NormSpec, Reach, Rope,
};

/// The sizes that every attention decoder has.
pub(super) struct Widths {
    pub(super) vocab_len: usize,
    pub(super) hidden_len: usize,
    pub(super) inner_len: usize,
    pub(super) num_layers: usize,
    pub(super) num_heads: usize,
    pub(super) num_kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) norm_eps: f64,
}

impl Widths {
    pub(super) fn read(c: &Config) -> Result<Self, LoadError> {
        let hidden_len = positive(c, "hidden_size")?;
        let num_heads = positive(c, "num_attention_heads")?;
        let widths = Self {
            vocab_len: positive(c, "vocab_size")?,
            hidden_len,
            inner_len: positive(c, "intermediate_size")?,
            num_layers: positive(c, "num_hidden_layers")?,
            num_heads,
            num_kv_heads: c.get_or("num_key_value_heads", num_heads)?,
            head_dim: c.get_or("head_dim", hidden_len / num_heads)?,
            norm_eps: c.require("rms_norm_eps")?,
        };
        if widths.num_kv_heads == 0 || !num_heads.is_multiple_of(widths.num_kv_heads) {
            let accepted = format!("a divisor of num_attention_heads ({num_heads})");
            return Err(c.unsupported("num_key_value_heads", &accepted).into());
        }
        if widths.head_dim == 0 || !widths.head_dim.is_multiple_of(2) {
            return Err(c.unsupported("head_dim", "an even number above 0").into());
        }
        Ok(widths)
    }
}

fn positive(c: &Config, key: &str) -> Result<usize, LoadError> {
    match c.require(key)? {
        0 => Err(c.unsupported(key, "a number above 0").into()),
        n => Ok(n),
    }
}

/// How far back each layer looks: by `layer_types`, else by `sliding_window` (with Qwen's
/// switches), else everything.
///
/// Mistral's `sliding_window` holds for all layers, as in transformers; mlx-lm ignores it
/// (docs/decisions/0003).
pub(super) fn reaches(c: &Config, num_layers: usize) -> Result<Vec<Reach>, LoadError> {
    let window: Option<usize> = c.get("sliding_window")?;
    let enabled = c.get_or("use_sliding_window", true)?;
    let first_sliding: Option<usize> = c.get("max_window_layers")?;
    if window == Some(0) {
        return Err(c.unsupported("sliding_window", "null or a number above 0").into());
    }
    let Some(types) = c.get::<Vec<&str>>("layer_types")? else {
        let window = window.filter(|_| enabled);
        let reach = |i| match window {
            Some(n) if i >= first_sliding.unwrap_or(0) => Reach::Window(n),
            _ => Reach::All,
        };
        return Ok((0..num_layers).map(reach).collect());
    };
    if types.len() != num_layers {
        let accepted = format!("one type for each of the {num_layers} layers");
        return Err(c.unsupported("layer_types", &accepted).into());
    }
    let reach = |kind: &&str| match (*kind, window) {
        ("full_attention", _) => Ok(Reach::All),
        ("sliding_attention", Some(n)) => Ok(Reach::Window(n)),
        ("sliding_attention", None) => {
            Err(c.unsupported("sliding_window", "a number, as layer_types has sliding layers"))
        }
        _ => Err(c.unsupported("layer_types", "full_attention, sliding_attention")),
    };
    Ok(types.iter().map(reach).collect::<Result<_, _>>()?)
}

/// Llama's decoder: norms before each branch, rotary attention, gated SiLU.
pub(super) fn llama_like(
    checkpoint: &Checkpoint,
    widths: &Widths,
    (context_len, rope): (usize, Rope),
    reaches: &[Reach],
) -> Result<ModelSpec, LoadError> {
    checkpoint.config().expect("hidden_act", &[json!("silu"), json!("gelu_pytorch_tanh")])?;
    let norm = NormSpec { eps: widths.norm_eps as f32 };
    let layer = |reach: &Reach| LayerSpec {
        pre_mixer: Some(norm),
        mixer: Mixer::Attention(AttentionSpec {
            num_heads: widths.num_heads,
            num_kv_heads: widths.num_kv_heads,
            head_dim: widths.head_dim,
            scale: (widths.head_dim as f32).powf(-0.5),
            softcap: None,
            rope: Some(0),
            qk_norm: None,
            reach: *reach,
        }),
        post_mixer: None,
        pre_ffn: Some(norm),
        ffn: Ffn::Gated(GatedFfnSpec { inner_len: widths.inner_len, activation: Activation::Silu }),
        post_ffn: None,
        residual_scale: 1.0,
    };
    Ok(ModelSpec {
        vocab_len: widths.vocab_len,
        hidden_len: widths.hidden_len,
        context_len,
        embed_scale: 1.0,
        ropes: vec![rope],
        layers: reaches.iter().map(layer).collect(),
        final_norm: norm,
        head: head(checkpoint)?,
    })
}

/// The flag where there is one, else what the file holds. A stored copy of a tied head is not read.
fn head(checkpoint: &Checkpoint) -> Result<Head, LoadError> {
    let stored = checkpoint.has(Role::Output, Part::Weight);
    if !checkpoint.config().get_or("tie_word_embeddings", !stored)? {
        return Ok(Head::Own);
    }
    checkpoint.skip(Role::Output);
    Ok(Head::Tied)
}
