//! `russet bench serve`, as a user runs it: against servers that do what a test tells them, and
//! with engines that it starts itself.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod bench;
mod engines;
mod fake;
#[cfg(target_os = "linux")]
mod kills;
mod refusals;
mod reports;
