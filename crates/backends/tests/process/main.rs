//! Programs that are supervised: starts, crashes, stops, and the death of the supervisor.
//!
//! All processes are the `stand-in` of this folder or `sh`.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod crash;
mod death;
mod scene;
mod start;
mod stop;
