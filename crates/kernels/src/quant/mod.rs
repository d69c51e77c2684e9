//! The quantised formats, each read as one form: `value = scale * (code - offset) + bias`.
//!
//! A format file draws its bit layout and implements [`Source`]: 32 columns of a row at a time,
//! codes as bytes. Nothing here knows how codes are packed for the kernels.

mod affine;
mod fp;
mod ggml_k;
mod ggml_legacy;
mod ggml_table;

use russet_tensor::FloatType;

pub(crate) use affine::Affine;
pub(crate) use fp::{Mxfp4, Nvfp4};
pub(crate) use ggml_k::{Q2K, Q3K, Q4K, Q5K, Q6K};
pub(crate) use ggml_legacy::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
pub(crate) use ggml_table::{GgmlMxfp4, Iq4Nl, Iq4Xs};

/// Columns that are read, and whose activations are quantised, together.
pub(crate) const BLOCK: usize = 32;

/// How the codes of a matrix become values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct IntForm {
    /// What a code is.
    pub codes: CodeKind,
    /// Columns that share a scale: 16, 32, 64 or 128.
    pub group: usize,
    /// What the stored scales and biases are.
    pub scale: ScaleKind,
    /// Whether biases are stored.
    pub biased: bool,
    /// Subtracted from every code (after the table).
    pub offset: u8,
}

/// What the packed codes are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum CodeKind {
    /// Two bits.
    Two,
    /// Three bits.
    Three,
    /// Four bits.
    Nibble,
    /// Four bits that select a byte of a table.
    Table(&'static [u8; 16]),
    /// Five bits.
    Five,
    /// Six bits.
    Six,
    /// Eight bits.
    Byte,
}

impl CodeKind {
    /// Bits of a code.
    pub(crate) fn bits(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Three => 3,
            Self::Nibble | Self::Table(_) => 4,
            Self::Five => 5,
            Self::Six => 6,
            Self::Byte => 8,
        }
    }
}

/// What the stored scales and biases of groups are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ScaleKind {
    /// Floats.
    Float(FloatType),
    /// Signed bytes, in units of an f16 that 256 columns share.
    Bytes,
    /// Four bits each, in units of an f16 that 256 columns share. A form with such has biases.
    Nibbles,
}

impl IntForm {
    /// Columns over which one integer sum runs: a block, or a group if that is shorter.
    pub(crate) fn step(&self) -> usize {
        self.group.min(BLOCK)
    }
}

/// 32 columns of one row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    /// Codes, one a byte.
    pub(crate) codes: [u8; BLOCK],
    /// The scale of each 16 columns, as bits of the form's kind of scales. Groups longer than 16
    /// use the first only.
    pub(crate) scales: [u32; 2],
    /// The biases, likewise; unused where the form has none.
    pub(crate) biases: [u32; 2],
    /// The units of scales and biases, as bits of f16; unused where these are floats.
    pub(crate) units: [u16; 2],
}

/// A quantised matrix in its file's layout.
pub(crate) trait Source: Sync {
    /// The form that the codes have.
    fn form(&self) -> IntForm;

    /// Reads columns `32 * block ..` of row `row`. Columns past the end get scale zero.
    fn read(&self, row: usize, block: usize, out: &mut Block);

    /// The parts as they are, where each row is its codes in order of columns: they are then packed
    /// many at a time, without `read`.
    fn plain(&self) -> Option<PlainRows<'_>> {
        None
    }
}

/// Rows of nibbles (the low one first) or of bytes, with floats as scales and biases.
pub(crate) struct PlainRows<'a> {
    /// `[rows, cols]`, of 4 or 8 bits as the form says.
    pub(crate) codes: &'a [u8],
    /// The form's type of scales.
    pub(crate) scale: FloatType,
    /// `[rows, cols / group]`
    pub(crate) scales: &'a [u8],
    /// The same, if the form is biased.
    pub(crate) biases: &'a [u8],
}

/// A little-endian `u16` at `at`.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// `code - offset` as bits of a signed byte.
fn byte_bits(code: u8, offset: u8) -> u32 {
    u32::from(code.wrapping_sub(offset))
}

/// Splits 16 bytes into 32 codes: low nibbles first, then high nibbles (ggml's order within a
/// block).
fn split_nibbles(bytes: &[u8], codes: &mut [u8; BLOCK]) {
    let bytes: &[u8; 16] = bytes.first_chunk().expect("a block has 16 bytes of codes");
    for (i, byte) in bytes.iter().enumerate() {
        codes[i] = byte & 15;
        codes[i + 16] = byte >> 4;
    }
}
