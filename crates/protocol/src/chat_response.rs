//! `POST /v1/chat/completions`: the answer, whole or in chunks.

use serde::Serialize;

use crate::{FinishReason, Usage};

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatCompletion {
    /// Unique for each request.
    pub id: String,
    /// `chat.completion`
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// The model's name, as the request had it.
    pub model: String,
    /// What computed it.
    pub system_fingerprint: String,
    /// One for each answer asked for.
    pub choices: Vec<ChatChoice>,
    /// Token counts.
    pub usage: Usage,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatChoice {
    /// Its place among the answers.
    pub index: usize,
    /// What the model says.
    pub message: AnswerMessage,
    /// Present if they were asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// What the model says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerMessage {
    /// `assistant`
    pub role: &'static str,
    /// The text.
    pub content: String,
    /// Always null: nothing here tells refusals from other text.
    pub refusal: Option<String>,
}

/// A piece of a streamed answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatChunk {
    /// The same for all chunks of a request.
    pub id: String,
    /// `chat.completion.chunk`
    pub object: &'static str,
    /// Seconds since 1970, the same for all chunks.
    pub created: u64,
    /// The model's name, as the request had it.
    pub model: String,
    /// What computed it.
    pub system_fingerprint: String,
    /// The answer that goes on; none in the chunk with the token counts.
    pub choices: Vec<ChatChunkChoice>,
    /// Absent unless asked for; null before the last chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// How one answer goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatChunkChoice {
    /// Which answer.
    pub index: usize,
    /// What is new.
    pub delta: Delta,
    /// Of the tokens whose text is new.
    pub logprobs: Option<ChatLogprobs>,
    /// Null before the last chunk of this answer.
    pub finish_reason: Option<FinishReason>,
}

/// What is new in an answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Delta {
    /// Only in the first chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Text to append.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Log-probabilities of the tokens of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatLogprobs {
    /// One for each token.
    pub content: Vec<TokenLogprob>,
    /// Always null.
    pub refusal: Option<Vec<TokenLogprob>>,
}

/// A chosen token's log-probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenLogprob {
    /// The token's text; bytes that are not UTF-8 stand as U+FFFD.
    pub token: String,
    /// Its log-probability, before penalties and temperature; -9999 for none at all.
    pub logprob: f32,
    /// The token's bytes.
    pub bytes: Vec<u8>,
    /// The most likely tokens at this place.
    pub top_logprobs: Vec<LikelyToken>,
}

/// A likely token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LikelyToken {
    /// The token's text; bytes that are not UTF-8 stand as U+FFFD.
    pub token: String,
    /// Its log-probability, before penalties and temperature; -9999 for none at all.
    pub logprob: f32,
    /// The token's bytes.
    pub bytes: Vec<u8>,
}
