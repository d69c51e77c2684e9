//! Integer codes times int8 activations with `vpmaddubsw`.
//!
//! Its 16-bit sums must not saturate, so bytes are split into nibbles: eight pairs of products of a
//! nibble and an activation are at most 8 * 2 * 15 * 127 = 30480.

use std::arch::x86_64::*;
use std::ops::Range;

use russet_tensor::FloatType;

use super::{LANES, with_rows};
use crate::matmul::{Chunk, Int8, IntTile, Lanes};
use crate::pack::{LINE_BYTES, TILE_ROWS};
use crate::quant::{BLOCK, CodeKind};

/// Kinds of codes as constants, so that each is its own loop.
const NIBBLE: u8 = 0;
const TABLE: u8 = 1;
const BYTE: u8 = 2;

/// Calls `$of_form!(kind, columns of a step)` with the constants of the tile.
macro_rules! with_form {
    ($tile:ident, $of_form:ident) => {
        match ($tile.form.codes, $tile.form.step()) {
            (CodeKind::Nibble, 16) => $of_form!(NIBBLE, 16),
            (CodeKind::Nibble, _) => $of_form!(NIBBLE, 32),
            (CodeKind::Table(_), 16) => $of_form!(TABLE, 16),
            (CodeKind::Table(_), _) => $of_form!(TABLE, 32),
            (CodeKind::Byte, 16) => $of_form!(BYTE, 16),
            (CodeKind::Byte, _) => $of_form!(BYTE, 32),
        }
    };
}

/// `out[r]` = the products of the tile with the first codes of row `r` of the chunk, for each of
/// `rows`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn tile(tile: &IntTile<'_>, chunk: &Chunk, rows: Range<usize>, out: &mut [Lanes]) {
    for lane in (0..TILE_ROWS).step_by(LANES) {
        let job = Job { tile, lane, first: rows.start, stride: chunk.rows() };
        let len = rows.len();
        macro_rules! of_form {
            ($kind:ident, $step:literal) => {
                with_rows!(len, half_tile::<$kind, $step>(&job, &chunk.int8, out))
            };
        }
        with_form!(tile, of_form);
    }
}

/// Adds the products of the tile with the second codes of row `r` of the chunk to `out[r]`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn rest(tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    for lane in (0..TILE_ROWS).step_by(LANES) {
        let job = Job { tile, lane, first: 0, stride: 1 };
        macro_rules! of_form {
            ($kind:ident, $step:literal) => {
                rest_entries::<$kind, $step>(&job, &chunk.int8, out)
            };
        }
        with_form!(tile, of_form);
    }
}

/// Eight rows of a tile, from `lane`, and some rows of activations: from `first`, of `stride` that
/// are interleaved.
struct Job<'a> {
    tile: &'a IntTile<'a>,
    lane: usize,
    first: usize,
    stride: usize,
}

#[target_feature(enable = "avx2,fma,f16c")]
fn half_tile<const KIND: u8, const STEP: usize, const R: usize>(
    job: &Job<'_>,
    int8: &Int8,
    out: &mut [Lanes],
) {
    let (form, rows, first) = (job.tile.form, job.stride, job.first);
    let tables = tables(form.codes);
    let quads = int8.codes.as_chunks::<4>().0.chunks_exact(STEP / 4 * rows);
    let seeds = int8.seeds(form.offset, STEP).chunks_exact(rows);
    let mut group_sums = int8.group_sums(form.group).chunks_exact(rows);
    let mut acc = [_mm256_setzero_ps(); R];
    let mut scale = _mm256_setzero_ps();
    for (s, ((step, quads), seeds)) in job.tile.steps(STEP).zip(quads).zip(seeds).enumerate() {
        if let Some(header) = step.group {
            scale = load_floats(form.scale, header, job.lane);
            if form.biased
                && let Some(sums) = group_sums.next()
            {
                let bias = load_floats(form.scale, header, TILE_ROWS + job.lane);
                let sums = &sums[first..][..R];
                for r in 0..R {
                    acc[r] = _mm256_fmadd_ps(bias, _mm256_set1_ps(sums[r]), acc[r]);
                }
            }
        }
        let sums = add_step::<KIND, R>(job, step.codes, quads, tables);
        let x_scales = &int8.scales[s * STEP / BLOCK * rows + first..];
        add_scaled(&mut acc, scale, sums, (&seeds[first..], x_scales));
    }
    for (out, acc) in out[first..].iter_mut().zip(acc) {
        store(out, job.lane, acc);
    }
}

/// Entry by entry; the tile is in the cache.
#[target_feature(enable = "avx2,fma,f16c")]
fn rest_entries<const KIND: u8, const STEP: usize>(job: &Job<'_>, int8: &Int8, out: &mut [Lanes]) {
    let (tile, rest, steps) = (job.tile, &int8.rest, BLOCK / STEP);
    let tables = tables(tile.form.codes);
    let seeds = int8.rest_seeds(tile.form.offset, STEP);
    for (e, place) in rest.places.iter().enumerate() {
        let out = &mut out[place.row];
        let mut acc = [load(out, job.lane)];
        let lines = tile.block(place.block).chunks_exact(tile.layout.block_bytes / steps);
        let quads = rest.codes()[e].as_chunks::<4>().0.chunks_exact(STEP / 4);
        for (i, (lines, quads)) in lines.zip(quads).enumerate() {
            let header = tile.group((place.block * BLOCK + i * STEP) / tile.form.group);
            let scale = load_floats(tile.form.scale, header, job.lane);
            let sums = add_step::<KIND, 1>(job, lines, quads, tables);
            let scaling = (&seeds[e * steps + i..], &rest.scales()[e..]);
            add_scaled(&mut acc, scale, sums, scaling);
        }
        store(out, job.lane, acc[0]);
    }
}

/// `acc[r] += scale * ((sums[r] + seeds[r]) * x_scales[r])`
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_scaled<const R: usize>(
    acc: &mut [__m256; R],
    scale: __m256,
    sums: [__m256i; R],
    (seeds, x_scales): (&[i32], &[f32]),
) {
    let (seeds, x_scales) = (&seeds[..R], &x_scales[..R]);
    for r in 0..R {
        let sum = _mm256_add_epi32(sums[r], _mm256_set1_epi32(seeds[r]));
        let sum = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(x_scales[r]));
        acc[r] = _mm256_fmadd_ps(scale, sum, acc[r]);
    }
}

/// `Σ code * activation` of one step, for each row. `quads`: `[columns / 4][stride]`.
#[inline]
#[target_feature(enable = "avx2")]
fn add_step<const KIND: u8, const R: usize>(
    job: &Job<'_>,
    codes: &[u8],
    quads: &[[i8; 4]],
    tables: (__m256i, __m256i),
) -> [__m256i; R] {
    let rows = job.stride;
    let mask = _mm256_set1_epi8(15);
    let mut low = [_mm256_setzero_si256(); R];
    let mut high = [_mm256_setzero_si256(); R];
    let quads_of_line = if KIND == BYTE { 1 } else { 2 };
    let lines = codes.chunks_exact(LINE_BYTES).zip(quads.chunks_exact(quads_of_line * rows));
    for (line, quads) in lines {
        let line = load_line(&line[4 * job.lane..]);
        let nibbles =
            [_mm256_and_si256(line, mask), _mm256_and_si256(_mm256_srli_epi16(line, 4), mask)];
        if KIND == BYTE {
            let quads = &quads[job.first..][..R];
            for r in 0..R {
                low[r] = add_products(low[r], nibbles[0], quads[r]);
                high[r] = add_products(high[r], nibbles[1], quads[r]);
            }
            continue;
        }
        for (codes, quads) in nibbles.into_iter().zip(quads.chunks_exact(rows)) {
            let quads = &quads[job.first..][..R];
            if KIND == NIBBLE {
                for r in 0..R {
                    low[r] = add_products(low[r], codes, quads[r]);
                }
                continue;
            }
            let (codes_low, codes_high) =
                (_mm256_shuffle_epi8(tables.0, codes), _mm256_shuffle_epi8(tables.1, codes));
            for r in 0..R {
                low[r] = add_products(low[r], codes_low, quads[r]);
                high[r] = add_products(high[r], codes_high, quads[r]);
            }
        }
    }
    let (ones, sixteens) = (_mm256_set1_epi16(1), _mm256_set1_epi16(16));
    for r in 0..R {
        low[r] = _mm256_madd_epi16(low[r], ones);
        if KIND != NIBBLE {
            low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(high[r], sixteens));
        }
    }
    low
}

/// 16-bit sums of pairs of products. `codes` are below 16.
#[inline]
#[target_feature(enable = "avx2")]
fn add_products(sums: __m256i, codes: __m256i, quad: [i8; 4]) -> __m256i {
    let x = _mm256_set1_epi32(i32::from_ne_bytes(quad.map(i8::cast_unsigned)));
    _mm256_add_epi16(sums, _mm256_maddubs_epi16(codes, x))
}

/// The low and the high nibbles of a table, in each 128-bit lane.
#[inline]
#[target_feature(enable = "avx2")]
fn tables(codes: CodeKind) -> (__m256i, __m256i) {
    let CodeKind::Table(table) = codes else {
        return (_mm256_setzero_si256(), _mm256_setzero_si256());
    };
    // SAFETY: the array has 16 bytes; the load has no alignment.
    let table = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) });
    let mask = _mm256_set1_epi8(15);
    (_mm256_and_si256(table, mask), _mm256_and_si256(_mm256_srli_epi16(table, 4), mask))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_line(bytes: &[u8]) -> __m256i {
    let bytes = &bytes[..32];
    // SAFETY: the slice has 32 bytes; the load has no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Eight stored floats from element `first`, widened.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) fn load_floats(ty: FloatType, bytes: &[u8], first: usize) -> __m256 {
    let bytes = &bytes[first * ty.bytes()..];
    match ty {
        FloatType::F32 => _mm256_castsi256_ps(load_line(bytes)),
        FloatType::F16 => _mm256_cvtph_ps(load_half_line(bytes)),
        FloatType::BF16 => {
            let wide = _mm256_cvtepu16_epi32(load_half_line(bytes));
            _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_half_line(bytes: &[u8]) -> __m128i {
    let bytes = &bytes[..16];
    // SAFETY: the slice has 16 bytes; the load has no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Loads eight lanes from `lane`.
#[inline]
#[target_feature(enable = "avx2")]
fn load(lanes: &Lanes, lane: usize) -> __m256 {
    let lanes = &lanes[lane..lane + LANES];
    // SAFETY: the slice has eight floats; the load has no alignment.
    unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
}

/// Stores eight lanes from `lane`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(out: &mut Lanes, lane: usize, values: __m256) {
    let out = &mut out[lane..lane + LANES];
    // SAFETY: the slice has eight floats; the store has no alignment.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), values) }
}
