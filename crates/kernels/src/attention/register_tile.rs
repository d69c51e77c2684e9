//! Products of up to six lines with keys or values, held in registers.
//!
//! Everything here is inlined into a function compiled for one instruction set.

use super::spans::Span;
use super::{CHUNK_LEN, Lanes};
use crate::cell::Stored;

/// Most lines of a register tile: 6 lines by 4 vectors fill 24 of 32 registers.
pub(crate) const MAX_LINES: usize = 6;

/// Keys or values of the slots `span` of a chunk.
///
/// Row `r` starts at `r · stride`. A row is a dimension of the keys or a slot of the values, or two
/// of these.
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
    /// Of no slots.
    pub(crate) const EMPTY: Self = Self { rows: &[], stride: 1, span: Span::EMPTY, ahead: &[] };

    #[inline(always)]
    fn part(self, row: usize, column: usize) -> Part<'a, T> {
        let at = row * self.stride + column;
        let ahead = self.ahead.get(at..).unwrap_or_default();
        Part { rows: &self.rows[at..], stride: self.stride, ahead }
    }
}

/// Writes q·k of the slots `columns` of `keys`, which are whole groups of lanes, of `M` lines.
///
/// `queries`: a factor for each row of the keys.
#[inline(always)]
pub(crate) fn score<L: Lanes, T: Stored, const M: usize>(
    lanes: L,
    keys: &[Stretch<'_, T>],
    columns: Span,
    queries: [&[T::Factor]; M],
    scores: &mut [[f32; CHUNK_LEN]; M],
) {
    for keys in keys {
        let Span { start: mut at, end } = columns.intersect(keys.span);
        while at < end {
            let left = (end - at) / L::WIDTH;
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
}

/// One register tile of `M` lines by `N` vectors of slots from `at`; returns the number of slots.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "one index into several lines")]
fn score_columns<L: Lanes, T: Stored, const M: usize, const N: usize>(
    lanes: L,
    keys: Part<'_, T>,
    queries: [&[T::Factor]; M],
    scores: &mut [[f32; CHUNK_LEN]; M],
    at: usize,
) -> usize {
    let num_rows = queries[0].len();
    let mut lines = queries;
    for line in &mut lines {
        *line = &line[..num_rows];
    }
    let mut sums = [[lanes.splat(0.0); N]; M];
    let mut rows = keys.rows.chunks(keys.stride);
    for d in 0..num_rows {
        let Some(key) = rows.next() else { break };
        let vectors = load_row::<L, T, N>(lanes, key, keys.ahead, d * keys.stride);
        for m in 0..M {
            let query = T::splat(lanes, lines[m][d]);
            for n in 0..N {
                sums[m][n] = T::add(lanes, query, vectors[n], sums[m][n]);
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
/// length is whole vectors. The slots are whole cells.
///
/// `weights`: a factor for each cell of the chunk.
#[inline(always)]
pub(crate) fn weigh<L: Lanes, T: Stored, const M: usize>(
    lanes: L,
    values: &[Stretch<'_, T>],
    slots: Span,
    weights: [&[T::Factor]; M],
    sums: &mut [&mut [f32]; M],
) {
    let width = sums[0].len();
    let mut at = 0;
    while at < width {
        let left = (width - at) / L::WIDTH;
        at += if L::COLUMNS >= 4 && left >= 4 {
            weigh_columns::<L, T, M, 4>(lanes, (values, slots), weights, sums, at)
        } else if left >= 2 {
            weigh_columns::<L, T, M, 2>(lanes, (values, slots), weights, sums, at)
        } else {
            weigh_columns::<L, T, M, 1>(lanes, (values, slots), weights, sums, at)
        };
    }
}

/// One register tile of `M` lines by `N` vectors of dimensions from `at`, which stays in registers
/// for all slots; returns the number of dimensions.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "one index into several lines")]
fn weigh_columns<L: Lanes, T: Stored, const M: usize, const N: usize>(
    lanes: L,
    (values, slots): (&[Stretch<'_, T>], Span),
    weights: [&[T::Factor]; M],
    sums: &mut [&mut [f32]; M],
    at: usize,
) -> usize {
    let mut totals = [[lanes.splat(0.0); N]; M];
    for m in 0..M {
        for n in 0..N {
            totals[m][n] = lanes.load(&sums[m][at + n * L::WIDTH..]);
        }
    }
    for values in values {
        let slots = slots.intersect(values.span);
        if slots.is_empty() {
            continue;
        }
        let part = values.part((slots.start - values.span.start) / T::PER_CELL, at);
        let mut lines = weights;
        for line in &mut lines {
            *line = &line[slots.start / T::PER_CELL..slots.end / T::PER_CELL];
        }
        let num_rows = lines[0].len();
        for line in &mut lines {
            *line = &line[..num_rows];
        }
        let mut rows = part.rows.chunks(part.stride);
        for cell in 0..num_rows {
            let Some(value) = rows.next() else { break };
            let vectors = load_row::<L, T, N>(lanes, value, part.ahead, cell * part.stride);
            for m in 0..M {
                let weight = T::splat(lanes, lines[m][cell]);
                for n in 0..N {
                    totals[m][n] = T::add(lanes, weight, vectors[n], totals[m][n]);
                }
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
) -> [T::Loaded<L>; N] {
    let row = &row[..N * L::WIDTH];
    let line_len = 64 / size_of::<T>();
    if let Some(ahead) = ahead.get(ahead_at..) {
        for at in (0..N * L::WIDTH).step_by(line_len) {
            lanes.prefetch(ahead, at);
        }
    }
    // A closure would not be compiled for the instruction set.
    let mut vectors = [T::load(lanes, row); N];
    for n in 1..N {
        vectors[n] = T::load(lanes, &row[n * L::WIDTH..]);
    }
    vectors
}
