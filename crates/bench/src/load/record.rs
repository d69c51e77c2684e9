//! What became of one request.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many tokens an answer shall have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLen {
    /// So many, whatever the model would like; needs [`Arm::exact_fields`](super::Arm).
    Exact(NonZeroU32),
    /// As many as the model likes, up to this limit.
    AtMost(NonZeroU32),
}

impl OutputLen {
    /// The most tokens that are accepted.
    pub fn limit(self) -> NonZeroU32 {
        let (Self::Exact(limit) | Self::AtMost(limit)) = self;
        limit
    }
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The answer came to its end.
    Done(Record),
    /// It did not.
    Failed(Failure),
}

impl Outcome {
    /// The measurements, if the answer came to its end.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Done(record) => Some(record),
            Self::Failed(_) => None,
        }
    }

    /// The failure, if there was one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Done(_) => None,
            Self::Failed(failure) => Some(failure),
        }
    }

    /// Time from when the request was due to its end.
    pub fn total(&self) -> Duration {
        match self {
            Self::Done(record) => record.total,
            Self::Failed(failure) => failure.after,
        }
    }
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub fault: Fault,
    /// How long after it was due.
    pub after: Duration,
    /// Chunks with text that had come by then; not counted, and 0, where it was cancelled.
    pub num_chunks: usize,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There was no connection to send it on.
    #[error("no connection: {0}")]
    Connect(String),
    /// The server refused it, or sent it elsewhere.
    #[error("status {code}: {message}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// What the body says.
        message: String,
    },
    /// The answer is something other than a stream.
    #[error("the answer is no event stream but {content_type}: {beginning}")]
    NotAStream {
        /// Its content type.
        content_type: String,
        /// How its body begins.
        beginning: String,
    },
    /// An error event inside the stream.
    #[error("the server broke the answer off: {0}")]
    Event(String),
    /// An event that is no chunk of an answer.
    #[error("an event of the stream cannot be read: {0}")]
    Malformed(String),
    /// The connection broke before the answer's end.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The stream ended in order, but the answer did not.
    #[error("the stream ended without a finish reason and without [DONE]")]
    Unfinished,
    /// It took too long.
    #[error("the answer did not end within {limit_ms} ms")]
    Timeout {
        /// How long was waited.
        limit_ms: u128,
    },
    /// The level was ended while it was under way.
    #[error("the level was ended early")]
    Cancelled,
    /// It could not be sent, because it carries an answer that there is not.
    #[error("an earlier turn of its conversation failed")]
    Skipped,
}

impl Fault {
    /// One word for the kind, to count by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Status { .. } => "status",
            Self::NotAStream { .. } => "not_a_stream",
            Self::Event(_) => "error_event",
            Self::Malformed(_) => "malformed",
            Self::Broken(_) => "broken",
            Self::Unfinished => "unfinished",
            Self::Timeout { .. } => "timeout",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// An answer that came to its end. Times count from when the request was due.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// How much later than due it was sent: the delay of the load generator itself.
    pub lag: Duration,
    /// When each chunk with text came: content, reasoning, or a tool call.
    pub chunks: Vec<Duration>,
    /// When the stream ended.
    pub total: Duration,
    /// Why the answer ended; `None` where the server sent [DONE] alone.
    pub finish_reason: Option<String>,
    /// What the server says of its own version, as `system_fingerprint`.
    pub fingerprint: Option<String>,
    /// The server's counts; `None` where it sends none.
    pub usage: Option<Usage>,
    /// Whether the server counts fewer tokens than [`OutputLen::Exact`] asked for.
    pub is_short: bool,
    /// The answer.
    pub text: String,
    /// What came as reasoning.
    pub reasoning: String,
    /// Names and arguments of tool calls, in the order they came.
    pub tool_calls: String,
}

/// A server's token counts of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer.
    pub completion_tokens: Option<u64>,
    /// Prompt tokens that came from a cache.
    pub cached_tokens: Option<u64>,
}

impl Record {
    /// Time to the first chunk with text.
    pub fn ttft(&self) -> Option<Duration> {
        self.chunks.first().copied()
    }

    /// Tokens of the answer, as the server counts them.
    pub fn tokens(&self) -> Option<u64> {
        self.usage?.completion_tokens
    }

    /// Mean time between two tokens. From tokens, not from chunks, so that a chunk with several
    /// tokens does not look like one.
    pub fn inter_token(&self) -> Option<Duration> {
        let (tokens, seconds) = self.decoding()?;
        Some(Duration::from_secs_f64(seconds / tokens))
    }

    /// Tokens per second from the first chunk to the last.
    pub fn decode_tok_s(&self) -> Option<f64> {
        let (tokens, seconds) = self.decoding()?;
        Some(tokens / seconds)
    }

    /// Tokens per second of the whole request.
    pub fn overall_tok_s(&self) -> Option<f64> {
        let seconds = self.total.as_secs_f64();
        (seconds > 0.0).then_some(self.tokens()? as f64 / seconds)
    }

    /// Tokens after the first, and the seconds from the first chunk to the last. `None` where all
    /// came at once: no speed shows then.
    fn decoding(&self) -> Option<(f64, f64)> {
        let tokens = self.tokens()?.checked_sub(1)?;
        let seconds = (*self.chunks.last()? - *self.chunks.first()?).as_secs_f64();
        (tokens > 0 && seconds > 0.0).then_some((tokens as f64, seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(chunks_ms: &[u64], total_ms: u64, tokens: Option<u64>) -> Record {
        Record {
            lag: Duration::ZERO,
            chunks: chunks_ms.iter().map(|&ms| Duration::from_millis(ms)).collect(),
            total: Duration::from_millis(total_ms),
            finish_reason: Some("length".to_owned()),
            fingerprint: None,
            usage: Some(Usage { completion_tokens: tokens, ..Usage::default() }),
            is_short: false,
            text: String::new(),
            reasoning: String::new(),
            tool_calls: String::new(),
        }
    }

    #[test]
    fn speeds_count_tokens_and_not_chunks() {
        // 101 tokens in three chunks over one second.
        let coalesced = record(&[500, 600, 1500], 2000, Some(101));
        assert_eq!(coalesced.ttft(), Some(Duration::from_millis(500)));
        assert_eq!(coalesced.inter_token(), Some(Duration::from_millis(10)));
        assert_eq!(coalesced.decode_tok_s(), Some(100.0));
        assert_eq!(coalesced.overall_tok_s(), Some(50.5));
    }

    #[test]
    fn what_does_not_show_is_unknown() {
        let silent = Record { usage: None, ..record(&[500, 1500], 2000, None) };
        assert_eq!((silent.tokens(), silent.decode_tok_s()), (None, None));
        assert_eq!((silent.inter_token(), silent.overall_tok_s()), (None, None));
        assert_eq!(record(&[], 10, Some(0)).ttft(), None);
        let at_once = record(&[500], 600, Some(50));
        assert_eq!((at_once.decode_tok_s(), at_once.inter_token()), (None, None));
        assert!(at_once.overall_tok_s().is_some());
        assert_eq!(record(&[500, 600], 600, Some(1)).decode_tok_s(), None);
    }
}
