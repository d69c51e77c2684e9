//! The tokenizer: text to ids and back.

use std::path::Path;
use std::sync::Arc;

use tokenizers::tokenizer::{Encoding, OffsetType, PreTokenizer as _, Token};
use tokenizers::{AddedVocabulary, Model, Tokenizer as Library};

use crate::Error;
use crate::digits;
use crate::dir::{self, ChatTemplates};
use crate::gguf::GgufVocab;
use crate::gguf::spm::Spm;
use crate::pieces::Pieces;
use crate::special::SpecialTokens;
use crate::stream::{self, DecodeStream};

/// Whether the tokens that surround every text of a model (BOS, `[CLS]` …) are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddSpecial {
    /// As the model's own tokenizer does for a bare text.
    Yes,
    /// Only what is in the text; right for rendered chat templates, which write BOS themselves.
    No,
}

/// What `<|im_end|>` in a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialText {
    /// The special token: for text from a chat template.
    Parse,
    /// Plain characters: for text from a user who must not end turns.
    Plain,
}

/// Whether decoding leaves special tokens out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipSpecial {
    /// They are left out.
    Yes,
    /// They come out as their texts.
    No,
}

/// Where decoded ids stand, which decides about the space that some vocabularies put before a
/// text's first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStart {
    /// At the beginning of a text: that space is dropped.
    Beginning,
    /// After other text: it is kept.
    Continuation,
}

/// A vocabulary with its rules. Cloning shares it.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    library: Library,
    /// The added tokens without the special ones, for [`SpecialText::Plain`].
    plain: AddedVocabulary,
    spm: Option<Spm>,
    cut_numbers: bool,
    pieces: Pieces,
    special: SpecialTokens,
    templates: ChatTemplates,
}

impl Tokenizer {
    /// Reads `tokenizer.json` and, where present, `tokenizer_config.json`,
    /// `special_tokens_map.json` and the chat template files of a model directory.
    ///
    /// # Errors
    /// A file that is absent, too large, not what its name says, or asks for something we lack.
    pub fn from_dir(dir: &Path) -> Result<Self, Error> {
        let (library, special, templates) = dir::read(dir)?;
        Self::new(library, None, special, templates)
    }

    /// Builds the tokenizer that a GGUF file's metadata describes.
    ///
    /// # Errors
    /// A kind of vocabulary we do not read, or metadata that contradicts itself.
    pub fn from_gguf(mut vocab: GgufVocab) -> Result<Self, Error> {
        let templates = ChatTemplates::from_default(vocab.chat_template.take());
        let built = vocab.build()?;
        Self::new(built.library, built.spm, built.special, templates)
    }

    fn new(
        mut library: Library,
        spm: Option<Spm>,
        special: SpecialTokens,
        templates: ChatTemplates,
    ) -> Result<Self, Error> {
        // A file may say to cut or fill texts, which is a trainer's business.
        library.with_padding(None);
        library.with_truncation(None).map_err(Error::Encode)?;
        library.set_encode_special_tokens(false);
        let mut plain = library.get_added_vocabulary().clone();
        plain.set_encode_special_tokens(true);
        let pieces = Pieces::new(&library)?;
        let cut_numbers = digits::group_from_the_right(&library);
        let inner = Inner { library, plain, spm, cut_numbers, pieces, special, templates };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The ids of `text`, in which the texts of special tokens are those tokens.
    ///
    /// # Errors
    /// [`Error::Encode`] if the vocabulary has no token for some character and no unknown token.
    pub fn encode(&self, text: &str, add: AddSpecial) -> Result<Vec<u32>, Error> {
        self.encode_as(text, add, SpecialText::Parse)
    }

    /// The ids of `text`, with a choice of what the texts of special tokens mean in it.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_as(
        &self,
        text: &str,
        add: AddSpecial,
        special: SpecialText,
    ) -> Result<Vec<u32>, Error> {
        let encoding = self.inner.encode(text, special).map_err(Error::Encode)?;
        let library = &self.inner.library;
        let surrounded =
            library.post_process(encoding, None, add == AddSpecial::Yes).map_err(Error::Encode)?;
        Ok(surrounded.get_ids().to_vec())
    }

    /// The text of `ids`. Ids outside the vocabulary add nothing; bytes that are not UTF-8 come
    /// out as U+FFFD.
    pub fn decode(&self, ids: &[u32], skip: SkipSpecial) -> String {
        stream::decode(&self.inner.pieces, ids, skip)
    }

    /// Decodes ids as they arrive.
    pub fn decode_stream(&self, skip: SkipSpecial, start: TextStart) -> DecodeStream {
        DecodeStream::new(self.clone(), skip, start)
    }

    /// The bytes an id adds to a text; empty for an id outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.inner.pieces.bytes(id)
    }

    /// The id of a token by its text in the vocabulary (where `Ġ` or `▁` may stand for a space).
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.library.token_to_id(token)
    }

    /// The text in the vocabulary of an id.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.library.id_to_token(id)
    }

    /// One more than the highest id. A model's logits may have more rows.
    pub fn vocab_len(&self) -> usize {
        self.inner.pieces.len()
    }

    /// Whether an id is a special token.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.pieces.is_special(id)
    }

    /// The token before every text.
    pub fn bos_id(&self) -> Option<u32> {
        self.inner.special.bos
    }

    /// The token after every text.
    pub fn eos_id(&self) -> Option<u32> {
        self.inner.special.eos
    }

    /// Every token that ends a generation as far as the vocabulary knows, in ascending order.
    pub fn eos_ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.inner.special.eos_ids.iter().copied()
    }

    /// The special tokens' names and texts, which chat templates refer to.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.inner.special
    }

    /// The chat templates that came with the vocabulary.
    pub fn chat_templates(&self) -> &ChatTemplates {
        &self.inner.templates
    }

    /// A `tokenizer.json` with which the `tokenizers` library encodes and decodes as this does.
    /// SentencePiece scores have no exact form there: their merges are written in order of score,
    /// which differs only where a token can be made in two overlapping ways (runs of one
    /// character).
    ///
    /// # Errors
    /// [`Error::Write`] if some part cannot be written.
    pub fn to_tokenizer_json(&self) -> Result<String, Error> {
        let inner = &self.inner;
        match &inner.spm {
            None => inner.library.to_string(false).map_err(Error::Write),
            Some(spm) => {
                let unk = inner.special.text("unk_token").map(str::to_owned);
                spm.to_library(&inner.library, unk)?.to_string(false).map_err(Error::Write)
            }
        }
    }

    pub(crate) fn pieces(&self) -> &Pieces {
        &self.inner.pieces
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = &self.inner;
        f.debug_struct("Tokenizer")
            .field("vocab_len", &inner.pieces.len())
            .field("special", &inner.special)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn encode(&self, text: &str, special: SpecialText) -> tokenizers::Result<Encoding> {
        let added = match special {
            SpecialText::Parse => self.library.get_added_vocabulary(),
            SpecialText::Plain => &self.plain,
        };
        let mut parts = added.extract_and_normalize(self.library.get_normalizer(), text);
        if self.cut_numbers {
            digits::cut(&mut parts)?;
        }
        if let Some(pre_tokenizer) = self.library.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut parts)?;
        }
        let model = self.library.get_model();
        parts.tokenize(|part| match &self.spm {
            None => model.tokenize(part.get()),
            Some(spm) => Ok(as_tokens(spm.encode(part.get(), &|text| model.token_to_id(text)))),
        })?;
        parts.into_encoding(None, 0, OffsetType::None)
    }
}

/// Only the ids are read later on.
fn as_tokens(ids: Vec<u32>) -> Vec<Token> {
    ids.into_iter().map(|id| Token { id, value: String::new(), offsets: (0, 0) }).collect()
}
