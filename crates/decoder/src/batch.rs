//! What one step computes: ragged rows of several sequences, no padding.

use std::ops::Range;

/// A token of the model's vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub u32);

/// A KV block of a cache group's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

/// One generation, for as long as the engine knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// The rows of one step and where their keys and values live.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// All rows, grouped by sequence, in the order of `sequences`.
    pub rows: Vec<Row>,
    /// One entry per sequence; their `rows` ranges tile `self.rows`.
    pub sequences: Vec<SequenceRows>,
    /// Supplied hidden states, `[n, hidden_len]`, that [`Input::Embedding`] rows index.
    pub embeddings: Vec<f32>,
    /// Rows whose logits are wanted, ascending.
    pub logits_rows: Vec<usize>,
    /// Rows whose final hidden states are wanted, ascending.
    pub hidden_rows: Vec<usize>,
}

/// One row: what goes in and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// A token, or a supplied embedding.
    pub input: Input,
    /// The rotary position.
    pub position: Position,
}

/// What a row feeds into the first layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A token to look up.
    Token(TokenId),
    /// Row `i` of [`Batch::embeddings`]: an image or audio patch, or the hidden state of an earlier
    /// pipeline stage.
    Embedding(usize),
}

/// A rotary position on three axes (multimodal rope); text stands at the same number on all of
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Time, which is the only axis of a text model.
    pub time: u32,
    /// Image row.
    pub height: u32,
    /// Image column.
    pub width: u32,
}

impl Position {
    /// The position of text token `i`.
    pub fn text(i: u32) -> Self {
        Self { time: i, height: i, width: i }
    }
}

/// The rows of one sequence in a batch.
///
/// A sequence's *slots* are its cached tokens in order: slot `s` of cache group `g` is element
/// `s % block_len` of block `tables[g][s / block_len]`. The rows are written to slots
/// `cached_len ..`. Rolling back is passing a smaller `cached_len` next time.
#[derive(Debug, Clone)]
pub struct SequenceRows {
    /// Whose rows these are.
    pub id: SequenceId,
    /// The rows, as a range of [`Batch::rows`].
    pub rows: Range<usize>,
    /// Slots filled before this step.
    pub cached_len: usize,
    /// A block table per cache group. Entries of blocks that slid out of a window are never read.
    pub tables: Vec<Vec<BlockId>>,
    /// Which rows of this step see each other.
    pub mask: Mask,
}

/// Which rows of a sequence's step see each other; all see every earlier slot within the layer's
/// [`Reach`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// Each row sees itself and the rows before it.
    Causal,
    /// Causal, except that rows in one of these ranges (relative to the sequence's first row) see
    /// the whole range: image tokens, encoders.
    Spans(Vec<Range<usize>>),
    /// Row `i` sees its ancestors: `parents[i]` is a smaller row index, or `None` for a child of
    /// the last cached token. For speculation over a token tree.
    Tree(Vec<Option<usize>>),
}

/// How far back a layer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Everything.
    All,
    /// The last `n` tokens, the row itself included.
    Window(usize),
    /// The row's own aligned chunk of `n` tokens.
    Chunk(usize),
}

impl Reach {
    /// The first slot that a row at sequence position `at` may see.
    pub fn first_slot(self, at: usize) -> usize {
        match self {
            Self::All => 0,
            Self::Window(n) => (at + 1).saturating_sub(n),
            Self::Chunk(n) => at / n * n,
        }
    }
}

impl SequenceRows {
    /// The slots that row `i` of this sequence's rows sees in a layer of `reach`: ascending,
    /// disjoint ranges.
    pub fn visible(&self, i: usize, reach: Reach) -> Vec<Range<u32>> {
        match &self.mask {
            Mask::Causal => self.one_range(i, i + 1, reach),
            Mask::Spans(spans) => {
                let end = spans.iter().find(|s| s.contains(&i)).map_or(i + 1, |s| s.end);
                self.one_range(i, end, reach)
            }
            Mask::Tree(parents) => self.tree_ranges(i, parents, reach),
        }
    }

    /// Slots from `reach`'s first up to row `end`.
    fn one_range(&self, i: usize, end: usize, reach: Reach) -> Vec<Range<u32>> {
        let first = reach.first_slot(self.cached_len + i);
        std::iter::once(slot(first)..slot(self.cached_len + end)).collect()
    }

    /// The cached slots, then each ancestor and the row itself; a row's sequence position is its
    /// depth in the tree.
    fn tree_ranges(&self, i: usize, parents: &[Option<usize>], reach: Reach) -> Vec<Range<u32>> {
        let mut path = vec![i];
        while let Some(parent) = path.last().and_then(|&row| parents[row]) {
            path.push(parent);
        }
        path.reverse();
        let first = reach.first_slot(self.cached_len + path.len() - 1);
        let mut ranges = Vec::new();
        if first < self.cached_len {
            push(&mut ranges, slot(first)..slot(self.cached_len));
        }
        for (depth, &row) in path.iter().enumerate() {
            if self.cached_len + depth >= first {
                let at = slot(self.cached_len + row);
                push(&mut ranges, at..at + 1);
            }
        }
        ranges
    }
}

/// Appends `range`, joining it to the last one where they touch.
fn push(ranges: &mut Vec<Range<u32>>, range: Range<u32>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

fn slot(i: usize) -> u32 {
    u32::try_from(i).expect("admission keeps sequences below 2^32 slots")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(cached_len: usize, mask: Mask) -> SequenceRows {
        SequenceRows { id: SequenceId(0), rows: 0..8, cached_len, tables: vec![], mask }
    }

    fn one<T>(range: Range<T>) -> Vec<Range<T>> {
        std::iter::once(range).collect()
    }

    #[test]
    fn causal_rows_see_back_to_their_reach() {
        let s = sequence(10, Mask::Causal);
        assert_eq!(s.visible(2, Reach::All), one(0..13));
        assert_eq!(s.visible(2, Reach::Window(4)), one(9..13));
        assert_eq!(s.visible(2, Reach::Window(100)), one(0..13));
        assert_eq!(s.visible(2, Reach::Chunk(8)), one(8..13));
    }

    #[test]
    fn rows_in_a_span_see_all_of_it() {
        let s = sequence(4, Mask::Spans(one(1..3)));
        let seen: Vec<_> = (0..4).map(|i| s.visible(i, Reach::All)).collect();
        assert_eq!(seen.concat(), [0..5, 0..7, 0..7, 0..8]);
    }

    #[test]
    fn tree_rows_see_their_ancestors_only() {
        //  0 ─ 1 ─ 3      rows 0 and 2 follow the last cached token
        //  2 ─ 4
        let s = sequence(5, Mask::Tree(vec![None, Some(0), None, Some(1), Some(2)]));
        assert_eq!(s.visible(3, Reach::All), [0..7, 8..9]);
        assert_eq!(s.visible(4, Reach::All), [0..5, 7..8, 9..10]);
        assert_eq!(s.visible(4, Reach::Window(2)), [7..8, 9..10]);
        assert_eq!(s.visible(4, Reach::Window(3)), [4..5, 7..8, 9..10]);
    }
}
