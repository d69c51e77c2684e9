//! `POST /v1/completions`: the answer, whole or in chunks, which have one shape.

use serde::{Serialize, Serializer};

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
    pub top_logprobs: Vec<LikelyTexts>,
    /// Characters of the choice's text before the token.
    pub text_offset: Vec<usize>,
}

/// Log-probabilities by the texts of tokens; on the wire an object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LikelyTexts {
    entries: Vec<(String, f32)>,
}

impl LikelyTexts {
    /// Adds a token, unless one with the same text is there.
    pub fn add(&mut self, text: String, logprob: f32) {
        if self.entries.iter().all(|(other, _)| *other != text) {
            self.entries.push((text, logprob));
        }
    }
}

impl Serialize for LikelyTexts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries.iter().map(|(text, logprob)| (text, logprob)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_tokens_that_look_alike_the_first_is_told() {
        let mut texts = LikelyTexts::default();
        texts.add("\u{fffd}".to_owned(), -0.1);
        texts.add("a".to_owned(), -0.3);
        texts.add("\u{fffd}".to_owned(), -7.0);
        assert_eq!(serde_json::to_string(&texts).unwrap(), "{\"\u{fffd}\":-0.1,\"a\":-0.3}");
    }
}
