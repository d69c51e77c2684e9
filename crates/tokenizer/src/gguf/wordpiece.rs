//! WordPiece (`bert`). GGUF marks word starts with U+2581 where BERT marks continuations with `##`.

use serde_json::json;
use tokenizers::Tokenizer as Library;
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;

use super::{GgufVocab, Parts, token_type};
use crate::Error;

/// Builds a `bert` vocabulary: BERT's normaliser, greedy longest match, `[CLS] … [SEP]`.
pub(super) fn build(vocab: &GgufVocab) -> Result<Library, Error> {
    vocab.ids_by_text()?;
    let missing = |key| Error::Missing { model: vocab.model.clone(), key };
    let unk = vocab.text(vocab.unk).ok_or_else(|| missing("unknown_token_id"))?;
    let (bos, sep) = (vocab.bos, vocab.sep);
    if bos.is_none() || sep.is_none() {
        return Err(missing("seperator_token_id"));
    }
    let model = WordPiece::builder()
        .vocab(restore_marks(vocab))
        .unk_token(unk.to_owned())
        .build()
        .map_err(|source| Error::Vocabulary { model: vocab.model.clone(), source })?;
    let mut library = Library::new(model);
    let parts = Parts {
        normalizer: json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true
        }),
        pre_tokenizer: json!({"type": "BertPreTokenizer"}),
        post_processor: vocab.surround(bos, sep),
        decoder: json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
    };
    vocab.dress(&mut library, &parts)?;
    Ok(library)
}

/// BERT's own spelling of each token. A later id never displaces an earlier one.
fn restore_marks(vocab: &GgufVocab) -> Vocab {
    let mut ids = Vocab::with_capacity(vocab.tokens.len());
    for (id, text) in vocab.tokens.iter().enumerate() {
        let spelt = if let Some(word) = text.strip_prefix('\u{2581}') {
            word.to_owned()
        } else if vocab.token_type(id) == token_type::NORMAL && !is_bracketed(text) {
            format!("##{text}")
        } else {
            text.clone()
        };
        ids.entry(spelt).or_insert(id as u32);
    }
    ids
}

fn is_bracketed(text: &str) -> bool {
    text.starts_with('[') && text.ends_with(']')
}
