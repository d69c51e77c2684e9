//! What a tensor is for, in GGUF's vocabulary and independent of the file format.

use std::fmt;

/// What a tensor is for. Norms are named by the place where they act, not by a format's name for
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Token embedding, `[vocabulary, hidden]`.
    TokenEmbd,
    /// Norm after the last layer.
    OutputNorm,
    /// Logits head, `[vocabulary, hidden]`; absent when the embedding serves.
    Output,
    /// GGUF only: what each rotary frequency is divided by.
    RopeFreqs,
    /// GGUF only: the divisors for long contexts.
    RopeFactorsLong,
    /// GGUF only: the divisors for short contexts.
    RopeFactorsShort,
    /// Norm before attention.
    AttnNorm,
    /// Query projection.
    AttnQ,
    /// Key projection.
    AttnK,
    /// Value projection.
    AttnV,
    /// Query, key and value projections stacked in one matrix.
    AttnQkv,
    /// Output projection of attention.
    AttnOutput,
    /// Norm of each query head.
    AttnQNorm,
    /// Norm of each key head.
    AttnKNorm,
    /// Norm after attention, before the residual is added.
    PostAttentionNorm,
    /// Norm before the feed-forward network.
    FfnNorm,
    /// Gate projection.
    FfnGate,
    /// Up projection.
    FfnUp,
    /// Gate and up projections stacked in one matrix; GGUF stores it under the up projection's
    /// name.
    FfnGateUp,
    /// Down projection.
    FfnDown,
    /// Norm after the feed-forward network, before the residual is added.
    PostFfwNorm,
}

/// Every role, its name in GGUF, and whether each layer has one.
const ROLES: [(Role, &str, Scope); 21] = [
    (Role::TokenEmbd, "token_embd", Scope::Model),
    (Role::OutputNorm, "output_norm", Scope::Model),
    (Role::Output, "output", Scope::Model),
    (Role::RopeFreqs, "rope_freqs", Scope::Model),
    (Role::RopeFactorsLong, "rope_factors_long", Scope::Model),
    (Role::RopeFactorsShort, "rope_factors_short", Scope::Model),
    (Role::AttnNorm, "attn_norm", Scope::Layer),
    (Role::AttnQ, "attn_q", Scope::Layer),
    (Role::AttnK, "attn_k", Scope::Layer),
    (Role::AttnV, "attn_v", Scope::Layer),
    (Role::AttnQkv, "attn_qkv", Scope::Layer),
    (Role::AttnOutput, "attn_output", Scope::Layer),
    (Role::AttnQNorm, "attn_q_norm", Scope::Layer),
    (Role::AttnKNorm, "attn_k_norm", Scope::Layer),
    (Role::PostAttentionNorm, "post_attention_norm", Scope::Layer),
    (Role::FfnNorm, "ffn_norm", Scope::Layer),
    (Role::FfnGate, "ffn_gate", Scope::Layer),
    (Role::FfnUp, "ffn_up", Scope::Layer),
    (Role::FfnGateUp, "ffn_up", Scope::Layer),
    (Role::FfnDown, "ffn_down", Scope::Layer),
    (Role::PostFfwNorm, "post_ffw_norm", Scope::Layer),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Model,
    Layer,
}

impl Role {
    /// This role in layer `layer`. Panics for a role that the model has once.
    pub fn at(self, layer: usize) -> RoleAt {
        assert!(self.row().2 == Scope::Layer, "{} belongs to no layer", self.gguf_name());
        RoleAt { role: self, layer: Some(layer) }
    }

    /// Whether the tensor is a norm's weight.
    pub fn is_norm(self) -> bool {
        matches!(
            self,
            Self::OutputNorm
                | Self::AttnNorm
                | Self::AttnQNorm
                | Self::AttnKNorm
                | Self::PostAttentionNorm
                | Self::FfnNorm
                | Self::PostFfwNorm
        )
    }

    pub(crate) fn gguf_name(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> &'static (Role, &'static str, Scope) {
        ROLES.iter().find(|row| row.0 == self).expect("every role has a row")
    }
}

/// A role in its layer. A role that the model has once converts by `into()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoleAt {
    /// What the tensor is for.
    pub role: Role,
    /// The layer, for roles that each layer has.
    pub layer: Option<usize>,
}

impl From<Role> for RoleAt {
    fn from(role: Role) -> Self {
        assert!(role.row().2 == Scope::Model, "{} needs a layer", role.gguf_name());
        Self { role, layer: None }
    }
}

impl RoleAt {
    /// The role at a GGUF tensor name without its part, such as `blk.3.attn_q`.
    pub(crate) fn from_gguf_stem(stem: &str) -> Option<Self> {
        let named = |name: &str| ROLES.iter().find(|row| row.1 == name).map(|row| row.0);
        let Some(rest) = stem.strip_prefix("blk.") else {
            let role = named(stem)?;
            return (role.row().2 == Scope::Model).then_some(Self { role, layer: None });
        };
        let (layer, name) = rest.split_once('.')?;
        let role = named(name)?;
        let layer = Some(layer.parse().ok()?);
        (role.row().2 == Scope::Layer).then_some(Self { role, layer })
    }
}

impl fmt::Display for RoleAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(layer) => write!(f, "blk.{layer}.{}", self.role.gguf_name()),
            None => f.write_str(self.role.gguf_name()),
        }
    }
}

/// Which tensor of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The matrix, or the vector of a norm.
    Weight,
    /// The vector added to a projection's result.
    Bias,
}

impl Part {
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_gguf_and_read_back() {
        assert_eq!(Role::AttnQ.at(3).to_string(), "blk.3.attn_q");
        assert_eq!(RoleAt::from(Role::TokenEmbd).to_string(), "token_embd");
        for (role, name, scope) in ROLES.into_iter().filter(|row| row.0 != Role::FfnGateUp) {
            let at = if scope == Scope::Layer { role.at(7) } else { role.into() };
            assert_eq!(RoleAt::from_gguf_stem(&at.to_string()), Some(at), "{name}");
        }
        assert_eq!(RoleAt::from_gguf_stem("blk.1.token_embd"), None);
        assert_eq!(RoleAt::from_gguf_stem("attn_q"), None);
        assert_eq!(RoleAt::from_gguf_stem("blk.x.attn_q"), None);
    }
}
