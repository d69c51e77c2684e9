//! The binary with the starter model, as a newcomer uses it. The model is fetched once into cargo's
//! folder for test files.
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod commands;
#[cfg(unix)]
mod external;
#[cfg(unix)]
mod llama_server;
#[cfg(unix)]
mod mlx_server;
mod remote;
mod serve;
mod support;
