//! What an engine is asked to do in one go, and what is learnt from it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Tokens of the usual prompt, and those generated from an empty cache.
pub(super) const PROMPT: usize = 512;
pub(super) const TOKENS: usize = 128;
/// A long prompt, and the tokens generated after it: within a context of 8192.
pub(super) const LONG_PROMPT: usize = 8000;
pub(super) const LONG_TOKENS: usize = 64;
/// Sequences that generate together, each after a short prompt.
pub(super) const BATCHES: [usize; 4] = [1, 4, 8, 16];
pub(super) const BATCH_PROMPT: usize = 16;
pub(super) const BATCH_TOKENS: usize = 64;

/// What an engine does in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Probe {
    /// Reads a prompt; generates from nothing.
    Short,
    /// Generates several sequences at once.
    Batches,
    /// Reads a long prompt and generates after it.
    Long,
}

/// What engines say of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Prefill,
    Decode,
}

/// What is compared, in tokens of all sequences per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Quantity {
    Prefill,
    Decode,
    PrefillLong,
    DecodeDeep,
    Batch(usize),
}

/// One quantity of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Sample {
    pub(super) quantity: Quantity,
    pub(super) tokens_per_s: f64,
    /// What decoding reads as a share of what plain reading reaches beside it, if the engine says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bandwidth_share: Option<f64>,
}

impl Probe {
    /// What a rate of this probe is; `None` if it is of no interest.
    pub(super) fn quantity(self, kind: Kind, batch: usize) -> Option<Quantity> {
        match (self, kind) {
            (Self::Short, Kind::Prefill) => Some(Quantity::Prefill),
            (Self::Short, Kind::Decode) => Some(Quantity::Decode),
            (Self::Long, Kind::Prefill) => Some(Quantity::PrefillLong),
            (Self::Long, Kind::Decode) => Some(Quantity::DecodeDeep),
            (Self::Batches, Kind::Decode) => Some(Quantity::Batch(batch)),
            (Self::Batches, Kind::Prefill) => None,
        }
    }

    /// A sample of this probe, if it is of interest.
    pub(super) fn sample(self, kind: Kind, batch: usize, tokens_per_s: f64) -> Option<Sample> {
        let quantity = self.quantity(kind, batch)?;
        Some(Sample { quantity, tokens_per_s, bandwidth_share: None })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "short",
            Self::Batches => "batches",
            Self::Long => "long",
        })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefill => write!(f, "prefill {PROMPT}"),
            Self::Decode => write!(f, "decode {TOKENS}"),
            Self::PrefillLong => write!(f, "prefill {LONG_PROMPT}, average"),
            Self::DecodeDeep => write!(f, "decode {LONG_TOKENS} at depth {LONG_PROMPT}"),
            Self::Batch(batch) => write!(f, "decode {BATCH_TOKENS}, batch {batch}"),
        }
    }
}
