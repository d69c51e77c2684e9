//! Reads `tokenizer.json`.
//!
//! The library's own reader holds the whole file as a tree in between, which takes seconds for the
//! 260,000 tokens and 500,000 merges of a BPE vocabulary such as Gemma's. Those two are therefore
//! read here straight into their final form; everything else is the library's.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::{AddedToken, Model as _, Tokenizer as Library};

/// Builds the tokenizer that a `tokenizer.json` describes.
pub(crate) fn read(bytes: &[u8]) -> tokenizers::Result<Library> {
    let file: File = match serde_json::from_slice(bytes) {
        Ok(file) => file,
        // Most files are BPE's, so only what is not read as such is looked at.
        Err(error) if is_bpe(bytes)? => return Err(error.into()),
        Err(_) => return Library::from_bytes(bytes),
    };
    let mut library = Library::new(file.model.build()?);
    library.with_normalizer(part::<tokenizers::NormalizerWrapper>(&file.normalizer)?);
    library.with_pre_tokenizer(part::<tokenizers::PreTokenizerWrapper>(&file.pre_tokenizer)?);
    library.with_post_processor(part::<tokenizers::PostProcessorWrapper>(&file.post_processor)?);
    library.with_decoder(part::<tokenizers::DecoderWrapper>(&file.decoder)?);
    library.add_tokens(&file.added_tokens);
    Ok(library)
}

/// Tokens of the model and added ones. The library's own count copies the whole vocabulary.
pub(crate) fn vocab_len(library: &Library) -> usize {
    let model = library.get_model();
    let is_new = |token: &&String| model.token_to_id(token).is_none();
    let added = library.get_added_vocabulary().get_vocab();
    model.get_vocab_size() + added.keys().filter(is_new).count()
}

/// A part of the file that the library reads; null where absent.
pub(crate) fn part<T: serde::de::DeserializeOwned>(value: &Value) -> serde_json::Result<Option<T>> {
    if value.is_null() {
        return Ok(None);
    }
    // The library's readers look at the text, so a value has to be written out first.
    serde_json::from_str(&value.to_string()).map(Some)
}

/// Whether the file describes a BPE model.
fn is_bpe(bytes: &[u8]) -> serde_json::Result<bool> {
    let probe: Probe = serde_json::from_slice(bytes)?;
    Ok(match probe.model.kind.as_deref() {
        Some(kind) => kind == "BPE",
        None => probe.model.merges.is_some(),
    })
}

#[derive(Deserialize)]
struct Probe {
    model: ModelProbe,
}

#[derive(Deserialize)]
struct ModelProbe {
    #[serde(rename = "type")]
    kind: Option<String>,
    merges: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: Model,
}

/// A BPE model. Its `dropout`, which makes training vary, is ignored.
#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    _kind: Option<Bpe>,
    #[serde(deserialize_with = "vocab")]
    vocab: Vocab,
    #[serde(deserialize_with = "merges")]
    merges: Merges,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

/// The only kind of model that [`File`] reads; another is an error.
#[derive(Deserialize)]
enum Bpe {
    #[serde(rename = "BPE")]
    Bpe,
}

impl Model {
    fn build(self) -> tokenizers::Result<BPE> {
        let mut builder = BPE::builder()
            .vocab_and_merges(self.vocab, self.merges)
            .fuse_unk(self.fuse_unk)
            .byte_fallback(self.byte_fallback)
            .ignore_merges(self.ignore_merges);
        if let Some(token) = self.unk_token {
            builder = builder.unk_token(token);
        }
        if let Some(prefix) = self.continuing_subword_prefix {
            builder = builder.continuing_subword_prefix(prefix);
        }
        if let Some(suffix) = self.end_of_word_suffix {
            builder = builder.end_of_word_suffix(suffix);
        }
        builder.build()
    }
}

fn vocab<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vocab, D::Error> {
    struct Tokens;
    impl<'de> Visitor<'de> for Tokens {
        type Value = Vocab;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of tokens to ids")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
            let mut vocab = Vocab::default();
            while let Some((token, id)) = map.next_entry()? {
                vocab.insert(token, id);
            }
            Ok(vocab)
        }
    }
    deserializer.deserialize_map(Tokens)
}

fn merges<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Merges, D::Error> {
    let merges = Vec::<Merge>::deserialize(deserializer)?;
    Ok(merges.into_iter().filter_map(|merge| merge.0).collect())
}

/// `"left right"` or `["left", "right"]`; nothing for a `#version` line.
struct Merge(Option<(String, String)>);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MergeVisitor)
    }
}

struct MergeVisitor;

impl<'de> Visitor<'de> for MergeVisitor {
    type Value = Merge;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two tokens, as a list or separated by a space")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Merge, E> {
        if text.starts_with("#version") {
            return Ok(Merge(None));
        }
        match text.split_once(' ') {
            Some((left, right)) if !right.contains(' ') => {
                Ok(Merge(Some((left.to_owned(), right.to_owned()))))
            }
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Merge, A::Error> {
        let mut next = |index| {
            items.next_element()?.ok_or_else(|| A::Error::invalid_length(index, &"two tokens"))
        };
        let pair = (next(0)?, next(1)?);
        match items.next_element::<IgnoredAny>()? {
            None => Ok(Merge(Some(pair))),
            Some(_) => Err(A::Error::invalid_length(3, &"two tokens")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_merges() {
        for merges in [r#"["a b", "ab c"]"#, r#"[["a", "b"], ["ab", "c"]]"#] {
            let json = format!(
                r#"{{"model": {{"type": "BPE", "merges": {merges},
                    "vocab": {{"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}}}},
                    "added_tokens": [{{"id": 5, "content": "<x>", "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false, "special": true}}]}}"#
            );
            let library = read(json.as_bytes()).unwrap();
            let theirs: Library = Library::from_bytes(&json).unwrap();
            for text in ["abc", "ab<x>c", "cba"] {
                let ids = library.encode(text, false).unwrap().get_ids().to_vec();
                assert_eq!(ids, theirs.encode(text, false).unwrap().get_ids());
            }
        }
    }

    #[test]
    fn bad_merges_are_refused() {
        for merges in [r#"["ab"]"#, r#"["a b c"]"#, r#"[["a"]]"#, r#"[["a", "b", "c"]]"#, "[1]"] {
            let json =
                format!(r#"{{"model": {{"type": "BPE", "merges": {merges}, "vocab": {{}}}}}}"#);
            assert!(read(json.as_bytes()).is_err(), "{merges}");
        }
    }
}
