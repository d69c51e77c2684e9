//! The load generator over real connections, against a server that does what a test tells it.
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod answers;
mod comparisons;
mod fake_server;
mod faults;
mod levels;
