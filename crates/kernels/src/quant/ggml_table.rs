//! ggml's 4-bit codes through a table: IQ4_NL, IQ4_XS, MXFP4. Source: ggml-common.h (facts of the
//! format).
//!
//! ```text
//! IQ4_NL   18  f16 d  qs[16]                                 w = d * table[q]
//! IQ4_XS  136  f16 d  u16 scales_h  scales_l[4]  qs[128]     w = d * (sc-32) * table[q]
//! MXFP4    17  u8 e  qs[16]                                  w = 2^(e-127) * e2m1[q]
//! ```

use russet_tensor::FloatType;

use super::fp::{half_e8m0_bits, mxfp4_form};
use super::{BLOCK, Block, CodeKind, IntForm, ScaleKind, Source, byte_bits, split_nibbles, u16_at};

/// The non-linear values of IQ4, plus [`IQ4_OFFSET`].
const IQ4_TABLE: [u8; 16] =
    [0, 23, 44, 62, 78, 92, 105, 117, 128, 140, 152, 165, 180, 196, 216, 240];
/// What makes the values unsigned.
const IQ4_OFFSET: u8 = 127;

fn iq4_form(scale: ScaleKind) -> IntForm {
    IntForm {
        codes: CodeKind::Table(&IQ4_TABLE),
        group: BLOCK,
        scale,
        biased: false,
        offset: IQ4_OFFSET,
    }
}

/// 4 bits through a table, scale.
pub(crate) struct Iq4Nl<'a> {
    /// Columns of the matrix.
    pub(crate) cols: usize,
    /// The blocks.
    pub(crate) bytes: &'a [u8],
}

impl Source for Iq4Nl<'_> {
    fn form(&self) -> IntForm {
        iq4_form(ScaleKind::Float(FloatType::F16))
    }

    fn read(&self, row: usize, block: usize, out: &mut Block) {
        let start = (row * (self.cols / BLOCK) + block) * 18;
        let bytes = &self.bytes[start..start + 18];
        out.scales[0] = u32::from(u16_at(bytes, 0));
        split_nibbles(&bytes[2..], &mut out.codes);
    }
}

/// 4 bits through a table, super-blocks of 256 with 6-bit scales.
pub(crate) struct Iq4Xs<'a> {
    /// Columns of the matrix.
    pub(crate) cols: usize,
    /// The super-blocks.
    pub(crate) bytes: &'a [u8],
}

impl Source for Iq4Xs<'_> {
    fn form(&self) -> IntForm {
        iq4_form(ScaleKind::Bytes)
    }

    fn read(&self, row: usize, block: usize, out: &mut Block) {
        let start = (row * (self.cols / 256) + block / 8) * 136;
        let (bytes, b) = (&self.bytes[start..start + 136], block % 8);
        let low = bytes[4 + b / 2] >> (4 * (b % 2)) & 15;
        let high = (u16_at(bytes, 2) >> (2 * b) & 3) as u8;
        out.scales[0] = byte_bits(low | high << 4, 32);
        out.units[0] = u16_at(bytes, 0);
        split_nibbles(&bytes[8 + 16 * b..], &mut out.codes);
    }
}

/// E2M1 codes, E8M0 scale.
pub(crate) struct GgmlMxfp4<'a> {
    /// Columns of the matrix.
    pub(crate) cols: usize,
    /// The blocks.
    pub(crate) bytes: &'a [u8],
}

impl Source for GgmlMxfp4<'_> {
    fn form(&self) -> IntForm {
        mxfp4_form()
    }

    fn read(&self, row: usize, block: usize, out: &mut Block) {
        let start = (row * (self.cols / BLOCK) + block) * 17;
        let bytes = &self.bytes[start..start + 17];
        out.scales[0] = half_e8m0_bits(bytes[0]);
        split_nibbles(&bytes[1..], &mut out.codes);
    }
}
