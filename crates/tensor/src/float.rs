//! The floating-point element types that weights are stored in.

use half::{bf16, f16};

/// A floating-point element type of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FloatType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of binary32.
    BF16,
}

impl FloatType {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// The name used in safetensors headers and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
        }
    }
}

/// Little-endian floats of one type, not necessarily aligned.
#[derive(Debug, Clone, Copy)]
pub struct FloatSlice<'a> {
    dtype: FloatType,
    bytes: &'a [u8],
}

impl<'a> FloatSlice<'a> {
    /// Views `bytes` as elements of `dtype`. Panics if the length is not a whole number of
    /// elements.
    pub fn new(dtype: FloatType, bytes: &'a [u8]) -> Self {
        assert!(bytes.len().is_multiple_of(dtype.bytes()), "whole elements");
        Self { dtype, bytes }
    }

    /// The element type.
    pub fn dtype(&self) -> FloatType {
        self.dtype
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.bytes()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The raw bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Element `i`, widened exactly. Panics if out of range.
    pub fn get(&self, i: usize) -> f32 {
        let two = |i: usize| [self.bytes[2 * i], self.bytes[2 * i + 1]];
        match self.dtype {
            FloatType::F32 => {
                let b = &self.bytes[4 * i..4 * i + 4];
                f32::from_le_bytes([b[0], b[1], b[2], b[3]])
            }
            FloatType::F16 => f16::from_le_bytes(two(i)).to_f32(),
            FloatType::BF16 => bf16::from_le_bytes(two(i)).to_f32(),
        }
    }

    /// Elements `start..end` as their own view.
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let size = self.dtype.bytes();
        Self { dtype: self.dtype, bytes: &self.bytes[start * size..end * size] }
    }

    /// All elements, widened exactly.
    pub fn to_vec(&self) -> Vec<f32> {
        (0..self.len()).map(|i| self.get(i)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_widens_exactly() {
        let f32s = [1.5f32.to_le_bytes(), (-0.25f32).to_le_bytes()].concat();
        assert_eq!(FloatSlice::new(FloatType::F32, &f32s).to_vec(), [1.5, -0.25]);
        let f16s = [f16::from_f32(1.5).to_le_bytes(), f16::from_f32(-0.25).to_le_bytes()].concat();
        assert_eq!(FloatSlice::new(FloatType::F16, &f16s).to_vec(), [1.5, -0.25]);
        let bf16s =
            [bf16::from_f32(1.5).to_le_bytes(), bf16::from_f32(-0.25).to_le_bytes()].concat();
        assert_eq!(FloatSlice::new(FloatType::BF16, &bf16s).slice(1, 2).to_vec(), [-0.25]);
    }
}
