//! SentencePiece unigram (`t5`, and XLM-RoBERTa's vocabulary in nomic-bert-moe).

use serde_json::{Value, json};
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::{NormalizerWrapper, Precompiled, Sequence};
use tokenizers::{NormalizerWrapper as Normalizer, Tokenizer as Library};

use super::{GgufVocab, Parts, token_type};
use crate::Error;

/// Builds a `t5` vocabulary: the file's character map, white space collapsed and marked with
/// U+2581, then the most probable segmentation.
pub(super) fn build(vocab: &GgufVocab) -> Result<Library, Error> {
    vocab.ids_by_text()?;
    let fail = |source| Error::Vocabulary { model: vocab.model.clone(), source };
    let missing = |key| Error::Missing { model: vocab.model.clone(), key };
    let scores = vocab.scores.as_ref().ok_or_else(|| missing("scores"))?;
    let unk = vocab.unk.ok_or_else(|| missing("unknown_token_id"))? as usize;
    let pieces = vocab.tokens.iter().cloned().zip(scores.iter().enumerate().map(score(vocab)));
    let model = Unigram::from(pieces.collect(), Some(unk), false).map_err(fail)?;
    let mut library = Library::new(model);
    let prefix = vocab.add_space_prefix.unwrap_or(true);
    let metaspace = json!({
        "type": "Metaspace", "replacement": "\u{2581}", "split": true,
        "prepend_scheme": if prefix { "always" } else { "never" }
    });
    let bos = vocab.bos.filter(|_| vocab.add_bos.unwrap_or(false));
    let eos = vocab.eos.filter(|_| vocab.add_eos.unwrap_or(true));
    let surround =
        if bos.is_none() && eos.is_none() { Value::Null } else { vocab.surround(bos, eos) };
    let parts = Parts {
        pre_tokenizer: metaspace.clone(),
        post_processor: surround,
        decoder: metaspace,
        ..Parts::default()
    };
    vocab.dress(&mut library, &parts)?;
    library.with_normalizer(normalizer(vocab)?);
    Ok(library)
}

/// User-defined tokens always win, which a score above every log probability achieves; control
/// and unused tokens never come out of plain text.
fn score(vocab: &GgufVocab) -> impl Fn((usize, &f32)) -> f64 {
    let worst = vocab.scores.iter().flatten().copied().fold(0.0f32, f32::min);
    move |(id, &score)| match vocab.token_type(id) {
        token_type::USER_DEFINED => 0.0,
        token_type::NORMAL => f64::from(score),
        _ => f64::from(worst),
    }
}

fn normalizer(vocab: &GgufVocab) -> Result<Option<Normalizer>, Error> {
    let fail = |source| Error::Vocabulary { model: vocab.model.clone(), source };
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if let Some(charsmap) = vocab.precompiled_charsmap.as_ref().filter(|map| !map.is_empty()) {
        let precompiled =
            Precompiled::from(charsmap).map_err(|error| fail(format!("{error:?}").into()))?;
        steps.push(precompiled.into());
    }
    if vocab.remove_extra_whitespaces.unwrap_or(false) {
        let collapse = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "});
        let strip = json!({"type": "Strip", "strip_left": true, "strip_right": true});
        for step in [strip, collapse] {
            let step = super::read(&step, |error| fail(error.into()))?;
            steps.extend(step);
        }
    }
    Ok((!steps.is_empty()).then(|| Sequence::new(steps).into()))
}
