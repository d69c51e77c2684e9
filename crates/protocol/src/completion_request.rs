//! `POST /v1/completions`: the request.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{OneOrMany, StreamOptions};

/// Texts to continue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CompletionRequest {
    /// Which model; absent means the one that is served.
    pub model: Option<String>,
    /// The texts.
    pub prompt: Prompt,
    /// Whether each answer begins with its prompt.
    pub echo: Option<bool>,

    /// Tokens to generate for each, at most; 16 if absent.
    pub max_tokens: Option<usize>,
    /// Tokens to generate before the model may end (a vLLM extension).
    pub min_tokens: Option<usize>,
    /// Strings that end the text; they are not part of it.
    pub stop: Option<OneOrMany>,
    /// Whether the model's end tokens do not end the text (a vLLM extension).
    pub ignore_eos: Option<bool>,
    /// How many continuations of each prompt.
    pub n: Option<usize>,
    /// How many are generated to choose `n` from.
    pub best_of: Option<usize>,

    /// Divides the logits.
    pub temperature: Option<f32>,
    /// Keeps the fewest most likely tokens that reach this probability.
    pub top_p: Option<f32>,
    /// Keeps this many most likely tokens; 0 or -1 keeps all (an extension).
    pub top_k: Option<i64>,
    /// Drops tokens less likely than this share of the most likely one (an extension).
    pub min_p: Option<f32>,
    /// Makes the draws repeatable.
    pub seed: Option<i64>,
    /// Subtracted from the logits of tokens that were generated.
    pub presence_penalty: Option<f32>,
    /// Subtracted for each time that a token was generated.
    pub frequency_penalty: Option<f32>,
    /// Divides the logits of tokens that were seen (an extension).
    pub repetition_penalty: Option<f32>,
    /// Added to the logits of tokens, by id.
    pub logit_bias: Option<BTreeMap<String, f32>>,

    /// Reports each token's log-probability and that of this many most likely ones.
    pub logprobs: Option<usize>,
    /// Whether the text comes in pieces.
    pub stream: Option<bool>,
    /// What comes with the pieces.
    pub stream_options: Option<StreamOptions>,

    /// Text that follows the inserted one.
    pub suffix: Option<Value>,
    /// Constrains the text (vLLM, as for chat).
    pub response_format: Option<Value>,
    /// Constrains the text (llama.cpp).
    pub grammar: Option<Value>,
    /// Constrains the text (llama.cpp).
    pub json_schema: Option<Value>,
    /// Constrains the text (vLLM).
    pub structured_outputs: Option<Value>,
    /// Constrains the text (vLLM).
    pub guided_json: Option<Value>,
    /// Constrains the text (vLLM).
    pub guided_regex: Option<Value>,
    /// Constrains the text (vLLM).
    pub guided_choice: Option<Value>,
    /// Constrains the text (vLLM).
    pub guided_grammar: Option<Value>,

    /// Fields that are not listed here.
    #[serde(flatten)]
    pub unlisted: Map<String, Value>,
}

/// One text or several, as text or as token ids.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected `prompt` to be a string, an array of strings, an array of token ids, \
                 or an array of arrays of token ids"
)]
pub enum Prompt {
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// One text, as token ids.
    Tokens(Vec<u32>),
    /// Several texts, as token ids.
    TokenLists(Vec<Vec<u32>>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(json: &str) -> Result<Prompt, String> {
        let body = format!("{{\"prompt\": {json}}}");
        let parsed = serde_json::from_str::<CompletionRequest>(&body);
        parsed.map(|request| request.prompt).map_err(|error| error.to_string())
    }

    #[test]
    fn prompts_come_in_four_forms() {
        assert_eq!(prompt(r#""a""#), Ok(Prompt::Text("a".to_owned())));
        assert_eq!(prompt(r#"["a"]"#), Ok(Prompt::Texts(vec!["a".to_owned()])));
        assert_eq!(prompt("[1, 2]"), Ok(Prompt::Tokens(vec![1, 2])));
        assert_eq!(prompt("[[1], [2]]"), Ok(Prompt::TokenLists(vec![vec![1], vec![2]])));
        let error = prompt("[1, \"a\"]").unwrap_err();
        assert!(error.starts_with("expected `prompt` to be a string, an array"), "{error}");
        assert!(prompt("[-1]").is_err());
    }
}
