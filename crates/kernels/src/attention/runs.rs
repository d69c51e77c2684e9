//! Slots of a chunk, one stretch inside a block at a time.

use super::Tile;
use super::spans::Span;
use crate::cell::Stored;

/// Walks over slots of the chunk that starts at `first_slot` of the sequence.
#[derive(Clone)]
pub(crate) struct Runs<'a> {
    tile: &'a Tile<'a>,
    first_slot: usize,
    left: Span,
}

/// The slots `span` of the chunk, which start at slot `at` of a block.
pub(crate) struct Run<'a, T> {
    pub(crate) keys: &'a [T],
    pub(crate) values: &'a [T],
    pub(crate) at: usize,
    pub(crate) span: Span,
}

impl<'a> Runs<'a> {
    pub(crate) fn new(tile: &'a Tile<'a>, first_slot: usize, left: Span) -> Self {
        Self { tile, first_slot, left }
    }

    /// The next stretch, which is not the next again.
    pub(crate) fn take<T: Stored>(&mut self) -> Option<Run<'a, T>> {
        if self.left.is_empty() {
            return None;
        }
        let (keys, values, at) = self.tile.stored::<T>(self.first_slot + self.left.start);
        let end = self.left.end.min(self.left.start + self.tile.layout().block_len - at);
        let span = Span { start: self.left.start, end };
        self.left.start = end;
        Some(Run { keys, values, at, span })
    }

    /// The keys of the stretches left.
    pub(crate) fn keys<T: Stored>(mut self) -> impl Iterator<Item = &'a [T]> {
        std::iter::from_fn(move || self.take()).map(|run| run.keys)
    }

    /// The values of the stretches left.
    pub(crate) fn values<T: Stored>(mut self) -> impl Iterator<Item = &'a [T]> {
        std::iter::from_fn(move || self.take()).map(|run| run.values)
    }
}
