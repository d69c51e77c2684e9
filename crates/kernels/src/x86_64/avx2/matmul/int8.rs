//! Integer codes times int8 activations with `vpmaddubsw`.
//!
//! Its 16-bit sums must not saturate. Eight pairs of products of a nibble and an activation are at
//! most 8 * 2 * 15 * 127 = 30480, so that a block may be added up; bytes are split into nibbles. Of
//! codes of six bits it is two pairs, 2 * 2 * 63 * 127 = 32004.

use std::arch::x86_64::*;
use std::ops::Range;

use russet_tensor::FloatType;

use super::codes::{self, Block};
use super::{LANES, with_rows};
use crate::matmul::forms::*;
use crate::matmul::{Chunk, Int8, IntTile, Lanes};
use crate::pack::{Group, TILE_ROWS};
use crate::quant::{BLOCK, CodeKind, ScaleKind};

/// `out[r]` = the products of the tile with the first codes of row `r` of the chunk, for each of
/// `rows`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn tile(tile: &IntTile<'_>, chunk: &Chunk, rows: Range<usize>, out: &mut [Lanes]) {
    for lane in (0..TILE_ROWS).step_by(LANES) {
        let job = Job { tile, lane, first: rows.start, stride: chunk.rows() };
        let len = rows.len();
        macro_rules! of_form {
            ($kind:ident, $step:literal, $scale:ident) => {
                with_rows!(len, half_tile::<$kind, $step, $scale>(&job, &chunk.int8, out))
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
            ($kind:ident, $step:literal, $scale:ident) => {
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

// Each alone has the registers for itself.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
fn half_tile<const KIND: u8, const STEP: usize, const SCALE: u8, const R: usize>(
    job: &Job<'_>,
    int8: &Int8,
    out: &mut [Lanes],
) {
    let (form, rows, first) = (job.tile.form, job.stride, job.first);
    let tables = codes::tables(form.codes);
    let quads = int8.codes.as_chunks::<4>().0.chunks_exact(STEP / 4 * rows);
    let seeds = int8.seeds(form.offset, STEP).chunks_exact(rows);
    let mut group_sums = int8.group_sums(form.group).chunks_exact(rows);
    let mut acc = [_mm256_setzero_ps(); R];
    let mut scale = _mm256_setzero_ps();
    for (s, ((step, quads), seeds)) in job.tile.steps().zip(quads).zip(seeds).enumerate() {
        if let Some(group) = step.group {
            scale = load_scales::<SCALE>(form.scale, group, job.lane);
            if form.biased
                && let Some(sums) = group_sums.next()
            {
                let bias = load_biases::<SCALE>(form.scale, group, job.lane);
                let sums = &sums[first..][..R];
                for r in 0..R {
                    acc[r] = _mm256_fmadd_ps(bias, _mm256_set1_ps(sums[r]), acc[r]);
                }
            }
        }
        let block = Block::new::<KIND>(step.block, step.half, job.lane);
        let sums = add_step::<KIND, STEP, SCALE, R>(job, block, quads, tables);
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
    let tables = codes::tables(tile.form.codes);
    let seeds = int8.rest_seeds(tile.form.offset, STEP);
    for (e, place) in rest.places.iter().enumerate() {
        let out = &mut out[place.row];
        let mut acc = [load(out, job.lane)];
        let codes = tile.block(place.block);
        let quads = rest.codes()[e].as_chunks::<4>().0.chunks_exact(STEP / 4);
        for (half, quads) in quads.enumerate() {
            let group = tile.group_at(place.block * BLOCK + half * STEP);
            let scale = load_scales::<REST>(tile.form.scale, group, job.lane);
            let block = Block::new::<KIND>(codes, half, job.lane);
            let sums = add_step::<KIND, STEP, REST, 1>(job, block, quads, tables);
            let scaling = (&seeds[e * steps + half..], &rest.scales()[e..]);
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
fn add_step<const KIND: u8, const STEP: usize, const SCALE: u8, const R: usize>(
    job: &Job<'_>,
    block: Block<'_>,
    quads: &[[i8; 4]],
    tables: (__m256i, __m256i),
) -> [__m256i; R] {
    let rows = job.stride;
    let (ones, sixteens) = (_mm256_set1_epi16(1), _mm256_set1_epi16(16));
    let quads = &quads[..STEP / 4 * rows];
    // 16-bit sums, of six bits 32-bit ones.
    let mut low = [_mm256_setzero_si256(); R];
    let mut high = [_mm256_setzero_si256(); R];
    macro_rules! add_pair {
        ($pair:literal) => {
            let pair = block.pair::<KIND, STEP, $pair>();
            let quads = &quads[2 * $pair * rows..][..2 * rows];
            let (first, second) = (&quads[job.first..][..R], &quads[rows + job.first..][..R]);
            match KIND {
                FIVE | SIX => {
                    for r in 0..R {
                        let sums = add_products(products(pair.0, first[r]), pair.1, second[r]);
                        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(sums, ones));
                    }
                }
                BYTE | TABLE => {
                    for (codes, quads) in [(pair.0, first), (pair.1, second)] {
                        let (codes_low, codes_high) = codes::nibbles::<KIND>(codes, tables);
                        for r in 0..R {
                            low[r] = add_products(low[r], codes_low, quads[r]);
                            high[r] = add_products(high[r], codes_high, quads[r]);
                        }
                    }
                }
                _ => {
                    for r in 0..R {
                        low[r] = add_products(low[r], pair.0, first[r]);
                        low[r] = add_products(low[r], pair.1, second[r]);
                    }
                }
            }
        };
    }
    add_pair!(0);
    add_pair!(1);
    if STEP == BLOCK {
        add_pair!(2);
        add_pair!(3);
    }
    if matches!(KIND, FIVE | SIX) {
        return low;
    }
    for r in 0..R {
        low[r] = _mm256_madd_epi16(low[r], ones);
        if matches!(KIND, BYTE | TABLE) {
            low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(high[r], sixteens));
        }
    }
    low
}

/// 16-bit sums of pairs of products.
#[inline]
#[target_feature(enable = "avx2")]
fn products(codes: __m256i, quad: [i8; 4]) -> __m256i {
    let x = _mm256_set1_epi32(i32::from_ne_bytes(quad.map(i8::cast_unsigned)));
    _mm256_maddubs_epi16(codes, x)
}

/// Adds 16-bit sums of pairs of products.
#[inline]
#[target_feature(enable = "avx2")]
fn add_products(sums: __m256i, codes: __m256i, quad: [i8; 4]) -> __m256i {
    _mm256_add_epi16(sums, products(codes, quad))
}

/// The scales of eight rows of a group, from `lane`.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn load_scales<const SCALE: u8>(kind: ScaleKind, group: Group<'_>, lane: usize) -> __m256 {
    let codes = match scale_kind::<SCALE>(kind) {
        ScaleKind::Float(ty) => return load_floats(ty, group.own, lane),
        ScaleKind::Bytes => load_eight(&group.own[lane..]),
        ScaleKind::Nibbles => _mm_and_si128(load_eight(&group.own[lane..]), _mm_set1_epi8(15)),
    };
    times_units(codes, group.units, lane)
}

/// The biases of eight rows of a group, which has some, from `lane`.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn load_biases<const SCALE: u8>(kind: ScaleKind, group: Group<'_>, lane: usize) -> __m256 {
    let own = &group.own[kind.bias_start()..];
    let codes = match scale_kind::<SCALE>(kind) {
        ScaleKind::Float(ty) => return load_floats(ty, own, lane),
        ScaleKind::Bytes => load_eight(&own[lane..]),
        ScaleKind::Nibbles => {
            let both = load_eight(&own[lane..]);
            _mm_and_si128(_mm_srli_epi16::<4>(both), _mm_set1_epi8(15))
        }
    };
    times_units(codes, &group.units[group.units.len() / 2..], lane)
}

/// Signed bytes times f16.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn times_units(codes: __m128i, units: &[u8], lane: usize) -> __m256 {
    let codes = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
    _mm256_mul_ps(load_floats(FloatType::F16, units, lane), codes)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_eight(bytes: &[u8]) -> __m128i {
    let bytes = &bytes[..8];
    // SAFETY: the slice has eight bytes; the load has no alignment.
    unsafe { _mm_loadl_epi64(bytes.as_ptr().cast()) }
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
