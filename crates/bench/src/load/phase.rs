//! A level's requests of one kind, to warm up or to be measured: conversation by conversation.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::record::{Failure, Fault, Outcome, OutputLen};
use super::{Ask, Cancel, Client, Due, Prompts, Sent};

/// One request of a level and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Its place among the requests, from 0.
    pub request: usize,
    /// When it was due, from the first moment of its phase.
    pub due: Duration,
    /// What became of it.
    pub outcome: Outcome,
    /// Digest of its messages and its length; `None` if it was skipped.
    pub input_sha256: Option<[u8; 32]>,
}

/// What can be asked; a [`Client`], outside of tests.
pub(super) trait Sender: Send + Sync + 'static {
    /// Sends one request when it is due.
    fn send(&self, ask: &Ask, due: Due) -> impl Future<Output = Sent> + Send;
}

impl Sender for Client {
    fn send(&self, ask: &Ask, due: Due) -> impl Future<Output = Sent> + Send {
        Client::send(self, ask, due)
    }
}

/// The requests of one phase.
pub(super) struct Phase<S> {
    pub(super) sender: S,
    pub(super) prompts: Prompts,
    pub(super) output: OutputLen,
    /// Number of the first conversation.
    pub(super) first_conversation: u64,
    /// The last conversation may be cut short by it.
    pub(super) num_requests: usize,
    pub(super) cancel: Cancel,
    pub(super) start: Instant,
}

impl<S: Sender> Phase<S> {
    pub(super) fn num_conversations(&self) -> usize {
        self.num_requests.div_ceil(self.prompts.num_turns().get())
    }

    /// Sends the requests of one conversation, each when the one before has been answered.
    ///
    /// Every request has an outcome, unless it was cancelled before it was due.
    pub(super) async fn converse(&self, index: usize, due: Due) -> Vec<Measured> {
        let turns = self.prompts.num_turns().get();
        let requests = index * turns..self.num_requests.min((index + 1) * turns);
        let conversation = self.first_conversation + index as u64;
        let mut messages = self.prompts.begin(conversation);
        let mut measured: Vec<Measured> = Vec::new();
        for (turn, request) in requests.clone().enumerate() {
            if self.cancel.is_cancelled() {
                break;
            }
            match measured.last().map(|last| &last.outcome) {
                Some(Outcome::Done(last)) => {
                    self.prompts.go_on(&mut messages, &last.text, conversation, turn);
                }
                Some(Outcome::Failed(_)) => {
                    measured.extend((request..requests.end).map(|request| self.skipped(request)));
                    break;
                }
                None => {}
            }
            measured.extend(self.send(request, &messages, due).await);
        }
        measured
    }

    /// `None` if the level was ended before the request was due.
    async fn send(&self, request: usize, messages: &[Value], due: Due) -> Option<Measured> {
        let ask = Ask { messages: messages.to_vec(), output: self.output };
        let input_sha256 = Some(digest(&ask));
        let since = match due {
            Due::Now => Instant::now(),
            Due::At(due) => due,
        };
        let sent = tokio::select! {
            biased;
            sent = self.sender.send(&ask, due) => sent,
            () = self.cancel.cancelled() => {
                let after = Instant::now().checked_duration_since(since)?;
                Sent { due: since, outcome: failed(Fault::Cancelled, after) }
            }
        };
        let due = sent.due.duration_since(self.start);
        Some(Measured { request, due, outcome: sent.outcome, input_sha256 })
    }

    fn skipped(&self, request: usize) -> Measured {
        let outcome = failed(Fault::Skipped, Duration::ZERO);
        Measured { request, due: self.start.elapsed(), outcome, input_sha256: None }
    }
}

fn failed(fault: Fault, after: Duration) -> Outcome {
    Outcome::Failed(Failure { fault, after, num_chunks: 0 })
}

fn digest(ask: &Ask) -> [u8; 32] {
    let input = json!({"messages": ask.messages, "output": ask.output});
    Sha256::digest(input.to_string()).into()
}

/// One digest of all inputs, in the order of the requests.
pub(super) fn digest_of_all<'a>(all: impl Iterator<Item = &'a Measured>) -> String {
    let mut digest = Sha256::new();
    all.filter_map(|measured| measured.input_sha256).for_each(|input| digest.update(input));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
