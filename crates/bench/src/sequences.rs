//! The sequences that all rows share: their blocks, their tokens, and what of them is cached.

use std::num::NonZeroUsize;
use std::ops::Range;

use russet_decoder::{
    Batch, BlockId, Input, Mask, Model, ModelError, ModelInfo, Position, Row, SequenceId,
    SequenceRows, TokenId,
};

use crate::Test;

/// Sequences of made-up text, each with blocks of its own. Rows that go equally deep share what is
/// cached.
pub(crate) struct Sequences {
    block_len: usize,
    num_groups: usize,
    vocab_len: u64,
    /// Most prompt tokens of a step.
    prefill_chunk: NonZeroUsize,
    /// One table each; all cache groups use the same.
    tables: Vec<Vec<BlockId>>,
    /// How many tokens of each sequence's text are in the cache.
    cached: Vec<usize>,
}

/// Whether the last row of a prompt is followed by a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logits {
    OfLastRow,
    Unwanted,
}

impl Sequences {
    /// As many sequences, and each as long, as the rows need.
    pub(crate) fn new(tests: &[Test], info: &ModelInfo, prefill_chunk: NonZeroUsize) -> Self {
        let mut next = 0..u32::MAX;
        let mut table = |num: usize| next.by_ref().take(num).map(BlockId).collect();
        let tables: Vec<Vec<BlockId>> =
            blocks_of_each(tests, info.block_len).into_iter().map(&mut table).collect();
        Self {
            block_len: info.block_len,
            num_groups: info.cache_groups.len(),
            vocab_len: info.vocab_len as u64,
            prefill_chunk,
            cached: vec![0; tables.len()],
            tables,
        }
    }

    /// Blocks that each cache group needs.
    pub(crate) fn num_blocks(&self) -> usize {
        self.tables.iter().map(Vec::len).sum()
    }

    /// Puts the contexts that a row starts from into the cache, as far as they are not there.
    pub(crate) fn fill(&mut self, model: &mut dyn Model, test: &Test) -> Result<(), ModelError> {
        for sequence in 0..test.batch {
            let missing = self.cached[sequence]..test.depth;
            self.prefill(model, sequence, missing, Logits::Unwanted)?;
        }
        Ok(())
    }

    /// Computes `tokens` of a sequence's text in chunks.
    pub(crate) fn prefill(
        &mut self,
        model: &mut dyn Model,
        sequence: usize,
        tokens: Range<usize>,
        logits: Logits,
    ) -> Result<(), ModelError> {
        let chunk = self.prefill_chunk.get();
        for first in tokens.clone().step_by(chunk) {
            let end = tokens.end.min(first.saturating_add(chunk));
            let rows: Vec<TokenId> = (first..end).map(|at| self.token(sequence, at)).collect();
            let mut batch = Batch::default();
            self.append(&mut batch, sequence, first, &rows);
            if end == tokens.end && logits == Logits::OfLastRow {
                batch.logits_rows = vec![rows.len() - 1];
            }
            model.forward(&batch)?;
            self.cached[sequence] = self.cached[sequence].max(end);
        }
        Ok(())
    }

    /// One step: a token for each of the first sequences, after `cached_len` others.
    ///
    /// Returns logits, `[tokens.len(), vocab_len]`.
    pub(crate) fn decode(
        &mut self,
        model: &mut dyn Model,
        tokens: &[TokenId],
        cached_len: usize,
    ) -> Result<Vec<f32>, ModelError> {
        let mut batch = Batch { logits_rows: (0..tokens.len()).collect(), ..Batch::default() };
        for (sequence, token) in tokens.iter().enumerate() {
            self.append(&mut batch, sequence, cached_len, std::slice::from_ref(token));
            // What is written now is not the sequence's own text.
            self.cached[sequence] = self.cached[sequence].min(cached_len);
        }
        Ok(model.forward(&batch)?.logits)
    }

    /// The text at one place: the same in every run, over the whole vocabulary.
    pub(crate) fn token(&self, sequence: usize, at: usize) -> TokenId {
        TokenId((mix((sequence as u64) << 32 | at as u64) % self.vocab_len) as u32)
    }

    fn append(&self, batch: &mut Batch, sequence: usize, cached_len: usize, tokens: &[TokenId]) {
        let first = batch.rows.len();
        batch.rows.extend(tokens.iter().enumerate().map(|(i, &token)| Row {
            input: Input::Token(token),
            position: Position::text((cached_len + i) as u32),
        }));
        let num_blocks = (cached_len + tokens.len()).div_ceil(self.block_len);
        let table = self.tables[sequence][..num_blocks].to_vec();
        batch.sequences.push(SequenceRows {
            id: SequenceId(sequence as u64),
            rows: first..batch.rows.len(),
            cached_len,
            tables: vec![table; self.num_groups],
            mask: Mask::Causal,
        });
    }
}

/// Blocks of each sequence in a cache group: what the longest of its rows needs.
pub(crate) fn blocks_of_each(tests: &[Test], block_len: usize) -> Vec<usize> {
    let num_sequences = tests.iter().map(|test| test.batch).max().unwrap_or(0);
    let longest = |sequence: usize| {
        let rows = tests.iter().filter(|test| test.batch > sequence);
        rows.map(Test::num_slots).max().unwrap_or(0).div_ceil(block_len)
    };
    (0..num_sequences).map(longest).collect()
}

/// SplitMix64's finaliser: Steele et al., <https://doi.org/10.1145/2714064.2660195>.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
