//! Scales, biases and other floats of four rows, widened.

use std::arch::aarch64::*;

use russet_tensor::FloatType;

use crate::matmul::forms::scale_kind;
use crate::pack::Group;
use crate::quant::ScaleKind;

/// The scales of four rows of a group, from `lane`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load_scales<const SCALE: u8>(
    kind: ScaleKind,
    group: Group<'_>,
    lane: usize,
) -> float32x4_t {
    let codes = match scale_kind::<SCALE>(kind) {
        ScaleKind::Float(ty) => return load_floats(ty, group.own, lane),
        ScaleKind::Bytes => load_four(&group.own[lane..]),
        ScaleKind::Nibbles => vand_u8(load_four(&group.own[lane..]), vdup_n_u8(15)),
    };
    times_units(codes, group.units, lane)
}

/// The biases of four rows of a group, which has some, from `lane`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load_biases<const SCALE: u8>(
    kind: ScaleKind,
    group: Group<'_>,
    lane: usize,
) -> float32x4_t {
    let own = &group.own[kind.bias_start()..];
    let codes = match scale_kind::<SCALE>(kind) {
        ScaleKind::Float(ty) => return load_floats(ty, own, lane),
        ScaleKind::Bytes => load_four(&own[lane..]),
        ScaleKind::Nibbles => vshr_n_u8::<4>(load_four(&own[lane..])),
    };
    times_units(codes, &group.units[group.units.len() / 2..], lane)
}

/// Signed bytes, the first four, times f16.
#[inline]
#[target_feature(enable = "neon")]
fn times_units(codes: uint8x8_t, units: &[u8], lane: usize) -> float32x4_t {
    let codes = vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(codes))));
    vmulq_f32(load_floats(FloatType::F16, units, lane), vcvtq_f32_s32(codes))
}

/// Four stored floats from element `first`, widened.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load_floats(ty: FloatType, bytes: &[u8], first: usize) -> float32x4_t {
    let bytes = &bytes[first * ty.bytes()..][..4 * ty.bytes()];
    let start = bytes.as_ptr();
    // SAFETY: the slice has four elements of the type; the loads have no alignment.
    unsafe {
        match ty {
            FloatType::F32 => vreinterpretq_f32_u8(vld1q_u8(start)),
            FloatType::F16 => vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(start))),
            FloatType::BF16 => {
                let halves = vreinterpret_u16_u8(vld1_u8(start));
                vreinterpretq_f32_u32(vshll_n_u16::<16>(halves))
            }
        }
    }
}

/// Four bytes, twice.
#[inline]
#[target_feature(enable = "neon")]
fn load_four(bytes: &[u8]) -> uint8x8_t {
    let four = bytes.first_chunk().expect("a scale for each of the rows");
    vreinterpret_u8_u32(vdup_n_u32(u32::from_le_bytes(*four)))
}
