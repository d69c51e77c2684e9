//! Scales and biases of groups, for 16 rows.
//!
//! ```text
//! floats   16 scales, then 16 biases if the form has them
//! bytes    likewise, in units of an f16
//! nibbles  16 bytes: scale (low) and bias (high), in units of an f16
//! ```
//! Units are a line for 256 columns: of 16 scales, then of 16 biases.

use half::{bf16, f16};
use russet_tensor::FloatType;

use super::{LINE_BYTES, TILE_ROWS};
use crate::quant::{Block, IntForm, ScaleKind};

/// Columns that share their units.
const UNIT_COLS: usize = 256;

/// The stored scales and biases of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'a> {
    /// The line of units; empty if the scales are floats.
    pub(crate) units: &'a [u8],
    /// The group's own.
    pub(crate) own: &'a [u8],
}

/// 16 values.
type Lanes = [f32; TILE_ROWS];

impl ScaleKind {
    /// Columns that share units, and bytes of these, if there are any.
    pub(super) fn units(self) -> Option<(usize, usize)> {
        match self {
            Self::Float(_) => None,
            Self::Bytes | Self::Nibbles => Some((UNIT_COLS, LINE_BYTES)),
        }
    }

    /// Where the biases of a group begin.
    pub(crate) fn bias_start(self) -> usize {
        match self {
            Self::Float(ty) => TILE_ROWS * ty.bytes(),
            Self::Bytes => TILE_ROWS,
            Self::Nibbles => 0,
        }
    }
}

/// Bytes of the scales and biases of one group, without units.
pub(super) fn group_bytes(form: &IntForm) -> usize {
    match form.scale {
        ScaleKind::Nibbles => TILE_ROWS,
        other => other.bias_start() * (1 + usize::from(form.biased)),
    }
}

/// Writes the units of a block.
pub(super) fn put_units(block: &Block, lane: usize, units: &mut [u8]) {
    for (units, unit) in units.chunks_exact_mut(LINE_BYTES / 2).zip(block.units) {
        units[2 * lane..2 * lane + 2].copy_from_slice(&unit.to_le_bytes());
    }
}

/// Writes the scales and biases of the group that starts in half `half` of a block.
pub(super) fn put(form: &IntForm, block: &Block, half: usize, lane: usize, group: &mut [u8]) {
    let (scale, bias) = (block.scales[half], block.biases[half]);
    let size = match form.scale {
        ScaleKind::Float(ty) => ty.bytes(),
        ScaleKind::Bytes => 1,
        ScaleKind::Nibbles => {
            group[lane] = (scale | bias << 4) as u8;
            return;
        }
    };
    let (scales, biases) = group.split_at_mut(form.scale.bias_start());
    scales[lane * size..][..size].copy_from_slice(&scale.to_le_bytes()[..size]);
    if form.biased {
        biases[lane * size..][..size].copy_from_slice(&bias.to_le_bytes()[..size]);
    }
}

/// The scales and the biases (zero where the form has none).
#[inline(always)]
pub(crate) fn read(form: &IntForm, group: Group<'_>) -> (Lanes, Lanes) {
    let times_units = |codes: Lanes, units: &[u8]| -> Lanes {
        let units = widen(FloatType::F16, units);
        std::array::from_fn(|lane| units[lane] * codes[lane])
    };
    let (scale_units, bias_units) = group.units.split_at(group.units.len() / 2);
    let (scales, biases) = match form.scale {
        ScaleKind::Nibbles => {
            let scales = std::array::from_fn(|lane| f32::from(group.own[lane] & 15));
            let biases = std::array::from_fn(|lane| f32::from(group.own[lane] >> 4));
            return (times_units(scales, scale_units), times_units(biases, bias_units));
        }
        _ => group.own.split_at(form.scale.bias_start()),
    };
    let widen = |stored: &[u8], units: &[u8]| match form.scale {
        ScaleKind::Float(ty) => widen(ty, stored),
        _ => times_units(std::array::from_fn(|lane| f32::from(stored[lane].cast_signed())), units),
    };
    let zeros = [0.0; TILE_ROWS];
    (widen(scales, scale_units), if form.biased { widen(biases, bias_units) } else { zeros })
}

/// 16 stored floats as f32.
#[inline(always)]
fn widen(ty: FloatType, bytes: &[u8]) -> Lanes {
    let halves = |i: usize| u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]);
    match ty {
        FloatType::F32 => {
            let quads = bytes.as_chunks::<4>().0;
            std::array::from_fn(|i| f32::from_le_bytes(quads[i]))
        }
        FloatType::F16 => std::array::from_fn(|i| f16::from_bits(halves(i)).to_f32()),
        FloatType::BF16 => std::array::from_fn(|i| bf16::from_bits(halves(i)).to_f32()),
    }
}
