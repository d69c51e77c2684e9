//! Attention of one tile and one chunk in vectors: the same arithmetic as the scalar definition.
//!
//! Everything here is inlined into a function compiled for one instruction set.

use half::f16;

use super::groups::{Group, plan_keys, plan_values};
use super::register_tile::{MAX_LINES, Stretch, score, weigh};
use super::runs::Runs;
use super::scratch::PANEL_LEN;
use super::spans::Span;
use super::{CHUNK_LEN, Lanes, NUM_LANES, Scratch, Tile, panels};
use crate::cell::Stored;
use crate::kv::KvType;
use crate::pair::Pair;

/// Up to this many lines, 16-bit keys and values are widened each time they are used; with more
/// they are widened once, to a panel, for all lines.
const MAX_LINES_IN_PLACE: usize = 2 * MAX_LINES;

/// Leaves in `scratch.part` what `chunk` adds to each line of `tile`.
#[inline(always)]
pub(crate) fn attend_chunk<L: Lanes>(
    lanes: L,
    tile: &Tile<'_>,
    chunk: usize,
    scratch: &mut Scratch,
) {
    scratch.begin_chunk(tile, chunk);
    let hull = scratch.spans.hull(0..tile.rows.len());
    plan_keys(tile, &scratch.spans, &mut scratch.plan);
    match in_place_type::<L>(tile) {
        Some(KvType::F16) => score_in_place::<L, f16>(lanes, tile, hull, scratch),
        Some(KvType::BF16) => score_in_place::<L, Pair>(lanes, tile, hull, scratch),
        _ => score_panels(lanes, tile, hull, scratch),
    }
    for (line, row) in scratch.scores[..tile.num_lines()].iter_mut().enumerate() {
        let spans = scratch.spans.of_row(line / tile.group);
        scratch.part.stats[line] = if tile.layout().dtype == KvType::BF16 {
            lanes.softmax_pairs(tile.curve(), row, spans, scratch.pairs.weights_mut(line))
        } else {
            lanes.softmax(tile.curve(), row, spans)
        };
    }
    let per_cell = if tile.layout().dtype == KvType::BF16 { Pair::PER_CELL } else { 1 };
    plan_values(tile, &scratch.spans, per_cell, &mut scratch.plan);
    match in_place_type::<L>(tile) {
        Some(KvType::F16) => weigh_in_place::<L, f16>(lanes, tile, hull, scratch),
        Some(KvType::BF16) => weigh_in_place::<L, Pair>(lanes, tile, hull, scratch),
        _ => weigh_panels(lanes, tile, hull, scratch),
    }
}

/// The element type, if keys and values are read where they are stored, as bf16 always is.
fn in_place_type<L: Lanes>(tile: &Tile<'_>) -> Option<KvType> {
    let layout = tile.layout();
    if layout.dtype == KvType::BF16 {
        return Some(layout.dtype);
    }
    let is_in_place = tile.num_lines() <= MAX_LINES_IN_PLACE
        && layout.block_len.is_multiple_of(NUM_LANES)
        && layout.v_dim.is_multiple_of(L::WIDTH);
    is_in_place.then_some(layout.dtype)
}

/// Memory takes longer to answer than a block to be read.
const BLOCKS_AHEAD: usize = 2;

/// Most stretches of a chunk.
const MAX_STRETCHES: usize = CHUNK_LEN / NUM_LANES;

/// The stretches of a chunk that are read in place.
struct InPlace<'a, T> {
    all: [Stretch<'a, T>; MAX_STRETCHES],
    len: usize,
}

impl<'a, T: Stored> InPlace<'a, T> {
    fn new(stretches: impl Iterator<Item = Stretch<'a, T>>) -> Self {
        let mut of_chunk = Self { all: [Stretch::EMPTY; MAX_STRETCHES], len: 0 };
        for (place, stretch) in of_chunk.all.iter_mut().zip(stretches) {
            *place = stretch;
            of_chunk.len += 1;
        }
        of_chunk
    }

    fn get(&self) -> &[Stretch<'a, T>] {
        &self.all[..self.len]
    }
}

/// While a block is read a later one is fetched: after the keys the values, and after them the keys
/// of the next chunk. Blocks are too short for the CPU to see the direction by itself.
#[inline(always)]
fn score_in_place<L: Lanes, T: Stored>(lanes: L, tile: &Tile<'_>, hull: Span, s: &mut Scratch) {
    let stride = tile.layout().block_len;
    let mut runs = Runs::new(tile, s.first_slot(), hull.outward());
    let mut later = runs.clone().keys().skip(BLOCKS_AHEAD).chain(runs.clone().values());
    let keys = InPlace::new(std::iter::from_fn(|| {
        let run = runs.take::<T>()?;
        let ahead = later.next().unwrap_or_default();
        Some(Stretch { rows: &run.keys[run.at..], stride, span: run.span, ahead })
    }));
    score_groups(lanes, tile, keys.get(), s);
}

#[inline(always)]
fn weigh_in_place<L: Lanes, T: Stored>(lanes: L, tile: &Tile<'_>, hull: Span, s: &mut Scratch) {
    let stride = tile.layout().v_stride();
    let mut runs = Runs::new(tile, s.first_slot(), hull.outward());
    let next_slot = s.first_slot() + CHUNK_LEN;
    let next_len = tile.end_slot().saturating_sub(next_slot).min(CHUNK_LEN);
    let next = Runs::new(tile, next_slot, Span { start: 0, end: next_len });
    let mut later = runs.clone().values().skip(BLOCKS_AHEAD).chain(next.keys());
    let values = InPlace::new(std::iter::from_fn(|| {
        let run = runs.take::<T>()?;
        let rows = &run.values[run.at / T::PER_CELL * stride..];
        let ahead = later.next().unwrap_or_default();
        Some(Stretch { rows, stride, span: run.span, ahead })
    }));
    weigh_groups(lanes, values.get(), s);
}

/// The panels of a chunk.
fn panel_spans() -> impl Iterator<Item = Span> {
    let starts = (0..CHUNK_LEN).step_by(PANEL_LEN);
    starts.map(|start| Span { start, end: start + PANEL_LEN })
}

#[inline(always)]
fn score_panels<L: Lanes>(lanes: L, tile: &Tile<'_>, hull: Span, s: &mut Scratch) {
    let mut panel = std::mem::take(&mut s.panel);
    for span in panel_spans().filter(|span| !span.intersect(hull).is_empty()) {
        let seen = (span.start, span.intersect(hull));
        panels::fill_keys(lanes, tile, s.first_slot(), seen, &mut panel);
        let keys = Stretch { rows: &panel[..], stride: PANEL_LEN, span, ahead: &[] };
        score_groups(lanes, tile, &[keys], s);
    }
    s.panel = panel;
}

#[inline(always)]
fn weigh_panels<L: Lanes>(lanes: L, tile: &Tile<'_>, hull: Span, s: &mut Scratch) {
    let mut panel = std::mem::take(&mut s.panel);
    let stride = s.part.stride;
    for span in panel_spans().filter(|span| !span.intersect(hull).is_empty()) {
        let seen = (span.start, span.intersect(hull));
        panels::fill_values(lanes, tile, s.first_slot(), seen, panel.chunks_mut(stride));
        let values = Stretch { rows: &panel[..], stride, span, ahead: &[] };
        weigh_groups(lanes, &[values], s);
    }
    s.panel = panel;
}

/// Scores of every line with the slots of `keys` that it may see, and some around them.
#[inline(always)]
fn score_groups<L: Lanes, T: Stored>(
    lanes: L,
    tile: &Tile<'_>,
    keys: &[Stretch<'_, T>],
    scratch: &mut Scratch,
) {
    for index in 0..scratch.plan.len() {
        let (group, columns) = scratch.plan[index];
        match group.len {
            1 => score_group::<L, T, 1>(lanes, tile, keys, (group, columns), scratch),
            2 => score_group::<L, T, 2>(lanes, tile, keys, (group, columns), scratch),
            3 => score_group::<L, T, 3>(lanes, tile, keys, (group, columns), scratch),
            4 => score_group::<L, T, 4>(lanes, tile, keys, (group, columns), scratch),
            5 => score_group::<L, T, 5>(lanes, tile, keys, (group, columns), scratch),
            _ => score_group::<L, T, 6>(lanes, tile, keys, (group, columns), scratch),
        }
    }
}

#[inline(always)]
fn score_group<L: Lanes, T: Stored, const M: usize>(
    lanes: L,
    tile: &Tile<'_>,
    keys: &[Stretch<'_, T>],
    (group, columns): (Group, Span),
    scratch: &mut Scratch,
) {
    let (pairs, first) = (&scratch.pairs, group.first);
    let mut queries = [T::factors(tile.query(first), pairs.query(first)); M];
    for (m, query) in queries.iter_mut().enumerate().skip(1) {
        *query = T::factors(tile.query(first + m), pairs.query(first + m));
    }
    let scores = scratch.scores[group.first..].first_chunk_mut::<M>();
    score(lanes, keys, columns, queries, scores.expect("scratch has every line"));
}

/// Adds the weighted values of the visible slots of `values` to every line.
#[inline(always)]
fn weigh_groups<L: Lanes, T: Stored>(lanes: L, values: &[Stretch<'_, T>], scratch: &mut Scratch) {
    for index in 0..scratch.plan.len() {
        let (group, slots) = scratch.plan[index];
        match group.len {
            1 => weigh_group::<L, T, 1>(lanes, values, (group, slots), scratch),
            2 => weigh_group::<L, T, 2>(lanes, values, (group, slots), scratch),
            3 => weigh_group::<L, T, 3>(lanes, values, (group, slots), scratch),
            4 => weigh_group::<L, T, 4>(lanes, values, (group, slots), scratch),
            5 => weigh_group::<L, T, 5>(lanes, values, (group, slots), scratch),
            _ => weigh_group::<L, T, 6>(lanes, values, (group, slots), scratch),
        }
    }
}

#[inline(always)]
fn weigh_group<L: Lanes, T: Stored, const M: usize>(
    lanes: L,
    values: &[Stretch<'_, T>],
    (group, slots): (Group, Span),
    scratch: &mut Scratch,
) {
    let (pairs, floats, first) = (&scratch.pairs, &scratch.scores, group.first);
    let mut weights = [T::factors(&floats[first], pairs.weights(first)); M];
    for (m, weights) in weights.iter_mut().enumerate().skip(1) {
        *weights = T::factors(&floats[first + m], pairs.weights(first + m));
    }
    let stride = scratch.part.stride;
    let width = values.first().map_or(0, |values| values.stride);
    let mut rest = &mut scratch.part.weighted[first * stride..];
    let mut sums = [const { [].as_mut_slice() }; M];
    for line in &mut sums {
        // Values in place have no padding, and then that of the sums is not used.
        let (first, others) = rest.split_at_mut(stride);
        (*line, rest) = (&mut first[..width], others);
    }
    let whole = slots.inward(T::PER_CELL);
    for slot in slots.start..whole.start.min(slots.end) {
        weigh_alone(values, slot, weights, &mut sums);
    }
    if !whole.is_empty() {
        weigh::<L, T, M>(lanes, values, whole, weights, &mut sums);
    }
    for slot in whole.end..slots.end {
        weigh_alone(values, slot, weights, &mut sums);
    }
}

/// Adds one slot of a cell whose other slots are not seen.
#[inline(always)]
fn weigh_alone<T: Stored, const M: usize>(
    values: &[Stretch<'_, T>],
    slot: usize,
    weights: [&[T::Factor]; M],
    sums: &mut [&mut [f32]; M],
) {
    let holds = |values: &&Stretch<'_, T>| (values.span.start..values.span.end).contains(&slot);
    let Some(values) = values.iter().find(holds) else { return };
    let (cell, i) = (slot / T::PER_CELL, slot % T::PER_CELL);
    let row = (slot - values.span.start) / T::PER_CELL * values.stride;
    for (sums, weights) in sums.iter_mut().zip(weights) {
        let weight = T::factor(weights[cell], i);
        for (sum, value) in sums.iter_mut().zip(&values.rows[row..]) {
            *sum = weight.mul_add(value.element(i), *sum);
        }
    }
}
