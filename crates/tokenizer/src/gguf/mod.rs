//! Vocabularies out of GGUF metadata.

mod bpe;
mod eog;
mod pre;
pub(crate) mod spm;
mod unigram;
mod wordpiece;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokenizers::models::bpe::Vocab;
use tokenizers::{AddedToken, Tokenizer as Library};

use crate::Error;
use crate::definition;
use crate::special::SpecialTokens;

/// Values of `tokenizer.ggml.model` that are read.
pub(crate) const ACCEPTED_MODELS: &str = "gpt2, llama, bert, t5, gemma4";

/// Token types of `tokenizer.ggml.token_type`, numbered as GGUF numbers them.
pub(crate) mod token_type {
    pub(crate) const NORMAL: i32 = 1;
    pub(crate) const UNKNOWN: i32 = 2;
    pub(crate) const CONTROL: i32 = 3;
    pub(crate) const USER_DEFINED: i32 = 4;
}

/// The `tokenizer.*` metadata of a GGUF file, field by field; absent keys are `None`.
#[derive(Debug, Clone, Default)]
pub struct GgufVocab {
    /// `tokenizer.ggml.model`: `gpt2`, `llama`, `bert`, `t5` or `gemma4`.
    pub model: String,
    /// `tokenizer.ggml.pre`: the pre-tokenizer of a `gpt2` vocabulary.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`: the text of each id.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.scores`, one per token.
    pub scores: Option<Vec<f32>>,
    /// `tokenizer.ggml.token_type`, one per token.
    pub token_types: Option<Vec<i32>>,
    /// `tokenizer.ggml.merges`: `left right`, best first.
    pub merges: Option<Vec<String>>,
    /// `tokenizer.ggml.bos_token_id` (for `bert`, also `cls_token_id`).
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.eot_token_id`: ends a turn.
    pub eot: Option<u32>,
    /// `tokenizer.ggml.eom_token_id`: ends a message that calls a tool.
    pub eom: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unk: Option<u32>,
    /// `tokenizer.ggml.padding_token_id`.
    pub pad: Option<u32>,
    /// `tokenizer.ggml.seperator_token_id` (spelt so in the format).
    pub sep: Option<u32>,
    /// `tokenizer.ggml.mask_token_id`.
    pub mask: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`.
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.ggml.remove_extra_whitespaces`.
    pub remove_extra_whitespaces: Option<bool>,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
    /// `tokenizer.ggml.precompiled_charsmap`.
    pub precompiled_charsmap: Option<Vec<u8>>,
}

/// What a vocabulary becomes: the library's tokenizer, and what it has no place for.
pub(crate) struct Built {
    pub(crate) library: Library,
    pub(crate) spm: Option<spm::Spm>,
    pub(crate) special: SpecialTokens,
}

impl GgufVocab {
    /// Builds the tokenizer that this metadata describes.
    pub(crate) fn build(self) -> Result<Built, Error> {
        self.check()?;
        let mut vocab = self;
        vocab.fill_defaults();
        let (mut library, spm) = match vocab.model.as_str() {
            "gpt2" => (bpe::build(&vocab)?, None),
            "gemma4" => (bpe::build_gemma4(&vocab)?, None),
            "llama" => spm::build(&vocab).map(|(library, spm)| (library, Some(spm)))?,
            "bert" => (wordpiece::build(&vocab)?, None),
            "t5" => (unigram::build(&vocab)?, None),
            _ => {
                let accepted = ACCEPTED_MODELS;
                return Err(Error::UnknownModel { found: vocab.model, accepted });
            }
        };
        library.add_tokens(&vocab.added_tokens());
        let special = vocab.special_tokens();
        Ok(Built { library, spm, special })
    }

    fn check(&self) -> Result<(), Error> {
        let expected = self.tokens.len();
        let arrays = [
            ("scores", self.scores.as_ref().map(Vec::len)),
            ("token_type", self.token_types.as_ref().map(Vec::len)),
        ];
        for (key, len) in arrays {
            if let Some(found) = len.filter(|&len| len != expected) {
                return Err(Error::Length { key, found, expected });
            }
        }
        for (name, id) in self.named_ids() {
            if let Some(id) = id.filter(|&id| id as usize >= expected) {
                return Err(Error::IdOutOfRange { name, id, vocab_len: expected });
            }
        }
        Ok(())
    }

    fn named_ids(&self) -> [(&'static str, Option<u32>); 8] {
        [
            ("bos", self.bos),
            ("eos", self.eos),
            ("eot", self.eot),
            ("eom", self.eom),
            ("unknown", self.unk),
            ("padding", self.pad),
            ("separator", self.sep),
            ("mask", self.mask),
        ]
    }

    /// The ids llama.cpp assumes when a file does not name them.
    fn fill_defaults(&mut self) {
        let vocab_len = self.tokens.len();
        let default = |slot: &mut Option<u32>, id: u32| {
            if slot.is_none() && (id as usize) < vocab_len {
                *slot = Some(id);
            }
        };
        match self.model.as_str() {
            "llama" => {
                default(&mut self.bos, 1);
                default(&mut self.eos, 2);
                default(&mut self.unk, 0);
            }
            "bert" => {
                default(&mut self.bos, 101);
                default(&mut self.sep, 102);
                default(&mut self.unk, 100);
                default(&mut self.pad, 0);
            }
            "t5" => {
                default(&mut self.eos, 1);
                default(&mut self.unk, 2);
                default(&mut self.pad, 0);
            }
            _ => {}
        }
    }

    fn token_type(&self, id: usize) -> i32 {
        self.token_types.as_ref().map_or(token_type::NORMAL, |types| types[id])
    }

    fn text(&self, id: Option<u32>) -> Option<&str> {
        id.map(|id| self.tokens[id as usize].as_str())
    }

    /// Text to id; two ids with one text make a vocabulary ambiguous.
    fn ids_by_text(&self) -> Result<Vocab, Error> {
        let mut ids = Vocab::with_capacity(self.tokens.len());
        for (id, text) in self.tokens.iter().enumerate() {
            let id = id as u32;
            let text = if text.is_empty() { format!("[EMPTY_{id}]") } else { text.clone() };
            if let Some(first) = ids.insert(text, id) {
                let text = self.tokens[id as usize].clone();
                return Err(Error::DuplicateToken { text, first, second: id });
            }
        }
        Ok(ids)
    }

    /// Tokens that are looked for in the text before anything else.
    fn added_tokens(&self) -> Vec<AddedToken> {
        let ends = self.eos_ids();
        (0..self.tokens.len())
            .filter_map(|id| {
                let special = match self.token_type(id) {
                    token_type::UNKNOWN | token_type::CONTROL => true,
                    token_type::USER_DEFINED => ends.contains(&(id as u32)),
                    _ => return None,
                };
                let text = &self.tokens[id];
                let token = AddedToken::from(text.clone(), special).normalized(false);
                (!text.is_empty()).then_some(token)
            })
            .collect()
    }

    fn eos_ids(&self) -> BTreeSet<u32> {
        eog::eos_ids(self)
    }

    fn special_tokens(&self) -> SpecialTokens {
        let texts = [
            ("bos_token", self.bos),
            ("eos_token", self.eos),
            ("unk_token", self.unk),
            ("pad_token", self.pad),
            ("sep_token", self.sep),
            ("mask_token", self.mask),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(name, id)| Some((name.to_owned(), self.text(id)?.to_owned())))
            .collect();
        SpecialTokens { texts, bos: self.bos, eos: self.eos, eos_ids: self.eos_ids() }
    }

    /// A post-processor that puts `before` and `after` around a text.
    fn surround(&self, before: Option<u32>, after: Option<u32>) -> Value {
        let piece = |id| json!({"SpecialToken": {"id": self.text(id), "type_id": 0}});
        let mut single = vec![json!({"Sequence": {"id": "A", "type_id": 0}})];
        let mut special_tokens = serde_json::Map::new();
        for id in [before, after].into_iter().flatten() {
            let text = &self.tokens[id as usize];
            let entry = json!({"id": text, "ids": [id], "tokens": [text]});
            special_tokens.insert(text.clone(), entry);
        }
        if before.is_some() {
            single.insert(0, piece(before));
        }
        if after.is_some() {
            single.push(piece(after));
        }
        let mut pair = single.clone();
        let second = json!({"Sequence": {"id": "B", "type_id": 1}});
        pair.insert(pair.len() - usize::from(after.is_some()), second);
        json!({
            "type": "TemplateProcessing",
            "single": single,
            "pair": pair,
            "special_tokens": special_tokens,
        })
    }

    /// Sets every part of `library` around its model from `tokenizer.json` syntax.
    fn dress(&self, library: &mut Library, parts: &Parts) -> Result<(), Error> {
        let fail = |source: serde_json::Error| Error::Vocabulary {
            model: self.model.clone(),
            source: source.into(),
        };
        library.with_normalizer(read::<tokenizers::NormalizerWrapper>(&parts.normalizer, fail)?);
        library.with_pre_tokenizer(read::<tokenizers::PreTokenizerWrapper>(
            &parts.pre_tokenizer,
            fail,
        )?);
        library.with_post_processor(read::<tokenizers::PostProcessorWrapper>(
            &parts.post_processor,
            fail,
        )?);
        library.with_decoder(read::<tokenizers::DecoderWrapper>(&parts.decoder, fail)?);
        Ok(())
    }
}

/// The parts of a tokenizer around its model, as in `tokenizer.json`; null where absent.
#[derive(Default)]
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
}

fn read<T: serde::de::DeserializeOwned>(
    part: &Value,
    fail: impl Fn(serde_json::Error) -> Error,
) -> Result<Option<T>, Error> {
    definition::part(part).map_err(fail)
}

/// The decoder of every vocabulary that writes spaces as U+2581 and has byte tokens.
fn spm_decoder(strip_leading: usize) -> Value {
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if strip_leading > 0 {
        decoders.push(json!({"type": "Strip", "content": " ", "start": strip_leading, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": decoders})
}
