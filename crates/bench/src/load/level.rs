//! One level of load: so many clients at once, or so many requests a second.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::arrivals::Arrivals;
use super::phase::{Measured, Phase, Sender, digest_of_all};
use super::record::{Fault, OutputLen};
use super::{Cancel, Client, Error, Prompts, closed, open};

/// How requests follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Closed loop: each client sends its next request when its last has ended.
    Clients(NonZeroUsize),
    /// Open loop: requests arrive at random, at this rate on average, and wait for no answer. What
    /// a request is sent later than due counts as its latency.
    Rate {
        /// Requests per second.
        per_s: f64,
        /// Chooses the times.
        seed: u64,
    },
}

/// One level of load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// How requests follow one another.
    pub load: Load,
    /// Requests that are measured.
    pub requests: NonZeroUsize,
    /// Requests before them under the same load, which are not.
    pub warm_up: usize,
    /// How long answers shall be.
    pub output: OutputLen,
    /// Number of the first conversation. Where a level goes on after the last one's
    /// ([`num_conversations`](Self::num_conversations)), no prompt comes twice.
    pub first_conversation: u64,
}

/// Whether a level ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every request has an outcome.
    Complete,
    /// It was cancelled. Requests under way failed as [`Fault::Cancelled`].
    Early {
        /// Requests that were to be measured and were not sent.
        unsent: usize,
    },
}

/// What became of a level.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelRun {
    /// The warm-up, in the order of the requests.
    pub warm_up: Vec<Measured>,
    /// What counts, in the order of the requests, failures among them.
    pub measured: Vec<Measured>,
    /// From when the first measured request was due to the end of the last to end.
    pub wall: Duration,
    /// Whether all were sent.
    pub ended: Ended,
    /// Digest of what was sent, warm-up first; the same for another server that was asked the same.
    pub inputs_sha256: String,
}

impl Level {
    /// Sends the warm-up, then the requests that are measured.
    ///
    /// What goes wrong with a request is its outcome. Errors only if the rate is not above 0, or
    /// conversations of several turns shall arrive at a rate.
    pub async fn run(
        &self,
        client: &Client,
        prompts: &Prompts,
        cancel: &Cancel,
    ) -> Result<LevelRun, Error> {
        self.run_with(client, prompts, cancel).await
    }

    /// Conversations that the level uses up, the warm-up's included.
    pub fn num_conversations(&self, prompts: &Prompts) -> u64 {
        let turns = prompts.num_turns().get();
        (self.warm_up.div_ceil(turns) + self.requests.get().div_ceil(turns)) as u64
    }

    async fn run_with<S: Sender + Clone>(
        &self,
        sender: &S,
        prompts: &Prompts,
        cancel: &Cancel,
    ) -> Result<LevelRun, Error> {
        self.check(prompts)?;
        let phase = |first_conversation, num_requests| Phase {
            sender: sender.clone(),
            prompts: prompts.clone(),
            output: self.output,
            first_conversation,
            num_requests,
            cancel: cancel.clone(),
            start: Instant::now(),
        };
        let warm_up = phase(self.first_conversation, self.warm_up);
        let num_warm_up = warm_up.num_conversations() as u64;
        let warm_up = self.send(warm_up, 0).await;
        let measured = phase(self.first_conversation + num_warm_up, self.requests.get());
        let measured = self.send(measured, 1).await;
        let unsent = self.requests.get() - measured.len();
        let given_up = |measured: &Measured| {
            measured.outcome.failure().is_some_and(|failure| failure.fault == Fault::Cancelled)
        };
        let is_early = unsent > 0 || warm_up.iter().chain(&measured).any(given_up);
        Ok(LevelRun {
            inputs_sha256: digest_of_all(warm_up.iter().chain(&measured)),
            wall: wall(&measured),
            ended: if is_early { Ended::Early { unsent } } else { Ended::Complete },
            warm_up,
            measured,
        })
    }

    fn check(&self, prompts: &Prompts) -> Result<(), Error> {
        let Load::Rate { per_s, .. } = self.load else { return Ok(()) };
        if !(per_s.is_finite() && per_s > 0.0) {
            return Err(Error::Rate { found: per_s });
        }
        match prompts.num_turns().get() {
            1 => Ok(()),
            turns => Err(Error::TurnsAtARate { turns }),
        }
    }

    /// `stream` keeps the arrivals of the two phases apart.
    async fn send<S: Sender>(&self, phase: Phase<S>, stream: u64) -> Vec<Measured> {
        let phase = Arc::new(phase);
        let mut measured = match self.load {
            Load::Clients(clients) => closed::run(phase, clients).await,
            Load::Rate { per_s, seed } => {
                open::run(phase, Arrivals::new(per_s, seed, stream)).await
            }
        };
        measured.sort_by_key(|measured| measured.request);
        measured
    }
}

fn wall(measured: &[Measured]) -> Duration {
    let first = measured.iter().map(|measured| measured.due).min();
    let last = measured.iter().map(|measured| measured.due + measured.outcome.total()).max();
    last.zip(first).map_or(Duration::ZERO, |(last, first)| last - first)
}

#[cfg(test)]
mod tests;
