//! Scales and biases of groups.

use std::arch::x86_64::*;

use russet_tensor::FloatType;

use super::LANES;
use super::loads::{load_eight, load_floats};
use crate::matmul::Int8;
use crate::matmul::forms::*;
use crate::pack::LINE_BYTES;
use crate::quant::{IntForm, ScaleKind};

/// A register for each half of the tile.
pub(super) type Floats = [__m256; 2];

/// Walks the groups of a tile; `SCALE` is the kind of its scales.
pub(super) struct Groups<'a, const SCALE: u8> {
    scale: ScaleKind,
    biased: bool,
    /// Of the scales and biases of one.
    bytes: usize,
    /// Sums of the activations of the groups to come, `[group][row]`.
    sums: &'a [f32],
}

/// Units of the scales and of the biases of a strip; zero where these are floats.
pub(super) type Units = (Floats, Floats);

impl<'a, const SCALE: u8> Groups<'a, SCALE> {
    /// Of `bytes` each.
    #[inline(always)]
    pub(super) fn new(form: IntForm, bytes: usize, int8: &'a Int8) -> Self {
        let sums = int8.group_sums(form.group);
        Self { scale: form.scale, biased: form.biased, bytes, sums }
    }

    /// The units of a strip.
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    pub(super) fn load_units(&self, units: &[u8]) -> Units {
        load_units::<SCALE>(self.scale, units)
    }

    /// The scales of the next group; its biases go to the sums.
    // Inlined, as only one kernel has the same constants.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn read<
        const DOT: u8,
        const KIND: u8,
        const STEP: usize,
        const STRIP: usize,
        const R: usize,
    >(
        &mut self,
        units: &Units,
        header: &mut &[u8],
        mut acc: [Floats; R],
    ) -> (Floats, [Floats; R]) {
        let (own, rest) = header.split_at(self.bytes);
        *header = rest;
        if self.biased
            && let Some((sums, rest)) = self.sums.split_first_chunk::<R>()
        {
            let biases = biases::<SCALE>(self.scale, &units.1, own);
            for r in 0..R {
                let sum = _mm256_set1_ps(sums[r]);
                for h in 0..2 {
                    acc[r][h] = _mm256_fmadd_ps(biases[h], sum, acc[r][h]);
                }
            }
            self.sums = rest;
        }
        (scales::<SCALE>(self.scale, &units.0, own), acc)
    }
}

/// The units of scales and biases from their line.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) fn load_units<const SCALE: u8>(kind: ScaleKind, units: &[u8]) -> Units {
    let mut both = ([_mm256_setzero_ps(); 2], [_mm256_setzero_ps(); 2]);
    if let ScaleKind::Float(_) = scale_kind::<SCALE>(kind) {
        return both;
    }
    let (scale, bias) = units.split_at(LINE_BYTES / 2);
    for h in 0..2 {
        let lane = h * LANES;
        both.0[h] = load_floats(FloatType::F16, scale, lane);
        both.1[h] = load_floats(FloatType::F16, bias, lane);
    }
    both
}

/// The scales of a group in `units`, of which floats make no use.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) fn scales<const SCALE: u8>(kind: ScaleKind, units: &Floats, own: &[u8]) -> Floats {
    let mut scales = [_mm256_setzero_ps(); 2];
    for (h, scales) in scales.iter_mut().enumerate() {
        let lane = h * LANES;
        let codes = match scale_kind::<SCALE>(kind) {
            ScaleKind::Float(ty) => {
                *scales = load_floats(ty, own, lane);
                continue;
            }
            ScaleKind::Bytes => load_eight(&own[lane..]),
            ScaleKind::Nibbles => _mm_and_si128(load_eight(&own[lane..]), _mm_set1_epi8(15)),
        };
        *scales = times_units(codes, units[h]);
    }
    scales
}

/// The biases of a group, which has some.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn biases<const SCALE: u8>(kind: ScaleKind, units: &Floats, own: &[u8]) -> Floats {
    let own = &own[kind.bias_start()..];
    let mut biases = [_mm256_setzero_ps(); 2];
    for (h, biases) in biases.iter_mut().enumerate() {
        let lane = h * LANES;
        let codes = match scale_kind::<SCALE>(kind) {
            ScaleKind::Float(ty) => {
                *biases = load_floats(ty, own, lane);
                continue;
            }
            ScaleKind::Bytes => load_eight(&own[lane..]),
            ScaleKind::Nibbles => {
                let both = load_eight(&own[lane..]);
                _mm_and_si128(_mm_srli_epi16::<4>(both), _mm_set1_epi8(15))
            }
        };
        *biases = times_units(codes, units[h]);
    }
    biases
}

/// Signed bytes in units.
#[inline]
#[target_feature(enable = "avx2")]
fn times_units(codes: __m128i, units: __m256) -> __m256 {
    _mm256_mul_ps(units, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)))
}
