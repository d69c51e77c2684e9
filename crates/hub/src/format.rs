//! A guess at how a model is stored, from names and the first bytes only.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// How a model is stored. The loader decides for itself; this is for lists and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A GGUF file.
    Gguf,
    /// A directory or file that MLX wrote.
    Mlx,
    /// Safetensors as on the hub, in the layout of `transformers`.
    HuggingFace,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gguf => "GGUF",
            Self::Mlx => "MLX",
            Self::HuggingFace => "HF",
        })
    }
}

impl Format {
    pub(crate) fn of_file(path: &Path) -> Self {
        match (is_gguf(&start(path)), written_by_mlx(path)) {
            (true, _) => Self::Gguf,
            (false, true) => Self::Mlx,
            (false, false) => Self::HuggingFace,
        }
    }

    /// `weights` is one of the directory's safetensors files.
    pub(crate) fn of_dir(path: &Path, weights: Option<&str>) -> Self {
        let by_weights = weights.is_some_and(|name| written_by_mlx(&path.join(name)));
        match by_weights || has_mlx_quantization(&path.join("config.json")) {
            true => Self::Mlx,
            false => Self::HuggingFace,
        }
    }
}

/// The first bytes of a file; none if it cannot be read.
pub(crate) fn start(path: &Path) -> Vec<u8> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8).read_to_end(&mut start));
    // A folder can be opened and not be read.
    read.map_or_else(|_| Vec::new(), |_| start)
}

/// Whether a file that begins so is GGUF, whatever its name.
pub(crate) fn is_gguf(start: &[u8]) -> bool {
    start.starts_with(b"GGUF")
}

/// MLX quantisation is described by `quantization` in the configuration; the libraries of the hub
/// write `quantization_config`.
fn has_mlx_quantization(config: &Path) -> bool {
    let text = fs::read(config).unwrap_or_default();
    let config: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    config.get("quantization").is_some_and(serde_json::Value::is_object)
}

/// MLX notes itself in the metadata at the start of a safetensors header.
fn written_by_mlx(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4096).read_to_end(&mut start));
    let text: String = String::from_utf8_lossy(&start).split_whitespace().collect();
    read.is_ok() && text.contains(r#""format":"mlx""#)
}
