//! Attention with 8 floats a vector.

use std::arch::x86_64::*;

use half::f16;

use crate::attention::{
    Attention, CHUNK_LEN, Curve, Lanes, Partials, Scratch, Span, Stats, Tile, in_vectors,
};

use crate::pair::Pair;

use super::Avx2;

impl Attention for Avx2 {
    fn attend_chunk(&self, tile: &Tile<'_>, chunk: usize, scratch: &mut Scratch) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled(isa: &Avx2, tile: &Tile<'_>, chunk: usize, scratch: &mut Scratch) {
            in_vectors::attend_chunk(isa, tile, chunk, scratch);
        }
        // SAFETY: `self` proves that this CPU has these features.
        unsafe { compiled(self, tile, chunk, scratch) }
    }

    fn merge(&self, total: &mut Partials, part: &Partials) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled(total: &mut Partials, part: &Partials) {
            total.merge(part);
        }
        // SAFETY: `self` proves that this CPU has these features.
        unsafe { compiled(total, part) }
    }

    fn finish(&self, total: &Partials, line: usize, sink: Option<f32>, out: &mut [f32]) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled(total: &Partials, line: usize, sink: Option<f32>, out: &mut [f32]) {
            total.finish(line, sink, out);
        }
        // SAFETY: `self` proves that this CPU has these features.
        unsafe { compiled(total, line, sink, out) }
    }
}

impl Lanes for &Avx2 {
    type Vector = __m256;
    type Pairs = __m256i;
    const WIDTH: usize = 8;
    const COLUMNS: usize = 2;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: `self` proves AVX2, FMA and F16C.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m256 {
        let from = &from[..8];
        // SAFETY: `self` proves AVX2, FMA and F16C, and the slice has 8 elements.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> __m256 {
        let from = &from[..8];
        // SAFETY: `self` proves AVX2, FMA and F16C, and the slice has 8 elements of two bytes.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store(self, vector: __m256, to: &mut [f32]) {
        let to = &mut to[..8];
        // SAFETY: `self` proves AVX2, FMA and F16C, and the slice has 8 elements.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2, FMA and F16C.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn splat_pair(self, pair: Pair) -> __m256i {
        // SAFETY: `self` proves AVX2, FMA and F16C.
        unsafe { _mm256_set1_epi32(pair.0.cast_signed()) }
    }

    #[inline(always)]
    fn load_pairs(self, from: &[Pair]) -> __m256i {
        let from = &from[..8];
        // SAFETY: `self` proves AVX2, FMA and F16C, and the slice has 8 elements of four bytes.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn add_pairs(self, a: __m256i, b: __m256i, sum: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2, FMA and F16C.
        unsafe {
            let high = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
            let second_a = _mm256_castsi256_ps(_mm256_and_si256(a, high));
            let second_b = _mm256_castsi256_ps(_mm256_and_si256(b, high));
            let first_a = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(a));
            let first_b = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(b));
            _mm256_fmadd_ps(first_a, first_b, _mm256_fmadd_ps(second_a, second_b, sum))
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, from: &[T], at: usize) {
        if let Some(place) = from.get(at) {
            // SAFETY: prefetching reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) }
        }
    }

    fn softmax(self, curve: Curve, row: &mut [f32; CHUNK_LEN], spans: &[Span]) -> Stats {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled(curve: Curve, row: &mut [f32; CHUNK_LEN], spans: &[Span]) -> Stats {
            curve.softmax(row, spans)
        }
        // SAFETY: `self` proves that this CPU has these features.
        unsafe { compiled(curve, row, spans) }
    }

    fn softmax_pairs(
        self,
        curve: Curve,
        row: &mut [f32; CHUNK_LEN],
        spans: &[Span],
        weights: &mut [Pair; CHUNK_LEN / 2],
    ) -> Stats {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled(
            curve: Curve,
            row: &mut [f32; CHUNK_LEN],
            spans: &[Span],
            weights: &mut [Pair; CHUNK_LEN / 2],
        ) -> Stats {
            curve.softmax_pairs(row, spans, weights)
        }
        // SAFETY: `self` proves that this CPU has these features.
        unsafe { compiled(curve, row, spans, weights) }
    }
}
