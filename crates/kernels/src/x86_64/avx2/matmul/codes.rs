//! Codes of eight rows of a block of 32 columns, from their planes.

use std::arch::x86_64::*;

use super::int8::load_line;
use crate::matmul::forms::*;
use crate::pack::LINE_BYTES;
use crate::quant::{BLOCK, CodeKind};

/// A step of a block.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// The planes from the first of the eight rows to their last line.
    lines: &'a [u8],
    /// Which half the step is, if it is half a block.
    half: usize,
}

impl<'a> Block<'a> {
    /// Rows from `lane` of the block `codes`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new<const KIND: u8>(codes: &'a [u8], half: usize, lane: usize) -> Self {
        // This length is constant, so that one check serves all lines.
        Self { lines: &codes[4 * lane..][..block_bytes(KIND) - LINE_BYTES / 2], half }
    }

    /// The codes of eight columns, as bytes, before a table: the columns from `8 * PAIR` of the
    /// step, and four after them.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn pair<const KIND: u8, const STEP: usize, const PAIR: usize>(
        self,
    ) -> (__m256i, __m256i) {
        let first = if STEP == BLOCK { 0 } else { self.half % 2 * (STEP / 8) };
        match KIND {
            BYTE => (self.line(2 * (first + PAIR)), self.line(2 * (first + PAIR) + 1)),
            TWO | THREE => {
                let line = self.line(first / 2 + PAIR / 2);
                let shift = 4 * (PAIR as i32 % 2);
                let (low, high) = (take(line, shift, 3), take(line, shift + 2, 3));
                if KIND == TWO {
                    return (low, high);
                }
                let line = shifted(self.line(2), 2 * first as i32);
                let shift = 2 * PAIR as i32 - 2;
                (put(low, line, shift, 4), put(high, line, shift + 1, 4))
            }
            _ => {
                let line = self.line(first + PAIR);
                let (low, high) = (take(line, 0, 15), take(line, 4, 15));
                match KIND {
                    FIVE => {
                        let line = shifted(self.line(4), 2 * first as i32);
                        let shift = 2 * PAIR as i32 - 4;
                        (put(low, line, shift, 16), put(high, line, shift + 1, 16))
                    }
                    SIX => {
                        let line = self.line(4 + first / 2 + PAIR / 2);
                        let shift = 4 * (PAIR as i32 % 2) - 4;
                        (put(low, line, shift, 48), put(high, line, shift + 2, 48))
                    }
                    _ => (low, high),
                }
            }
        }
    }

    /// The eight rows of line `i`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn line(self, i: usize) -> __m256i {
        load_line(&self.lines[i * LINE_BYTES..])
    }
}

/// The low and the high nibbles of codes: of the bytes themselves, or of what the tables hold for
/// them.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn nibbles<const KIND: u8>(
    codes: __m256i,
    tables: (__m256i, __m256i),
) -> (__m256i, __m256i) {
    match KIND {
        TABLE => (_mm256_shuffle_epi8(tables.0, codes), _mm256_shuffle_epi8(tables.1, codes)),
        _ => (take(codes, 0, 15), take(codes, 4, 15)),
    }
}

/// The low and the high nibbles of a table, in each 128-bit lane.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn tables(codes: CodeKind) -> (__m256i, __m256i) {
    let CodeKind::Table(table) = codes else {
        return (_mm256_setzero_si256(), _mm256_setzero_si256());
    };
    // SAFETY: the array has 16 bytes; the load has no alignment.
    let table = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) });
    nibbles::<BYTE>(table, (table, table))
}

/// A line to the right, or to the left if `bits` is negative. Bits cross bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn shifted(line: __m256i, bits: i32) -> __m256i {
    let count = _mm_cvtsi32_si128(bits.abs());
    if bits < 0 { _mm256_sll_epi16(line, count) } else { _mm256_srl_epi16(line, count) }
}

/// The bits `mask` of each byte of a shifted line.
#[inline]
#[target_feature(enable = "avx2")]
fn take(line: __m256i, bits: i32, mask: i8) -> __m256i {
    _mm256_and_si256(shifted(line, bits), _mm256_set1_epi8(mask))
}

/// Adds the bits `mask` of each byte of a shifted line to codes that lack them.
#[inline]
#[target_feature(enable = "avx2")]
fn put(codes: __m256i, line: __m256i, bits: i32, mask: i8) -> __m256i {
    _mm256_or_si256(codes, take(line, bits, mask))
}
