//! Loads and stores of half a tile's rows.

use std::arch::x86_64::*;

use russet_tensor::FloatType;

use super::LANES;
use crate::matmul::Lanes;

/// Eight bytes, in the lower half.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_eight(bytes: &[u8]) -> __m128i {
    let bytes = &bytes[..8];
    // SAFETY: the slice has eight bytes; the load has no alignment.
    unsafe { _mm_loadl_epi64(bytes.as_ptr().cast()) }
}

/// 32 bytes: eight rows of a line.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_line(bytes: &[u8]) -> __m256i {
    let bytes = &bytes[..32];
    // SAFETY: the slice has 32 bytes; the load has no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Eight stored floats from element `first`, widened.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) fn load_floats(ty: FloatType, bytes: &[u8], first: usize) -> __m256 {
    let bytes = &bytes[first * ty.bytes()..];
    match ty {
        FloatType::F32 => _mm256_castsi256_ps(load_line(bytes)),
        FloatType::F16 => _mm256_cvtph_ps(load_half_line(bytes)),
        FloatType::BF16 => {
            let wide = _mm256_cvtepu16_epi32(load_half_line(bytes));
            _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_half_line(bytes: &[u8]) -> __m128i {
    let bytes = &bytes[..16];
    // SAFETY: the slice has 16 bytes; the load has no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Loads eight lanes from `lane`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(lanes: &Lanes, lane: usize) -> __m256 {
    let lanes = &lanes[lane..lane + LANES];
    // SAFETY: the slice has eight floats; the load has no alignment.
    unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
}

/// Stores eight lanes from `lane`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(out: &mut Lanes, lane: usize, values: __m256) {
    let out = &mut out[lane..lane + LANES];
    // SAFETY: the slice has eight floats; the store has no alignment.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), values) }
}
