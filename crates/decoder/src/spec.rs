//! An architecture as data: what the forward pass runs, without weights, files or instruction sets.

use std::ops::Range;

use russet_weights::Role;

use crate::{Reach, Rope};

/// A whole decoder.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// Tokens in the vocabulary.
    pub vocab_len: usize,
    /// Width of the hidden state.
    pub hidden_len: usize,
    /// The longest sequence the model was made for.
    pub context_len: usize,
    /// Embeddings are multiplied by this.
    pub embed_scale: f32,
    /// Rotary embeddings that attention layers refer to by index.
    pub ropes: Vec<Rope>,
    /// All layers, first to last.
    pub layers: Vec<LayerSpec>,
    /// The projections that add a bias, in every layer. The others have none.
    pub biases: Vec<Role>,
    /// The norm before the head.
    pub final_norm: NormSpec,
    /// Where the head's matrix comes from.
    pub head: Head,
}

/// One layer:
/// `h = x + s * post_mixer(mixer(pre_mixer(x)))`, `y = h + s * post_ffn(ffn(pre_ffn(h)))`.
#[derive(Debug, Clone)]
pub struct LayerSpec {
    /// Norm before the mixer.
    pub pre_mixer: Option<NormSpec>,
    /// Mixes over time.
    pub mixer: Mixer,
    /// Norm after the mixer.
    pub post_mixer: Option<NormSpec>,
    /// Norm before the feed-forward part.
    pub pre_ffn: Option<NormSpec>,
    /// The feed-forward part.
    pub ffn: Ffn,
    /// Norm after the feed-forward part.
    pub post_ffn: Option<NormSpec>,
    /// `s`: both branches are multiplied by this before they are added.
    pub residual_scale: f32,
}

/// Root-mean-square norm: `x / sqrt(mean(x²) + eps) * weight`. Source: Zhang & Sennrich, <https://arxiv.org/abs/1910.07467>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormSpec {
    /// Added to the mean square.
    pub eps: f32,
}

/// What mixes information over time in a layer.
#[derive(Debug, Clone)]
pub enum Mixer {
    /// Softmax attention with grouped queries.
    Attention(AttentionSpec),
}

/// What follows the mixer in a layer.
#[derive(Debug, Clone)]
pub enum Ffn {
    /// `down(act(gate(x)) * up(x))`
    Gated(GatedFfnSpec),
}

/// Grouped-query attention. Source: Ainslie et al., <https://arxiv.org/abs/2305.13245>.
#[derive(Debug, Clone)]
pub struct AttentionSpec {
    /// Query heads, a multiple of `num_kv_heads`.
    pub num_heads: usize,
    /// Key and value heads.
    pub num_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Multiplies q·k before the softmax.
    pub scale: f32,
    /// `cap * tanh(score / cap)` on the scaled scores.
    pub softcap: Option<f32>,
    /// Index into [`ModelSpec::ropes`]; `None` has no rotary embedding (NoPE).
    pub rope: Option<usize>,
    /// Norm of each query and key head, before the rotary embedding.
    pub qk_norm: Option<NormSpec>,
    /// How far back the layer looks.
    pub reach: Reach,
}

/// A gated feed-forward part. Source: Shazeer, <https://arxiv.org/abs/2002.05202>.
#[derive(Debug, Clone)]
pub struct GatedFfnSpec {
    /// Width between the projections.
    pub inner_len: usize,
    /// Applied to the gate.
    pub activation: Activation,
}

/// Activation functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`
    Silu,
    /// `x * Φ(x)`, with the error function.
    Gelu,
    /// `x * Φ(x)`, by the tanh approximation.
    GeluTanh,
}

/// Where the head's matrix comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// The embedding matrix.
    Tied,
    /// Its own matrix.
    Own,
}

impl ModelSpec {
    /// The distinct reaches of `layers`, in order of first use: one cache group each.
    pub fn reaches(&self, layers: Range<usize>) -> Vec<Reach> {
        let mut reaches = Vec::new();
        for layer in &self.layers[layers] {
            let Mixer::Attention(attention) = &layer.mixer;
            if !reaches.contains(&attention.reach) {
                reaches.push(attention.reach);
            }
        }
        reaches
    }
}
