//! The visible slots of each row of a tile, inside one chunk.

use std::ops::Range;

use super::{AttentionRow, CHUNK_LEN, NUM_LANES};

/// Slots `start..end`, counted from the start of the chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) const EMPTY: Self = Self { start: 0, end: 0 };

    pub(crate) fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// The common slots, if any.
    pub(crate) fn intersect(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// The smallest span around both.
    pub(crate) fn hull(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Both ends moved inwards to whole cells of `len` slots.
    pub(crate) fn inward(self, len: usize) -> Self {
        let start = self.start.next_multiple_of(len);
        Self { start, end: (self.end / len * len).max(start) }
    }

    /// Both ends moved outwards to whole groups of lanes.
    pub(crate) fn outward(self) -> Self {
        let start = self.start / NUM_LANES * NUM_LANES;
        Self { start, end: self.end.next_multiple_of(NUM_LANES) }
    }
}

/// The spans of every row of a tile.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    spans: Vec<Span>,
    /// Row `r` has `spans[starts[r]..starts[r + 1]]`.
    starts: Vec<usize>,
}

impl Spans {
    /// Replaces the content with what `rows` see of `chunk`.
    pub(crate) fn clip(&mut self, rows: &[AttentionRow<'_>], chunk: usize) {
        let slots = chunk * CHUNK_LEN..(chunk + 1) * CHUNK_LEN;
        self.spans.clear();
        self.starts.clear();
        self.starts.push(0);
        for row in rows {
            self.spans.extend(clipped(row.visible, &slots));
            self.starts.push(self.spans.len());
        }
    }

    /// What one row sees, ascending; no span is empty.
    pub(crate) fn of_row(&self, row: usize) -> &[Span] {
        &self.spans[self.starts[row]..self.starts[row + 1]]
    }

    /// The smallest span around what rows `rows` see.
    pub(crate) fn hull(&self, rows: Range<usize>) -> Span {
        let spans = &self.spans[self.starts[rows.start]..self.starts[rows.end]];
        spans.iter().fold(Span::EMPTY, |hull, span| hull.hull(*span))
    }
}

fn clipped<'a>(
    visible: &'a [Range<u32>],
    slots: &'a Range<usize>,
) -> impl Iterator<Item = Span> + 'a {
    let first = visible.partition_point(|range| range.end as usize <= slots.start);
    let until = move |range: &&Range<u32>| (range.start as usize) < slots.end;
    let clip = move |range: &Range<u32>| Span {
        start: (range.start as usize).max(slots.start) - slots.start,
        end: (range.end as usize).min(slots.end) - slots.start,
    };
    visible[first..].iter().take_while(until).map(clip).filter(|span| !span.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_to_the_chunk() {
        let visible = [0..3, 250..250, 255..600, 700..701];
        let rows = [AttentionRow { table: &[], visible: &visible }];
        let of_chunk = |chunk| {
            let mut spans = Spans::default();
            spans.clip(&rows, chunk);
            let pairs: Vec<_> = spans.of_row(0).iter().map(|s| (s.start, s.end)).collect();
            (pairs, spans.hull(0..1))
        };
        assert_eq!(of_chunk(0), (vec![(0, 3), (255, 256)], Span { start: 0, end: 256 }));
        assert_eq!(of_chunk(1), (vec![(0, 256)], Span { start: 0, end: 256 }));
        let both = (vec![(0, 88), (188, 189)], Span { start: 0, end: 189 });
        assert_eq!(of_chunk(2), both);
        assert_eq!(of_chunk(3), (vec![], Span::EMPTY));
    }
}
