//! Writes one GGUF file, version 3, piece by piece. Source: the format's specification in the ggml
//! repository.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::blocks::Encoding;
use super::shape::Shape;
use super::vocabulary::{BOS, EOS, UNKNOWN, Vocabulary};
use crate::error::Error;

const BUFFER_BYTES: usize = 1 << 20;
const ALIGNMENT: u64 = 32;
/// Also the numbers that the loaders of synth-1b are known to accept.
const ROPE_THETA: f32 = 100_000.0;
const NORM_EPS: f32 = 1e-5;

/// A file whose header is written and whose tensors are to follow in order.
pub(super) struct GgufWriter {
    path: PathBuf,
    file: BufWriter<File>,
    /// Bytes of data so far.
    written: u64,
}

impl GgufWriter {
    /// Starts the file of `shape` with its matrices stored as `matrices`.
    pub(super) fn create(
        path: &Path,
        shape: &Shape,
        vocabulary: &Vocabulary,
        matrices: Encoding,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        let file = File::create(path).map_err(failed)?;
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
        file.write_all(&header(shape, vocabulary, matrices)).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, written: 0 })
    }

    /// Appends to the data of the current tensor.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        let written = self.file.write_all(bytes);
        written.map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    /// Pads to where the next tensor starts.
    pub(super) fn end_tensor(&mut self) -> Result<(), Error> {
        let padding = self.written.next_multiple_of(ALIGNMENT) - self.written;
        self.write(&vec![0; padding as usize])
    }

    pub(super) fn finish(mut self) -> Result<(), Error> {
        let flushed = self.file.flush();
        flushed.map_err(|source| Error::Write { path: self.path, source })
    }
}

/// Everything before the data, padded to where it starts.
fn header(shape: &Shape, vocabulary: &Vocabulary, matrices: Encoding) -> Vec<u8> {
    let metadata = metadata(shape, vocabulary, matrices);
    let tensors = shape.tensors();
    let mut out = [&b"GGUF"[..], &3u32.to_le_bytes()].concat();
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.num_keys).to_le_bytes());
    out.extend(metadata.bytes);
    let mut offset = 0u64;
    for tensor in &tensors {
        let encoding = tensor.content.encoding(matrices);
        push_text(&mut out, &tensor.name);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        // Innermost first.
        out.extend(tensor.shape.iter().rev().flat_map(|&dim| (dim as u64).to_le_bytes()));
        out.extend(encoding.ggml_type().id().to_le_bytes());
        out.extend(offset.to_le_bytes());
        let bytes = encoding.ggml_type().row_bytes(tensor.len()) as u64;
        offset = (offset + bytes).next_multiple_of(ALIGNMENT);
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT as usize), 0);
    out
}

fn metadata(shape: &Shape, vocabulary: &Vocabulary, matrices: Encoding) -> Metadata {
    let mut keys = Metadata::default();
    // The number of the file type that the specification lists.
    let file_type = if matrices == Encoding::Q4_1 { 3 } else { 2 };
    keys.text("general.architecture", "llama");
    keys.text("general.name", &shape.name());
    keys.uint("general.file_type", file_type);
    keys.uint("general.quantization_version", 2);
    keys.uint("llama.block_count", shape.layers);
    keys.uint("llama.context_length", shape.context);
    keys.uint("llama.embedding_length", shape.hidden);
    keys.uint("llama.feed_forward_length", shape.ffn);
    keys.uint("llama.attention.head_count", shape.heads);
    keys.uint("llama.attention.head_count_kv", shape.kv_heads);
    keys.float("llama.attention.layer_norm_rms_epsilon", NORM_EPS);
    keys.float("llama.rope.freq_base", ROPE_THETA);
    keys.uint("llama.rope.dimension_count", shape.head_dim);
    keys.uint("llama.vocab_size", shape.vocab);
    keys.text("tokenizer.ggml.model", "gpt2");
    keys.text("tokenizer.ggml.pre", "smollm");
    keys.texts("tokenizer.ggml.tokens", &vocabulary.tokens);
    keys.ints("tokenizer.ggml.token_type", &vocabulary.token_types());
    keys.texts("tokenizer.ggml.merges", &vocabulary.merges());
    keys.uint("tokenizer.ggml.bos_token_id", BOS);
    keys.uint("tokenizer.ggml.eos_token_id", EOS);
    keys.uint("tokenizer.ggml.unknown_token_id", UNKNOWN);
    keys.uint("tokenizer.ggml.padding_token_id", EOS);
    keys.flag("tokenizer.ggml.add_bos_token", false);
    keys.flag("tokenizer.ggml.add_space_prefix", false);
    keys.text("tokenizer.chat_template", vocabulary.chat_template());
    keys
}

/// Metadata as it stands in the file.
#[derive(Default)]
struct Metadata {
    num_keys: u64,
    bytes: Vec<u8>,
}

/// The numbers of the value types in the specification.
#[derive(Clone, Copy)]
enum Kind {
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    Text = 8,
    Array = 9,
}

impl Metadata {
    fn key(&mut self, key: &str, kind: Kind) {
        self.num_keys += 1;
        push_text(&mut self.bytes, key);
        self.bytes.extend((kind as u32).to_le_bytes());
    }

    fn array(&mut self, key: &str, kind: Kind, len: usize) {
        self.key(key, Kind::Array);
        self.bytes.extend((kind as u32).to_le_bytes());
        self.bytes.extend((len as u64).to_le_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key, Kind::Text);
        push_text(&mut self.bytes, value);
    }

    fn uint(&mut self, key: &str, value: usize) {
        self.key(key, Kind::U32);
        self.bytes.extend((value as u32).to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.key(key, Kind::F32);
        self.bytes.extend(value.to_le_bytes());
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.key(key, Kind::Bool);
        self.bytes.push(value.into());
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        self.array(key, Kind::Text, values.len());
        values.iter().for_each(|value| push_text(&mut self.bytes, value));
    }

    fn ints(&mut self, key: &str, values: &[i32]) {
        self.array(key, Kind::I32, values.len());
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
