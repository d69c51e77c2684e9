//! Codes of four rows of a block of 32 columns, from their planes: signed, a word a row, for dot
//! products; unsigned, two words a row, for `usmmla`.

use std::arch::aarch64::*;
use std::arch::asm;

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

    /// The codes of half `half`, 16 columns, of four rows: `[i][k]` has two words of the row
    /// `2 * k`, then of the next one, the columns from `4 * i` of the half and those eight after
    /// them. That order spares work: lines are zipped before they are unpacked.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn sixteen<const KIND: u8, const STEP: usize, const SCALE: u8, const R: usize>(
        self,
        half: usize,
        table: uint8x16_t,
    ) -> [[uint8x16_t; 2]; 2] {
        // This length is constant, so that one check serves all lines.
        let codes = &self.codes[4 * self.lane..][..block_bytes(KIND) - 48];
        let line = |i| load_bytes(&codes[i * LINE_BYTES..]);
        let [first, second] = match KIND {
            BYTE => {
                let first = 4 * half;
                [zip(line(first), line(first + 2)), zip(line(first + 1), line(first + 3))]
            }
            TWO | THREE => {
                let [a, b] = zip_halves::<4>(line(half));
                [[take(a, 0, 3), take(b, 0, 3)], [take(a, 2, 3), take(b, 2, 3)]]
            }
            _ => {
                let [a, b] = zip(line(2 * half), line(2 * half + 1));
                let mask = vdupq_n_u8(15);
                [[vandq_u8(a, mask), vandq_u8(b, mask)], [vshrq_n_u8::<4>(a), vshrq_n_u8::<4>(b)]]
            }
        };
        // The upper bits of all codes of a half are those of a line, or four bits of each byte.
        let (upper, shifts, mask) = match KIND {
            TABLE => return [look_up(table, first), look_up(table, second)],
            THREE => (zip_halves::<2>(right(line(2), 4 * half)), [-2, -1], 4),
            FIVE => (zip_halves::<2>(right(line(4), 4 * half)), [-4, -3], 16),
            SIX => (zip_halves::<4>(line(4 + half)), [-4, -2], 48),
            _ => return [first, second],
        };
        let put = |[a, b]: [uint8x16_t; 2], shift| {
            [put(a, upper[0], shift, mask), put(b, upper[1], shift, mask)]
        };
        [put(first, shifts[0]), put(second, shifts[1])]
    }
}

/// Fetches the line `ahead` bytes after `line`; the intrinsic is not stable yet.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn prefetch(line: &[u8], ahead: usize) {
    let address = line.as_ptr().wrapping_add(ahead);
    // SAFETY: a hint, which changes no memory and never faults, whatever the address.
    unsafe {
        asm!(
            "prfm pldl1keep, [{address}]",
            address = in(reg) address,
            options(nostack, preserves_flags, readonly),
        );
    }
}

/// The words of two lines in turn: of the first two rows, then of the others.
#[inline]
#[target_feature(enable = "neon")]
fn zip(even: uint8x16_t, odd: uint8x16_t) -> [uint8x16_t; 2] {
    let (even, odd) = (vreinterpretq_u32_u8(even), vreinterpretq_u32_u8(odd));
    let (first, second) = (vzip1q_u32(even, odd), vzip2q_u32(even, odd));
    [vreinterpretq_u8_u32(first), vreinterpretq_u8_u32(second)]
}

#[inline]
#[target_feature(enable = "neon")]
fn look_up(table: uint8x16_t, [a, b]: [uint8x16_t; 2]) -> [uint8x16_t; 2] {
    [vqtbl1q_u8(table, a), vqtbl1q_u8(table, b)]
}

/// A line zipped with itself, bytes of the second moved to the right by `BITS`.
#[inline]
#[target_feature(enable = "neon")]
fn zip_halves<const BITS: i32>(line: uint8x16_t) -> [uint8x16_t; 2] {
    zip(line, vshrq_n_u8::<BITS>(line))
}

/// Bytes moved to the right.
#[inline]
#[target_feature(enable = "neon")]
fn right(line: uint8x16_t, bits: usize) -> uint8x16_t {
    vshlq_u8(line, vdupq_n_s8(-(bits as i8)))
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
