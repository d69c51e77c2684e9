//! Models and rotary embeddings against what mlx-lm computed (`fixtures/README.md`).
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod golden;
mod models;
mod refusals;
mod rope;
mod supported;
