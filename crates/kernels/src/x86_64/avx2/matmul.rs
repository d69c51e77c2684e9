//! Matrix products: a tile against up to six rows of activations, which are a chunk here, so that
//! sums fit 16 registers.

mod codes;
mod dot;
mod float;
mod int8;
mod loads;
mod scales;

use super::Avx2;
use crate::matmul::{self, Chunk, DenseTile, IntTile, Lanes, MatMul, RowCodes};

/// Rows of half a tile: the lanes of a register.
const LANES: usize = 8;
/// Rows of activations that share a pass over a tile.
const MAX_ROWS: usize = 6;

/// Calls `$function::<$generics, R>($arguments)` with R = `$rows`, one to six.
macro_rules! with_rows {
    ($rows:expr, $function:ident::<$($generic:tt),+>($($argument:expr),+)) => {
        match $rows {
            1 => $function::<$($generic,)+ 1>($($argument),+),
            2 => $function::<$($generic,)+ 2>($($argument),+),
            3 => $function::<$($generic,)+ 3>($($argument),+),
            4 => $function::<$($generic,)+ 4>($($argument),+),
            5 => $function::<$($generic,)+ 5>($($argument),+),
            6 => $function::<$($generic,)+ 6>($($argument),+),
            rows => unreachable!("a chunk of {rows} rows"),
        }
    };
}
use with_rows;

impl MatMul for Avx2 {
    fn chunk_rows(&self) -> usize {
        MAX_ROWS
    }

    fn quantize(&self, x: &[f32], out: &mut RowCodes) {
        // SAFETY: `self` proves the features.
        unsafe { quantize(x, out) }
    }

    fn quantize_rest(&self, x: &[f32], first: &RowCodes, blocks: &[usize], out: &mut RowCodes) {
        // SAFETY: `self` proves the features.
        unsafe { quantize_rest(x, first, blocks, out) }
    }

    fn int8_tile(&self, tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
        // SAFETY: `self` proves the features.
        unsafe { int8::tile(self.dot, tile, chunk, out) }
    }

    fn float_tile(&self, tile: &DenseTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
        // SAFETY: `self` proves the features.
        unsafe { float::tile(tile, chunk, out) }
    }

    fn widen_tile(&self, tile: &IntTile<'_>, out: &mut [Lanes]) {
        // SAFETY: `self` proves the features.
        unsafe { widen_tile(tile, out) }
    }
}

/// The definition, compiled for this ISA.
#[target_feature(enable = "avx2")]
fn quantize(x: &[f32], out: &mut RowCodes) {
    matmul::quantize(x, out);
}

/// The definition, compiled for this ISA.
#[target_feature(enable = "avx2")]
fn quantize_rest(x: &[f32], first: &RowCodes, blocks: &[usize], out: &mut RowCodes) {
    matmul::quantize_rest(x, first, blocks, out);
}

/// The definition, compiled for this ISA.
#[target_feature(enable = "avx2,fma")]
fn widen_tile(tile: &IntTile<'_>, out: &mut [Lanes]) {
    tile.widen_into(out);
}
