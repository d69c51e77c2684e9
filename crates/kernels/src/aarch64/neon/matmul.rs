//! Matrix products: half a tile against up to four rows of a chunk, or with `usmmla` a quarter
//! against all of them, so that everything fits 32 short registers.

mod codes;
mod float;
mod int8;
mod mmla;
mod scales;

use std::ops::Range;

use super::{Neon, Products};
use crate::matmul::{self, Chunk, DenseTile, IntTile, Lanes, MatMul, RowCodes};

/// Rows of half a tile: the lanes of two registers.
const LANES: usize = 8;
/// Rows of activations that share a pass over a tile.
const MAX_ROWS: usize = 4;

/// Calls `$function::<$generics, R>($arguments)` with R = `$rows`, one to four.
macro_rules! with_rows {
    ($rows:expr, $function:ident::<$($generic:tt),+>($($argument:expr),+)) => {
        match $rows {
            1 => $function::<$($generic,)+ 1>($($argument),+),
            2 => $function::<$($generic,)+ 2>($($argument),+),
            3 => $function::<$($generic,)+ 3>($($argument),+),
            _ => $function::<$($generic,)+ 4>($($argument),+),
        }
    };
}
use with_rows;

impl MatMul for Neon {
    fn quantize(&self, x: &[f32], out: &mut RowCodes) {
        // SAFETY: `self` proves the features.
        unsafe { quantize(x, out) }
    }

    fn quantize_rest(&self, x: &[f32], first: &RowCodes, blocks: &[usize], out: &mut RowCodes) {
        // SAFETY: `self` proves the features.
        unsafe { quantize_rest(x, first, blocks, out) }
    }

    fn int8_tile(&self, tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
        self.first_codes(tile, chunk, out);
        match self.products {
            // SAFETY: `self` proves NEON.
            Products::Plain => unsafe { int8::plain::rest(tile, chunk, out) },
            // SAFETY: `self` proves NEON, and `sdot` by the pattern.
            Products::Dot | Products::Matrix => unsafe { int8::dotprod::rest(tile, chunk, out) },
        }
    }

    fn float_tile(&self, tile: &DenseTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
        for rows in passes(chunk) {
            // SAFETY: `self` proves the features.
            unsafe { float::tile(tile, chunk, rows, out) }
        }
    }

    fn widen_tile(&self, tile: &IntTile<'_>, out: &mut [Lanes]) {
        // SAFETY: `self` proves the features.
        unsafe { widen_tile(tile, out) }
    }
}

impl Neon {
    /// `out[r]` = the products of the tile with the first codes of row `r` of the chunk.
    fn first_codes(&self, tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
        if self.products == Products::Matrix && chunk.rows() > 1 {
            // SAFETY: `self` proves NEON, and `usmmla` by the condition.
            return unsafe { mmla::tile(tile, chunk, out) };
        }
        for rows in passes(chunk) {
            match self.products {
                // SAFETY: `self` proves NEON.
                Products::Plain => unsafe { int8::plain::tile(tile, chunk, rows, out) },
                // SAFETY: `self` proves NEON, and `sdot` by the pattern.
                Products::Dot | Products::Matrix => unsafe {
                    int8::dotprod::tile(tile, chunk, rows, out);
                },
            }
        }
    }
}

/// The rows of a chunk, at most four at a time.
fn passes(chunk: &Chunk) -> impl Iterator<Item = Range<usize>> {
    let rows = chunk.rows();
    (0..rows).step_by(MAX_ROWS).map(move |first| first..rows.min(first + MAX_ROWS))
}

/// The definition, compiled for this ISA.
#[target_feature(enable = "neon")]
fn quantize(x: &[f32], out: &mut RowCodes) {
    matmul::quantize(x, out);
}

/// The definition, compiled for this ISA.
#[target_feature(enable = "neon")]
fn quantize_rest(x: &[f32], first: &RowCodes, blocks: &[usize], out: &mut RowCodes) {
    matmul::quantize_rest(x, first, blocks, out);
}

/// The definition, compiled for this ISA.
#[target_feature(enable = "neon")]
fn widen_tile(tile: &IntTile<'_>, out: &mut [Lanes]) {
    tile.widen_into(out);
}
