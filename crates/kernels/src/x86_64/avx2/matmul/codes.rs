//! Codes of a block of 32 columns, eight rows at a time, from their planes.

use std::arch::asm;
use std::arch::x86_64::*;

use super::loads::load_line;
use crate::matmul::forms::*;
use crate::pack::LINE_BYTES;
use crate::quant::{BLOCK, CodeKind};

/// A step of a block.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// The planes.
    lines: &'a [u8],
    /// Which half the step is, if it is half a block.
    half: usize,
}

impl<'a> Block<'a> {
    /// Step `half` of the block `codes`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new<const KIND: u8>(codes: &'a [u8], half: usize) -> Self {
        // This length is constant, so that one check serves all lines.
        Self { lines: &codes[..block_bytes(KIND)], half }
    }

    /// The same step, but not to the compiler: it loads lines again rather than keep them in
    /// registers, of which there are few.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn again(self) -> Self {
        let mut start = self.lines.as_ptr();
        // SAFETY: nothing is done, so that it stays the same slice.
        let lines = unsafe {
            asm!("/* {0} */", inout(reg) start, options(pure, readonly, nostack, preserves_flags));
            std::slice::from_raw_parts(start, self.lines.len())
        };
        Self { lines, ..self }
    }

    /// The codes of quad `QUAD` of the step, four columns, as bytes before a table, of half `h` of
    /// the rows.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn quad<const KIND: u8, const STEP: usize, const QUAD: usize>(
        self,
        h: usize,
    ) -> __m256i {
        let first = if STEP == BLOCK { 0 } else { self.half % 2 * (STEP / 4) };
        let quad = QUAD as i32;
        match KIND {
            BYTE => self.line(first + QUAD, h),
            TWO | THREE => {
                let codes = take(self.line((first + QUAD) / 4, h), 2 * (quad % 4), 3);
                if KIND == TWO {
                    return codes;
                }
                put(codes, shifted(self.line(2, h), first as i32), quad - 2, 4)
            }
            _ => {
                let codes = take(self.line((first + QUAD) / 2, h), 4 * (quad % 2), 15);
                match KIND {
                    FIVE => put(codes, shifted(self.line(4, h), first as i32), quad - 4, 16),
                    SIX => put(codes, self.line(4 + (first + QUAD) / 4, h), 2 * (quad % 4) - 4, 48),
                    _ => codes,
                }
            }
        }
    }

    /// Half `h` of the rows of line `i`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn line(self, i: usize, h: usize) -> __m256i {
        load_line(&self.lines[i * LINE_BYTES + h * LINE_BYTES / 2..])
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

/// The table of the codes, if they have one, in each 128-bit lane.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn table(codes: CodeKind) -> __m256i {
    let CodeKind::Table(table) = codes else { return _mm256_setzero_si256() };
    // SAFETY: the array has 16 bytes; the load has no alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
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
