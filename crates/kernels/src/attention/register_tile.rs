//! Products of up to six lines with keys or values, held in registers.
//!
//! Everything here is inlined into a function compiled for one instruction set.

use super::spans::Span;
use super::{CHUNK_LEN, Lanes};
use crate::kv::Stored;

/// Most lines of a register tile: 6 lines by 4 vectors fill 24 of 32 registers.
pub(crate) const MAX_LINES: usize = 6;

/// Keys or values of the slots `span` of a chunk.
///
/// Row `r` starts at `r · stride`. A row is a dimension of the keys, or a slot of the values.
#[derive(Clone, Copy)]
pub(crate) struct Stretch<'a, T> {
    pub(crate) rows: &'a [T],
    pub(crate) stride: usize,
    pub(crate) span: Span,
    /// What is read after this, of the same stride, to be fetched into the cache meanwhile.
    pub(crate) ahead: &'a [T],
}

/// Rows from one on, each with the place to fetch ahead.
#[derive(Clone, Copy)]
struct Part<'a, T> {
    rows: &'a [T],
    stride: usize,
    ahead: &'a [T],
}

impl<'a, T> Stretch<'a, T> {
    #[inline(always)]
    fn part(self, row: usize, column: usize) -> Part<'a, T> {
        let at = row * self.stride + column;
        let ahead = self.ahead.get(at..).unwrap_or_default();
        Part { rows: &self.rows[at..], stride: self.stride, ahead }
    }
}

/// Writes q·k of the slots `columns`, which are whole groups of lanes, of `M` lines.
#[inline(always)]
pub(crate) fn score<L: Lanes, T: Stored, const M: usize>(
    lanes: L,
    keys: Stretch<'_, T>,
    columns: Span,
    queries: [&[f32]; M],
    scores: &mut [[f32; CHUNK_LEN]; M],
) {
    let mut at = columns.start;
    while at < columns.end {
        let left = (columns.end - at) / L::WIDTH;
        let part = keys.part(0, at - keys.span.start);
        at += if L::COLUMNS >= 4 && left >= 4 {
            score_columns::<L, T, M, 4>(lanes, part, queries, scores, at)
        } else if left >= 2 {
            score_columns::<L, T, M, 2>(lanes, part, queries, scores, at)
        } else {
            score_columns::<L, T, M, 1>(lanes, part, queries, scores, at)
        };
    }
}

/// One register tile of `M` lines by `N` vectors of slots from `at`; returns the number of slots.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "one index into several lines")]
fn score_columns<L: Lanes, T: Stored, const M: usize, const N: usize>(
    lanes: L,
    keys: Part<'_, T>,
    queries: [&[f32]; M],
    scores: &mut [[f32; CHUNK_LEN]; M],
    at: usize,
) -> usize {
    let k_dim = queries[0].len();
    let mut lines = queries;
    for line in &mut lines {
        *line = &line[..k_dim];
    }
    let mut sums = [[lanes.splat(0.0); N]; M];
    let mut rows = keys.rows.chunks(keys.stride);
    for d in 0..k_dim {
        let Some(key) = rows.next() else { break };
        let vectors = load_row::<L, T, N>(lanes, key, keys.ahead, d * keys.stride);
        for m in 0..M {
            let query = lanes.splat(lines[m][d]);
            for n in 0..N {
                sums[m][n] = lanes.mul_add(query, vectors[n], sums[m][n]);
            }
        }
    }
    for m in 0..M {
        for n in 0..N {
            lanes.store(sums[m][n], &mut scores[m][at + n * L::WIDTH..]);
        }
    }
    N * L::WIDTH
}

/// Adds the values of the slots `slots`, times their weights, to `M` rows of `sums`, whose common
/// length is whole vectors.
#[inline(always)]
pub(crate) fn weigh<L: Lanes, T: Stored, const M: usize>(
    lanes: L,
    values: Stretch<'_, T>,
    slots: Span,
    weights: &[[f32; CHUNK_LEN]; M],
    mut sums: [&mut [f32]; M],
) {
    let width = sums[0].len();
    let weights = Weights { weights, slots };
    let mut at = 0;
    while at < width {
        let left = (width - at) / L::WIDTH;
        let part = values.part(slots.start - values.span.start, at);
        at += if L::COLUMNS >= 4 && left >= 4 {
            weigh_columns::<L, T, M, 4>(lanes, part, weights, &mut sums, at)
        } else if left >= 2 {
            weigh_columns::<L, T, M, 2>(lanes, part, weights, &mut sums, at)
        } else {
            weigh_columns::<L, T, M, 1>(lanes, part, weights, &mut sums, at)
        };
    }
}

/// The weights of `slots`, by line and slot of the chunk.
#[derive(Clone, Copy)]
struct Weights<'a, const M: usize> {
    weights: &'a [[f32; CHUNK_LEN]; M],
    slots: Span,
}

/// One register tile of `M` lines by `N` vectors of dimensions from `at`; returns the number of
/// dimensions.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "one index into several lines")]
fn weigh_columns<L: Lanes, T: Stored, const M: usize, const N: usize>(
    lanes: L,
    values: Part<'_, T>,
    Weights { weights, slots }: Weights<'_, M>,
    sums: &mut [&mut [f32]; M],
    at: usize,
) -> usize {
    let mut totals = [[lanes.splat(0.0); N]; M];
    for m in 0..M {
        for n in 0..N {
            totals[m][n] = lanes.load(&sums[m][at + n * L::WIDTH..]);
        }
    }
    let mut rows = values.rows.chunks(values.stride);
    let mut ahead_at = 0;
    for slot in slots.start..slots.end.min(CHUNK_LEN) {
        let Some(value) = rows.next() else { break };
        let vectors = load_row::<L, T, N>(lanes, value, values.ahead, ahead_at);
        ahead_at += values.stride;
        for m in 0..M {
            let weight = lanes.splat(weights[m][slot]);
            for n in 0..N {
                totals[m][n] = lanes.mul_add(weight, vectors[n], totals[m][n]);
            }
        }
    }
    for m in 0..M {
        for n in 0..N {
            lanes.store(totals[m][n], &mut sums[m][at + n * L::WIDTH..]);
        }
    }
    N * L::WIDTH
}

/// Loads `N` vectors and asks for as much of what comes later.
#[inline(always)]
fn load_row<L: Lanes, T: Stored, const N: usize>(
    lanes: L,
    row: &[T],
    ahead: &[T],
    ahead_at: usize,
) -> [L::Vector; N] {
    let row = &row[..N * L::WIDTH];
    let line_len = 64 / size_of::<T>();
    if let Some(ahead) = ahead.get(ahead_at..) {
        for at in (0..N * L::WIDTH).step_by(line_len) {
            lanes.prefetch(ahead, at);
        }
    }
    let mut vectors = [lanes.splat(0.0); N];
    for n in 0..N {
        vectors[n] = T::load(lanes, &row[n * L::WIDTH..]);
    }
    vectors
}
