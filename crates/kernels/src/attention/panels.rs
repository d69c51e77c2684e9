//! Keys and values widened once for many lines.
//!
//! Everything here is inlined into a function compiled for one instruction set.

use half::f16;

use super::runs::Runs;
use super::scratch::PANEL_LEN;
use super::spans::Span;
use super::{Lanes, Tile};
use crate::cell::Rounded;
use crate::kv::KvType;

/// Widens the keys of the slots `seen` of a chunk to `[k_dim][PANEL_LEN]`, whose first column is
/// the slot `start` of the chunk.
#[inline(always)]
pub(crate) fn fill_keys<L: Lanes>(
    lanes: L,
    tile: &Tile<'_>,
    first_slot: usize,
    (start, seen): (usize, Span),
    panel: &mut [f32],
) {
    let runs = Runs::new(tile, first_slot, seen);
    match tile.layout().dtype {
        KvType::F32 => widen_keys::<L, f32>(lanes, tile, runs, start, panel),
        KvType::F16 => widen_keys::<L, f16>(lanes, tile, runs, start, panel),
        KvType::BF16 => unreachable!("pairs are read where they are stored"),
    }
}

#[inline(always)]
fn widen_keys<L: Lanes, T: Rounded>(
    lanes: L,
    tile: &Tile<'_>,
    mut runs: Runs<'_>,
    start: usize,
    panel: &mut [f32],
) {
    while let Some(run) = runs.take::<T>() {
        let len = run.span.end - run.span.start;
        let rows = run.keys.chunks(tile.layout().block_len);
        for (keys, panel) in rows.zip(panel.chunks_mut(PANEL_LEN)) {
            widen(lanes, &keys[run.at..][..len], &mut panel[run.span.start - start..][..len]);
        }
    }
}

/// Widens the values of the slots `seen` of a chunk to `[PANEL_LEN][stride]`, padded with zeros,
/// whose first row is the slot `start` of the chunk.
#[inline(always)]
pub(crate) fn fill_values<L: Lanes>(
    lanes: L,
    tile: &Tile<'_>,
    first_slot: usize,
    (start, seen): (usize, Span),
    panel: std::slice::ChunksMut<'_, f32>,
) {
    let runs = Runs::new(tile, first_slot, seen);
    let rows = panel.skip(seen.start - start);
    match tile.layout().dtype {
        KvType::F32 => widen_values::<L, f32>(lanes, tile, runs, rows),
        KvType::F16 => widen_values::<L, f16>(lanes, tile, runs, rows),
        KvType::BF16 => unreachable!("pairs are read where they are stored"),
    }
}

#[inline(always)]
fn widen_values<'a, L: Lanes, T: Rounded>(
    lanes: L,
    tile: &Tile<'_>,
    mut runs: Runs<'_>,
    mut panel: impl Iterator<Item = &'a mut [f32]>,
) {
    let v_dim = tile.layout().v_dim;
    while let Some(run) = runs.take::<T>() {
        let len = run.span.end - run.span.start;
        for values in run.values[run.at * v_dim..][..len * v_dim].chunks(v_dim) {
            let row = panel.next().expect("a panel holds the slots of its span");
            widen(lanes, values, &mut row[..v_dim]);
            row[v_dim..].fill(0.0);
        }
    }
}

#[inline(always)]
fn widen<L: Lanes, T: Rounded>(lanes: L, from: &[T], to: &mut [f32]) {
    let whole = from.len() / L::WIDTH * L::WIDTH;
    for at in (0..whole).step_by(L::WIDTH) {
        lanes.store(T::load_wide(lanes, &from[at..]), &mut to[at..]);
    }
    for (from, to) in from[whole..].iter().zip(&mut to[whole..]) {
        *to = from.widen();
    }
}
