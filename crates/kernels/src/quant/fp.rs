//! MLX mxfp4 and nvfp4: E2M1 codes, two a byte, low nibble first. Sources: OCP MX v1.0; NVIDIA's
//! NVFP4.
//!
//! A table makes the codes unsigned integers: `value(code) = (FP4_TABLE[code] - 12) / 2`.

use half::bf16;
use russet_tensor::{FloatType, fp8_e4m3_value, fp8_e8m0_value};

use super::{BLOCK, Block, CodeKind, IntForm, ScaleKind, Source};

/// Twice the E2M1 values, plus [`FP4_OFFSET`].
pub(super) const FP4_TABLE: [u8; 16] = [12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0];
/// What makes the doubled values unsigned.
pub(super) const FP4_OFFSET: u8 = 12;

/// E2M1 codes in groups of 32, E8M0 scales.
pub(crate) struct Mxfp4<'a> {
    /// Columns of the matrix.
    pub(crate) cols: usize,
    /// `[rows, cols / 2]`
    pub(crate) codes: &'a [u8],
    /// `[rows, cols / 32]`
    pub(crate) scales: &'a [u8],
}

impl Source for Mxfp4<'_> {
    fn form(&self) -> IntForm {
        mxfp4_form()
    }

    fn read(&self, row: usize, block: usize, out: &mut Block) {
        let group = row * (self.cols / BLOCK) + block;
        read_pairs(&self.codes[group * 16..group * 16 + 16], &mut out.codes);
        out.scales[0] = half_e8m0_bits(self.scales[group]);
    }
}

/// The form of both MLX's and ggml's mxfp4.
pub(super) fn mxfp4_form() -> IntForm {
    IntForm {
        codes: CodeKind::Table(&FP4_TABLE),
        group: 32,
        scale: ScaleKind::Float(FloatType::BF16),
        biased: false,
        offset: FP4_OFFSET,
    }
}

/// Half of an E8M0 scale as bf16 bits: exact, `2^-128` being a denormal of bf16 too.
pub(super) fn half_e8m0_bits(byte: u8) -> u32 {
    (fp8_e8m0_value(byte) * 0.5).to_bits() >> 16
}

/// E2M1 codes in groups of 16, E4M3 scales, and optionally one scale for the whole tensor.
pub(crate) struct Nvfp4<'a> {
    /// Columns of the matrix: a multiple of 16.
    pub(crate) cols: usize,
    /// `[rows, cols / 2]`
    pub(crate) codes: &'a [u8],
    /// `[rows, cols / 16]`
    pub(crate) scales: &'a [u8],
    /// The largest magnitude of the tensor; values are in units of it over 448 * 6.
    pub(crate) global_scale: Option<f32>,
}

impl Source for Nvfp4<'_> {
    fn form(&self) -> IntForm {
        let ty = if self.global_scale.is_some() { FloatType::F32 } else { FloatType::BF16 };
        IntForm {
            codes: CodeKind::Table(&FP4_TABLE),
            group: 16,
            scale: ScaleKind::Float(ty),
            biased: false,
            offset: FP4_OFFSET,
        }
    }

    fn read(&self, row: usize, block: usize, out: &mut Block) {
        let num_groups = self.cols / 16;
        *out = Block::default();
        for half in 0..2.min(num_groups - 2 * block) {
            let group = row * num_groups + 2 * block + half;
            let bytes = &self.codes[group * 8..group * 8 + 8];
            read_pairs(bytes, &mut out.codes[16 * half..16 * half + 16]);
            let scale = fp8_e4m3_value(self.scales[group]);
            out.scales[half] = match self.global_scale {
                Some(global) => (scale * (global / (448.0 * 6.0)) * 0.5).to_bits(),
                None => u32::from(bf16::from_f32(scale * 0.5).to_bits()),
            };
        }
    }
}

/// Two codes a byte, low nibble first.
fn read_pairs(bytes: &[u8], codes: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(codes.as_chunks_mut::<2>().0) {
        *pair = [byte & 15, byte >> 4];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use russet_tensor::fp4_value;

    #[test]
    fn the_table_holds_the_doubled_values() {
        for code in 0..16 {
            let entry = f32::from(FP4_TABLE[usize::from(code)]) - f32::from(FP4_OFFSET);
            assert_eq!(entry, 2.0 * fp4_value(code));
        }
    }

    #[test]
    fn halved_scales_are_exact_in_bf16() {
        for byte in 0..=254 {
            let half = bf16::from_bits(half_e8m0_bits(byte) as u16).to_f32();
            assert_eq!(f64::from(half) * 2.0, 2f64.powi(i32::from(byte) - 127));
            let e4m3 = fp8_e4m3_value(byte) * 0.5;
            assert!(e4m3.is_nan() || bf16::from_f32(e4m3).to_f32() == e4m3);
        }
        assert!(bf16::from_bits(half_e8m0_bits(255) as u16).is_nan());
    }
}
