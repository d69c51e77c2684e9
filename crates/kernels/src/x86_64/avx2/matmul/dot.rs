//! Integer sums of a step, `seed + Σ code * activation`, by `vpmaddubsw` or by `vpdpbusd`.
//!
//! `vpmaddubsw` makes 16-bit sums of two products, which must not saturate. Eight of them with
//! nibbles are at most 8 * 2 * 15 * 127 = 30480, so that a block may be added up before it is
//! widened; bytes are split into nibbles. With codes of five bits it is four, 4 * 2 * 31 * 127 =
//! 31496, of six bits two, 2 * 2 * 63 * 127 = 32004.

use std::arch::asm;
use std::arch::x86_64::*;

use super::codes::{self, Block};
use crate::matmul::forms::*;
use crate::quant::{BLOCK, CodeKind};

/// Ways to add products.
pub(super) const MADDUBS: u8 = 0;
/// `vpdpbusd` of AVX-VNNI.
pub(super) const VEX: u8 = 1;
/// `vpdpbusd` of AVX-512 VL: the same, encoded otherwise.
pub(super) const EVEX: u8 = 2;

/// A sum for each row of activations and half of the tile.
pub(super) type Sums<const R: usize> = [[__m256i; 2]; R];

/// Rows up to which the latency of `vpdpbusd` shows.
const FEW_ROWS: usize = 2;

/// Whether `vpmaddubsw` multiplies the nibbles of bytes.
const fn has_two_sums(kind: u8) -> bool {
    matches!(kind, BYTE | TABLE)
}

/// The table of codes, as [`step`] needs it.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn tables<const DOT: u8>(codes: CodeKind) -> (__m256i, __m256i) {
    let table = codes::table(codes);
    if DOT == MADDUBS { codes::nibbles::<BYTE>(table, (table, table)) } else { (table, table) }
}

/// `seed + Σ code * activation` of one step, for each row. `quads`: `[columns / 4][row]`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn step<
    const DOT: u8,
    const KIND: u8,
    const STEP: usize,
    const SCALE: u8,
    const STRIP: usize,
    const R: usize,
>(
    block: Block<'_>,
    quads: &[[i8; 4]],
    seeds: &[i32],
    tables: (__m256i, __m256i),
) -> Sums<R> {
    let mut sums = [[_mm256_setzero_si256(); 2]; R];
    for (sums, &seed) in sums.iter_mut().zip(seeds) {
        *sums = [_mm256_set1_epi32(seed); 2];
    }
    let quads = &quads[..STEP / 4 * R];
    if DOT == MADDUBS {
        add_in_16_bits::<KIND, STEP, SCALE, STRIP, R>(sums, block, quads, tables)
    } else {
        add_in_32_bits::<DOT, KIND, STEP, SCALE, STRIP, R>(sums, block, quads, tables.0)
    }
}

/// By `vpdpbusd`.
#[inline]
#[target_feature(enable = "avx2")]
fn add_in_32_bits<
    const DOT: u8,
    const KIND: u8,
    const STEP: usize,
    const SCALE: u8,
    const STRIP: usize,
    const R: usize,
>(
    mut sums: Sums<R>,
    block: Block<'_>,
    quads: &[[i8; 4]],
    table: __m256i,
) -> Sums<R> {
    // A second chain of sums hides the latency of the first when there are few rows.
    let mut more = [[_mm256_setzero_si256(); 2]; R];
    let again = block.again();
    macro_rules! add_quad {
        ($block:ident, $quad:literal, $sums:expr) => {
            let mut codes = [_mm256_setzero_si256(); 2];
            for h in 0..2 {
                codes[h] = look_up::<KIND>($block.quad::<KIND, STEP, $quad>(h), table);
            }
            let (quads, sums) = (&quads[$quad * R..][..R], $sums);
            for r in 0..R {
                let x = broadcast(quads[r]);
                for h in 0..2 {
                    sums[r][h] = dot::<DOT>(sums[r][h], codes[h], x);
                }
            }
        };
    }
    macro_rules! add_pair {
        ($first:literal, $second:literal) => {
            add_quad!(block, $first, &mut sums);
            add_quad!(again, $second, if R <= FEW_ROWS { &mut more } else { &mut sums });
        };
    }
    add_pair!(0, 1);
    add_pair!(2, 3);
    if STEP == BLOCK {
        add_pair!(4, 5);
        add_pair!(6, 7);
    }
    if R <= FEW_ROWS {
        for r in 0..R {
            for h in 0..2 {
                sums[r][h] = _mm256_add_epi32(sums[r][h], more[r][h]);
            }
        }
    }
    sums
}

/// By `vpmaddubsw`.
#[inline]
#[target_feature(enable = "avx2")]
fn add_in_16_bits<
    const KIND: u8,
    const STEP: usize,
    const SCALE: u8,
    const STRIP: usize,
    const R: usize,
>(
    sums: Sums<R>,
    block: Block<'_>,
    quads: &[[i8; 4]],
    tables: (__m256i, __m256i),
) -> Sums<R> {
    // Both halves at once read each activation once, but two sums of each take many registers.
    if has_two_sums(KIND) && R > 3 {
        let sums = add_halves::<KIND, STEP, SCALE, STRIP, R, 0, 1>(sums, block, quads, tables);
        add_halves::<KIND, STEP, SCALE, STRIP, R, 1, 2>(sums, block.again(), quads, tables)
    } else {
        add_halves::<KIND, STEP, SCALE, STRIP, R, 0, 2>(sums, block, quads, tables)
    }
}

/// By `vpmaddubsw`, the halves `FIRST..END` of the tile.
#[inline]
#[target_feature(enable = "avx2")]
fn add_halves<
    const KIND: u8,
    const STEP: usize,
    const SCALE: u8,
    const STRIP: usize,
    const R: usize,
    const FIRST: usize,
    const END: usize,
>(
    mut sums: Sums<R>,
    block: Block<'_>,
    quads: &[[i8; 4]],
    tables: (__m256i, __m256i),
) -> Sums<R> {
    let quads_of_sum = const { quads_of_sum(KIND, STEP) };
    let mut low = [[_mm256_setzero_si256(); 2]; R];
    let mut high = [[_mm256_setzero_si256(); 2]; R];
    let again = block.again();
    macro_rules! add_quad {
        ($block:ident, $quad:literal) => {
            let mut codes = [(_mm256_setzero_si256(), _mm256_setzero_si256()); 2];
            for h in FIRST..END {
                let own = $block.quad::<KIND, STEP, $quad>(h);
                codes[h] = nibbles_or_code::<KIND>(own, tables);
            }
            let quads = &quads[$quad * R..][..R];
            if $quad % quads_of_sum == 0 {
                low = [[_mm256_setzero_si256(); 2]; R];
            }
            for r in 0..R {
                let x = broadcast(quads[r]);
                for h in FIRST..END {
                    low[r][h] = add_products(low[r][h], codes[h].0, x);
                    if has_two_sums(KIND) {
                        high[r][h] = add_products(high[r][h], codes[h].1, x);
                    }
                }
            }
            if ($quad + 1) % quads_of_sum == 0 {
                sums = add_widened::<R, FIRST, END>(sums, low, 1);
            }
        };
    }
    macro_rules! add_pair {
        ($first:literal, $second:literal) => {
            add_quad!(block, $first);
            add_quad!(again, $second);
        };
    }
    add_pair!(0, 1);
    add_pair!(2, 3);
    if STEP == BLOCK {
        add_pair!(4, 5);
        add_pair!(6, 7);
    }
    if has_two_sums(KIND) { add_widened::<R, FIRST, END>(sums, high, 16) } else { sums }
}

/// The nibbles of codes if these have two sums, else the codes.
#[inline]
#[target_feature(enable = "avx2")]
fn nibbles_or_code<const KIND: u8>(
    codes: __m256i,
    tables: (__m256i, __m256i),
) -> (__m256i, __m256i) {
    if has_two_sums(KIND) { codes::nibbles::<KIND>(codes, tables) } else { (codes, codes) }
}

/// Adds pairs of 16-bit sums times `factor`.
#[inline]
#[target_feature(enable = "avx2")]
fn add_widened<const R: usize, const FIRST: usize, const END: usize>(
    mut sums: Sums<R>,
    narrow: Sums<R>,
    factor: i16,
) -> Sums<R> {
    let factor = _mm256_set1_epi16(factor);
    for r in 0..R {
        for h in FIRST..END {
            sums[r][h] = _mm256_add_epi32(sums[r][h], _mm256_madd_epi16(narrow[r][h], factor));
        }
    }
    sums
}

/// Quads whose products are added up in 16 bits: as many as cannot saturate.
const fn quads_of_sum(kind: u8, step: usize) -> usize {
    match kind {
        SIX => 2,
        FIVE => 4,
        _ => step / 4,
    }
}

/// Codes through their table, if they have one.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up<const KIND: u8>(codes: __m256i, table: __m256i) -> __m256i {
    if KIND == TABLE { _mm256_shuffle_epi8(table, codes) } else { codes }
}

/// Adds products of four codes and four activations in each lane.
///
/// Not by intrinsics: these are inlined only into functions compiled for one of the two encodings,
/// and one for AVX-512 VL has twice the registers, so that what runs where there is AVX-VNNI alone
/// could be neither measured nor tested elsewhere. Here nothing but the instruction differs.
/// Moreover the compiler keeps these in order; in its own it would spill half of the codes.
#[inline]
#[target_feature(enable = "avx2")]
fn dot<const DOT: u8>(mut sums: __m256i, codes: __m256i, x: __m256i) -> __m256i {
    macro_rules! vpdpbusd {
        ($encoding:literal) => {
            // SAFETY: only registers are read and written, and `Avx2::vnni` proves this encoding.
            unsafe {
                asm!(
                    concat!("{{", $encoding, "}} vpdpbusd {sums}, {codes}, {x}"),
                    sums = inout(ymm_reg) sums,
                    codes = in(ymm_reg) codes,
                    x = in(ymm_reg) x,
                    options(nomem, nostack, preserves_flags),
                )
            }
        };
    }
    if DOT == VEX {
        vpdpbusd!("vex");
    } else {
        vpdpbusd!("evex");
    }
    sums
}

/// Adds 16-bit sums of pairs of products.
#[inline]
#[target_feature(enable = "avx2")]
fn add_products(sums: __m256i, codes: __m256i, x: __m256i) -> __m256i {
    let mut sums = _mm256_add_epi16(sums, _mm256_maddubs_epi16(codes, x));
    // Nothing, but it keeps the order: in its own, row by row, the compiler would spill all codes.
    // SAFETY: nothing is done.
    unsafe {
        asm!("/* {0} */", inout(ymm_reg) sums, options(nomem, nostack, preserves_flags));
    }
    sums
}

/// Four activations in every lane.
#[inline]
#[target_feature(enable = "avx2")]
fn broadcast(quad: [i8; 4]) -> __m256i {
    _mm256_set1_epi32(i32::from_ne_bytes(quad.map(i8::cast_unsigned)))
}
