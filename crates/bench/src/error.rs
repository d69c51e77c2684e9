//! Why a measurement cannot begin or go on.

use russet_decoder::ModelError;

/// Why a measurement cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to measure.
    #[error("no rows to measure: every prompt and every generation asked for has 0 tokens")]
    NoRows,
    /// A row longer than the context.
    #[error("{test} takes {num_tokens} tokens of context; there are {context_len}")]
    Context {
        /// The row's name.
        test: String,
        /// Its depth and its own tokens.
        num_tokens: usize,
        /// The most accepted.
        context_len: usize,
    },
    /// More memory than there is.
    #[error(
        "the KV cache of all rows takes {} MB and {} MB are free; \
         ask for less depth or fewer sequences",
        cache_bytes >> 20,
        free_bytes >> 20
    )]
    Memory {
        /// Bytes of KV cache that the rows need together.
        cache_bytes: usize,
        /// Bytes that are free.
        free_bytes: usize,
    },
    /// The model has no room for the cache.
    #[error("the rows' KV cache could not be made: {0}")]
    Cache(ModelError),
    /// A step failed.
    #[error("{test}: {source}")]
    Step {
        /// The row's name.
        test: String,
        /// What the model said.
        source: ModelError,
    },
    /// Logits without a finite value: no token can follow.
    #[error("{test}: the logits after {num_tokens} tokens have no finite value")]
    Logits {
        /// The row's name.
        test: String,
        /// Tokens of the sequence so far.
        num_tokens: usize,
    },
    /// No memory to measure the bandwidth with.
    #[error("no memory to measure the bandwidth with: {bytes} bytes were asked for: {source}")]
    Probe {
        /// Bytes asked for.
        bytes: usize,
        /// What the system said.
        source: std::io::Error,
    },
}
