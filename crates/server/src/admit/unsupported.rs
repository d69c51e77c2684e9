//! Fields that would change the answer but cannot be honoured, and fields that nobody knows:
//! refused by name, unless their value asks for nothing.

use russet_protocol::{ChatRequest, CompletionRequest};
use serde_json::{Map, Value};

use crate::error::ApiError;

/// Fields of OpenAI's chat requests that have no meaning here.
const WITHOUT_EFFECT: [&str; 9] = [
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "safety_identifier",
    "service_tier",
    "user",
    "verbosity",
];
/// Fields of chat requests that are not OpenAI's.
const CHAT_EXTENSIONS: &str = "`top_k`, `min_p`, `repetition_penalty`, `min_tokens`, `ignore_eos`, \
                               `chat_template_kwargs`";
/// Fields of completion requests that are not OpenAI's.
const COMPLETION_EXTENSIONS: &str =
    "`top_k`, `min_p`, `repetition_penalty`, `min_tokens`, `ignore_eos`";

/// Refuses what a chat request asks for and cannot have.
pub(super) fn check_chat(request: &ChatRequest) -> Result<(), ApiError> {
    check_unlisted(&request.unlisted, &WITHOUT_EFFECT, CHAT_EXTENSIONS)?;
    check(&[
        ("tools", &request.tools, is_empty),
        ("tool_choice", &request.tool_choice, |value| is_one_of(value, &["none", "auto"])),
        ("functions", &request.functions, is_empty),
        ("function_call", &request.function_call, |value| is_one_of(value, &["none", "auto"])),
        ("response_format", &request.response_format, is_text_format),
        ("modalities", &request.modalities, is_text_only),
        ("audio", &request.audio, never),
        ("prediction", &request.prediction, never),
        ("web_search_options", &request.web_search_options, never),
        ("store", &request.store, is_false),
        ("grammar", &request.grammar, is_empty),
        ("json_schema", &request.json_schema, never),
        ("structured_outputs", &request.structured_outputs, never),
        ("guided_json", &request.guided_json, never),
        ("guided_regex", &request.guided_regex, never),
        ("guided_choice", &request.guided_choice, never),
        ("guided_grammar", &request.guided_grammar, never),
    ])
}

/// Refuses what a completion request asks for and cannot have.
pub(super) fn check_completion(request: &CompletionRequest) -> Result<(), ApiError> {
    check_unlisted(&request.unlisted, &["user"], COMPLETION_EXTENSIONS)?;
    check(&[
        ("suffix", &request.suffix, is_empty),
        ("response_format", &request.response_format, is_text_format),
        ("grammar", &request.grammar, is_empty),
        ("json_schema", &request.json_schema, never),
        ("structured_outputs", &request.structured_outputs, never),
        ("guided_json", &request.guided_json, never),
        ("guided_regex", &request.guided_regex, never),
        ("guided_choice", &request.guided_choice, never),
        ("guided_grammar", &request.guided_grammar, never),
    ])
}

/// A field's name, its value, and whether that value asks for nothing.
type Field<'a> = (&'static str, &'a Option<Value>, fn(&Value) -> bool);

fn check(fields: &[Field<'_>]) -> Result<(), ApiError> {
    let asked = fields.iter().find(|(_, value, asks_nothing)| {
        // `null` is how clients spell an absent field.
        value.as_ref().is_some_and(|value| !value.is_null() && !asks_nothing(value))
    });
    match asked {
        Some((param, ..)) => Err(ApiError::Unsupported { param }),
        None => Ok(()),
    }
}

/// A misspelt or foreign field would otherwise be a wrong answer in silence.
fn check_unlisted(
    fields: &Map<String, Value>,
    without_effect: &[&str],
    extensions: &'static str,
) -> Result<(), ApiError> {
    let unknown = fields
        .iter()
        .find(|(name, value)| !value.is_null() && !without_effect.contains(&name.as_str()));
    match unknown {
        Some((name, _)) => Err(ApiError::UnknownField { found: name.clone(), extensions }),
        None => Ok(()),
    }
}

fn never(_: &Value) -> bool {
    false
}

fn is_false(value: &Value) -> bool {
    value == &Value::Bool(false)
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_str() == Some("")
}

fn is_one_of(value: &Value, accepted: &[&str]) -> bool {
    value.as_str().is_some_and(|value| accepted.contains(&value))
}

fn is_text_format(value: &Value) -> bool {
    value.get("type").and_then(Value::as_str) == Some("text")
}

fn is_text_only(value: &Value) -> bool {
    value.as_array().is_some_and(|kinds| kinds.iter().all(|kind| kind == "text"))
}
