//! Sequences, KV blocks, the scheduler, the sampler and the step loop.
//!
//! [`Engine::start`] moves a model to a thread of its own, which owns all state that changes.
//! [`Handle::submit`] sends it a [`Request`] and gives the [`Events`] of that generation: one
//! [`Event::Started`], tokens, and exactly one final [`Event::Finished`] or [`Event::Failed`].
//! Dropping [`Events`] aborts the generation within one step. No I/O, no async runtime, no HTTP.
#![forbid(unsafe_code)]

mod blocks;
mod error;
mod event;
mod handle;
mod request;
mod run;
mod sampler;
mod scheduler;
mod sequence;
mod settings;

#[cfg(test)]
#[path = "../tests/fake_model/mod.rs"]
mod fake_model;

pub use error::{BadLogits, SequenceError, StartError, SubmitError};
pub use event::{Event, Events, FinishReason, Token, TokenLogprobs, Usage};
pub use handle::{Engine, Handle, Limits, Load};
pub use request::{Request, SamplingParams, StopRule};
pub use russet_decoder::TokenId;
pub use settings::EngineSettings;
