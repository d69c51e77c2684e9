//! Float weights times f32 activations.

use std::arch::x86_64::*;

use russet_tensor::FloatType;

use super::loads::{load_floats, load_line, store};
use super::{LANES, with_rows};
use crate::matmul::{Chunk, DenseTile, Lanes};
use crate::pack::TILE_ROWS;

/// Element types as constants, so that each is its own loop.
const F32: u8 = 0;
const F16: u8 = 1;
const BF16: u8 = 2;

/// `out[r]` = the products of the tile with row `r` of the chunk.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn tile(tile: &DenseTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    let (rows, x) = (chunk.rows(), &chunk.floats[..]);
    for lane in (0..TILE_ROWS).step_by(LANES) {
        match tile.ty {
            FloatType::F32 => with_rows!(rows, half_tile::<F32>(tile, x, lane, out)),
            FloatType::F16 => with_rows!(rows, half_tile::<F16>(tile, x, lane, out)),
            FloatType::BF16 => with_rows!(rows, half_tile::<BF16>(tile, x, lane, out)),
        }
    }
}

/// Eight rows of a tile, from `lane`; `x`: `[k][row]`.
#[target_feature(enable = "avx2,fma,f16c")]
fn half_tile<const TYPE: u8, const R: usize>(
    tile: &DenseTile<'_>,
    x: &[f32],
    lane: usize,
    out: &mut [Lanes],
) {
    let mut even = [_mm256_setzero_ps(); R];
    let mut odd = [_mm256_setzero_ps(); R];
    let pair_bytes = 2 * TILE_ROWS * if TYPE == F32 { 4 } else { 2 };
    let pairs = tile.bytes.chunks_exact(pair_bytes);
    for (pair, x) in pairs.zip(x.chunks_exact(2 * R)) {
        let (w_even, w_odd) = load_pair::<TYPE>(pair, lane);
        let (x_even, x_odd) = x.split_at(R);
        for r in 0..R {
            even[r] = _mm256_fmadd_ps(w_even, _mm256_set1_ps(x_even[r]), even[r]);
            odd[r] = _mm256_fmadd_ps(w_odd, _mm256_set1_ps(x_odd[r]), odd[r]);
        }
    }
    for r in 0..R {
        store(&mut out[r], lane, _mm256_add_ps(even[r], odd[r]));
    }
}

/// Two columns of eight rows.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn load_pair<const TYPE: u8>(pair: &[u8], lane: usize) -> (__m256, __m256) {
    let load = |ty, first| load_floats(ty, pair, first);
    match TYPE {
        F32 => (load(FloatType::F32, lane), load(FloatType::F32, TILE_ROWS + lane)),
        F16 => (load(FloatType::F16, lane), load(FloatType::F16, TILE_ROWS + lane)),
        _ => {
            let line = load_line(&pair[4 * lane..]);
            let odd = _mm256_and_si256(line, _mm256_set1_epi32(0xffff_0000u32.cast_signed()));
            (_mm256_castsi256_ps(_mm256_slli_epi32(line, 16)), _mm256_castsi256_ps(odd))
        }
    }
}
