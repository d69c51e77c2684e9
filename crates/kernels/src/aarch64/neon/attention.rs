//! Attention with 4 floats a vector.

use std::arch::aarch64::*;

use half::f16;

use crate::attention::{
    Attention, CHUNK_LEN, Curve, Lanes, Partials, Scratch, Span, Stats, Tile, in_vectors,
};

use crate::pair::Pair;

use super::Neon;

impl Attention for Neon {
    fn attend_chunk(&self, tile: &Tile<'_>, chunk: usize, scratch: &mut Scratch) {
        in_vectors::attend_chunk(self, tile, chunk, scratch);
    }

    fn merge(&self, total: &mut Partials, part: &Partials) {
        total.merge(part);
    }

    fn finish(&self, total: &Partials, line: usize, sink: Option<f32>, out: &mut [f32]) {
        total.finish(line, sink, out);
    }
}

impl Lanes for &Neon {
    type Vector = float32x4_t;
    type Pairs = uint32x4_t;
    const WIDTH: usize = 4;
    const COLUMNS: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        // SAFETY: `self` proves NEON.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> float32x4_t {
        let from = &from[..4];
        // SAFETY: `self` proves NEON, and the slice has 4 elements.
        unsafe { vld1q_f32(from.as_ptr()) }
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> float32x4_t {
        let from = &from[..4];
        // SAFETY: `self` proves NEON, whose base set has `fcvtl`; the slice has 4 elements of two
        // bytes, and the instruction touches no memory.
        unsafe {
            let narrow = vld1_u16(from.as_ptr().cast());
            let wide: float32x4_t;
            std::arch::asm!(
                "fcvtl {wide:v}.4s, {narrow:v}.4h",
                narrow = in(vreg) narrow,
                wide = lateout(vreg) wide,
                options(pure, nomem, nostack, preserves_flags),
            );
            wide
        }
    }

    #[inline(always)]
    fn store(self, vector: float32x4_t, to: &mut [f32]) {
        let to = &mut to[..4];
        // SAFETY: `self` proves NEON, and the slice has 4 elements.
        unsafe { vst1q_f32(to.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn splat_pair(self, pair: Pair) -> uint32x4_t {
        // SAFETY: `self` proves NEON.
        unsafe { vdupq_n_u32(pair.0) }
    }

    #[inline(always)]
    fn load_pairs(self, from: &[Pair]) -> uint32x4_t {
        let from = &from[..4];
        // SAFETY: `self` proves NEON, and the slice has 4 elements of four bytes.
        unsafe { vld1q_u32(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn add_pairs(self, a: uint32x4_t, b: uint32x4_t, sum: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves NEON.
        unsafe {
            let high = vdupq_n_u32(0xffff_0000);
            let second_a = vreinterpretq_f32_u32(vandq_u32(a, high));
            let second_b = vreinterpretq_f32_u32(vandq_u32(b, high));
            let first_a = vreinterpretq_f32_u32(vshlq_n_u32::<16>(a));
            let first_b = vreinterpretq_f32_u32(vshlq_n_u32::<16>(b));
            vfmaq_f32(vfmaq_f32(sum, second_a, second_b), first_a, first_b)
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, _from: &[T], _at: usize) {
        // Stable Rust has no prefetch here, and the CPUs at hand find the direction by themselves.
    }

    fn softmax(self, curve: Curve, row: &mut [f32; CHUNK_LEN], spans: &[Span]) -> Stats {
        curve.softmax(row, spans)
    }

    fn softmax_pairs(
        self,
        curve: Curve,
        row: &mut [f32; CHUNK_LEN],
        spans: &[Span],
        weights: &mut [Pair; CHUNK_LEN / 2],
    ) -> Stats {
        curve.softmax_pairs(row, spans, weights)
    }
}
