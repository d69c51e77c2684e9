//! The unit of work of attention: query lines that read the same keys and values.

use std::ops::Range;

use crate::KvPool;
use crate::cell::Stored;
use crate::kv::KvLayout;

use super::softmax::Curve;
use super::{AttentionArgs, AttentionRow, CHUNK_LEN};

/// Some rows of one sequence, and the query heads that share one key-value head.
///
/// A line is one query head of one row; the lines of a row are next to each other.
pub struct Tile<'a> {
    pub(crate) pool: &'a KvPool,
    pub(crate) args: &'a AttentionArgs<'a>,
    pub(crate) rows: Range<usize>,
    pub(crate) kv_head: usize,
    /// Query heads that share the key-value head.
    pub(crate) group: usize,
}

impl<'a> Tile<'a> {
    pub(crate) fn layout(&self) -> &'a KvLayout {
        self.pool.layout()
    }

    pub(crate) fn num_lines(&self) -> usize {
        self.rows.len() * self.group
    }

    pub(crate) fn rows(&self) -> &'a [AttentionRow<'a>] {
        &self.args.rows[self.rows.clone()]
    }

    pub(crate) fn table(&self) -> &'a [u32] {
        self.args.rows[self.rows.start].table
    }

    /// The query of one line.
    pub(crate) fn query(&self, line: usize) -> &'a [f32] {
        let k_dim = self.layout().k_dim;
        &self.args.q[self.place(line) * k_dim..][..k_dim]
    }

    /// The rows of some lines.
    pub(crate) fn rows_of(&self, lines: Range<usize>) -> Range<usize> {
        lines.start / self.group..lines.end.div_ceil(self.group)
    }

    /// The query head of a line.
    pub(crate) fn head(&self, line: usize) -> usize {
        self.kv_head * self.group + line % self.group
    }

    /// Where a line is among all lines of the call.
    pub(crate) fn place(&self, line: usize) -> usize {
        let row = self.rows.start + line / self.group;
        row * self.args.num_heads + self.head(line)
    }

    /// How scores become weights.
    pub(crate) fn curve(&self) -> Curve {
        Curve { scale: self.args.scale, softcap: self.args.softcap }
    }

    /// Keys and values of the block that holds `slot`, and the place of the slot in it.
    pub(crate) fn stored<T: Stored>(&self, slot: usize) -> (&'a [T], &'a [T], usize) {
        let block_len = self.layout().block_len;
        let (keys, values) = self.pool.head(self.table()[slot / block_len], self.kv_head);
        (keys, values, slot % block_len)
    }

    /// The slot after the last that some row sees.
    pub(crate) fn end_slot(&self) -> usize {
        let ends = self.rows().iter().filter_map(|row| row.visible.last()).map(|range| range.end);
        ends.max().unwrap_or(0) as usize
    }

    /// The chunks that some row sees.
    pub(crate) fn chunks(&self) -> impl DoubleEndedIterator<Item = usize> + use<'a> {
        let rows = self.rows();
        let starts = rows.iter().filter_map(|row| row.visible.first()).map(|range| range.start);
        let start = starts.min().unwrap_or(0) as usize;
        let end = self.end_slot();
        let sees = move |row: &AttentionRow<'_>, chunk: usize| {
            let (first, last) = (chunk * CHUNK_LEN, (chunk + 1) * CHUNK_LEN);
            let next = row.visible.partition_point(|range| range.end as usize <= first);
            row.visible[next..].first().is_some_and(|range| (range.start as usize) < last)
        };
        let any = move |chunk: &usize| rows.iter().any(|row| sees(row, *chunk));
        (start / CHUNK_LEN..end.div_ceil(CHUNK_LEN)).filter(any)
    }
}
