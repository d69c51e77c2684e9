//! The tokenizer that a GGUF file carries, as it stands there.

use super::metadata::{Kind, Metadata, Value};
use crate::GgufError;

/// The tokenizer that a GGUF file carries, as it stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufTokenizer {
    /// The algorithm: `llama` (SentencePiece), `gpt2` (byte-level BPE), `bert`, `t5`, ...
    pub model: String,
    /// The name of the splitting rules.
    pub pre: Option<String>,
    /// Tokens by id.
    pub tokens: Vec<String>,
    /// Scores by id; empty if there are none.
    pub scores: Vec<f32>,
    /// Kinds by id (1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte); empty if
    /// there are none.
    pub token_types: Vec<i32>,
    /// Merges, the first to be tried first: two tokens with a space between.
    pub merges: Vec<String>,
    /// Ids of tokens with a purpose.
    pub special: SpecialTokens,
    /// Whether a text gets the begin token.
    pub add_bos: Option<bool>,
    /// Whether a text gets the end token.
    pub add_eos: Option<bool>,
    /// Whether a text gets a space in front.
    pub add_space_prefix: Option<bool>,
    /// Whether repeated spaces are removed.
    pub remove_extra_whitespaces: Option<bool>,
    /// The chat template, in Jinja.
    pub chat_template: Option<String>,
    /// SentencePiece's normalisation table; empty if there is none.
    pub precompiled_charsmap: Vec<u8>,
    /// A complete tokenizer.json, which some files carry.
    pub tokenizer_json: Option<String>,
}

/// Ids of tokens with a purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begin of text.
    pub bos: Option<u32>,
    /// End of text.
    pub eos: Option<u32>,
    /// End of turn.
    pub eot: Option<u32>,
    /// End of message.
    pub eom: Option<u32>,
    /// Unknown.
    pub unk: Option<u32>,
    /// Separator.
    pub sep: Option<u32>,
    /// Padding.
    pub pad: Option<u32>,
    /// Mask.
    pub mask: Option<u32>,
}

impl GgufTokenizer {
    /// Reads the tokenizer from the metadata of the file `bytes`.
    pub(crate) fn read(metadata: &Metadata, bytes: &[u8]) -> Result<Self, GgufError> {
        let text = |key: &str| metadata.text(key).map(|text| text.map(str::to_owned));
        let model_key = "tokenizer.ggml.model";
        let missing = || GgufError::MissingKey { key: model_key.into() };
        let tokens = texts(metadata, bytes, "tokenizer.ggml.tokens")?;
        Ok(Self {
            model: text(model_key)?.ok_or_else(missing)?,
            pre: text("tokenizer.ggml.pre")?,
            scores: scores(metadata, bytes, tokens.len())?,
            token_types: token_types(metadata, bytes, tokens.len())?,
            merges: texts(metadata, bytes, "tokenizer.ggml.merges")?,
            special: SpecialTokens::read(metadata, tokens.len())?,
            tokens,
            add_bos: metadata.flag("tokenizer.ggml.add_bos_token")?,
            add_eos: metadata.flag("tokenizer.ggml.add_eos_token")?,
            add_space_prefix: metadata.flag("tokenizer.ggml.add_space_prefix")?,
            remove_extra_whitespaces: metadata.flag("tokenizer.ggml.remove_extra_whitespaces")?,
            chat_template: text("tokenizer.chat_template")?,
            precompiled_charsmap: charsmap(metadata, bytes)?,
            tokenizer_json: text("tokenizer.huggingface.json")?,
        })
    }
}

impl SpecialTokens {
    fn read(metadata: &Metadata, num_tokens: usize) -> Result<Self, GgufError> {
        let id = |name: &str| {
            let key = format!("tokenizer.ggml.{name}_token_id");
            match metadata.id(&key)? {
                Some(id) if id as usize >= num_tokens => {
                    let found = format!("{id} of {num_tokens} tokens");
                    Err(GgufError::Value { key, expected: "the id of a token", found })
                }
                other => Ok(other),
            }
        };
        Ok(Self {
            bos: id("bos")?,
            eos: id("eos")?,
            eot: id("eot")?,
            eom: id("eom")?,
            unk: id("unknown")?,
            // The format spells it so.
            sep: id("seperator")?,
            pad: id("padding")?,
            mask: id("mask")?,
        })
    }
}

fn texts(metadata: &Metadata, bytes: &[u8], key: &str) -> Result<Vec<String>, GgufError> {
    let array = metadata.array(key, Kind::Text, "an array of texts")?;
    Ok(array.map_or_else(Vec::new, |array| array.texts(bytes).map(str::to_owned).collect()))
}

fn scores(metadata: &Metadata, bytes: &[u8], num_tokens: usize) -> Result<Vec<f32>, GgufError> {
    let key = "tokenizer.ggml.scores";
    let Some(array) = metadata.array(key, Kind::F32, "an array of numbers")? else {
        return Ok(Vec::new());
    };
    check_len(key, array.len, num_tokens)?;
    let score = |value| if let Value::F32(score) = value { score } else { f32::NAN };
    Ok(array.values(bytes).map(score).collect())
}

fn token_types(
    metadata: &Metadata,
    bytes: &[u8],
    num_tokens: usize,
) -> Result<Vec<i32>, GgufError> {
    let (key, expected) = ("tokenizer.ggml.token_type", "an array of integers");
    // Both signs occur in files.
    let array = match metadata.array(key, Kind::I32, expected) {
        Err(_) => metadata.array(key, Kind::U32, expected)?,
        found => found?,
    };
    let Some(array) = array else { return Ok(Vec::new()) };
    check_len(key, array.len, num_tokens)?;
    let kind = |value| match value {
        Value::Int(kind) => kind as i32,
        Value::Uint(kind) => i32::try_from(kind).unwrap_or(i32::MAX),
        _ => i32::MAX,
    };
    Ok(array.values(bytes).map(kind).collect())
}

fn charsmap(metadata: &Metadata, bytes: &[u8]) -> Result<Vec<u8>, GgufError> {
    let (key, expected) = ("tokenizer.ggml.precompiled_charsmap", "an array of bytes");
    let array = match metadata.array(key, Kind::U8, expected) {
        Err(_) => metadata.array(key, Kind::I8, expected)?,
        found => found?,
    };
    let byte = |value| match value {
        Value::Uint(byte) => byte as u8,
        Value::Int(byte) => byte as u8,
        _ => 0,
    };
    Ok(array.map_or_else(Vec::new, |array| array.values(bytes).map(byte).collect()))
}

fn check_len(key: &str, found: usize, num_tokens: usize) -> Result<(), GgufError> {
    if found == num_tokens {
        return Ok(());
    }
    let found = format!("{found} values for {num_tokens} tokens");
    Err(GgufError::Value { key: key.to_owned(), expected: "one value a token", found })
}
