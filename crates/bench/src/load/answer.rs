//! One answer, put together from its events.

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::record::{Fault, Usage};
use super::sse::Event;

/// Characters of a server's message that are kept.
const MESSAGE_LEN: usize = 500;

/// One answer as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// When each chunk with text came.
    pub(super) chunks: Vec<Instant>,
    pub(super) finish_reason: Option<String>,
    pub(super) fingerprint: Option<String>,
    pub(super) usage: Option<Usage>,
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) tool_calls: String,
}

/// Whether more events are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    /// `[DONE]` came.
    Ended,
}

impl Answer {
    /// Adds an event that came at `at`.
    pub(super) fn take(&mut self, event: &Event, at: Instant) -> Result<Progress, Fault> {
        if event.data == "[DONE]" {
            return Ok(Progress::Ended);
        }
        if event.is_error {
            let value = serde_json::from_str(&event.data);
            return Err(Fault::Event(value.map_or_else(|_| shorten(&event.data), |v| message(&v))));
        }
        let chunk: Chunk = serde_json::from_str(&event.data)
            .map_err(|error| Fault::Malformed(format!("{error}: {}", shorten(&event.data))))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(Fault::Event(message(&error)));
        }
        self.fingerprint = self.fingerprint.take().or(chunk.system_fingerprint);
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage.into());
        }
        for choice in chunk.choices.unwrap_or_default() {
            if self.append(choice.delta.unwrap_or_default()) {
                self.chunks.push(at);
            }
            self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
        }
        Ok(Progress::More)
    }

    /// Whether there was any text.
    fn append(&mut self, delta: Delta) -> bool {
        let len = self.text.len() + self.reasoning.len() + self.tool_calls.len();
        self.text.push_str(&delta.content.unwrap_or_default());
        let reasoning = delta.reasoning_content.or(delta.reasoning);
        self.reasoning.push_str(&reasoning.unwrap_or_default());
        for call in delta.tool_calls.unwrap_or_default() {
            let function = call.function.unwrap_or_default();
            self.tool_calls.push_str(&function.name.unwrap_or_default());
            self.tool_calls.push_str(&function.arguments.unwrap_or_default());
        }
        self.text.len() + self.reasoning.len() + self.tool_calls.len() > len
    }
}

/// What the body of an error says, as far as it can be read.
pub(super) fn error_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    serde_json::from_str(&text).map_or_else(|_| shorten(&text), |value| message(&value))
}

/// OpenAI's shape, the shapes that others use, or the JSON itself.
fn message(value: &Value) -> String {
    let inner = value.get("error").unwrap_or(value);
    let texts = [inner.get("message"), inner.get("detail"), Some(inner)];
    let text = texts.into_iter().flatten().find_map(Value::as_str);
    text.map_or_else(|| shorten(&value.to_string()), shorten)
}

fn shorten(text: &str) -> String {
    text.trim().chars().take(MESSAGE_LEN).collect()
}

/// A chunk of a streamed chat completion. Every field may be missing or null.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<WireUsage>,
    error: Option<Value>,
    system_fingerprint: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
    reasoning_content: Option<String>,
    /// What mlx-lm and newer vLLM call it. Some servers send both.
    reasoning: Option<String>,
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct ToolCall {
    function: Option<Function>,
}

#[derive(Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptTokensDetails>,
}

#[derive(Deserialize)]
struct PromptTokensDetails {
    cached_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cached_tokens: usage.prompt_tokens_details.and_then(|details| details.cached_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn event(data: &str) -> Event {
        Event { is_error: false, data: data.to_owned() }
    }

    fn delta(delta: Value) -> Event {
        event(&json!({"choices": [{"index": 0, "delta": delta}]}).to_string())
    }

    /// Takes events one millisecond apart; the milliseconds of the chunks with text.
    fn take(answer: &mut Answer, events: &[Event]) -> Vec<u128> {
        let start = Instant::now();
        for (ms, event) in (1..).zip(events) {
            let at = start + Duration::from_millis(ms);
            assert_eq!(answer.take(event, at), Ok(Progress::More));
        }
        answer.chunks.iter().map(|at| (*at - start).as_millis()).collect()
    }

    #[test]
    fn chunks_count_when_they_carry_text_of_any_kind() {
        let call = |function: Value| delta(json!({"tool_calls": [{"function": function}]}));
        let events = [
            delta(json!({"role": "assistant", "content": ""})),
            delta(json!({"reasoning_content": "Hm", "reasoning": "Hm"})),
            delta(json!({"content": null, "reasoning": "m."})),
            delta(json!({"content": "Yes"})),
            call(json!({"name": "f"})),
            call(json!({"arguments": "{}"})),
            event(r#"{"choices": [{"delta": {}, "finish_reason": "tool_calls"}], "usage": null}"#),
            event(r#"{"choices": [{"delta": null, "finish_reason": null}]}"#),
            event(r#"{"choices": [], "system_fingerprint": "b1"}"#),
            event(r#"{"choices": [], "system_fingerprint": "b2"}"#),
        ];
        let mut answer = Answer::default();
        assert_eq!(take(&mut answer, &events), [2, 3, 4, 5, 6]);
        assert_eq!((answer.text.as_str(), answer.reasoning.as_str()), ("Yes", "Hmm."));
        assert_eq!(answer.tool_calls, "f{}");
        assert_eq!(answer.finish_reason.as_deref(), Some("tool_calls"));
        assert_eq!((answer.usage, answer.fingerprint.as_deref()), (None, Some("b1")));
    }

    #[test]
    fn the_last_usage_counts_and_may_lack_parts() {
        let usage = |usage: Value| event(&json!({"choices": [], "usage": usage}).to_string());
        let mut answer = Answer::default();
        let first = usage(json!({"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}));
        take(&mut answer, std::slice::from_ref(&first));
        let counts =
            Usage { prompt_tokens: Some(5), completion_tokens: Some(1), ..Usage::default() };
        assert_eq!(answer.usage, Some(counts));
        let cached = json!({"completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}});
        take(&mut answer, &[usage(cached)]);
        let counts =
            Usage { prompt_tokens: None, completion_tokens: Some(9), cached_tokens: Some(4) };
        assert_eq!(answer.usage, Some(counts));
    }

    #[test]
    fn errors_inside_the_stream_are_faults() {
        let fault = |data: &str, is_error| {
            let event = Event { is_error, data: data.to_owned() };
            Answer::default().take(&event, Instant::now()).unwrap_err()
        };
        let named = Fault::Event("no room".to_owned());
        assert_eq!(fault(r#"{"error": {"message": "no room", "code": 500}}"#, false), named);
        assert_eq!(fault(r#"{"error": "no room"}"#, false), named);
        assert_eq!(fault(r#"{"message": "no room"}"#, true), named);
        assert_eq!(fault("no room", true), named);
        assert_eq!(fault(r#"{"error": {"x": 1}}"#, false), Fault::Event(r#"{"x":1}"#.to_owned()));
        assert!(matches!(fault("{\"choices\"", false), Fault::Malformed(text)
            if text.contains("{\"choices\"")));
        assert!(matches!(fault("[1]", false), Fault::Malformed(_)));
    }

    #[test]
    fn done_ends_the_answer() {
        let ended = Answer::default().take(&event("[DONE]"), Instant::now());
        assert_eq!(ended, Ok(Progress::Ended));
    }

    #[test]
    fn bodies_of_errors_are_read_in_many_shapes() {
        for body in [
            r#"{"error": {"message": "too long", "type": "invalid_request_error"}}"#,
            r#"{"error": "too long"}"#,
            r#"{"message": "too long"}"#,
            r#"{"detail": "too long"}"#,
            r#""too long""#,
            "too long\n",
        ] {
            assert_eq!(error_text(body.as_bytes()), "too long", "{body}");
        }
        assert_eq!(error_text(r#"{"detail": [1]}"#.as_bytes()), r#"{"detail":[1]}"#);
        assert_eq!(error_text("é".repeat(1000).as_bytes()).chars().count(), MESSAGE_LEN);
    }
}
