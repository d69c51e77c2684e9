//! Float weights times f32 or bf16 activations: a lane is a row of the tile.

use std::arch::x86_64::*;

use russet_tensor::FloatType;

use super::int8::{load_floats, store};
use super::with_rows;
use crate::matmul::{Chunk, DenseTile, Lanes};
use crate::pack::{LINE_BYTES, TILE_ROWS};

/// Element types as constants, so that each is its own loop.
const F32: u8 = 0;
const F16: u8 = 1;
const BF16: u8 = 2;

/// `out[r]` = the products of the tile with row `r` of the chunk, in f32.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,f16c")]
pub(super) fn tile(tile: &DenseTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    let rows = chunk.rows();
    match tile.ty {
        FloatType::F32 => with_rows!(rows, tile_rows::<F32>(tile, chunk, out)),
        FloatType::F16 => with_rows!(rows, tile_rows::<F16>(tile, chunk, out)),
        FloatType::BF16 => with_rows!(rows, tile_rows::<BF16>(tile, chunk, out)),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,f16c")]
fn tile_rows<const TYPE: u8, const R: usize>(
    tile: &DenseTile<'_>,
    chunk: &Chunk,
    out: &mut [Lanes],
) {
    let mut even = [_mm512_setzero_ps(); R];
    let mut odd = [_mm512_setzero_ps(); R];
    let pair_bytes = 2 * TILE_ROWS * if TYPE == F32 { 4 } else { 2 };
    let pairs = tile.bytes.chunks_exact(pair_bytes);
    for (pair, x) in pairs.zip(chunk.floats.chunks_exact(2 * R)) {
        let (first, second) = load_pair::<TYPE>(pair);
        for r in 0..R {
            even[r] = _mm512_fmadd_ps(first, _mm512_set1_ps(x[r]), even[r]);
            odd[r] = _mm512_fmadd_ps(second, _mm512_set1_ps(x[R + r]), odd[r]);
        }
    }
    for r in 0..R {
        store(&mut out[r], _mm512_add_ps(even[r], odd[r]));
    }
}

/// Two columns of 16 rows.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,f16c")]
fn load_pair<const TYPE: u8>(pair: &[u8]) -> (__m512, __m512) {
    match TYPE {
        F32 => (load_floats(FloatType::F32, pair), load_floats(FloatType::F32, &pair[64..])),
        F16 => (load_floats(FloatType::F16, pair), load_floats(FloatType::F16, &pair[32..])),
        _ => {
            let line = load_line(pair);
            let high = _mm512_and_si512(line, _mm512_set1_epi32(0xffff_0000u32.cast_signed()));
            let low = _mm512_slli_epi32(line, 16);
            (_mm512_castsi512_ps(low), _mm512_castsi512_ps(high))
        }
    }
}

/// `out[r]` = the products of the tile with row `r` of the chunk, with `vdpbf16ps`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn bf16_tile(tile: &DenseTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    with_rows!(chunk.rows(), bf16_rows::<0>(tile, chunk, out));
}

/// Two sums, of even and odd pairs of columns.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn bf16_rows<const NONE: u8, const R: usize>(
    tile: &DenseTile<'_>,
    chunk: &Chunk,
    out: &mut [Lanes],
) {
    let mut even = [_mm512_setzero_ps(); R];
    let mut odd = [_mm512_setzero_ps(); R];
    let x = chunk.bf16.as_chunks::<2>().0;
    for (lines, x) in tile.bytes.chunks_exact(2 * LINE_BYTES).zip(x.chunks_exact(2 * R)) {
        let (first, second) = (load_line(lines), load_line(&lines[LINE_BYTES..]));
        for r in 0..R {
            even[r] = dot(even[r], first, x[r]);
            odd[r] = dot(odd[r], second, x[R + r]);
        }
    }
    for r in 0..R {
        store(&mut out[r], _mm512_add_ps(even[r], odd[r]));
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn dot(sum: __m512, weights: __m512i, pair: [u16; 2]) -> __m512 {
    let x = _mm512_set1_epi32((u32::from(pair[0]) | u32::from(pair[1]) << 16).cast_signed());
    // SAFETY: both types are 512 plain bits.
    let (weights, x) = unsafe {
        (
            std::mem::transmute::<__m512i, __m512bh>(weights),
            std::mem::transmute::<__m512i, __m512bh>(x),
        )
    };
    _mm512_dpbf16_ps(sum, weights, x)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_line(bytes: &[u8]) -> __m512i {
    let line = &bytes[..LINE_BYTES];
    // SAFETY: the slice has 64 bytes; the load has no alignment.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}
