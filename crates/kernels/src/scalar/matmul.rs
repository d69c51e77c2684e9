//! Matrix products in plain Rust.

use super::Scalar;
use crate::matmul::{Chunk, Codes, DenseTile, IntTile, Lanes, MatMul, RowCodes, quantize};
use crate::pack::{LINE_BYTES, TILE_ROWS};
use crate::quant::{BLOCK, CodeKind};

impl MatMul for Scalar {
    fn quantize(&self, x: &[f32], out: &mut RowCodes) {
        quantize(x, out);
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
    for block in 0..tile.layout.num_blocks {
        for g in (block * BLOCK..(block + 1) * BLOCK).step_by(form.step()) {
            if form.biased && g.is_multiple_of(form.group) {
                let biases = tile.scales_of(g / form.group).1;
                let sum = group_sums[g / form.group * chunk.rows() + row];
                acc = std::array::from_fn(|l| biases[l].mul_add(sum, acc[l]));
            }
            let codes = Place { codes: &int8.all, block, rows: chunk.rows(), row };
            add_step(tile, g, &codes, &mut acc);
        }
    }
    for (i, outlier) in int8.outliers.iter().enumerate() {
        for col in (outlier * BLOCK..(outlier + 1) * BLOCK).step_by(form.step()) {
            let codes = Place { codes: &int8.rest, block: i, rows: chunk.rows(), row };
            add_step(tile, col, &codes, &mut acc);
        }
    }
    acc
}

/// A block of one row of activations.
struct Place<'a> {
    codes: &'a Codes,
    block: usize,
    rows: usize,
    row: usize,
}

/// Adds the products of one step, of which `first` is the first column of the weights.
fn add_step(tile: &IntTile<'_>, first: usize, place: &Place<'_>, acc: &mut Lanes) {
    let (form, &Place { codes, block, rows, row }) = (tile.form, place);
    let step = form.step();
    let at = block * BLOCK + first % BLOCK;
    let mut sums = [codes.seeds(form.offset, step)[at / step * rows + row]; TILE_ROWS];
    let quads = codes.codes.as_chunks::<4>().0;
    for i in (0..step).step_by(4) {
        add_products(tile, first + i, quads[(at + i) / 4 * rows + row], &mut sums);
    }
    let scales = tile.scales_of(first / form.group).0;
    let x_scale = codes.scales[block * rows + row];
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
