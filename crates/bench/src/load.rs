//! Sends requests to a server that speaks OpenAI's chat API, and measures each.
//!
//! [`Prompts`] say what is asked, a [`Client`] asks one server ([`Arm`]) and makes an [`Outcome`]
//! of each answer, [`Level::run`] does so from several clients at once or at random times, and
//! [`Stats`] sums a level up. Nothing is guessed: what a server does not report is unknown, and a
//! request that failed is counted by its [`Fault`]. Start reading at [`Level::run`].

mod answer;
mod arm;
mod arrivals;
mod cancel;
mod client;
mod closed;
mod comparison;
mod error;
mod level;
mod open;
mod parity;
mod phase;
mod prompt_file;
mod prompts;
mod record;
mod sse;
mod stats;
mod words;

pub use arm::{ApiKey, Arm, ExactField, Limits};
pub use cancel::Cancel;
pub use client::{Ask, Client, Due, Sent};
pub use comparison::{ComparedArm, ComparedLevel, Comparison, Turn};
pub use error::Error;
pub use level::{Ended, Level, LevelRun, Load};
pub use parity::{Difference, Parity};
pub use phase::Measured;
pub use prompts::Prompts;
pub use record::{Failure, Fault, Outcome, OutputLen, Record, Usage};
pub use stats::{Stats, Summary};
