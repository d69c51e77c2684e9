//! Matrix products in plain Rust.

use super::Scalar;
use crate::matmul::{Chunk, DenseTile, IntTile, Lanes, MatMul, quantize_block};
use crate::pack::{LINE_BYTES, TILE_ROWS};
use crate::quant::{BLOCK, CodeKind};

impl MatMul for Scalar {
    fn quantize_block(&self, x: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> f32 {
        quantize_block(x, codes)
    }

    fn int8_tile(&self, tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
        for (row, out) in out.iter_mut().enumerate() {
            *out = int8_row(tile, chunk, row);
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

/// One row of activations. The order of operations is the definition: see the module `matmul`.
fn int8_row(tile: &IntTile<'_>, chunk: &Chunk, row: usize) -> Lanes {
    let (form, rows, int8) = (tile.form, chunk.rows(), &chunk.int8);
    let step = form.step();
    let seeds = int8.seeds(form.offset, step);
    let group_sums = int8.group_sums(form.group);
    let mut acc = [0f32; TILE_ROWS];
    let mut scales = [0f32; TILE_ROWS];
    for s in 0..tile.layout.num_blocks * BLOCK / step {
        if (s * step).is_multiple_of(form.group) {
            let g = s * step / form.group;
            let biases;
            (scales, biases) = tile.scales_of(g);
            if form.biased {
                let sum = group_sums[g * rows + row];
                acc = std::array::from_fn(|l| biases[l].mul_add(sum, acc[l]));
            }
        }
        let mut sums = [seeds[s * rows + row]; TILE_ROWS];
        add_products(tile, s * step..(s + 1) * step, chunk, row, &mut sums);
        let x_scale = int8.scales[s * step / BLOCK * rows + row];
        acc = std::array::from_fn(|l| scales[l].mul_add(sums[l] as f32 * x_scale, acc[l]));
    }
    acc
}

/// Adds `Σ code * activation` over `cols`.
fn add_products(
    tile: &IntTile<'_>,
    cols: std::ops::Range<usize>,
    chunk: &Chunk,
    row: usize,
    sums: &mut [i32; TILE_ROWS],
) {
    let quads = chunk.int8.codes.as_chunks::<4>().0;
    for col in cols.step_by(4) {
        let (line_cols, shift) = match tile.form.codes {
            CodeKind::Byte => (4, 0),
            CodeKind::Nibble | CodeKind::Table(_) => (8, col % 8),
        };
        let line = &tile.block(col / BLOCK)[col % BLOCK / line_cols * LINE_BYTES..][..LINE_BYTES];
        let x = quads[col / 4 * chunk.rows() + row];
        for (sum, bytes) in sums.iter_mut().zip(line.as_chunks::<4>().0) {
            for (byte, x) in bytes.iter().zip(x) {
                let code = match tile.form.codes {
                    CodeKind::Byte => *byte,
                    CodeKind::Nibble => byte >> shift & 15,
                    CodeKind::Table(table) => table[usize::from(byte >> shift & 15)],
                };
                *sum += i32::from(code) * i32::from(x);
            }
        }
    }
}
