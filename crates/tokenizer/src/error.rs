//! Why a tokenizer could not be loaded or used.

use std::path::PathBuf;

/// Refusals to load a vocabulary and failures to encode.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the model directory could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is larger than any real one.
    #[error("{} has {found_bytes} bytes; at most {limit_bytes} are accepted", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found_bytes: u64,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// A JSON file does not parse.
    #[error("{} is not valid: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// `tokenizer.json` parses as JSON but not as a tokenizer.
    #[error("{} is not a tokenizer this library reads: {source}", path.display())]
    Definition {
        /// The file.
        path: PathBuf,
        /// What the `tokenizers` library said.
        source: tokenizers::Error,
    },
    /// `tokenizer.ggml.model` names a kind we do not read.
    #[error("unknown tokenizer.ggml.model {found:?}; accepted: {accepted}")]
    UnknownModel {
        /// The value in the file.
        found: String,
        /// The values we read.
        accepted: &'static str,
    },
    /// `tokenizer.ggml.pre` names a pre-tokenizer we do not know.
    #[error("unknown tokenizer.ggml.pre {found:?}; accepted: {accepted}")]
    UnknownPre {
        /// The value in the file.
        found: String,
        /// The values we read, comma-separated.
        accepted: String,
    },
    /// A metadata array that this kind of vocabulary needs is absent.
    #[error("a {model:?} vocabulary needs tokenizer.ggml.{key}, which is absent")]
    Missing {
        /// `tokenizer.ggml.model`.
        model: String,
        /// The key, without its prefix.
        key: &'static str,
    },
    /// A metadata array's length does not match the vocabulary.
    #[error("tokenizer.ggml.{key} has {found} entries for {expected} tokens")]
    Length {
        /// The key, without its prefix.
        key: &'static str,
        /// Its length.
        found: usize,
        /// The number of tokens.
        expected: usize,
    },
    /// Two ids have the same text.
    #[error("token {text:?} has two ids: {first} and {second}")]
    DuplicateToken {
        /// The text.
        text: String,
        /// The lower id.
        first: u32,
        /// The higher id.
        second: u32,
    },
    /// A special token's id lies outside the vocabulary.
    #[error("{name} id {id} is outside the vocabulary of {vocab_len} tokens")]
    IdOutOfRange {
        /// Which special token.
        name: &'static str,
        /// Its id.
        id: u32,
        /// The vocabulary's size.
        vocab_len: usize,
    },
    /// Ids lie so far apart that a table of them would be mostly empty.
    #[error("id {id} in a vocabulary of {vocab_len} tokens; at most {highest} is accepted")]
    SparseIds {
        /// The highest id.
        id: u32,
        /// How many tokens there are.
        vocab_len: usize,
        /// The highest id that is accepted.
        highest: usize,
    },
    /// The decoder makes more of the tokens than any text could use.
    #[error("the texts of the tokens take more than {limit_bytes} bytes")]
    TextsTooLarge {
        /// The most that is accepted.
        limit_bytes: usize,
    },
    /// A BPE merge is not two tokens separated by one space.
    #[error("merge {index} is {text:?}; expected two parts separated by a space")]
    BadMerge {
        /// Position in `tokenizer.ggml.merges`.
        index: usize,
        /// The entry.
        text: String,
    },
    /// The vocabulary's parts do not fit together.
    #[error("the {model:?} vocabulary is inconsistent: {source}")]
    Vocabulary {
        /// `tokenizer.ggml.model`.
        model: String,
        /// What the `tokenizers` library said.
        source: tokenizers::Error,
    },
    /// The decoder of `tokenizer.json` is one we cannot stream.
    #[error("decoder {found:?} is not supported; accepted: {accepted}")]
    UnsupportedDecoder {
        /// The decoder's type.
        found: String,
        /// The types we read.
        accepted: &'static str,
    },
    /// The text could not be encoded.
    #[error("cannot encode the text: {0}")]
    Encode(tokenizers::Error),
    /// The tokenizer has no `tokenizer.json` form.
    #[error("cannot write tokenizer.json: {0}")]
    Write(tokenizers::Error),
    /// A model directory has neither of the files that can hold a chat template with this name.
    #[error("no chat template named {name:?}; present: {present}")]
    NoTemplate {
        /// The name asked for.
        name: String,
        /// The names that exist, comma-separated.
        present: String,
    },
}
