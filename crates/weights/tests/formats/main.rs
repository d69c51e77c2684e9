//! Model files of every format: real ones, tiny ones made here, and broken ones.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod convert;
mod files;
mod fixtures;
mod hostile_gguf;
mod hostile_safetensors;
mod mlx;
mod roles;
