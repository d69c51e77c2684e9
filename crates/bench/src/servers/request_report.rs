//! One request as reports keep it, so that others can compute figures of their own.

use serde::{Deserialize, Serialize};

use crate::load::{Measured, Outcome, Record, Usage};

/// One measured request. Times are in milliseconds and count from when it was due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestReport {
    /// Which round, from 0.
    pub round: usize,
    /// Its place in the round, from 0.
    pub request: usize,
    /// When it was due, from the beginning of the round.
    pub due_ms: f64,
    /// When it ended, well or not.
    pub total_ms: f64,
    /// Digest of what was asked; `None` if it was not sent.
    pub input_sha256: Option<String>,
    /// The answer, if it came to its end.
    pub answer: Option<Answer>,
    /// What went wrong otherwise.
    pub error: Option<RequestError>,
}

/// An answer that came to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// How much later than due it was sent.
    pub lag_ms: f64,
    /// When each chunk with text came.
    pub chunks_ms: Vec<f64>,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// The server's counts.
    #[serde(flatten)]
    pub usage: Usage,
    /// The text.
    pub text: String,
    /// What came as reasoning.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// Names and arguments of tool calls.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tool_calls: String,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestError {
    /// One word, to count by.
    pub kind: String,
    /// For people.
    pub message: String,
    /// Chunks with text that had come by then.
    pub num_chunks: usize,
}

impl RequestReport {
    /// Of what was measured in a round.
    pub(super) fn of(round: usize, measured: &Measured) -> Self {
        let (answer, error) = match &measured.outcome {
            Outcome::Done(record) => (Some(Answer::of(record)), None),
            Outcome::Failed(failure) => {
                let (kind, message) = (failure.fault.kind().to_owned(), failure.fault.to_string());
                (None, Some(RequestError { kind, message, num_chunks: failure.num_chunks }))
            }
        };
        Self {
            round,
            request: measured.request,
            due_ms: ms(measured.due),
            total_ms: ms(measured.outcome.total()),
            input_sha256: measured.input_sha256.map(hex),
            answer,
            error,
        }
    }
}

impl Answer {
    fn of(record: &Record) -> Self {
        Self {
            lag_ms: ms(record.lag),
            chunks_ms: record.chunks.iter().copied().map(ms).collect(),
            finish_reason: record.finish_reason.clone(),
            usage: record.usage.unwrap_or_default(),
            text: record.text.clone(),
            reasoning: record.reasoning.clone(),
            tool_calls: record.tool_calls.clone(),
        }
    }
}

/// To the microsecond: more would be noise that takes room.
fn ms(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::load::{Failure, Fault};

    #[test]
    fn an_answer_is_kept_with_its_times_and_counts() {
        let record = Record {
            lag: Duration::from_micros(1500),
            chunks: vec![Duration::from_nanos(2_000_400), Duration::from_millis(3)],
            total: Duration::from_millis(4),
            finish_reason: Some("length".to_owned()),
            fingerprint: None,
            usage: Some(Usage { completion_tokens: Some(2), ..Usage::default() }),
            is_short: false,
            text: "ab".to_owned(),
            reasoning: String::new(),
            tool_calls: String::new(),
        };
        let (due, outcome) = (Duration::from_millis(9), Outcome::Done(record));
        let measured = Measured { request: 3, due, outcome, input_sha256: Some([7; 32]) };
        let report = RequestReport::of(1, &measured);
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!((&value["round"], &value["request"]), (&json!(1), &json!(3)));
        assert_eq!((&value["due_ms"], &value["total_ms"]), (&json!(9.0), &json!(4.0)));
        assert_eq!(value["answer"]["chunks_ms"], json!([2.0, 3.0]));
        assert_eq!(value["answer"]["completion_tokens"], 2);
        assert_eq!((&value["answer"]["lag_ms"], &value["error"]), (&json!(1.5), &json!(null)));
        assert_eq!(value["input_sha256"], "07".repeat(32));
        assert_eq!(serde_json::from_value::<RequestReport>(value).unwrap(), report);
    }

    #[test]
    fn a_failure_is_kept_with_its_kind_and_its_words() {
        let fault = Fault::Status { code: 503, message: "busy".to_owned() };
        let outcome =
            Outcome::Failed(Failure { fault, after: Duration::from_millis(5), num_chunks: 2 });
        let measured = Measured { request: 0, due: Duration::ZERO, outcome, input_sha256: None };
        let report = RequestReport::of(0, &measured);
        let error = report.error.clone().unwrap();
        assert_eq!((error.kind.as_str(), error.num_chunks), ("status", 2));
        assert!(error.message.contains("503") && report.answer.is_none());
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!(serde_json::from_value::<RequestReport>(value).unwrap(), report);
    }
}
