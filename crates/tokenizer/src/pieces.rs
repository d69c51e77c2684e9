//! What each id adds to the text, as bytes, worked out once from the decoder of `tokenizer.json`.

use serde_json::Value;
use tokenizers::{Model, Tokenizer as Library};

use crate::{Error, definition};

/// Decoder types we can turn into a table.
const ACCEPTED: &str = "ByteLevel, Metaspace, WordPiece, ByteFallback, Fuse, Replace of a string, \
                        Strip of leading text, a Sequence of these";

/// The most that all texts may take; those of real vocabularies stay below 10 MB.
const TEXTS_LIMIT_BYTES: usize = 256 << 20;

/// Bytes of every id. Concatenated, less what [`Pieces::strip_leading`] says, they are the text.
#[derive(Debug)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    /// Where each id's bytes end; an absent id has none.
    ends: Vec<u32>,
    special: Vec<bool>,
    /// How many spaces are dropped at the very start of a text, at most.
    pub(crate) strip_leading: usize,
}

impl Pieces {
    pub(crate) fn new(library: &Library) -> Result<Self, Error> {
        let rules = Rules::read(library)?;
        let added = library.get_added_vocabulary();
        let texts = texts_by_id(library)?;
        let mut pieces = Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(texts.len()),
            special: Vec::with_capacity(texts.len()),
            strip_leading: rules.strip_leading,
        };
        for text in &texts {
            let text = text.as_deref();
            if let Some(text) = text {
                rules.append(text, &mut pieces.bytes)?;
            }
            pieces.ends.push(pieces.bytes.len() as u32);
            pieces.special.push(text.is_some_and(|text| added.is_special_token(text)));
        }
        Ok(pieces)
    }

    /// The bytes of an id; none for an id outside the vocabulary.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start =
            id.checked_sub(1).and_then(|id| self.ends.get(id)).map_or(0, |&end| end as usize);
        self.ends.get(id).map_or(&[], |&end| &self.bytes[start..end as usize])
    }

    /// Whether an id is a special token.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }

    /// One more than the highest id.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// The text of every id that has one.
fn texts_by_id(library: &Library) -> Result<Vec<Option<String>>, Error> {
    let model = library.get_model();
    let added = library.get_added_vocabulary().get_added_tokens_decoder();
    let (model_len, vocab_len) = (model.get_vocab_size(), definition::vocab_len(library));
    let highest = vocab_len.saturating_mul(4) + 0x1_0000;
    let mut texts: Vec<Option<String>> = Vec::with_capacity(vocab_len);
    let mut found = 0;
    while found < model_len {
        if texts.len() > highest {
            // Either ids are far apart, or two tokens share one.
            if let Some(&id) = model.get_vocab().values().max().filter(|&&id| id as usize > highest)
            {
                return Err(Error::SparseIds { id, vocab_len, highest });
            }
            break;
        }
        let text = model.id_to_token(texts.len() as u32);
        found += usize::from(text.is_some());
        texts.push(text);
    }
    for (&id, token) in added {
        let index = id as usize;
        if index > highest {
            return Err(Error::SparseIds { id, vocab_len, highest });
        }
        if index >= texts.len() {
            texts.resize(index + 1, None);
        }
        texts[index] = Some(token.content.clone());
    }
    Ok(texts)
}

/// The decoder, reduced to what it does to one token.
#[derive(Default)]
struct Rules {
    replace: Vec<(String, String)>,
    byte_level: Option<ByteOfChar>,
    byte_fallback: bool,
    /// WordPiece: this prefix joins, anything else is set off by a space.
    join_prefix: Option<String>,
    cleanup: bool,
    /// No decoder at all: tokens are words.
    words: bool,
    strip_leading: usize,
}

impl Rules {
    fn read(library: &Library) -> Result<Self, Error> {
        let mut rules = Self::default();
        match library.get_decoder() {
            Some(decoder) => {
                let decoder = serde_json::to_value(decoder).map_err(|e| Error::Write(e.into()))?;
                rules.add(&decoder)?;
            }
            None => {
                rules.words = true;
                rules.strip_leading = 1;
            }
        }
        Ok(rules)
    }

    fn add(&mut self, decoder: &Value) -> Result<(), Error> {
        let kind = decoder["type"].as_str().unwrap_or_default();
        let text = |key: &str| decoder[key].as_str().unwrap_or_default().to_owned();
        match kind {
            "Sequence" => {
                for step in decoder["decoders"].as_array().into_iter().flatten() {
                    self.add(step)?;
                }
            }
            "ByteLevel" => self.byte_level = Some(byte_of_char()),
            "ByteFallback" => self.byte_fallback = true,
            "Fuse" => {}
            "Replace" if decoder["pattern"]["String"].is_string() => {
                let pattern = decoder["pattern"]["String"].as_str().unwrap_or_default();
                self.replace.push((pattern.to_owned(), text("content")));
            }
            "Strip" if text("content") == " " && decoder["stop"] == 0 => {
                self.strip_leading += decoder["start"].as_u64().unwrap_or(0) as usize;
            }
            "Metaspace" => {
                self.replace.push((text("replacement"), " ".to_owned()));
                if decoder["prepend_scheme"] != "never" {
                    self.strip_leading += 1;
                }
            }
            "WordPiece" => {
                self.join_prefix = Some(text("prefix"));
                self.cleanup = decoder["cleanup"] == true;
                self.strip_leading += 1;
            }
            _ => {
                let found = decoder.to_string();
                return Err(Error::UnsupportedDecoder { found, accepted: ACCEPTED });
            }
        }
        Ok(())
    }

    fn append(&self, token: &str, bytes: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(byte_level) = &self.byte_level {
            let start = bytes.len();
            for c in token.chars() {
                match byte_level.get(c as usize).copied().flatten() {
                    Some(byte) => bytes.push(byte),
                    // A token with any character outside the alphabet was never byte-encoded.
                    None => {
                        bytes.truncate(start);
                        bytes.extend_from_slice(token.as_bytes());
                        return Ok(());
                    }
                }
            }
        } else if let Some(byte) = byte_token(token).filter(|_| self.byte_fallback) {
            bytes.push(byte);
        } else if let Some(prefix) = &self.join_prefix {
            let text = match token.strip_prefix(prefix.as_str()) {
                Some(rest) => rest.to_owned(),
                None => format!(" {token}"),
            };
            let text =
                if self.cleanup { tokenizers::decoders::wordpiece::cleanup(&text) } else { text };
            bytes.extend_from_slice(text.as_bytes());
        } else if self.words {
            bytes.push(b' ');
            bytes.extend_from_slice(token.as_bytes());
        } else {
            let mut text = token.to_owned();
            for (from, to) in &self.replace {
                let grown = text.len() + text.matches(from).count().saturating_mul(to.len());
                if bytes.len().saturating_add(grown) > TEXTS_LIMIT_BYTES {
                    return Err(Error::TextsTooLarge { limit_bytes: TEXTS_LIMIT_BYTES });
                }
                text = text.replace(from, to);
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }
}

/// The byte of a token like `<0x0A>`.
fn byte_token(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (hex.len() == 2).then(|| u8::from_str_radix(hex, 16).ok()).flatten()
}

/// By code point, the byte that a character stands for.
type ByteOfChar = Box<[Option<u8>; 512]>;

/// GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 onwards.
fn byte_of_char() -> ByteOfChar {
    let printable = |b: &u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=255u8).filter(|b| !printable(b));
    let shifted = others.zip(0x100..).map(|(byte, c)| (c, byte));
    let mut table = Box::new([None; 512]);
    for (c, byte) in (0..=255u8).filter(printable).map(|b| (usize::from(b), b)).chain(shifted) {
        table[c] = Some(byte);
    }
    table
}
