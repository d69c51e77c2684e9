//! Which tiles and chunks are computed as one task.

use std::sync::OnceLock;

use crate::disjoint::DisjointMut;
use crate::{Executor, Kernels, KvPool};

use super::{AttentionArgs, Partials, Scratch, Tile};

/// Enough lines that widening keys and values for them costs little.
const MAX_TILE_LINES: usize = 96;
/// Tasks for each thread that even out their unequal sizes.
const TASKS_PER_THREAD: usize = 4;
/// Multiplications below which one thread is faster than waking others.
const MIN_PARALLEL_PRODUCTS: usize = 200_000;

/// Computes every row; the arguments are checked.
pub(crate) fn run(exec: &Executor, pool: &KvPool, args: &AttentionArgs<'_>, out: &mut [f32]) {
    let tiles = cut(exec, pool, args);
    let (v_dim, kernels) = (pool.layout().v_dim, exec.kernels());
    let out = Output { lines: DisjointMut::new(out), v_dim, kernels };
    let parallel = num_products(pool, args) >= MIN_PARALLEL_PRODUCTS && exec.num_threads() > 1;
    if !parallel {
        return tiles.iter().for_each(|tile| attend_tile(exec, tile, &out));
    }
    if tiles.len() >= TASKS_PER_THREAD * exec.num_threads() {
        // Later rows of a prompt see more, so the last tasks to start are the short ones.
        exec.pool().run(tiles.len(), |i| attend_tile(exec, &tiles[tiles.len() - 1 - i], &out));
    } else {
        attend_by_chunks(exec, &tiles, &out);
    }
}

/// Cuts the rows into tiles of one sequence, for each key-value head.
fn cut<'a>(exec: &Executor, pool: &'a KvPool, args: &'a AttentionArgs<'a>) -> Vec<Tile<'a>> {
    let num_kv_heads = pool.layout().num_kv_heads;
    let group = args.num_heads / num_kv_heads;
    let wanted = (TASKS_PER_THREAD * exec.num_threads()).div_ceil(num_kv_heads);
    let most = (MAX_TILE_LINES / group).max(1);
    let most = args.rows.len().div_ceil(wanted).clamp(1, most);
    let mut tiles = Vec::new();
    let mut start = 0;
    while start < args.rows.len() {
        let table = args.rows[start].table;
        let shares = |row: &&super::AttentionRow<'_>| std::ptr::eq(row.table, table);
        let len = args.rows[start..].iter().take(most).take_while(shares).count();
        let rows = start..start + len;
        let tile = |kv_head| Tile { pool, args, rows: rows.clone(), kv_head, group };
        tiles.extend((0..num_kv_heads).map(tile));
        start += len;
    }
    tiles
}

fn num_products(pool: &KvPool, args: &AttentionArgs<'_>) -> usize {
    let ranges = args.rows.iter().flat_map(|row| row.visible);
    let visible: usize = ranges.map(|range| range.len()).sum();
    visible * args.num_heads * (pool.layout().k_dim + pool.layout().v_dim)
}

/// One task: all chunks of a tile.
fn attend_tile(exec: &Executor, tile: &Tile<'_>, out: &Output<'_>) {
    let kernels = exec.kernels();
    Scratch::with(|scratch| {
        scratch.begin_tile(tile);
        for chunk in tile.chunks() {
            kernels.attend_chunk(tile, chunk, scratch);
            kernels.merge(&mut scratch.total, &scratch.part);
        }
        out.write(tile, &scratch.total);
    });
}

/// One task a chunk; then the chunks of each tile are merged in order.
fn attend_by_chunks(exec: &Executor, tiles: &[Tile<'_>], out: &Output<'_>) {
    let kernels = exec.kernels();
    let chunks = |tile: usize| tiles[tile].chunks().map(move |chunk| (tile, chunk));
    let tasks: Vec<(usize, usize)> = (0..tiles.len()).flat_map(chunks).collect();
    let parts: Vec<OnceLock<Partials>> = tasks.iter().map(|_| OnceLock::new()).collect();
    exec.pool().run(tasks.len(), |task| {
        let (tile, chunk) = tasks[task];
        Scratch::with(|scratch| {
            scratch.begin_tile(&tiles[tile]);
            kernels.attend_chunk(&tiles[tile], chunk, scratch);
            parts[task].get_or_init(|| scratch.part.clone());
        });
    });
    let mut done = tasks.iter().zip(parts).peekable();
    for (index, tile) in tiles.iter().enumerate() {
        let mut total = Partials::default();
        total.reset(tile.num_lines(), tile.layout().v_dim);
        while let Some((_, part)) = done.next_if(|((tile, _), _)| *tile == index) {
            kernels.merge(&mut total, part.get().expect("every task has run"));
        }
        out.write(tile, &total);
    }
}

/// The output lines `[rows · num_heads, v_dim]`, written by tiles that have no line in common.
struct Output<'a> {
    lines: DisjointMut<'a>,
    v_dim: usize,
    kernels: &'static dyn Kernels,
}

impl Output<'_> {
    fn write(&self, tile: &Tile<'_>, total: &Partials) {
        for line in 0..tile.num_lines() {
            let place = tile.place(line);
            // SAFETY: a line belongs to one tile, and a tile is written by one task, once.
            let out = unsafe { self.lines.slice(place * self.v_dim..(place + 1) * self.v_dim) };
            let sink = tile.args.sinks.map(|sinks| sinks[tile.head(line)]);
            self.kernels.finish(total, line, sink, out);
        }
    }
}
