//! ggml's blocks of 32: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. Source: ggml-common.h (facts of the format).
//!
//! ```text
//! Q4_0  f16 d            16 bytes of nibbles     w = d * (q - 8)
//! Q4_1  f16 d, f16 m     16 bytes of nibbles     w = d * q + m
//! Q5_0  f16 d            4 bytes of fifth bits, 16 bytes of nibbles     w = d * (q - 16)
//! Q5_1  f16 d, f16 m     4 bytes of fifth bits, 16 bytes of nibbles     w = d * q + m
//! Q8_0  f16 d            32 signed bytes         w = d * q
//! ```
//! Byte `i` of the nibbles holds column `i` (low) and `i + 16` (high); fifth bit `i` belongs to
//! column `i`.

use russet_tensor::FloatType;

use super::{BLOCK, Block, CodeKind, IntForm, ScaleKind, Source, split_nibbles, u16_at};

/// Defines a format: its name, bytes of a block, form, and how the codes of a block are read.
macro_rules! format {
    (
        $name:ident, $doc:literal, $bytes:literal,
        $codes:ident, $biased:literal, $offset:literal, $read:expr
    ) => {
        #[doc = $doc]
        pub(crate) struct $name<'a> {
            /// Columns of the matrix.
            pub(crate) cols: usize,
            /// The blocks.
            pub(crate) bytes: &'a [u8],
        }

        impl Source for $name<'_> {
            fn form(&self) -> IntForm {
                IntForm {
                    codes: CodeKind::$codes,
                    group: BLOCK,
                    scale: ScaleKind::Float(FloatType::F16),
                    biased: $biased,
                    offset: $offset,
                }
            }

            fn read(&self, row: usize, block: usize, out: &mut Block) {
                let start = (row * (self.cols / BLOCK) + block) * $bytes;
                let bytes = &self.bytes[start..start + $bytes];
                out.scales[0] = u32::from(u16_at(bytes, 0));
                if $biased {
                    out.biases[0] = u32::from(u16_at(bytes, 2));
                }
                let read: fn(&[u8], &mut [u8; BLOCK]) = $read;
                read(bytes, &mut out.codes);
            }
        }
    };
}

format!(Q4_0, "4 bits, scale.", 18, Nibble, false, 8, |b, codes| split_nibbles(&b[2..], codes));
format!(Q4_1, "4 bits, scale and minimum.", 20, Nibble, true, 0, |b, codes| {
    split_nibbles(&b[4..], codes);
});
format!(Q5_0, "5 bits, scale.", 22, Five, false, 16, |b, codes| {
    split_nibbles(&b[6..], codes);
    add_fifth_bits(&b[2..6], codes);
});
format!(Q5_1, "5 bits, scale and minimum.", 24, Five, true, 0, |b, codes| {
    split_nibbles(&b[8..], codes);
    add_fifth_bits(&b[4..8], codes);
});
format!(Q8_0, "8 bits signed, scale.", 34, Byte, false, 128, |b, codes| {
    for (code, byte) in codes.iter_mut().zip(&b[2..]) {
        *code = byte ^ 0x80;
    }
});

fn add_fifth_bits(bits: &[u8], codes: &mut [u8; BLOCK]) {
    for (codes, bits) in codes.as_chunks_mut::<8>().0.iter_mut().zip(bits) {
        for (i, code) in codes.iter_mut().enumerate() {
            *code |= (bits >> i & 1) << 4;
        }
    }
}
