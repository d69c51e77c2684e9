//! Matrix products in plain Rust.

use super::Scalar;
use crate::matmul::{self, Chunk, DenseTile, Int8, IntTile, Lanes, MatMul, RowCodes};
use crate::pack::TILE_ROWS;
use crate::quant::BLOCK;

impl MatMul for Scalar {
    fn quantize(&self, x: &[f32], out: &mut RowCodes) {
        matmul::quantize(x, out);
    }

    fn quantize_rest(&self, x: &[f32], first: &RowCodes, blocks: &[usize], out: &mut RowCodes) {
        matmul::quantize_rest(x, first, blocks, out);
    }

    fn int8_tile(&self, tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
        for (row, out) in out.iter_mut().enumerate() {
            *out = int8_row(tile, chunk, row);
        }
        let int8 = &chunk.int8;
        for (e, place) in int8.rest.places.iter().enumerate() {
            add_rest(tile, int8, (e, place.block), &mut out[place.row]);
        }
    }

    fn float_tile(&self, tile: &DenseTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
        let rows = chunk.rows();
        for (row, out) in out.iter_mut().enumerate() {
            let mut sums = [[0f32; TILE_ROWS]; 2];
            for k in 0..tile.padded_cols() {
                let x = chunk.floats[k * rows + row];
                for (lane, sum) in sums[k % 2].iter_mut().enumerate() {
                    *sum = tile.get(k, lane).mul_add(x, *sum);
                }
            }
            *out = std::array::from_fn(|lane| sums[0][lane] + sums[1][lane]);
        }
    }

    fn widen_tile(&self, tile: &IntTile<'_>, out: &mut [Lanes]) {
        tile.widen_into(out);
    }
}

/// The first codes of one row of activations. The order of operations is the definition: see the
/// module `matmul`.
fn int8_row(tile: &IntTile<'_>, chunk: &Chunk, row: usize) -> Lanes {
    let (form, int8, rows) = (tile.form, &chunk.int8, chunk.rows());
    let (step, group_sums) = (form.step(), int8.group_sums(form.group));
    let (seeds, quads) = (int8.seeds(form.offset, step), int8.codes.as_chunks::<4>().0);
    let mut acc = [0f32; TILE_ROWS];
    for col in (0..tile.layout.num_blocks * BLOCK).step_by(step) {
        if form.biased && col.is_multiple_of(form.group) {
            let biases = tile.scales_of(col / form.group).1;
            let sum = group_sums[col / form.group * rows + row];
            acc = std::array::from_fn(|l| biases[l].mul_add(sum, acc[l]));
        }
        let quads = quads[col / 4 * rows + row..].iter().step_by(rows);
        let x_scale = int8.scales[col / BLOCK * rows + row];
        add_step(tile, col, (quads, seeds[col / step * rows + row], x_scale), &mut acc);
    }
    acc
}

/// Adds the second codes of a block: entry `e`.
fn add_rest(tile: &IntTile<'_>, int8: &Int8, (e, block): (usize, usize), acc: &mut Lanes) {
    let step = tile.form.step();
    let seeds = int8.rest_seeds(tile.form.offset, step).chunks_exact(BLOCK / step);
    let seeds = seeds.skip(e).flatten();
    for (first, &seed) in (0..BLOCK).step_by(step).zip(seeds) {
        let quads = int8.rest.codes()[e].as_chunks().0[first / 4..].iter();
        add_step(tile, block * BLOCK + first, (quads, seed, int8.rest.scales()[e]), acc);
    }
}

/// Adds the products of the step from column `first`, with its quads of codes, seed and scale.
fn add_step<'a>(
    tile: &IntTile<'_>,
    first: usize,
    (quads, seed, x_scale): (impl Iterator<Item = &'a [i8; 4]>, i32, f32),
    acc: &mut Lanes,
) {
    let mut sums = [seed; TILE_ROWS];
    for (col, quad) in (first..first + tile.form.step()).step_by(4).zip(quads) {
        add_products(tile, col, *quad, &mut sums);
    }
    let scales = tile.scales_of(first / tile.form.group).0;
    *acc = std::array::from_fn(|l| scales[l].mul_add(sums[l] as f32 * x_scale, acc[l]));
}

/// Adds `Σ code * activation` over four columns from `col`.
fn add_products(tile: &IntTile<'_>, col: usize, x: [i8; 4], sums: &mut [i32; TILE_ROWS]) {
    for (sum, word) in sums.iter_mut().zip(tile.quad(col / 4)) {
        for (code, x) in word.to_le_bytes().into_iter().zip(x) {
            *sum += i32::from(code) * i32::from(x);
        }
    }
}
