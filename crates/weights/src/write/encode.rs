//! Rows of GGUF blocks as MLX's codes, scales and biases. Source: ggml's block structs.

use half::f16;
use russet_tensor::GgmlType;

/// Elements of a block of every type here, and of MLX's group.
pub(super) const GROUP: usize = 32;

/// A block type whose values `d * q + m` are an affine quantisation with f16 scale and bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocks {
    pub(super) ty: GgmlType,
    pub(super) bits: usize,
    offset: Offset,
    /// Where the codes start in a block.
    codes_at: usize,
}

/// Where the bias of a block comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offset {
    /// An f16 after the scale.
    Stored,
    /// The code that stands for zero.
    Zero(u8),
}

/// One of the three tensors of a quantised matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuantPart {
    Codes,
    Scales,
    Biases,
}

/// A bias that f16 cannot hold.
#[derive(Debug)]
pub(super) struct NotExact;

impl Blocks {
    pub(super) fn new(ty: GgmlType) -> Option<Self> {
        let (bits, offset, codes_at) = match ty {
            GgmlType::Q4_0 => (4, Offset::Zero(8), 2),
            GgmlType::Q4_1 => (4, Offset::Stored, 4),
            GgmlType::Q8_0 => (8, Offset::Zero(128), 2),
            _ => return None,
        };
        Some(Self { ty, bits, offset, codes_at })
    }

    /// Appends one part of a row of blocks to `out`.
    pub(super) fn encode_row(
        self,
        part: QuantPart,
        row: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), NotExact> {
        for block in row.chunks_exact(self.ty.block_bytes()) {
            match part {
                QuantPart::Codes if self.bits == 4 => nibbles(&block[self.codes_at..], out),
                // Signed bytes become unsigned: -128 is code 0.
                QuantPart::Codes => out.extend(block[self.codes_at..].iter().map(|q| q ^ 0x80)),
                QuantPart::Scales => out.extend(&block[..2]),
                QuantPart::Biases => out.extend(self.bias(block)?),
            }
        }
        Ok(())
    }

    fn bias(self, block: &[u8]) -> Result<[u8; 2], NotExact> {
        let zero = match self.offset {
            Offset::Stored => return Ok([block[2], block[3]]),
            Offset::Zero(code) => f32::from(code),
        };
        let exact = f16::from_le_bytes([block[0], block[1]]).to_f32() * -zero;
        let bias = f16::from_f32(exact);
        if bias.to_f32() == exact && exact.is_finite() {
            Ok(bias.to_le_bytes())
        } else {
            Err(NotExact)
        }
    }
}

/// A GGUF block holds elements 0..16 in the low and 16..32 in the high nibbles; MLX puts neighbours
/// in one byte.
fn nibbles(codes: &[u8], out: &mut Vec<u8>) {
    out.extend(codes.chunks_exact(2).map(|pair| pair[0] & 15 | pair[1] << 4));
    out.extend(codes.chunks_exact(2).map(|pair| pair[0] >> 4 | pair[1] & 0xf0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(ty: GgmlType, block: &[u8]) -> (Vec<u8>, f32, Result<f32, NotExact>) {
        let blocks = Blocks::new(ty).unwrap();
        let mut parts = [Vec::new(), Vec::new(), Vec::new()];
        let [codes, scales, biases] = &mut parts;
        blocks.encode_row(QuantPart::Codes, block, codes).unwrap();
        blocks.encode_row(QuantPart::Scales, block, scales).unwrap();
        let exact = blocks.encode_row(QuantPart::Biases, block, biases);
        let value = |bytes: &[u8]| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        (parts[0].clone(), value(&parts[1]), exact.map(|()| value(&parts[2])))
    }

    /// Element `i` of an affine group, by MLX's definition.
    fn affine(codes: &[u8], bits: usize, i: usize) -> f32 {
        let byte = codes[i * bits / 8];
        f32::from(if bits == 8 { byte } else { byte >> (4 * (i % 2)) & 15 })
    }

    #[test]
    fn four_bit_blocks_keep_every_value() {
        let quants: Vec<u8> = (0..16u8).map(|i| i | (15 - i) << 4).collect();
        // Element i of a block, by ggml's definition.
        let code = |i: usize| f32::from(if i < 16 { quants[i] & 15 } else { quants[i - 16] >> 4 });
        let scale = f16::from_f32(-0.37);
        let bias = f16::from_f32(1.13);
        let q4_1 = [&scale.to_le_bytes()[..], &bias.to_le_bytes(), &quants].concat();
        let (codes, s, b) = encode(GgmlType::Q4_1, &q4_1);
        for i in 0..32 {
            let expected = scale.to_f32() * code(i) + bias.to_f32();
            assert_eq!(affine(&codes, 4, i) * s + *b.as_ref().unwrap(), expected, "{i}");
        }
        let q4_0 = [&scale.to_le_bytes()[..], &quants].concat();
        let (codes, s, b) = encode(GgmlType::Q4_0, &q4_0);
        for i in 0..32 {
            let expected = scale.to_f32() * (code(i) - 8.0);
            assert_eq!(affine(&codes, 4, i) * s + *b.as_ref().unwrap(), expected, "{i}");
        }
    }

    #[test]
    fn eight_bit_blocks_keep_every_value() {
        let quants: Vec<u8> = (0..32u8).map(|i| i.wrapping_mul(8)).collect();
        let scale = f16::from_f32(0.011);
        let (codes, s, b) = encode(GgmlType::Q8_0, &[&scale.to_le_bytes()[..], &quants].concat());
        for (i, &quant) in quants.iter().enumerate() {
            let expected = scale.to_f32() * f32::from(quant as i8);
            assert_eq!(affine(&codes, 8, i) * s + *b.as_ref().unwrap(), expected, "{i}");
        }
    }

    #[test]
    fn a_bias_beyond_f16_is_an_error() {
        for scale in [f16::from_f32(600.0), f16::INFINITY, f16::NAN] {
            let block = [&scale.to_le_bytes()[..], &[1; 32]].concat();
            assert!(encode(GgmlType::Q8_0, &block).2.is_err(), "{scale}");
        }
        // The smallest f16 is scaled up, so it stays exact.
        let block = [&f16::from_bits(1).to_le_bytes()[..], &[1; 32]].concat();
        assert!(encode(GgmlType::Q8_0, &block).2.is_ok());
    }
}
