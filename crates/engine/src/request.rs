//! One generation, as the engine is asked for it.

use russet_decoder::TokenId;

/// One generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The prompt; at least one token.
    pub prompt: Vec<TokenId>,
    /// Tokens to generate, at most; at least one.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// What ends the generation before `max_tokens`.
    pub stop: StopRule,
    /// `Some(n)`: report the log-probability of each token and of the `n` most likely ones.
    pub logprobs: Option<usize>,
}

/// What ends a generation before its token limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopRule {
    /// Any of these tokens, which is not reported itself. They cannot be chosen before
    /// `min_tokens` others were.
    Tokens {
        /// The tokens, usually the model's end-of-sequence ids.
        stop: Vec<TokenId>,
        /// Tokens generated at least.
        min_tokens: usize,
    },
    /// Nothing: the generation has exactly `max_tokens` tokens, end-of-sequence tokens included.
    Never,
}

/// How tokens are chosen from logits.
///
/// In this order: `logit_bias`, repetition penalty, presence and frequency penalties, then
/// temperature, `top_k`, `top_p`, `min_p`. Log-probabilities are of the logits before any of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits; 0 chooses the most likely token, the smallest id among equals.
    pub temperature: f32,
    /// Keeps the `top_k` most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the fewest most likely tokens whose probabilities reach this sum; 1 keeps all.
    pub top_p: f32,
    /// Drops tokens less likely than this share of the most likely one; 0 drops none.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens in prompt or output; 1 is off.
    /// Source: Keskar et al., <https://arxiv.org/abs/1909.05858>.
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens that were generated.
    pub presence_penalty: f32,
    /// Subtracted once for each time that a token was generated.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// The draw of token `i` depends on this seed and `i` only; `None` takes a fresh seed.
    pub seed: Option<u64>,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: None,
        }
    }
}

impl SamplingParams {
    /// Always the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }
}
