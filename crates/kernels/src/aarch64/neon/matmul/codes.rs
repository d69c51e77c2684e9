//! Signed codes of four rows of a block of 32 columns, from their planes.

use std::arch::aarch64::*;

use crate::matmul::forms::*;
use crate::pack::LINE_BYTES;
use crate::quant::{BLOCK, CodeKind};

/// Whether 128 is taken off the codes.
pub(super) const fn is_signed(kind: u8) -> bool {
    matches!(kind, TABLE | BYTE)
}

/// A step of a block.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// The planes of the block.
    pub(super) codes: &'a [u8],
    /// Which half the step is, if it is half a block.
    pub(super) half: usize,
    /// The first row.
    pub(super) lane: usize,
}

impl Block<'_> {
    /// The codes of eight columns in four rows, the `q`-th four from the first: the columns from
    /// `8 * PAIR` of the step, and four after them.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn pair<const KIND: u8, const STEP: usize, const PAIR: usize>(
        self,
        q: usize,
        table: uint8x16_t,
    ) -> [int8x16_t; 2] {
        let first = if STEP == BLOCK { 0 } else { self.half % 2 * (STEP / 8) };
        // This length is constant, so that one check serves all lines.
        let codes = &self.codes[4 * self.lane + 16 * q..][..block_bytes(KIND) - 48];
        let line = |i| &codes[i * LINE_BYTES..];
        let [low, high] = match KIND {
            BYTE => {
                let i = 2 * (first + PAIR);
                [load_bytes(line(i)), load_bytes(line(i + 1))]
            }
            TWO | THREE => {
                let bits = load_bytes(line(first / 2 + PAIR / 2));
                let shift = 4 * (PAIR as i8 % 2);
                [take(bits, shift, 3), take(bits, shift + 2, 3)]
            }
            _ => {
                let bits = load_bytes(line(first + PAIR));
                [vandq_u8(bits, vdupq_n_u8(15)), vshrq_n_u8::<4>(bits)]
            }
        };
        let [low, high] = match KIND {
            TABLE => [vqtbl1q_u8(table, low), vqtbl1q_u8(table, high)],
            THREE => {
                let bits = load_bytes(line(2));
                let shift = 2 * (first + PAIR) as i8 - 2;
                [put(low, bits, shift, 4), put(high, bits, shift + 1, 4)]
            }
            FIVE => {
                let bits = load_bytes(line(4));
                let shift = 2 * (first + PAIR) as i8 - 4;
                [put(low, bits, shift, 16), put(high, bits, shift + 1, 16)]
            }
            SIX => {
                let bits = load_bytes(line(4 + first / 2 + PAIR / 2));
                let shift = 4 * (PAIR as i8 % 2) - 4;
                [put(low, bits, shift, 48), put(high, bits, shift + 2, 48)]
            }
            _ => [low, high],
        };
        if is_signed(KIND) { [less_128(low), less_128(high)] } else { [signed(low), signed(high)] }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn less_128(codes: uint8x16_t) -> int8x16_t {
    signed(veorq_u8(codes, vdupq_n_u8(0x80)))
}

#[inline]
#[target_feature(enable = "neon")]
fn signed(codes: uint8x16_t) -> int8x16_t {
    vreinterpretq_s8_u8(codes)
}

/// The bits `mask` of each byte of a line moved to the right, or to the left if `bits` is negative.
#[inline]
#[target_feature(enable = "neon")]
fn take(line: uint8x16_t, bits: i8, mask: u8) -> uint8x16_t {
    vandq_u8(vshlq_u8(line, vdupq_n_s8(-bits)), vdupq_n_u8(mask))
}

/// Adds the bits `mask` of each byte of a moved line to codes that lack them.
#[inline]
#[target_feature(enable = "neon")]
fn put(codes: uint8x16_t, line: uint8x16_t, bits: i8, mask: u8) -> uint8x16_t {
    vorrq_u8(codes, take(line, bits, mask))
}

/// The table of the codes.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn table(codes: CodeKind) -> uint8x16_t {
    match codes {
        CodeKind::Table(table) => load_bytes(table),
        _ => vdupq_n_u8(0),
    }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load_bytes(bytes: &[u8]) -> uint8x16_t {
    let bytes = &bytes[..16];
    // SAFETY: the slice has 16 bytes; the load has no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}
