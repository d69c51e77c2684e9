//! Attention with 4 floats a vector.

use std::arch::aarch64::*;

use half::{bf16, f16};

use crate::attention::{
    Attention, CHUNK_LEN, Curve, Lanes, Partials, Scratch, Span, Stats, Tile, in_vectors,
};

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
    fn load_bf16(self, from: &[bf16]) -> float32x4_t {
        let from = &from[..4];
        // SAFETY: `self` proves NEON, and the slice has 4 elements of two bytes.
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.as_ptr().cast()))) }
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
    fn prefetch<T>(self, _from: &[T], _at: usize) {
        // Stable Rust has no prefetch here, and the CPUs at hand find the direction by themselves.
    }

    fn softmax(self, curve: Curve, row: &mut [f32; CHUNK_LEN], spans: &[Span]) -> Stats {
        curve.softmax(row, spans)
    }
}
