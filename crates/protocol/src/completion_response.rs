//! `POST /v1/completions`: the answer, whole or in chunks, which have one shape.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{FinishReason, Usage};

/// A whole answer, or a chunk of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Completion {
    /// Unique for each request, the same for all its chunks.
    pub id: String,
    /// `text_completion`
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// The model's name, as the request had it.
    pub model: String,
    /// What computed it.
    pub system_fingerprint: String,
    /// The continuations; none in the chunk with the token counts.
    pub choices: Vec<CompletionChoice>,
    /// Absent in chunks unless asked for; null before the last chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// One continuation, or a piece of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompletionChoice {
    /// The text, or what is new of it.
    pub text: String,
    /// Prompts in order, and the continuations of each.
    pub index: usize,
    /// Present if they were asked for.
    pub logprobs: Option<CompletionLogprobs>,
    /// Null before the last chunk.
    pub finish_reason: Option<FinishReason>,
}

/// Log-probabilities of the tokens of a text; the lists have one entry for each token.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CompletionLogprobs {
    /// The tokens' texts.
    pub tokens: Vec<String>,
    /// Their log-probabilities.
    pub token_logprobs: Vec<f32>,
    /// The most likely tokens by text.
    pub top_logprobs: Vec<Map<String, Value>>,
    /// Characters of the choice's text before the token.
    pub text_offset: Vec<usize>,
}
