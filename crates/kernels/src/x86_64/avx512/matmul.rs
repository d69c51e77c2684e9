//! Matrix products: one tile against the rows of a chunk.

mod codes;
mod float;
mod int8;

use super::Avx512;
use crate::matmul::{self, Chunk, DenseTile, IntTile, Lanes, MatMul, RowCodes};

/// Calls `$function::<$generics, R>($arguments)` with R = `$rows`, one to twelve.
macro_rules! with_rows {
    ($rows:expr, $function:ident::<$($generic:tt),+>($($argument:expr),+)) => {
        match $rows {
            1 => $function::<$($generic,)+ 1>($($argument),+),
            2 => $function::<$($generic,)+ 2>($($argument),+),
            3 => $function::<$($generic,)+ 3>($($argument),+),
            4 => $function::<$($generic,)+ 4>($($argument),+),
            5 => $function::<$($generic,)+ 5>($($argument),+),
            6 => $function::<$($generic,)+ 6>($($argument),+),
            7 => $function::<$($generic,)+ 7>($($argument),+),
            8 => $function::<$($generic,)+ 8>($($argument),+),
            9 => $function::<$($generic,)+ 9>($($argument),+),
            10 => $function::<$($generic,)+ 10>($($argument),+),
            11 => $function::<$($generic,)+ 11>($($argument),+),
            12 => $function::<$($generic,)+ 12>($($argument),+),
            rows => unreachable!("a chunk of {rows} rows"),
        }
    };
}
use with_rows;

impl MatMul for Avx512 {
    fn has_bf16_dot(&self) -> bool {
        self.has_bf16
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
        unsafe { int8::tile(tile, chunk, out) }
    }

    fn float_tile(&self, tile: &DenseTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
        // SAFETY: `self` proves the features.
        unsafe { float::tile(tile, chunk, out) }
    }

    fn bf16_tile(&self, tile: &DenseTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
        assert!(self.has_bf16, "bf16 dot products were not offered");
        // SAFETY: `self` proves the features, BF16 by the assertion.
        unsafe { float::bf16_tile(tile, chunk, out) }
    }

    fn widen_tile(&self, tile: &IntTile<'_>, out: &mut [Lanes]) {
        // SAFETY: `self` proves the features.
        unsafe { widen_tile(tile, out) }
    }
}

/// The definition, compiled for this ISA.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn quantize(x: &[f32], out: &mut RowCodes) {
    matmul::quantize(x, out);
}

/// The definition, compiled for this ISA.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn quantize_rest(x: &[f32], first: &RowCodes, blocks: &[usize], out: &mut RowCodes) {
    matmul::quantize_rest(x, first, blocks, out);
}

/// The definition, compiled for this ISA.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
fn widen_tile(tile: &IntTile<'_>, out: &mut [Lanes]) {
    tile.widen_into(out);
}
