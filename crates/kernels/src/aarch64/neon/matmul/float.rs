//! Float weights times f32 activations.

use std::arch::aarch64::*;
use std::ops::Range;

use russet_tensor::FloatType;

use super::int8::store;
use super::scales::load_floats;
use super::{LANES, with_rows};
use crate::matmul::{Chunk, DenseTile, Lanes};
use crate::pack::TILE_ROWS;

/// Element types as constants, so that each is its own loop.
const F32: u8 = 0;
const F16: u8 = 1;
const BF16: u8 = 2;

/// `out[r]` = the products of the tile with row `r` of the chunk, for each of `rows`.
#[target_feature(enable = "neon")]
pub(super) fn tile(tile: &DenseTile<'_>, chunk: &Chunk, rows: Range<usize>, out: &mut [Lanes]) {
    for half in 0..TILE_ROWS / LANES {
        let job = Job { tile, chunk, first: rows.start, lane: half * LANES };
        match tile.ty {
            FloatType::F32 => with_rows!(rows.len(), half_tile::<F32>(&job, out)),
            FloatType::F16 => with_rows!(rows.len(), half_tile::<F16>(&job, out)),
            FloatType::BF16 => with_rows!(rows.len(), half_tile::<BF16>(&job, out)),
        }
    }
}

/// Eight rows of a tile, from `lane`, and some rows of a chunk, from `first`.
struct Job<'a> {
    tile: &'a DenseTile<'a>,
    chunk: &'a Chunk,
    first: usize,
    lane: usize,
}

#[target_feature(enable = "neon")]
fn half_tile<const TYPE: u8, const R: usize>(job: &Job<'_>, out: &mut [Lanes]) {
    let (rows, first) = (job.chunk.rows(), job.first);
    let mut even = [[vdupq_n_f32(0.0); 2]; R];
    let mut odd = [[vdupq_n_f32(0.0); 2]; R];
    let pair_bytes = 2 * TILE_ROWS * if TYPE == F32 { 4 } else { 2 };
    let pairs = job.tile.bytes.chunks_exact(pair_bytes);
    for (pair, x) in pairs.zip(job.chunk.floats.chunks_exact(2 * rows)) {
        let (w_even, w_odd) = load_pair::<TYPE>(pair, job.lane);
        let (x_even, x_odd) = (&x[first..][..R], &x[rows + first..][..R]);
        for r in 0..R {
            for q in 0..2 {
                even[r][q] = vfmaq_f32(even[r][q], w_even[q], vdupq_n_f32(x_even[r]));
                odd[r][q] = vfmaq_f32(odd[r][q], w_odd[q], vdupq_n_f32(x_odd[r]));
            }
        }
    }
    for r in 0..R {
        let sums = [0, 1].map(|q| vaddq_f32(even[r][q], odd[r][q]));
        store(&mut out[first + r], job.lane, sums);
    }
}

/// Two columns of eight rows.
#[inline]
#[target_feature(enable = "neon")]
fn load_pair<const TYPE: u8>(pair: &[u8], lane: usize) -> ([float32x4_t; 2], [float32x4_t; 2]) {
    let eight = |ty, first| [load_floats(ty, pair, first), load_floats(ty, pair, first + 4)];
    match TYPE {
        F32 => (eight(FloatType::F32, lane), eight(FloatType::F32, TILE_ROWS + lane)),
        F16 => (eight(FloatType::F16, lane), eight(FloatType::F16, TILE_ROWS + lane)),
        _ => {
            let [a, b] = eight(FloatType::F32, lane);
            let (a, b) = (vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b));
            let high = vdupq_n_u32(0xffff_0000);
            let even = [vshlq_n_u32::<16>(a), vshlq_n_u32::<16>(b)];
            let odd = [vandq_u32(a, high), vandq_u32(b, high)];
            (even.map(|v| vreinterpretq_f32_u32(v)), odd.map(|v| vreinterpretq_f32_u32(v)))
        }
    }
}
