//! What each backend can do, in one table.

use std::fmt;

use russet_weights::Format;

use crate::Backend;

/// Something that a user may ask of a backend and that not every one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// One model over several machines.
    Split,
    /// A smaller model that drafts tokens.
    DraftModel,
    /// A longest sequence other than the model's.
    Context,
    /// A number of threads.
    Threads,
    /// An instruction set.
    Isa,
    /// A precision of activations.
    Precision,
    /// An element type of the KV cache.
    KvType,
    /// How many prompt tokens are computed at once.
    PrefillChunk,
    /// Tool calls.
    Tools,
    /// Log probabilities of tokens.
    Logprobs,
    /// Images in a conversation.
    Vision,
    /// Vectors of texts.
    Embeddings,
    /// Adapters.
    Lora,
    /// Answers that keep to a schema or a grammar.
    Grammar,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Split => "split over machines",
            Self::DraftModel => "draft model",
            Self::Context => "setting for the context",
            Self::Threads => "setting for threads",
            Self::Isa => "setting for the instruction set",
            Self::Precision => "setting for the precision of activations",
            Self::KvType => "setting for the type of keys and values",
            Self::PrefillChunk => "setting for the prefill chunk",
            Self::Tools => "tool calls",
            Self::Logprobs => "log probabilities",
            Self::Vision => "images",
            Self::Embeddings => "embeddings",
            Self::Lora => "adapters",
            Self::Grammar => "structured output",
        })
    }
}

/// What one backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The formats that it reads.
    pub formats: &'static [Format],
    /// What else it offers.
    pub features: &'static [Feature],
}

const NATIVE: Capabilities = Capabilities {
    formats: &[Format::Mlx, Format::HuggingFace, Format::Gguf],
    features: &[
        Feature::Context,
        Feature::Threads,
        Feature::Isa,
        Feature::Precision,
        Feature::KvType,
        Feature::PrefillChunk,
        Feature::Logprobs,
    ],
};

/// From `llama-server --help`.
const LLAMA: Capabilities = Capabilities {
    formats: &[Format::Gguf],
    features: &[
        Feature::Split,
        Feature::DraftModel,
        Feature::Context,
        Feature::Threads,
        Feature::KvType,
        Feature::PrefillChunk,
        Feature::Tools,
        Feature::Logprobs,
        Feature::Vision,
        Feature::Embeddings,
        Feature::Lora,
        Feature::Grammar,
    ],
};

/// From `mlx_lm.server --help`. It computes with whatever threads MLX takes, up to the model's own
/// context, and has no route for embeddings.
const MLX_LM: Capabilities = Capabilities {
    formats: &[Format::Mlx, Format::HuggingFace],
    features: &[
        Feature::DraftModel,
        Feature::PrefillChunk,
        Feature::Tools,
        Feature::Logprobs,
        Feature::Lora,
    ],
};

/// What is asked of it in a request goes through as it is; how it computes is its own affair.
const REMOTE: Capabilities = Capabilities {
    formats: &[],
    features: &[
        Feature::Tools,
        Feature::Logprobs,
        Feature::Vision,
        Feature::Embeddings,
        Feature::Grammar,
    ],
};

impl Backend {
    /// Members of a request that would have its program load something else than the model.
    pub(crate) fn refused_members(self) -> &'static [&'static str] {
        match self {
            Self::MlxLm => &["adapters", "draft_model"],
            Self::Native | Self::Llama | Self::Remote => &[],
        }
    }

    /// What it can do.
    pub fn capabilities(self) -> &'static Capabilities {
        match self {
            Self::Native => &NATIVE,
            Self::Llama => &LLAMA,
            Self::MlxLm => &MLX_LM,
            Self::Remote => &REMOTE,
        }
    }
}
