//! Writes an MLX folder from a GGUF file without changing a single weight.

mod config;
mod encode;
mod folder;
mod plan;
mod safetensors;

use std::path::Path;

use crate::{Error, WriteError, gguf};
use folder::NewFolder;
use plan::Plan;

/// The texts of the tokenizer's files, which GGUF does not contain in this form.
#[derive(Debug, Clone, Copy)]
pub struct TokenizerFiles<'a> {
    /// The text of `tokenizer.json`.
    pub tokenizer_json: &'a str,
    /// The text of `tokenizer_config.json`.
    pub tokenizer_config_json: &'a str,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenModel {
    /// Tensors in the new file.
    pub num_tensors: usize,
    /// Their bytes.
    pub num_tensor_bytes: u64,
}

/// The architecture whose files can be converted, by its name in GGUF.
const ARCHITECTURE: &str = "llama";

/// Converts the GGUF file of a llama model to an MLX folder whose weights are exactly the same
/// numbers.
///
/// Matrices of Q4_0, Q4_1 and Q8_0 become affine with groups of 32; F32, F16 and BF16 stay as they
/// are; other types are refused. `progress` hears bytes done and bytes in total. The folder appears
/// under its name only when it is complete and on disk; `out_dir` must not exist.
pub fn write_mlx_from_gguf(
    gguf: &Path,
    out_dir: &Path,
    tokenizer: TokenizerFiles<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<WrittenModel, Error> {
    let source = gguf::open(gguf)?;
    let found = source.config.model_type()?.to_owned();
    if found != ARCHITECTURE {
        return Err(WriteError::Architecture { found, accepted: ARCHITECTURE }.into());
    }
    let plan = Plan::new(&source)?;
    let config = config::config_json(&source, &plan)?;
    let generation = config::generation_json(&source);
    let folder = NewFolder::create(out_dir)?;
    folder.write_text("config.json", &config)?;
    folder.write_text("generation_config.json", &generation)?;
    folder.write_text("tokenizer.json", tokenizer.tokenizer_json)?;
    folder.write_text("tokenizer_config.json", tokenizer.tokenizer_config_json)?;
    folder.write("model.safetensors", |file| {
        safetensors::write(file, &source.tensors, &plan, progress)
    })?;
    folder.finish()?;
    Ok(WrittenModel { num_tensors: plan.outputs.len(), num_tensor_bytes: plan.num_bytes() })
}
