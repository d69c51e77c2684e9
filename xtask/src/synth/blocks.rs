//! Floats as the blocks of GGUF. Source: ggml's block structs.

use half::f16;
use russet_tensor::GgmlType;

/// Elements of a block.
const BLOCK: usize = 32;

/// How the elements of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    F32,
    /// `scale * code + bias`, the codes unsigned.
    Q4_1,
    /// `scale * (code - 8)`.
    Q4_0,
}

impl Encoding {
    pub(super) fn ggml_type(self) -> GgmlType {
        match self {
            Self::F32 => GgmlType::F32,
            Self::Q4_1 => GgmlType::Q4_1,
            Self::Q4_0 => GgmlType::Q4_0,
        }
    }

    /// Appends `values`, whole blocks of them, to `out`.
    pub(super) fn encode(self, values: &[f32], out: &mut Vec<u8>) {
        match self {
            Self::F32 => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::Q4_1 => values.as_chunks().0.iter().for_each(|block| q4_1(block, out)),
            Self::Q4_0 => values.as_chunks().0.iter().for_each(|block| q4_0(block, out)),
        }
    }
}

/// The least value is code 0 and the greatest code 15.
fn q4_1(values: &[f32; BLOCK], out: &mut Vec<u8>) {
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    let greatest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = f16::from_f32((greatest - least) / 15.0);
    let bias = f16::from_f32(least);
    out.extend(scale.to_le_bytes());
    out.extend(bias.to_le_bytes());
    codes(values, (inverse(scale), -bias.to_f32()), out);
}

/// The value that is farthest from zero is code 0, the one code without a counterpart.
fn q4_0(values: &[f32; BLOCK], out: &mut Vec<u8>) {
    let farther = |a: f32, b: f32| if b.abs() > a.abs() { b } else { a };
    let scale = f16::from_f32(values.iter().copied().fold(0.0, farther) / -8.0);
    out.extend(scale.to_le_bytes());
    codes(values, (inverse(scale), 8.0 * scale.to_f32()), out);
}

fn inverse(scale: f16) -> f32 {
    let scale = scale.to_f32();
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Elements 0 to 15 in the low and 16 to 31 in the high nibbles.
fn codes(values: &[f32; BLOCK], (inverse, shift): (f32, f32), out: &mut Vec<u8>) {
    // The conversion saturates at 0 below.
    let code = |value: f32| (((value + shift) * inverse + 0.5) as u8).min(15);
    let (low, high) = values.split_at(BLOCK / 2);
    out.extend(low.iter().zip(high).map(|(&low, &high)| code(low) | code(high) << 4));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<f32> {
        (0..BLOCK).map(|i| (i as f32 * 1.7).sin() * 0.05 - 0.01).collect()
    }

    fn float(bytes: &[u8]) -> f32 {
        f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
    }

    /// Element `i` by ggml's definition, from its codes.
    fn code(codes: &[u8], i: usize) -> f32 {
        f32::from(if i < 16 { codes[i] & 15 } else { codes[i - 16] >> 4 })
    }

    #[test]
    fn every_element_is_within_half_a_step() {
        let (values, mut block) = (values(), Vec::new());
        Encoding::Q4_1.encode(&values, &mut block);
        assert_eq!(block.len(), Encoding::Q4_1.ggml_type().block_bytes());
        let (scale, bias) = (float(&block), float(&block[2..]));
        for (i, &value) in values.iter().enumerate() {
            let error = scale * code(&block[4..], i) + bias - value;
            assert!(error.abs() <= 0.501 * scale + 1e-5, "{i}: {error}");
        }
        block.clear();
        Encoding::Q4_0.encode(&values, &mut block);
        assert_eq!(block.len(), Encoding::Q4_0.ggml_type().block_bytes());
        let scale = float(&block);
        for (i, &value) in values.iter().enumerate() {
            let error = scale * (code(&block[2..], i) - 8.0) - value;
            // There is no code for the value opposite to the farthest one.
            assert!(error.abs() <= 1.01 * scale.abs(), "{i}: {error}");
        }
    }

    #[test]
    fn a_constant_block_has_scale_zero() {
        let mut block = Vec::new();
        Encoding::Q4_1.encode(&[0.5; BLOCK], &mut block);
        assert_eq!((float(&block), float(&block[2..])), (0.0, 0.5));
        block.clear();
        Encoding::Q4_0.encode(&[0.0; BLOCK], &mut block);
        assert_eq!(float(&block), 0.0);
    }
}
