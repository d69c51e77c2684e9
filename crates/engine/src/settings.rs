//! What an engine may use.

/// The limits an engine works within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSettings {
    /// Requests that may wait for their turn; one more is refused with
    /// [`SubmitError::QueueFull`](crate::SubmitError::QueueFull).
    pub max_waiting: usize,
    /// Prompt tokens computed in one step, at most. An aborted prefill stops within one such chunk.
    pub prefill_chunk: usize,
    /// Tokens that the KV cache has room for; longer than the model's context is cut to that.
    pub cache_tokens: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { max_waiting: 64, prefill_chunk: 512, cache_tokens: 8192 }
    }
}
