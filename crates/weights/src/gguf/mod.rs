//! GGUF files, versions 2 and 3. Source: the format's specification in the ggml repository.

mod cursor;
mod header;
mod metadata;
mod split;
mod tokenizer;
mod translate;

use std::path::Path;

pub(crate) use metadata::Metadata;
pub use tokenizer::{GgufTokenizer, SpecialTokens};

use crate::generation::GenerationConfig;
use crate::tensors::TensorTable;
use crate::{Config, Error};

/// An opened GGUF file, or all files of a split one.
pub(crate) struct GgufFile {
    pub(crate) config: Config,
    pub(crate) generation: GenerationConfig,
    pub(crate) tensors: TensorTable,
    /// Of the first file, which is file 0 of `tensors`.
    pub(crate) metadata: Metadata,
}

pub(crate) fn open(path: &Path) -> Result<GgufFile, Error> {
    let (tensors, metadata) = split::open(path)?;
    let bytes = tensors.file(0).bytes();
    let failed = |fault| Error::gguf(path, fault);
    let config = translate::config(&metadata, bytes, &tensors).map_err(failed)?;
    let generation = translate::generation(&metadata).map_err(failed)?;
    Ok(GgufFile { config: Config::from_object(config), generation, tensors, metadata })
}
