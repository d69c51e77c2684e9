//! Byte-level BPE (`gpt2`) and Gemma 4's BPE over raw UTF-8.

use serde_json::{Value, json};
use tokenizers::Tokenizer as Library;
use tokenizers::models::bpe::{BPE, BpeBuilder, Merges};

use super::{GgufVocab, Parts, pre, spm_decoder};
use crate::Error;

/// Builds a `gpt2` vocabulary.
pub(super) fn build(vocab: &GgufVocab) -> Result<Library, Error> {
    let pre = pre::find(vocab.pre.as_deref())?;
    let model = model(vocab, BPE::builder().ignore_merges(pre.ignore_merges))?;
    let add_bos = vocab.add_bos.unwrap_or(pre.add_bos);
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false
    });
    let mut pre_tokenizers: Vec<_> = pre.regexes.iter().map(|regex| isolate(regex)).collect();
    pre_tokenizers.push(byte_level.clone());
    let mut library = Library::new(model);
    let parts = Parts {
        pre_tokenizer: json!({"type": "Sequence", "pretokenizers": pre_tokenizers}),
        post_processor: surround(vocab, add_bos),
        decoder: byte_level,
        ..Parts::default()
    };
    vocab.dress(&mut library, &parts)?;
    Ok(library)
}

/// Builds a `gemma4` vocabulary: merges over text in which U+2581 stands for a space, bytes as
/// `<0xXX>` tokens, and BOS always added (llama.cpp overrides files that say otherwise).
pub(super) fn build_gemma4(vocab: &GgufVocab) -> Result<Library, Error> {
    let builder = BPE::builder().byte_fallback(true).fuse_unk(true);
    let mut library = Library::new(model(vocab, builder)?);
    let parts = Parts {
        normalizer: json!({
            "type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"
        }),
        pre_tokenizer: isolate(r"[^\n]+|[\n]+"),
        post_processor: surround(vocab, true),
        decoder: spm_decoder(0),
    };
    vocab.dress(&mut library, &parts)?;
    Ok(library)
}

fn surround(vocab: &GgufVocab, add_bos: bool) -> Value {
    let bos = vocab.bos.filter(|_| add_bos);
    let eos = vocab.eos.filter(|_| vocab.add_eos.unwrap_or(false));
    if bos.is_none() && eos.is_none() { Value::Null } else { vocab.surround(bos, eos) }
}

fn isolate(regex: &str) -> Value {
    json!({
        "type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false
    })
}

fn model(vocab: &GgufVocab, builder: BpeBuilder) -> Result<BPE, Error> {
    let merges = vocab
        .merges
        .as_ref()
        .ok_or_else(|| Error::Missing { model: vocab.model.clone(), key: "merges" })?;
    builder
        .vocab_and_merges(vocab.ids_by_text()?, parse(merges)?)
        .build()
        .map_err(|source| Error::Vocabulary { model: vocab.model.clone(), source })
}

/// Splits each merge at its first space that is not its first character.
fn parse(merges: &[String]) -> Result<Merges, Error> {
    let split = |(index, text): (usize, &String)| {
        let bad = || Error::BadMerge { index, text: text.clone() };
        let first_len = text.chars().next().map_or(0, char::len_utf8);
        let space = text[first_len..].find(' ').ok_or_else(bad)? + first_len;
        let (left, right) = (&text[..space], &text[space + 1..]);
        if right.is_empty() { Err(bad()) } else { Ok((left.to_owned(), right.to_owned())) }
    };
    merges.iter().enumerate().map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_two_parts() {
        let good = parse(&["Ġ t".to_owned(), "\n \n".to_owned()]).unwrap();
        assert_eq!(good, [("Ġ".into(), "t".into()), ("\n".into(), "\n".into())]);
        for bad in ["", "ab", "a "] {
            assert!(matches!(parse(&[bad.to_owned()]), Err(Error::BadMerge { index: 0, .. })));
        }
    }
}
