//! Refusals to load or to write a model: which file, key or tensor, what was found and what is
//! accepted.

mod gguf;
mod tensor;

use std::io;
use std::path::{Path, PathBuf};

pub use gguf::GgufError;
pub use tensor::TensorError;

const ACCEPTED_MODELS: &str =
    "a GGUF file or a folder with config.json and model*.safetensors is accepted";

/// Why a model was not opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The path holds no model that this crate reads.
    #[error("{}: {found}; {ACCEPTED_MODELS}", path.display())]
    NotAModel {
        /// The path given.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// Part of a model is not there.
    #[error("{}: {missing} is missing", path.display())]
    Missing {
        /// The model's folder.
        path: PathBuf,
        /// The name of the file.
        missing: String,
    },
    /// A JSON file is malformed or too large.
    #[error("{}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A safetensors file that cannot be read.
    #[error("{}: {fault}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: SafetensorsError,
    },
    /// A GGUF file that cannot be read.
    #[error("{}: {fault}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: GgufError,
    },
    /// A tensor that cannot be used.
    #[error("tensor {name}: {fault}")]
    Tensor {
        /// The tensor's name in its file.
        name: String,
        /// What is wrong with it.
        fault: TensorError,
    },
    /// Parts of the model that nobody asked for, so that running it would give wrong results.
    #[error("the model has parts that are not understood: {}", list_unused(tensors, keys))]
    Unused {
        /// Tensors that nobody consumed.
        tensors: Vec<String>,
        /// Configuration keys that nobody read.
        keys: Vec<String>,
    },
    /// A model that cannot be written as asked.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn gguf(path: &Path, fault: GgufError) -> Self {
        Self::Gguf { path: path.to_owned(), fault }
    }

    pub(crate) fn safetensors(path: &Path, fault: SafetensorsError) -> Self {
        Self::Safetensors { path: path.to_owned(), fault }
    }

    pub(crate) fn tensor(name: &str, fault: TensorError) -> Self {
        Self::Tensor { name: name.to_owned(), fault }
    }
}

/// Names at most this many parts in a message.
const MAX_LISTED: usize = 12;

fn list_unused(tensors: &[String], keys: &[String]) -> String {
    let one = |what: &str, names: &[String]| {
        let mut text = format!("{what} {}", names[..names.len().min(MAX_LISTED)].join(", "));
        if names.len() > MAX_LISTED {
            text += &format!(" and {} more", names.len() - MAX_LISTED);
        }
        text
    };
    let mut parts = Vec::new();
    if !tensors.is_empty() {
        parts.push(one("tensors", tensors));
    }
    if !keys.is_empty() {
        parts.push(one("configuration keys", keys));
    }
    parts.join("; ")
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key that the model cannot do without.
    #[error("config key {key} is missing")]
    Missing {
        /// The key with the keys of the objects around it.
        key: String,
    },
    /// A value of the wrong type.
    #[error("config key {key}: {expected} expected, found {found}")]
    WrongType {
        /// The key with the keys of the objects around it.
        key: String,
        /// The type that is read.
        expected: &'static str,
        /// The value as JSON, shortened.
        found: String,
    },
    /// A value of the right type that is not supported.
    #[error("config key {key}: {found} is not supported; accepted: {accepted}")]
    Unsupported {
        /// The key with the keys of the objects around it.
        key: String,
        /// The value as JSON, shortened.
        found: String,
        /// What is accepted.
        accepted: String,
    },
    /// A model that brings its own Python code, which never runs here.
    #[error("config key {key} names custom code ({found}), which is never run")]
    CustomCode {
        /// The key.
        key: String,
        /// The file named.
        found: String,
    },
}

/// What is wrong with a safetensors file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SafetensorsError {
    /// A header beyond the cap.
    #[error("the header has {found} bytes; at most {accepted} are accepted")]
    HeaderTooLarge {
        /// Bytes declared.
        found: u64,
        /// The cap.
        accepted: u64,
    },
    /// More tensors than the cap.
    #[error("the header lists more than {accepted} tensors")]
    TooManyTensors {
        /// The cap.
        accepted: usize,
    },
    /// The header is malformed, or its offsets and shapes do not describe the file.
    #[error("invalid header: {reason}")]
    Header {
        /// The parser's reason.
        reason: String,
    },
    /// Two files of one model hold the same tensor.
    #[error("tensor {name} is also in {other}")]
    Duplicate {
        /// The tensor.
        name: String,
        /// The other file.
        other: String,
    },
    /// The index names a file in a way that could leave the folder.
    #[error("the index names the file {found:?}; letters, digits, '_', '-' and '.' are accepted")]
    ShardName {
        /// The name found.
        found: String,
    },
}

/// Why a model cannot be written as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// An architecture whose files are not converted.
    #[error("architecture {found} is not converted; accepted: {accepted}")]
    Architecture {
        /// The architecture.
        found: String,
        /// What is accepted.
        accepted: &'static str,
    },
    /// A tensor that has no exact counterpart in an MLX folder.
    #[error("tensor {name} ({encoding}) cannot be converted exactly: {reason}")]
    NotExact {
        /// The tensor.
        name: String,
        /// How it is encoded.
        encoding: String,
        /// Why not.
        reason: &'static str,
    },
    /// The output exists.
    #[error("{} already exists", path.display())]
    Exists {
        /// The output folder.
        path: PathBuf,
    },
}
