//! What most architectures share: the widths in a configuration, which layers slide, and llama's
//! layer.

use russet_weights::{Checkpoint, Config, Format, Part, Role};

use crate::{
    Activation, AttentionSpec, Ffn, GatedFfnSpec, Head, LayerSpec, LoadError, Mixer, ModelSpec,
    NormSpec, Reach, Rope,
};

/// More layers than any model has. Bounds what a configuration can make us allocate before the
/// tensors' shapes are compared with it.
const MAX_LAYERS: usize = 4096;
/// Likewise for the width of a head and their number.
const MAX_HEADS: usize = 1 << 16;

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
        let num_heads = at_most(c, "num_attention_heads", MAX_HEADS)?;
        let widths = Self {
            vocab_len: positive(c, "vocab_size")?,
            hidden_len,
            inner_len: positive(c, "intermediate_size")?,
            num_layers: at_most(c, "num_hidden_layers", MAX_LAYERS)?,
            num_heads,
            num_kv_heads: c.get_or("num_key_value_heads", num_heads)?,
            head_dim: c.get_or("head_dim", hidden_len / num_heads)?,
            norm_eps: c.require("rms_norm_eps")?,
        };
        if widths.num_kv_heads == 0 || !num_heads.is_multiple_of(widths.num_kv_heads) {
            let accepted = format!("a divisor of num_attention_heads ({num_heads})");
            return Err(c.unsupported("num_key_value_heads", &accepted).into());
        }
        if !(1..=MAX_HEADS).contains(&widths.head_dim) || !widths.head_dim.is_multiple_of(2) {
            let accepted = format!("an even number from 2 to {MAX_HEADS}");
            return Err(c.unsupported("head_dim", &accepted).into());
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

fn at_most(c: &Config, key: &str, most: usize) -> Result<usize, LoadError> {
    match positive(c, key)? {
        n if n > most => Err(c.unsupported(key, &format!("at most {most}")).into()),
        n => Ok(n),
    }
}

/// Where a configuration with `sliding_window` and without `layer_types` slides if it does not say.
#[derive(Clone, Copy)]
pub(super) struct SlidingDefaults {
    pub(super) enabled: bool,
    pub(super) first_layer: usize,
}

impl SlidingDefaults {
    /// In every layer.
    pub(super) const ALL: Self = Self { enabled: true, first_layer: 0 };
    /// As in transformers' Qwen2Config and Qwen3Config.
    pub(super) const QWEN: Self = Self { enabled: false, first_layer: 28 };
}

/// How far back each layer looks: by `layer_types`, else by `sliding_window` (with Qwen's
/// switches), else everything.
///
/// Mistral's `sliding_window` holds for all layers, as in transformers; mlx-lm ignores it
/// (docs/decisions/0003).
pub(super) fn reaches(
    c: &Config,
    num_layers: usize,
    defaults: SlidingDefaults,
) -> Result<Vec<Reach>, LoadError> {
    let window = window(c)?;
    let enabled = c.get_or("use_sliding_window", defaults.enabled)?;
    let first_sliding = c.get_or("max_window_layers", defaults.first_layer)?;
    let Some(types) = c.get::<Vec<&str>>("layer_types")? else {
        let window = window.filter(|_| enabled);
        let reach = |i| match window {
            Some(n) if i >= first_sliding => Reach::Window(n),
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

/// `sliding_window`, which may be absent.
pub(super) fn window(c: &Config) -> Result<Option<usize>, LoadError> {
    match c.get("sliding_window")? {
        Some(0) => Err(c.unsupported("sliding_window", "null or a number above 0").into()),
        window => Ok(window),
    }
}

/// The projections with a bias: by `attention_bias` and `mlp_bias`. GGUF files lack these flags;
/// their first layer speaks for all.
pub(super) fn flagged_biases(checkpoint: &Checkpoint) -> Result<Vec<Role>, LoadError> {
    let attention = [Role::AttnQ, Role::AttnK, Role::AttnV, Role::AttnOutput];
    let mlp = [Role::FfnGate, Role::FfnUp, Role::FfnDown];
    if checkpoint.format() == Format::Gguf {
        let all = attention.into_iter().chain(mlp);
        return Ok(all.filter(|role| checkpoint.has(role.at(0), Part::Bias)).collect());
    }
    let c = checkpoint.config();
    let mut biases = Vec::new();
    if c.get_or("attention_bias", false)? {
        biases.extend(attention);
    }
    if c.get_or("mlp_bias", false)? {
        biases.extend(mlp);
    }
    Ok(biases)
}

fn activation(c: &Config) -> Result<Activation, LoadError> {
    match c.get_or("hidden_act", "silu")? {
        "silu" => Ok(Activation::Silu),
        "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        _ => Err(c.unsupported("hidden_act", "silu, gelu_pytorch_tanh").into()),
    }
}

/// Llama's decoder, without biases: norms before each branch, rotary attention, gated SiLU.
pub(super) fn llama_like(
    checkpoint: &Checkpoint,
    widths: &Widths,
    (context_len, rope): (usize, Rope),
    reaches: &[Reach],
) -> Result<ModelSpec, LoadError> {
    let activation = activation(checkpoint.config())?;
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
        ffn: Ffn::Gated(GatedFfnSpec { inner_len: widths.inner_len, activation }),
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
        biases: Vec::new(),
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
