//! Elementwise operations: the definitions, which every instruction set compiles for itself.

use std::ops::Range;

use crate::elementwise::math::{NUM_LANES, fold_lanes, gelu, gelu_tanh, silu};
use crate::elementwise::{
    Activation, Elementwise, HeadShape, Largest, RmsNorm, RopePairing, RopeTable, Share, math,
};

use super::{Scalar, logits};

#[inline(always)]
pub(crate) fn rms_norm(norm: &RmsNorm<'_>, x: &[f32], out: &mut [f32]) {
    for (x, out) in x.chunks_exact(norm.width).zip(out.chunks_exact_mut(norm.width)) {
        let factor = inverse_rms(x, norm.eps);
        match norm.weight {
            Some(weight) => {
                for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
                    *out = x * factor * w;
                }
            }
            None => {
                for (out, x) in out.iter_mut().zip(x) {
                    *out = x * factor;
                }
            }
        }
    }
}

#[inline(always)]
pub(crate) fn rms_norm_in_place(norm: &RmsNorm<'_>, x: &mut [f32]) {
    for x in x.chunks_exact_mut(norm.width) {
        let factor = inverse_rms(x, norm.eps);
        match norm.weight {
            Some(weight) => {
                for (x, w) in x.iter_mut().zip(weight) {
                    *x = *x * factor * w;
                }
            }
            None => scale(x, factor),
        }
    }
}

/// The squares are summed in 16 lanes.
#[inline(always)]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    let mut lanes = [0.0_f32; NUM_LANES];
    let (parts, rest) = x.as_chunks::<NUM_LANES>();
    for part in parts {
        for (lane, x) in lanes.iter_mut().zip(part) {
            *lane = x.mul_add(*x, *lane);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = x.mul_add(*x, *lane);
    }
    1.0 / (fold_lanes(lanes, |a, b| a + b) / x.len() as f32 + eps).sqrt()
}

#[inline(always)]
pub(crate) fn rope(x: &mut [f32], heads: HeadShape, table: &RopeTable<'_>, pairing: RopePairing) {
    let half = table.half;
    let angles = table.cos.chunks_exact(half.max(1)).zip(table.sin.chunks_exact(half.max(1)));
    for (x, (cos, sin)) in x.chunks_exact_mut(heads.heads * heads.head_dim).zip(angles) {
        for head in x.chunks_exact_mut(heads.head_dim) {
            match pairing {
                RopePairing::Halves => rotate_halves(&mut head[..2 * half], cos, sin),
                RopePairing::Interleaved => rotate_interleaved(&mut head[..2 * half], cos, sin),
            }
        }
    }
}

#[inline(always)]
fn rotate_halves(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = head.split_at_mut(cos.len());
    for (((a, b), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
        (*a, *b) = rotated(*a, *b, *cos, *sin);
    }
}

#[inline(always)]
fn rotate_interleaved(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for (([a, b], cos), sin) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
        (*a, *b) = rotated(*a, *b, *cos, *sin);
    }
}

#[inline(always)]
fn rotated(a: f32, b: f32, cos: f32, sin: f32) -> (f32, f32) {
    (a.mul_add(cos, -(b * sin)), b.mul_add(cos, a * sin))
}

#[inline(always)]
pub(crate) fn gated(gate: &[f32], up: &[f32], activation: Activation, out: &mut [f32]) {
    let all = out.iter_mut().zip(gate).zip(up);
    match activation {
        Activation::Silu => all.for_each(|((out, g), u)| *out = silu(*g) * u),
        Activation::Gelu => all.for_each(|((out, g), u)| *out = gelu(*g) * u),
        Activation::GeluTanh => all.for_each(|((out, g), u)| *out = gelu_tanh(*g) * u),
    }
}

#[inline(always)]
pub(crate) fn add_scaled(x: &mut [f32], y: &[f32], scale: f32) {
    for (x, y) in x.iter_mut().zip(y) {
        *x = y.mul_add(scale, *x);
    }
}

#[inline(always)]
pub(crate) fn add_bias(x: &mut [f32], bias: &[f32]) {
    for x in x.chunks_exact_mut(bias.len()) {
        for (x, bias) in x.iter_mut().zip(bias) {
            *x += bias;
        }
    }
}

#[inline(always)]
pub(crate) fn scale(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}

#[inline(always)]
pub(crate) fn softcap(x: &mut [f32], cap: f32) {
    let inverse_cap = 1.0 / cap;
    for x in x {
        *x = math::softcap(*x, cap, inverse_cap);
    }
}

impl Elementwise for Scalar {
    fn rms_norm(&self, norm: &RmsNorm<'_>, x: &[f32], out: &mut [f32]) {
        rms_norm(norm, x, out);
    }

    fn rms_norm_in_place(&self, norm: &RmsNorm<'_>, x: &mut [f32]) {
        rms_norm_in_place(norm, x);
    }

    fn rope(&self, x: &mut [f32], heads: HeadShape, table: &RopeTable<'_>, pairing: RopePairing) {
        rope(x, heads, table, pairing);
    }

    fn gated(&self, gate: &[f32], up: &[f32], activation: Activation, out: &mut [f32]) {
        gated(gate, up, activation, out);
    }

    fn add_scaled(&self, x: &mut [f32], y: &[f32], scale: f32) {
        add_scaled(x, y, scale);
    }

    fn add_bias(&self, x: &mut [f32], bias: &[f32]) {
        add_bias(x, bias);
    }

    fn scale(&self, x: &mut [f32], factor: f32) {
        scale(x, factor);
    }

    fn softcap(&self, x: &mut [f32], cap: f32) {
        softcap(x, cap);
    }

    fn argmax(&self, x: &[f32]) -> Largest {
        logits::argmax(x)
    }

    fn weigh(&self, x: &[f32], max: f32, factor: f32, out: &mut [f32]) {
        logits::weigh(x, max, factor, out);
    }

    fn share(&self, x: &[f32], least: f32) -> Share {
        logits::share(x, least)
    }

    fn indices_in(&self, x: &[f32], range: &Range<f32>, out: &mut [u32]) -> usize {
        logits::indices_in(x, range, out)
    }

    fn position_above(&self, x: &[f32], floor: f32) -> Option<usize> {
        logits::position_above(x, floor)
    }
}
