//! ggml's K-quants: super-blocks of 256 columns, with small integer scales per 16 or 32 columns.
//! Source: ggml-common.h and ggml-quants.c (facts of the format).
//!
//! ```text
//! Q2_K   84  scales[16] (scale 4 | min 4)  qs[64]  f16 d, dmin        w = d * sc * q - dmin * m
//! Q3_K  110  hmask[32]  qs[64]  scales[12] (6 bits)  f16 d            w = d * (sc-32) * (q-4)
//! Q4_K  144  f16 d, dmin  scales[12] (6 | 6 bits)  qs[128]            w = d * sc * q - dmin * m
//! Q5_K  176  f16 d, dmin  scales[12] (6 | 6 bits)  qh[32]  qs[128]    w = d * sc * q - dmin * m
//! Q6_K  210  ql[128]  qh[64]  scales[16] (signed)  f16 d              w = d * sc * (q-32)
//! ```
//! Scales of Q4_K and Q5_K are per 32 columns, the others' per 16.
//! `d * sc` has at most 19 significant bits, so it is exact in f32.

use super::{BLOCK, Block, CodeKind, IntForm, ScaleKind, Source, byte_bits, u16_at};

/// Columns of a super-block.
const SUPER: usize = 256;

/// Defines a format: name, bytes of a super-block, form, and how block `b` of a super-block is
/// read.
macro_rules! format {
    (
        $name:ident, $doc:literal, $bytes:literal,
        $codes:ident, $scale:ident, $group:literal, $biased:literal, $offset:literal, $read:path
    ) => {
        #[doc = $doc]
        pub(crate) struct $name<'a> {
            /// Columns of the matrix.
            pub(crate) cols: usize,
            /// The super-blocks.
            pub(crate) bytes: &'a [u8],
        }

        impl Source for $name<'_> {
            fn form(&self) -> IntForm {
                IntForm {
                    codes: CodeKind::$codes,
                    group: $group,
                    scale: ScaleKind::$scale,
                    biased: $biased,
                    offset: $offset,
                }
            }

            fn read(&self, row: usize, block: usize, out: &mut Block) {
                let blocks = SUPER / BLOCK;
                let start = (row * (self.cols / SUPER) + block / blocks) * $bytes;
                $read(&self.bytes[start..start + $bytes], block % blocks, out);
            }
        }
    };
}

format!(Q2K, "2 bits, 4-bit scales and minimums.", 84, Two, Nibbles, 16, true, 0, read_q2);
format!(Q3K, "3 bits, 6-bit scales.", 110, Three, Bytes, 16, false, 4, read_q3);
format!(Q4K, "4 bits, 6-bit scales and minimums.", 144, Nibble, Bytes, 32, true, 0, read_q4);
format!(Q5K, "5 bits, 6-bit scales and minimums.", 176, Five, Bytes, 32, true, 0, read_q5);
format!(Q6K, "6 bits, 8-bit scales.", 210, Six, Bytes, 16, false, 32, read_q6);

/// The units of scales and biases from `d, dmin`: minimums are subtracted, biases added.
fn scale_and_bias_units(bytes: &[u8]) -> [u16; 2] {
    const SIGN: u16 = 0x8000;
    [u16_at(bytes, 0), u16_at(bytes, 2) ^ SIGN]
}

fn read_q2(bytes: &[u8], b: usize, out: &mut Block) {
    out.units = scale_and_bias_units(&bytes[80..84]);
    for half in 0..2 {
        let packed = bytes[2 * b + half];
        out.scales[half] = u32::from(packed & 15);
        out.biases[half] = u32::from(packed >> 4);
    }
    let qs = &bytes[16 + b / 4 * 32..][..BLOCK];
    for (code, q) in out.codes.iter_mut().zip(qs) {
        *code = q >> (2 * (b % 4)) & 3;
    }
}

fn read_q3(bytes: &[u8], b: usize, out: &mut Block) {
    out.units[0] = u16_at(bytes, 108);
    let packed = &bytes[96..108];
    for half in 0..2 {
        let i = 2 * b + half;
        let low = packed[i % 8] >> (4 * (i / 8)) & 15;
        let high = packed[8 + i % 4] >> (2 * (i / 4)) & 3;
        out.scales[half] = byte_bits(low | high << 4, 32);
    }
    let (high_bits, qs) = (&bytes[..BLOCK], &bytes[32 + b / 4 * 32..][..BLOCK]);
    for ((code, q), high) in out.codes.iter_mut().zip(qs).zip(high_bits) {
        *code = (q >> (2 * (b % 4)) & 3) | (high >> b & 1) << 2;
    }
}

/// The scale and bias of Q4_K and Q5_K: eight 6-bit scales and minimums in 12 bytes.
fn read_scale_and_min(bytes: &[u8], b: usize, out: &mut Block) {
    let packed = &bytes[4..16];
    let (scale, min) = if b < 4 {
        (packed[b] & 63, packed[b + 4] & 63)
    } else {
        let high = |i: usize| packed[i] >> 6 << 4;
        (packed[b + 4] & 15 | high(b - 4), packed[b + 4] >> 4 | high(b))
    };
    out.units = scale_and_bias_units(&bytes[..4]);
    (out.scales[0], out.biases[0]) = (u32::from(scale), u32::from(min));
}

fn read_q4(bytes: &[u8], b: usize, out: &mut Block) {
    read_scale_and_min(bytes, b, out);
    let qs = &bytes[16 + b / 2 * 32..][..BLOCK];
    for (code, q) in out.codes.iter_mut().zip(qs) {
        *code = q >> (4 * (b % 2)) & 15;
    }
}

fn read_q5(bytes: &[u8], b: usize, out: &mut Block) {
    read_scale_and_min(bytes, b, out);
    let (high_bits, qs) = (&bytes[16..48], &bytes[48 + b / 2 * 32..][..BLOCK]);
    for ((code, q), high) in out.codes.iter_mut().zip(qs).zip(high_bits) {
        *code = (q >> (4 * (b % 2)) & 15) | (high >> b & 1) << 4;
    }
}

fn read_q6(bytes: &[u8], b: usize, out: &mut Block) {
    out.units[0] = u16_at(bytes, 208);
    for half in 0..2 {
        out.scales[half] = u32::from(bytes[192 + 2 * b + half]);
    }
    let (part, quarter) = (b / 4, b % 4);
    let low = &bytes[64 * part + 32 * (quarter % 2)..][..BLOCK];
    let high = &bytes[128 + 32 * part..][..BLOCK];
    for ((code, low), high) in out.codes.iter_mut().zip(low).zip(high) {
        *code = (low >> (4 * (quarter / 2)) & 15) | (high >> (2 * quarter) & 3) << 4;
    }
}
