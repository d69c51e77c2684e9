//! Attention over paged keys and values.
//!
//! The sequence is cut into chunks of [`CHUNK_LEN`] slots at fixed places. A chunk gives each query
//! line (one head of one row) its largest score, the sum of its weights and its weighted values;
//! chunks are merged in order. Inside a chunk every sum runs over ascending slots or dimensions, or
//! over 16 fixed lanes. So a result does not depend on the other rows, the number of threads, how a
//! prompt is cut into steps, or the instruction set.
//!
//! Source: Dao et al., FlashAttention, <https://arxiv.org/abs/2205.14135>, for the partial softmax.

mod groups;
pub(crate) mod in_vectors;
mod lanes;
mod panels;
mod partials;
mod register_tile;
mod runs;
mod schedule;
mod scratch;
mod softmax;
mod spans;
mod tile;

use std::ops::Range;

use crate::elementwise::math::NUM_LANES;
use crate::{Executor, KvPool};

pub(crate) use lanes::Lanes;
pub(crate) use partials::Partials;
pub(crate) use scratch::Scratch;
pub(crate) use softmax::{Curve, Stats};
pub(crate) use spans::Span;
pub(crate) use tile::Tile;

/// Slots of a chunk. Chunks start at its multiples.
pub(crate) const CHUNK_LEN: usize = 256;

/// The slots that one row of queries attends to.
#[derive(Debug, Clone)]
pub struct AttentionRow<'a> {
    /// Slot `s` of the sequence is in block `table[s / block_len]`. Rows that share one slice are
    /// computed together.
    pub table: &'a [u32],
    /// The slots this row may see: ascending, disjoint and inside the table.
    pub visible: &'a [Range<u32>],
}

/// The queries of [`attention`].
#[derive(Debug, Clone)]
pub struct AttentionArgs<'a> {
    /// `[rows, num_heads, k_dim]`. Heads `g·i .. g·(i + 1)` read key-value head `i`, where
    /// `g = num_heads / num_kv_heads`.
    pub q: &'a [f32],
    /// Query heads, a multiple of the key-value heads.
    pub num_heads: usize,
    /// Multiplies q·k before everything else.
    pub scale: f32,
    /// Scores become `cap · tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// One logit a head that takes part in the softmax with a value of zero.
    pub sinks: Option<&'a [f32]>,
    /// What each row sees.
    pub rows: &'a [AttentionRow<'a>],
}

/// Softmax attention of every row over its visible slots, which are written before the call.
///
/// `out`: `[rows, num_heads, v_dim]`, overwritten; a row that sees nothing becomes zero. Panics if
/// a length differs, a block or slot is out of range, or `num_heads` is no multiple of
/// `num_kv_heads`.
pub fn attention(exec: &Executor, pool: &KvPool, args: &AttentionArgs<'_>, out: &mut [f32]) {
    let layout = pool.layout();
    let num_lines = args.rows.len() * args.num_heads;
    assert!(args.num_heads.is_multiple_of(layout.num_kv_heads), "whole groups of query heads");
    assert_eq!(args.q.len(), num_lines * layout.k_dim, "q is [rows, num_heads, k_dim]");
    assert_eq!(out.len(), num_lines * layout.v_dim, "out is [rows, num_heads, v_dim]");
    assert!(args.sinks.is_none_or(|sinks| sinks.len() == args.num_heads), "one sink a head");
    for row in args.rows {
        check_visible(row, layout.block_len);
    }
    if num_lines > 0 {
        schedule::run(exec, pool, args, out);
    }
}

fn check_visible(row: &AttentionRow<'_>, block_len: usize) {
    let mut end = 0;
    for range in row.visible {
        assert!(end <= range.start && range.start <= range.end, "ranges ascend");
        end = range.end;
    }
    assert!(end as usize <= row.table.len() * block_len, "visible slots are in the table");
}

/// The attention kernels of one ISA.
pub trait Attention {
    /// Leaves in `scratch.part` what `chunk` adds to each line of `tile`.
    fn attend_chunk(&self, tile: &Tile<'_>, chunk: usize, scratch: &mut Scratch);

    /// Adds a later chunk to a total of earlier ones.
    fn merge(&self, total: &mut Partials, part: &Partials);

    /// Divides the values of one line by the sum of its weights; `sink` adds to the sum alone.
    fn finish(&self, total: &Partials, line: usize, sink: Option<f32>, out: &mut [f32]);
}
