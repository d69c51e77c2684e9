//! Sends requests to a server that speaks OpenAI's chat API, and measures each.
//!
//! A [`Client`] asks one server ([`Arm`]) and makes an [`Outcome`] of each answer. Nothing is guessed:
//! what a server does not report is unknown, and a request that failed has a [`Fault`]. Start
//! reading at [`Client::send`].

mod answer;
mod arm;
mod client;
mod error;
mod record;
mod sse;

pub use arm::{ApiKey, Arm, ExactField, Limits};
pub use client::{Ask, Client, Due, Sent};
pub use error::Error;
pub use record::{Failure, Fault, Outcome, OutputLen, Record, Usage};
