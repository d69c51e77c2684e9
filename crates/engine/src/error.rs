//! The three kinds of failure, which never mix: an engine that cannot start, a request that is
//! not admitted, and an admitted sequence that cannot go on.

use russet_decoder::{ModelError, TokenId};

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting outside its range.
    #[error("the engine setting `{name}` is {value}; it must be {accepted}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// The value found.
        value: usize,
        /// The range accepted, in words.
        accepted: &'static str,
    },
    /// The model has no room for its cache.
    #[error("the KV cache for {cache_tokens} tokens could not be made: {source}")]
    Cache {
        /// Tokens asked for.
        cache_tokens: usize,
        /// What the model said.
        source: ModelError,
    },
    /// The operating system gave no thread.
    #[error("the engine's thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a request was not admitted. Nothing was computed for it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// A prompt without tokens.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// Nothing to generate.
    #[error("`max_tokens` is 0; it must be at least 1")]
    NoTokensWanted,
    /// Prompt and output together are longer than the context.
    #[error(
        "the prompt has {prompt_len} tokens and {max_tokens} more were asked for, {} in all; \
         the context has room for {context_len}",
        prompt_len.saturating_add(*max_tokens)
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt_len: usize,
        /// Tokens to generate.
        max_tokens: usize,
        /// Tokens that fit.
        context_len: usize,
    },
    /// A token id that the model does not have, in the prompt or in `logit_bias`.
    #[error("token {} of `{list}` is outside the vocabulary of {vocab_len}", token.0)]
    UnknownToken {
        /// `prompt` or `logit_bias`.
        list: &'static str,
        /// The id found.
        token: TokenId,
        /// Ids accepted are below this.
        vocab_len: usize,
    },
    /// A sampling parameter outside its range.
    #[error("`{name}` is {value}; it must be {accepted}")]
    Sampling {
        /// The parameter's name.
        name: &'static str,
        /// The value found.
        value: f32,
        /// The range accepted, in words.
        accepted: &'static str,
    },
    /// As many requests wait as may.
    #[error("{max_waiting} requests wait already, which is the limit")]
    QueueFull {
        /// The limit.
        max_waiting: usize,
    },
    /// The engine finishes what it has and takes nothing new.
    #[error("the engine is shutting down and takes no new requests")]
    Draining,
    /// The engine's thread has ended.
    #[error("the engine has stopped after an internal failure")]
    Stopped,
}

/// Why an admitted sequence ended without a finish reason.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SequenceError {
    /// The model refused a step.
    #[error("the model could not compute a step: {reason}")]
    Step {
        /// The model's message.
        reason: String,
    },
    /// The model panicked in a step.
    #[error("the model failed while computing a step: {reason}")]
    Panic {
        /// The panic's message.
        reason: String,
    },
    /// The model gave logits that nothing can be chosen from.
    #[error("the model's logits of output token {index} are {found}")]
    Logits {
        /// Which token of the output was to be chosen, from 0.
        index: usize,
        /// What is wrong with them.
        found: BadLogits,
    },
    /// The engine was told to abort what it had.
    #[error("the engine shut down before the generation was finished")]
    Aborted,
    /// The engine's thread ended with the sequence in it.
    #[error("the engine stopped after an internal failure")]
    Stopped,
}

/// Logits that nothing can be chosen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLogits {
    /// At least one is not a number.
    #[error("not numbers (NaN)")]
    Nan,
    /// At least one is positive infinity.
    #[error("infinite")]
    Infinite,
    /// All are negative infinity.
    #[error("all minus infinity")]
    Empty,
    /// There are not as many as the vocabulary has tokens.
    #[error("not as many as the vocabulary has tokens")]
    Count,
}
