//! SentencePiece BPE (`llama`): merges chosen by the score of what they make.
//!
//! Neither Viterbi over a unigram model nor merges in a fixed order: of all adjacent pairs whose
//! concatenation is a token, the one with the best score merges first, and of equals the
//! leftmost (SentencePiece `bpe_model.cc`, llama.cpp `llm_tokenizer_spm`).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde_json::Value;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::{Model, Tokenizer as Library};

use super::{GgufVocab, Parts, spm_decoder};
use crate::Error;

/// The mark that stands for a space inside tokens.
const SPACE: char = '\u{2581}';

/// The scores, and how text is prepared; the texts themselves are in the library's model.
#[derive(Debug)]
pub(crate) struct Spm {
    scores: Vec<f32>,
    /// `<0x00>` to `<0xFF>`; the unknown token where the vocabulary lacks one.
    bytes: Vec<Option<u32>>,
    longest_token_bytes: usize,
    add_space_prefix: bool,
}

/// Builds a `llama` vocabulary. The library's part finds special tokens and surrounds the text;
/// what is between them goes to [`Spm::encode`].
pub(super) fn build(vocab: &GgufVocab) -> Result<(Library, Spm), Error> {
    let missing = |key| Error::Missing { model: vocab.model.clone(), key };
    let scores = vocab.scores.clone().ok_or_else(|| missing("scores"))?;
    let unk = vocab.text(vocab.unk).ok_or_else(|| missing("unknown_token_id"))?;
    let ids = vocab.ids_by_text()?;
    let byte = |byte: u8| ids.get(&format!("<0x{byte:02X}>")).copied().or(vocab.unk);
    let spm = Spm {
        scores,
        bytes: (0..=255).map(byte).collect(),
        longest_token_bytes: vocab.tokens.iter().map(String::len).max().unwrap_or(0),
        add_space_prefix: vocab.add_space_prefix.unwrap_or(true),
    };
    let words = WordLevel::builder()
        .vocab(ids)
        .unk_token(unk.to_owned())
        .build()
        .map_err(|source| Error::Vocabulary { model: vocab.model.clone(), source })?;
    let mut library = Library::new(words);
    let bos = vocab.bos.filter(|_| vocab.add_bos.unwrap_or(true));
    let eos = vocab.eos.filter(|_| vocab.add_eos.unwrap_or(false));
    let surround =
        if bos.is_none() && eos.is_none() { Value::Null } else { vocab.surround(bos, eos) };
    let parts = Parts {
        post_processor: surround,
        decoder: spm_decoder(usize::from(spm.add_space_prefix)),
        ..Parts::default()
    };
    vocab.dress(&mut library, &parts)?;
    Ok((library, spm))
}

/// Part of the text, linked to its neighbours; of no length once merged into the left one.
struct Symbol {
    start: usize,
    end: usize,
    previous: usize,
    next: usize,
}

/// No neighbour on this side.
const NONE: usize = usize::MAX;

/// A possible merge. It is out of date once either part has changed, which its length shows.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    bytes: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

/// One run of the algorithm over one piece of text.
struct Merging<'a> {
    spm: &'a Spm,
    model: &'a dyn Fn(&str) -> Option<u32>,
    text: &'a str,
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Pair>,
}

impl Spm {
    /// The ids of a text without special tokens; `token_to_id` looks a text up.
    pub(crate) fn encode(&self, text: &str, token_to_id: &dyn Fn(&str) -> Option<u32>) -> Vec<u32> {
        let mut escaped = String::with_capacity(text.len() + text.len() / 4 + 3);
        if self.add_space_prefix && !text.is_empty() {
            escaped.push(SPACE);
        }
        escaped.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
        let mut merging = Merging::new(self, token_to_id, &escaped);
        merging.run();
        merging.ids()
    }

    /// The same vocabulary as merges in a fixed order, for `tokenizer.json`: every way to make a
    /// token of two tokens, by the score of the result. It differs from [`Spm::encode`] only where
    /// one token can be made in two overlapping ways or two tokens have one score.
    pub(crate) fn to_bpe(&self, vocab: Vocab, unk: Option<String>) -> Result<BPE, Error> {
        let mut ranked: Vec<(f32, u32, &str, &str)> = Vec::new();
        for (text, &id) in &vocab {
            let score = self.scores.get(id as usize).copied().unwrap_or(f32::MIN);
            let splits = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
            ranked.extend(
                splits
                    .filter(|(left, right)| vocab.contains_key(*left) && vocab.contains_key(*right))
                    .map(|(left, right)| (score, id, left, right)),
            );
        }
        ranked.sort_by(|a, b| {
            b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.len().cmp(&b.2.len()))
        });
        let merges: Merges =
            ranked.into_iter().map(|(_, _, l, r)| (l.to_owned(), r.to_owned())).collect();
        let mut builder =
            BPE::builder().vocab_and_merges(vocab, merges).byte_fallback(true).fuse_unk(true);
        if let Some(unk) = unk {
            builder = builder.unk_token(unk);
        }
        builder.build().map_err(Error::Write)
    }

    /// `library` with merges in place of scores, and the text prepared by a normaliser.
    pub(crate) fn to_library(
        &self,
        library: &Library,
        unk: Option<String>,
    ) -> Result<Library, Error> {
        let vocab: Vocab = library.get_model().get_vocab().into_iter().collect();
        let mut written = Library::new(self.to_bpe(vocab, unk)?);
        let mut steps = Vec::new();
        if self.add_space_prefix {
            steps.push(serde_json::json!({"type": "Prepend", "prepend": "\u{2581}"}));
        }
        steps.push(serde_json::json!({
            "type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"
        }));
        let sequence = serde_json::json!({"type": "Sequence", "normalizers": steps});
        let normalizer = super::read::<tokenizers::NormalizerWrapper>(&sequence, |error| {
            Error::Write(error.into())
        })?;
        written.with_normalizer(normalizer);
        written.with_post_processor(library.get_post_processor().cloned());
        written.with_decoder(library.get_decoder().cloned());
        let mut added: Vec<_> = library.get_added_tokens_decoder().into_iter().collect();
        added.sort_by_key(|(id, _)| *id);
        written.add_tokens(&added.into_iter().map(|(_, token)| token).collect::<Vec<_>>());
        Ok(written)
    }
}

impl<'a> Merging<'a> {
    fn new(spm: &'a Spm, model: &'a dyn Fn(&str) -> Option<u32>, text: &'a str) -> Self {
        let mut symbols = Vec::with_capacity(text.len());
        for (index, (start, c)) in text.char_indices().enumerate() {
            let previous = index.checked_sub(1).unwrap_or(NONE);
            symbols.push(Symbol { start, end: start + c.len_utf8(), previous, next: index + 1 });
        }
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        Self { spm, model, text, symbols, queue: BinaryHeap::new() }
    }

    fn run(&mut self) {
        for right in 1..self.symbols.len() {
            self.offer(right - 1, right);
        }
        while let Some(pair) = self.queue.pop() {
            let (left, right) = (&self.symbols[pair.left], &self.symbols[pair.right]);
            let whole = left.start != left.end && right.start != right.end;
            if !whole || right.end - left.start != pair.bytes || left.next != pair.right {
                continue;
            }
            let (end, next) = (right.end, right.next);
            self.symbols[pair.left].end = end;
            self.symbols[pair.left].next = next;
            self.symbols[pair.right].start = end;
            if next != NONE {
                self.symbols[next].previous = pair.left;
            }
            self.offer(self.symbols[pair.left].previous, pair.left);
            self.offer(pair.left, next);
        }
    }

    /// Queues the merge of two neighbours if it makes a token.
    fn offer(&mut self, left: usize, right: usize) {
        if left == NONE || right == NONE {
            return;
        }
        let text = &self.text[self.symbols[left].start..self.symbols[right].end];
        if text.len() > self.spm.longest_token_bytes {
            return;
        }
        if let Some(id) = (self.model)(text)
            && let Some(&score) = self.spm.scores.get(id as usize)
        {
            self.queue.push(Pair { score, left, right, bytes: text.len() });
        }
    }

    /// What is left: tokens, and bytes of characters that are none.
    fn ids(&self) -> Vec<u32> {
        let mut ids = Vec::with_capacity(self.symbols.len() / 2);
        let mut index = if self.symbols.is_empty() { NONE } else { 0 };
        while index != NONE {
            let symbol = &self.symbols[index];
            let text = &self.text[symbol.start..symbol.end];
            match (self.model)(text) {
                Some(id) => ids.push(id),
                None => ids.extend(text.bytes().filter_map(|b| self.spm.bytes[usize::from(b)])),
            }
            index = symbol.next;
        }
        ids
    }
}
