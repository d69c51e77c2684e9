//! Attention with 16 floats a vector.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use half::f16;

use crate::attention::{
    Attention, CHUNK_LEN, Curve, Lanes, Partials, Scratch, Span, Stats, Tile, in_vectors,
};

use crate::pair::Pair;

use super::Avx512;

impl Attention for Avx512 {
    fn attend_chunk(&self, tile: &Tile<'_>, chunk: usize, scratch: &mut Scratch) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
        fn compiled(isa: &Avx512, tile: &Tile<'_>, chunk: usize, scratch: &mut Scratch) {
            in_vectors::attend_chunk(Vectors::<Widened>::new(isa), tile, chunk, scratch);
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c")]
        fn compiled_bf16(isa: &Avx512, tile: &Tile<'_>, chunk: usize, scratch: &mut Scratch) {
            in_vectors::attend_chunk(Vectors::<Dots>::new(isa), tile, chunk, scratch);
        }
        if self.has_bf16 {
            // SAFETY: `self` proves that this CPU has these features.
            return unsafe { compiled_bf16(self, tile, chunk, scratch) };
        }
        // SAFETY: `self` proves that this CPU has these features.
        unsafe { compiled(self, tile, chunk, scratch) }
    }

    fn merge(&self, total: &mut Partials, part: &Partials) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
        fn compiled(total: &mut Partials, part: &Partials) {
            total.merge(part);
        }
        // SAFETY: `self` proves that this CPU has these features.
        unsafe { compiled(total, part) }
    }

    fn finish(&self, total: &Partials, line: usize, sink: Option<f32>, out: &mut [f32]) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
        fn compiled(total: &Partials, line: usize, sink: Option<f32>, out: &mut [f32]) {
            total.finish(line, sink, out);
        }
        // SAFETY: `self` proves that this CPU has these features.
        unsafe { compiled(total, line, sink, out) }
    }
}

/// The vectors of a CPU; `P` says how it multiplies pairs of bf16.
#[derive(Clone, Copy)]
struct Vectors<'a, P> {
    _proof: &'a Avx512,
    _multiply: PhantomData<P>,
}

impl<'a, P: Multiply> Vectors<'a, P> {
    fn new(proof: &'a Avx512) -> Self {
        Self { _proof: proof, _multiply: PhantomData }
    }
}

/// How pairs of bf16 are multiplied; equal results (see [`Pair`]).
trait Multiply: Copy {
    /// # Safety
    /// The CPU has AVX-512, and BF16 where that is the way.
    unsafe fn add_pairs(a: __m512i, b: __m512i, sum: __m512) -> __m512;
}

/// With `vdpbf16ps`, which only a CPU with BF16 has.
#[derive(Clone, Copy)]
struct Dots;

/// Widened to `f32`.
#[derive(Clone, Copy)]
struct Widened;

impl Multiply for Dots {
    #[inline(always)]
    unsafe fn add_pairs(a: __m512i, b: __m512i, sum: __m512) -> __m512 {
        // SAFETY: the types have the same bits; the caller proves BF16.
        unsafe {
            let a = std::mem::transmute::<__m512i, __m512bh>(a);
            let b = std::mem::transmute::<__m512i, __m512bh>(b);
            _mm512_dpbf16_ps(sum, a, b)
        }
    }
}

impl Multiply for Widened {
    #[inline(always)]
    unsafe fn add_pairs(a: __m512i, b: __m512i, sum: __m512) -> __m512 {
        // SAFETY: the caller proves AVX-512.
        unsafe {
            let high = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
            let second_a = _mm512_castsi512_ps(_mm512_and_si512(a, high));
            let second_b = _mm512_castsi512_ps(_mm512_and_si512(b, high));
            let first_a = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(a));
            let first_b = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(b));
            _mm512_fmadd_ps(first_a, first_b, _mm512_fmadd_ps(second_a, second_b, sum))
        }
    }
}

impl<P: Multiply> Lanes for Vectors<'_, P> {
    type Vector = __m512;
    type Pairs = __m512i;
    const WIDTH: usize = 16;
    const COLUMNS: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        let from = &from[..16];
        // SAFETY: `self` proves AVX-512, and the slice has 16 elements.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> __m512 {
        let from = &from[..16];
        // SAFETY: `self` proves AVX-512, and the slice has 16 elements of two bytes.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: `self` proves AVX-512, and the slice has 16 elements.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn splat_pair(self, pair: Pair) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_set1_epi32(pair.0.cast_signed()) }
    }

    #[inline(always)]
    fn load_pairs(self, from: &[Pair]) -> __m512i {
        let from = &from[..16];
        // SAFETY: `self` proves AVX-512, and the slice has 16 elements of four bytes.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn add_pairs(self, a: __m512i, b: __m512i, sum: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512; `Dots` is only made where BF16 was found.
        unsafe { P::add_pairs(a, b, sum) }
    }

    #[inline(always)]
    fn prefetch<T>(self, from: &[T], at: usize) {
        if let Some(place) = from.get(at) {
            // SAFETY: prefetching reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(place).cast()) }
        }
    }

    fn softmax(self, curve: Curve, row: &mut [f32; CHUNK_LEN], spans: &[Span]) -> Stats {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
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
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
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
