//! Matrix products in plain Rust.

use super::Scalar;
use crate::matmul::{self, Chunk, DenseTile, IntTile, Lanes, MatMul, RowCodes};
use crate::pack::{LINE_BYTES, TILE_ROWS};
use crate::quant::{BLOCK, CodeKind};

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
    let (form, int8) = (tile.form, &chunk.int8);
    let group_sums = int8.group_sums(form.group);
    let mut acc = [0f32; TILE_ROWS];
    let mut next_entry = 0;
    for block in 0..tile.layout.num_blocks {
        let entries = next_entry..next_entry + usize::from(int8.entries[block]);
        next_entry = entries.end;
        for col in (block * BLOCK..(block + 1) * BLOCK).step_by(form.step()) {
            if form.biased && col.is_multiple_of(form.group) {
                let biases = tile.scales_of(col / form.group).1;
                let sum = group_sums[col / form.group * chunk.rows() + row];
                acc = std::array::from_fn(|l| biases[l].mul_add(sum, acc[l]));
            }
            for entry in entries.clone() {
                add_step(tile, col, (chunk, entry, row), &mut acc);
            }
        }
    }
    acc
}

/// Adds the products of the step from column `first` with an entry of a row.
fn add_step(
    tile: &IntTile<'_>,
    first: usize,
    (chunk, entry, row): (&Chunk, usize, usize),
    acc: &mut Lanes,
) {
    let (form, int8, rows) = (tile.form, &chunk.int8, chunk.rows());
    let step = form.step();
    let at = entry * BLOCK + first % BLOCK;
    let mut sums = [int8.seeds(form.offset, step)[at / step * rows + row]; TILE_ROWS];
    let quads = int8.codes.as_chunks::<4>().0;
    for i in (0..step).step_by(4) {
        add_products(tile, first + i, quads[(at + i) / 4 * rows + row], &mut sums);
    }
    let scales = tile.scales_of(first / form.group).0;
    let x_scale = int8.scales[entry * rows + row];
    *acc = std::array::from_fn(|l| scales[l].mul_add(sums[l] as f32 * x_scale, acc[l]));
}

/// Adds `Σ code * activation` over four columns from `col`.
fn add_products(tile: &IntTile<'_>, col: usize, x: [i8; 4], sums: &mut [i32; TILE_ROWS]) {
    let (line_cols, shift) = match tile.form.codes {
        CodeKind::Byte => (4, 0),
        CodeKind::Nibble | CodeKind::Table(_) => (8, col % 8),
    };
    let line = &tile.block(col / BLOCK)[col % BLOCK / line_cols * LINE_BYTES..][..LINE_BYTES];
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
