//! `POST /v1/chat/completions`: the request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{OneOrMany, StreamOptions};

/// A conversation to continue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ChatRequest {
    /// Which model; absent means the one that is served.
    pub model: Option<String>,
    /// The conversation so far.
    pub messages: Vec<Message>,

    /// Tokens to generate, at most (the older name).
    pub max_tokens: Option<usize>,
    /// Tokens to generate, at most.
    pub max_completion_tokens: Option<usize>,
    /// Tokens to generate before the model may end the answer (a vLLM extension).
    pub min_tokens: Option<usize>,
    /// Strings that end the answer; they are not part of it.
    pub stop: Option<OneOrMany>,
    /// Whether the model's end tokens do not end the answer (a vLLM extension).
    pub ignore_eos: Option<bool>,
    /// How many answers.
    pub n: Option<usize>,

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

    /// Whether each token's log-probability is reported.
    pub logprobs: Option<bool>,
    /// How many most likely tokens are reported with it.
    pub top_logprobs: Option<usize>,
    /// Whether the answer comes in pieces.
    pub stream: Option<bool>,
    /// What comes with the pieces.
    pub stream_options: Option<StreamOptions>,
    /// Variables for the chat template (a vLLM extension).
    pub chat_template_kwargs: Option<Map<String, Value>>,

    /// Functions that the model may call.
    pub tools: Option<Value>,
    /// Which of them it must call.
    pub tool_choice: Option<Value>,
    /// The older form of `tools`.
    pub functions: Option<Value>,
    /// The older form of `tool_choice`.
    pub function_call: Option<Value>,
    /// The form that the answer must have.
    pub response_format: Option<Value>,
    /// Kinds of output.
    pub modalities: Option<Value>,
    /// How spoken output sounds.
    pub audio: Option<Value>,
    /// Text that the answer is expected to repeat.
    pub prediction: Option<Value>,
    /// Asks for a search of the web.
    pub web_search_options: Option<Value>,
    /// Asks to keep the answer for later.
    pub store: Option<Value>,
    /// Constrains the answer (llama.cpp).
    pub grammar: Option<Value>,
    /// Constrains the answer (llama.cpp).
    pub json_schema: Option<Value>,
    /// Constrains the answer (vLLM).
    pub structured_outputs: Option<Value>,
    /// Constrains the answer (vLLM).
    pub guided_json: Option<Value>,
    /// Constrains the answer (vLLM).
    pub guided_regex: Option<Value>,
    /// Constrains the answer (vLLM).
    pub guided_choice: Option<Value>,
    /// Constrains the answer (vLLM).
    pub guided_grammar: Option<Value>,

    /// Fields that are not listed here.
    #[serde(flatten)]
    pub unlisted: Map<String, Value>,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said; an assistant that only called tools says nothing.
    pub content: Option<Content>,
    /// The speaker's name.
    pub name: Option<String>,
    /// Calls that the assistant made, as they were given to the client.
    pub tool_calls: Option<Vec<Value>>,
    /// Which call a `tool` message answers.
    pub tool_call_id: Option<String>,
    /// What the assistant thought before it answered (an extension that templates know).
    pub reasoning_content: Option<String>,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, by their newer name.
    Developer,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// The result of a call.
    Tool,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected `content` to be a string or an array of content parts")]
pub enum Content {
    /// A text.
    Text(String),
    /// Texts and other media, in order.
    Parts(Vec<ContentPart>),
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ContentPart {
    /// `text`, or the kind of another medium.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text of a `text` part.
    pub text: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<ChatRequest, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn unlisted_fields_are_kept_and_nulls_are_absent() {
        let request = parse(
            r#"{"messages": [{"role": "user", "content": "hi", "x": 1}], "user": "me",
                "temperature": null, "stop": "a", "not_a_field": {}}"#,
        )
        .unwrap();
        assert_eq!(request.temperature, None);
        assert_eq!(request.unlisted.keys().collect::<Vec<_>>(), ["user", "not_a_field"]);
        assert_eq!(request.stop.unwrap().into_vec(), ["a"]);
        assert_eq!(request.messages[0].content, Some(Content::Text("hi".to_owned())));
    }

    #[test]
    fn content_may_be_parts_or_null() {
        let request = parse(
            r#"{"messages": [
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "file"}]},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "x"}]}]}"#,
        )
        .unwrap();
        let Some(Content::Parts(parts)) = &request.messages[0].content else { panic!() };
        assert_eq!(parts[0].text.as_deref(), Some("a"));
        assert_eq!(parts[1].kind, "file");
        assert_eq!(request.messages[1].content, None);
    }

    #[test]
    fn wrong_types_say_what_was_expected_and_where() {
        let error = |json: &str| parse(json).unwrap_err();
        let unknown = error(r#"{"messages": [{"role": "robot", "content": ""}]}"#);
        assert!(unknown.starts_with("unknown variant `robot`, expected one of `system`"));
        let content = error(r#"{"messages": [{"role": "user", "content": 3}]}"#);
        assert!(content.contains("a string or an array of content parts"), "{content}");
        let count = error(r#"{"messages": [], "n": -1}"#);
        assert_eq!(count, "invalid value: integer `-1`, expected usize at line 1 column 24");
    }
}
