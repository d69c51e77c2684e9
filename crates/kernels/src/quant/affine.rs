//! MLX affine: `w = q * scale + bias`, q unsigned.
//!
//! ```text
//! codes   [rows, cols * BITS / 8]   one bit stream a row, least significant bit first
//! scales  [rows, cols / group]      f16, bf16 or f32
//! biases  [rows, cols / group]
//! ```

use russet_tensor::{FloatSlice, FloatType};

use super::{BLOCK, Block, CodeKind, IntForm, PlainRows, ScaleKind, Source};

/// An affine matrix of `BITS` bits a code.
pub(crate) struct Affine<'a, const BITS: usize> {
    /// Columns of the matrix.
    pub(crate) cols: usize,
    /// Columns that share a scale and a bias.
    pub(crate) group: usize,
    /// The bit streams.
    pub(crate) codes: &'a [u8],
    /// One scale a group.
    pub(crate) scales: FloatSlice<'a>,
    /// One bias a group.
    pub(crate) biases: FloatSlice<'a>,
}

impl<const BITS: usize> Affine<'_, BITS> {
    /// The type of both scales and biases: as stored, or f32 if they differ.
    fn scale_type(&self) -> FloatType {
        let (scale, bias) = (self.scales.dtype(), self.biases.dtype());
        if scale == bias { scale } else { FloatType::F32 }
    }
}

impl<const BITS: usize> Source for Affine<'_, BITS> {
    fn form(&self) -> IntForm {
        IntForm {
            codes: match BITS {
                2 => CodeKind::Two,
                3 => CodeKind::Three,
                4 => CodeKind::Nibble,
                5 => CodeKind::Five,
                6 => CodeKind::Six,
                _ => CodeKind::Byte,
            },
            group: self.group,
            scale: ScaleKind::Float(self.scale_type()),
            biased: true,
            offset: 0,
        }
    }

    fn read(&self, row: usize, block: usize, out: &mut Block) {
        let row_bytes = self.cols / 8 * BITS;
        let start = row * row_bytes + block * (BLOCK / 8) * BITS;
        let stream = &self.codes[start..start + BLOCK / 8 * BITS];
        for (bytes, codes) in stream.chunks_exact(BITS).zip(out.codes.as_chunks_mut::<8>().0) {
            let mut word = [0; 8];
            word[..BITS].copy_from_slice(bytes);
            let word = u64::from_le_bytes(word);
            for (i, code) in codes.iter_mut().enumerate() {
                *code = (word >> (i * BITS)) as u8 & (u8::MAX >> (8 - BITS));
            }
        }
        let group = row * (self.cols / self.group) + block * BLOCK / self.group;
        let scale_type = self.scale_type();
        out.scales[0] = bits_as(scale_type, &self.scales, group);
        out.biases[0] = bits_as(scale_type, &self.biases, group);
    }

    fn plain(&self) -> Option<PlainRows<'_>> {
        let is_plain = matches!(BITS, 4 | 8) && self.scales.dtype() == self.biases.dtype();
        let (scales, biases) = (self.scales.bytes(), self.biases.bytes());
        let scale = self.scales.dtype();
        is_plain.then_some(PlainRows { codes: self.codes, scale, scales, biases })
    }
}

/// Element `i` as bits of type `ty`, which is the slice's own or f32.
fn bits_as(ty: FloatType, floats: &FloatSlice<'_>, i: usize) -> u32 {
    match ty {
        FloatType::F32 => floats.get(i).to_bits(),
        FloatType::F16 | FloatType::BF16 => u32::from(super::u16_at(floats.bytes(), 2 * i)),
    }
}
