//! The two shapes in which an answer is sent.

mod chat;
mod completion;

use russet_protocol::{FinishReason, Usage};
use serde::Serialize;

pub(crate) use self::chat::ChatShape;
pub(crate) use self::completion::CompletionShape;
use crate::ServerState;
use crate::admit::{Admitted, Delivery, StreamUsage};
use crate::generation::Progressed;
use crate::state::unix_seconds;
use crate::text::Piece;

/// How progress and whole answers look as JSON.
pub(crate) trait Shape: Send + Unpin + 'static {
    /// A whole answer.
    type Whole: Serialize;

    /// The chunk that tells of some progress, if this shape tells of it.
    fn chunk(&self, progressed: Progressed) -> Option<String>;

    /// The chunk with the token counts.
    fn usage_chunk(&self, usage: Usage) -> String;

    /// Everything at once.
    fn whole(&self, choices: Vec<WholeChoice>, usage: Usage) -> Self::Whole;
}

/// A complete choice.
#[derive(Debug)]
pub(crate) struct WholeChoice {
    pub(crate) piece: Piece,
    pub(crate) reason: FinishReason,
}

/// What all chunks of an answer repeat.
#[derive(Debug)]
struct Head {
    id: String,
    created: u64,
    model: String,
    fingerprint: String,
    /// Whether log-probabilities were asked for.
    has_logprobs: bool,
    /// Whether every chunk has a `usage`.
    has_usage: bool,
}

impl Head {
    fn new(state: &ServerState, prefix: &str, model: String, admitted: &Admitted) -> Self {
        let has_usage = admitted.delivery == Delivery::Stream { usage: StreamUsage::LastChunk };
        Self {
            id: state.fresh_id(prefix),
            created: unix_seconds(),
            model,
            fingerprint: concat!("russet-", env!("CARGO_PKG_VERSION")).to_owned(),
            has_logprobs: admitted.choices.iter().any(|choice| choice.request.logprobs.is_some()),
            has_usage,
        }
    }
}

fn to_json(chunk: &impl Serialize) -> String {
    serde_json::to_string(chunk).expect("chunks have string keys only")
}
