//! Codes of a block of 32 columns, from their planes.

use std::arch::x86_64::*;

use crate::matmul::forms::*;
use crate::pack::LINE_BYTES;
use crate::quant::{BLOCK, CodeKind};

/// A step of a block.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// The planes of the block.
    pub(super) codes: &'a [u8],
    /// Which half the step is, if it is half a block.
    pub(super) half: usize,
    /// How many bytes ahead lines are fetched.
    pub(super) ahead: Option<usize>,
}

impl Block<'_> {
    /// The codes of eight columns, as bytes: the columns from `8 * PAIR` of the step, and four
    /// after them.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn pair<const KIND: u8, const STEP: usize, const PAIR: usize>(
        self,
        table: __m512i,
    ) -> (__m512i, __m512i) {
        let first = if STEP == BLOCK { 0 } else { self.half % 2 * (STEP / 8) };
        match KIND {
            BYTE => (self.line(2 * (first + PAIR)), self.line(2 * (first + PAIR) + 1)),
            TWO | THREE => {
                let line = self.line(first / 2 + PAIR / 2);
                let shift = 4 * (PAIR % 2);
                let (low, high) = (take(line, shift, 3), take(line, shift + 2, 3));
                if KIND == TWO {
                    return (low, high);
                }
                let line = rotate(self.line(2), 2 * first);
                let shift = 32 + 2 * PAIR - 2;
                (put(low, line, shift, 4), put(high, line, shift + 1, 4))
            }
            _ => {
                let line = self.line(first + PAIR);
                let (low, high) = (take(line, 0, 15), take(line, 4, 15));
                match KIND {
                    TABLE => (_mm512_shuffle_epi8(table, low), _mm512_shuffle_epi8(table, high)),
                    FIVE => {
                        let line = rotate(self.line(4), 2 * first);
                        let shift = 32 + 2 * PAIR - 4;
                        (put(low, line, shift, 16), put(high, line, shift + 1, 16))
                    }
                    SIX => {
                        let line = self.line(4 + first / 2 + PAIR / 2);
                        let shift = 32 + 4 * (PAIR % 2) - 4;
                        (put(low, line, shift, 48), put(high, line, shift + 2, 48))
                    }
                    _ => (low, high),
                }
            }
        }
    }

    /// Line `i`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn line(self, i: usize) -> __m512i {
        let line = &self.codes[i * LINE_BYTES..][..LINE_BYTES];
        if let Some(ahead) = self.ahead {
            prefetch(line, ahead);
        }
        // SAFETY: the slice has 64 bytes; the load has no alignment.
        unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
    }
}

/// Fetches the line `ahead` bytes after `line`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn prefetch(line: &[u8], ahead: usize) {
    _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(ahead).cast());
}

/// The words of a line to the right, modulo 32.
#[inline]
#[target_feature(enable = "avx512f")]
fn rotate(line: __m512i, bits: usize) -> __m512i {
    _mm512_rorv_epi32(line, _mm512_set1_epi32(bits as i32))
}

/// The bits `mask` of each byte of a rotated line.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn take(line: __m512i, bits: usize, mask: i8) -> __m512i {
    _mm512_and_si512(rotate(line, bits), _mm512_set1_epi8(mask))
}

/// Adds the bits `mask` of each byte of a rotated line to codes that lack them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn put(codes: __m512i, line: __m512i, bits: usize, mask: i8) -> __m512i {
    // (a & b) | c
    const OR_OF_AND: i32 = 0xea;
    let (line, mask) = (rotate(line, bits), _mm512_set1_epi8(mask));
    _mm512_ternarylogic_epi32::<OR_OF_AND>(line, mask, codes)
}

/// The table of the codes in each 128-bit lane.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn table(codes: CodeKind) -> __m512i {
    match codes {
        CodeKind::Table(table) => {
            // SAFETY: the array has 16 bytes; the load has no alignment.
            _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
        }
        _ => _mm512_setzero_si512(),
    }
}
