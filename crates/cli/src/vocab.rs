//! From GGUF's tokenizer metadata to the tokenizer crate's input: neither crate knows the other.

use anyhow::Result;
use russet_tokenizer::{GgufVocab, Tokenizer};
use russet_weights::GgufTokenizer;

/// The tokenizer that the metadata describes.
pub(crate) fn tokenizer(stored: GgufTokenizer) -> Result<Tokenizer> {
    Ok(Tokenizer::from_gguf(GgufVocab {
        model: stored.model,
        pre: stored.pre,
        tokens: stored.tokens,
        scores: some(stored.scores),
        token_types: some(stored.token_types),
        merges: some(stored.merges),
        bos: stored.special.bos,
        eos: stored.special.eos,
        eot: stored.special.eot,
        eom: stored.special.eom,
        unk: stored.special.unk,
        pad: stored.special.pad,
        sep: stored.special.sep,
        mask: stored.special.mask,
        add_bos: stored.add_bos,
        add_eos: stored.add_eos,
        add_space_prefix: stored.add_space_prefix,
        remove_extra_whitespaces: stored.remove_extra_whitespaces,
        chat_template: stored.chat_template,
        precompiled_charsmap: some(stored.precompiled_charsmap),
    })?)
}

fn some<T>(values: Vec<T>) -> Option<Vec<T>> {
    (!values.is_empty()).then_some(values)
}
