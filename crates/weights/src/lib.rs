//! Opens MLX, Hugging Face and GGUF checkpoints and hands out weights by role, so that no file
//! format reaches the model code. Start reading at [`Checkpoint`].
//!
//! Files are mapped, never copied: a [`MatrixSource`] borrows its bytes from the map. Everything in
//! a file is untrusted; sizes and offsets are checked against the mapped length before anything is
//! read.
#![deny(unsafe_code)]

mod checkpoint;
mod config;
mod error;
mod generation;
mod gguf;
mod json;
mod layout;
mod mmap;
mod quantization;
mod role;
mod safetensors_dir;
mod tensors;
mod write;

pub use checkpoint::{Checkpoint, EncodingSummary, Format, MatrixSource};
pub use config::{Config, ConfigValue};
pub use error::{ConfigError, Error, GgufError, SafetensorsError, TensorError, WriteError};
pub use generation::GenerationConfig;
pub use gguf::{GgufTokenizer, SpecialTokens};
pub use layout::{ArchLayout, HfNames, NormStorage, QkRows};
pub use role::{Part, Role, RoleAt};
pub use write::{TokenizerFiles, WrittenModel, write_mlx_from_gguf};
