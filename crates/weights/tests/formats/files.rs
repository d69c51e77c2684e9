//! Tiny model files, made byte by byte.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A GGUF file under construction.
#[derive(Clone)]
pub(crate) struct Gguf {
    pub(crate) version: u32,
    pub(crate) alignment: usize,
    pub(crate) keys: Vec<(String, Vec<u8>)>,
    pub(crate) tensors: Vec<GgufTensor>,
}

/// A tensor of a GGUF file. `dims` has the innermost dimension first.
#[derive(Clone)]
pub(crate) struct GgufTensor {
    pub(crate) name: String,
    pub(crate) dims: Vec<u64>,
    pub(crate) type_id: u32,
    pub(crate) data: Vec<u8>,
    /// Instead of the right one.
    pub(crate) offset: Option<u64>,
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

fn typed(kind: u32, value: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], value].concat()
}

impl Gguf {
    pub(crate) fn new(architecture: &str) -> Self {
        let (keys, tensors) = (Vec::new(), Vec::new());
        let file = Self { version: 3, alignment: 32, keys, tensors };
        file.text("general.architecture", architecture)
    }

    pub(crate) fn raw(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.keys.push((key.into(), typed(kind, value)));
        self
    }

    pub(crate) fn uint(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    pub(crate) fn float(self, key: &str, value: f32) -> Self {
        self.raw(key, 6, &value.to_le_bytes())
    }

    pub(crate) fn flag(self, key: &str, value: bool) -> Self {
        self.raw(key, 7, &[value.into()])
    }

    pub(crate) fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, 8, &text(value))
    }

    /// An array of `len` values whose bytes are `values`.
    pub(crate) fn array(self, key: &str, kind: u32, len: u64, values: &[u8]) -> Self {
        let array = [&kind.to_le_bytes()[..], &len.to_le_bytes(), values].concat();
        self.raw(key, 9, &array)
    }

    pub(crate) fn texts(self, key: &str, values: &[&str]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| text(value)).collect();
        self.array(key, 8, values.len() as u64, &bytes)
    }

    pub(crate) fn tensor(mut self, name: &str, dims: &[u64], type_id: u32, data: Vec<u8>) -> Self {
        let (name, dims) = (name.into(), dims.to_vec());
        self.tensors.push(GgufTensor { name, dims, type_id, data, offset: None });
        self
    }

    pub(crate) fn floats(self, name: &str, dims: &[u64], values: &[f32]) -> Self {
        self.tensor(name, dims, 0, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            out.extend(text(key));
            out.extend(value);
        }
        let mut next = 0u64;
        for tensor in &self.tensors {
            out.extend(text(&tensor.name));
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.type_id.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(next).to_le_bytes());
            next = (next + tensor.data.len() as u64).next_multiple_of(self.alignment as u64);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(&tensor.data);
        }
        out
    }

    pub(crate) fn save(&self, folder: &TempDir) -> PathBuf {
        save(folder, "model.gguf", &self.bytes())
    }
}

pub(crate) fn save(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The metadata that every llama file has: hidden size 8, 2 heads on 1, 1 layer.
pub(crate) fn llama_gguf() -> Gguf {
    Gguf::new("llama")
        .uint("llama.embedding_length", 8)
        .uint("llama.block_count", 1)
        .uint("llama.attention.head_count", 2)
        .uint("llama.attention.head_count_kv", 1)
        .float("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .texts("tokenizer.ggml.tokens", &["a", "b", "c"])
}

/// A safetensors file under construction: the entries of its header and its data.
#[derive(Default)]
pub(crate) struct Safetensors {
    pub(crate) entries: Vec<String>,
    pub(crate) data: Vec<u8>,
}

impl Safetensors {
    /// A file that says that MLX wrote it.
    pub(crate) fn mlx() -> Self {
        let entries = vec![r#""__metadata__":{"format":"mlx"}"#.to_owned()];
        Self { entries, data: Vec::new() }
    }

    pub(crate) fn add(mut self, name: &str, dtype: &str, shape: &[usize], data: &[u8]) -> Self {
        let (start, end) = (self.data.len(), self.data.len() + data.len());
        self.data.extend(data);
        self.entries.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        ));
        self
    }

    pub(crate) fn floats(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.add(name, "F32", shape, &bytes)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = format!("{{{}}}", self.entries.join(","));
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &self.data].concat()
    }
}

/// A folder with `config.json` and `model.safetensors`.
pub(crate) fn folder(config: &str, tensors: &Safetensors) -> TempDir {
    let folder = TempDir::new().unwrap();
    save(&folder, "config.json", config.as_bytes());
    save(&folder, "model.safetensors", &tensors.bytes());
    folder
}

/// Test data outside of the repository, or `None` after saying that it is absent.
pub(crate) fn test_data(name: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let root = std::env::var("RUSSET_TEST_DATA").unwrap_or_else(|_| default.into());
    let path = Path::new(&root).join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no test data at {}", path.display());
    None
}
