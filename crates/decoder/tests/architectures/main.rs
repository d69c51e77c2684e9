//! Models and rotary embeddings against what mlx-lm computed (`fixtures/README.md`).

mod golden;
mod models;
mod rope;
mod supported;
