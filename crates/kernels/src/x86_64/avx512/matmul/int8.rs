//! Integer codes times int8 activations with `vpdpbusd`: a lane is a row of the tile.

use std::arch::x86_64::*;

use russet_tensor::FloatType;

use super::with_rows;
use crate::matmul::{Chunk, IntTile, Lanes};
use crate::pack::{LINE_BYTES, TILE_ROWS};
use crate::quant::{BLOCK, CodeKind};

/// Kinds of codes as constants, so that each is its own loop.
const NIBBLE: u8 = 0;
const TABLE: u8 = 1;
const BYTE: u8 = 2;

/// Rows up to which the latency of `vpdpbusd` shows.
const FEW_ROWS: usize = 3;
/// How far ahead of its use a line of codes is fetched: left to itself, the CPU fetches while it
/// multiplies only in part.
const PREFETCH_BYTES: usize = 2048;

/// `out[r]` = the products of the tile with row `r` of the chunk.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c")]
pub(super) fn tile(tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    macro_rules! of_kind {
        ($kind:ident) => {
            match (tile.form.step(), tile.layout.strip_blocks) {
                (16, _) => with_rows!(chunk.rows(), tile_rows::<$kind, 16, 1>(tile, chunk, out)),
                (_, 1) => with_rows!(chunk.rows(), tile_rows::<$kind, 32, 1>(tile, chunk, out)),
                (_, 2) => with_rows!(chunk.rows(), tile_rows::<$kind, 32, 2>(tile, chunk, out)),
                (_, _) => with_rows!(chunk.rows(), tile_rows::<$kind, 32, 4>(tile, chunk, out)),
            }
        };
    }
    match tile.form.codes {
        CodeKind::Nibble => of_kind!(NIBBLE),
        CodeKind::Table(_) => of_kind!(TABLE),
        CodeKind::Byte => of_kind!(BYTE),
    }
}

/// `STEP`: columns of an integer sum. `STRIP`: blocks of a strip.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c")]
fn tile_rows<const KIND: u8, const STEP: usize, const STRIP: usize, const R: usize>(
    tile: &IntTile<'_>,
    chunk: &Chunk,
    out: &mut [Lanes],
) {
    let (form, layout, int8) = (tile.form, &tile.layout, &chunk.int8);
    let table = table(form.codes);
    let halves = BLOCK / STEP;
    let block_bytes = BLOCK * TILE_ROWS / if KIND == BYTE { 1 } else { 2 };
    let mut stream = Stream::<STEP, R> {
        quads: int8.codes.as_chunks::<4>().0,
        seeds: int8.seeds(form.offset, STEP),
        scales: &int8.scales,
    };
    let mut groups =
        Groups { ty: form.scale, biased: form.biased, sums: int8.group_sums(form.group) };
    let is_scale_of_block = form.group <= BLOCK;
    let mut acc = [_mm512_setzero_ps(); R];
    let strips = tile.bytes.chunks_exact(layout.strip_bytes());
    for (strip, entries) in strips.zip(int8.entries.as_chunks::<STRIP>().0) {
        let (mut header, codes) = strip.split_at(layout.header_bytes);
        let codes = &codes[..STRIP * block_bytes];
        let mut scale = _mm512_setzero_ps();
        for (b, &num_entries) in entries.iter().enumerate() {
            let codes = &codes[b * block_bytes..][..block_bytes];
            let entries = stream.take(usize::from(num_entries));
            for half in 0..halves {
                if b + half == 0 || is_scale_of_block {
                    (scale, acc) = groups.read(&mut header, acc);
                }
                let codes = &codes[half * block_bytes / halves..][..block_bytes / halves];
                for entry in 0..usize::from(num_entries) {
                    let (quads, seeds, x_scales) = entries.step(entry, half);
                    let sums = step::<KIND, R>(codes, quads, seeds, table);
                    acc = add_scaled(acc, scale, sums, x_scales);
                }
            }
        }
    }
    for (out, acc) in out.iter_mut().zip(acc) {
        store(out, acc);
    }
}

/// Entries of the activations, in order.
#[derive(Clone, Copy)]
struct Stream<'a, const STEP: usize, const R: usize> {
    quads: &'a [[i8; 4]],
    seeds: &'a [i32],
    scales: &'a [f32],
}

impl<'a, const STEP: usize, const R: usize> Stream<'a, STEP, R> {
    /// The next entries.
    #[inline]
    fn take(&mut self, num: usize) -> Self {
        let (quads, seeds, scales);
        (quads, self.quads) = self.quads.split_at(num * QUADS * R);
        (seeds, self.seeds) = self.seeds.split_at(num * (BLOCK / STEP) * R);
        (scales, self.scales) = self.scales.split_at(num * R);
        Self { quads, seeds, scales }
    }

    /// The codes, seeds and scales of one step of an entry.
    #[inline]
    fn step(&self, entry: usize, half: usize) -> (&'a [[i8; 4]], &'a [i32], &'a [f32]) {
        let step = entry * (BLOCK / STEP) + half;
        let quads = &self.quads[step * STEP / 4 * R..][..STEP / 4 * R];
        (quads, &self.seeds[step * R..][..R], &self.scales[entry * R..][..R])
    }
}

/// `acc[r] += scale * (sums[r] * x_scales[r])`
#[inline]
#[target_feature(enable = "avx512f")]
fn add_scaled<const R: usize>(
    mut acc: [__m512; R],
    scale: __m512,
    sums: [__m512i; R],
    x_scales: &[f32],
) -> [__m512; R] {
    let x_scales = &x_scales[..R];
    for r in 0..R {
        let sum = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r]), _mm512_set1_ps(x_scales[r]));
        acc[r] = _mm512_fmadd_ps(scale, sum, acc[r]);
    }
    acc
}

/// Four-column pieces of a block of activations.
const QUADS: usize = BLOCK / 4;

/// Walks the groups of a tile.
struct Groups<'a> {
    ty: FloatType,
    biased: bool,
    /// Sums of the activations of the groups to come, `[group][row]`.
    sums: &'a [f32],
}

impl Groups<'_> {
    /// The scales of the next group; its biases go to the sums.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl,f16c")]
    fn read<const R: usize>(
        &mut self,
        header: &mut &[u8],
        mut acc: [__m512; R],
    ) -> (__m512, [__m512; R]) {
        let scale = self.take(header);
        if self.biased
            && let Some((sums, rest)) = self.sums.split_first_chunk::<R>()
        {
            let bias = self.take(header);
            for r in 0..R {
                acc[r] = _mm512_fmadd_ps(bias, _mm512_set1_ps(sums[r]), acc[r]);
            }
            self.sums = rest;
        }
        (scale, acc)
    }

    /// The next 16 floats of a header.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl,f16c")]
    fn take(&self, header: &mut &[u8]) -> __m512 {
        let (floats, rest) = header.split_at(TILE_ROWS * self.ty.bytes());
        *header = rest;
        load_floats(self.ty, floats)
    }
}

/// `seed + Σ code * activation` of one step, for each row. `quads`: `[columns / 4][row]`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn step<const KIND: u8, const R: usize>(
    codes: &[u8],
    quads: &[[i8; 4]],
    seeds: &[i32],
    table: __m512i,
) -> [__m512i; R] {
    let mut sums = [_mm512_setzero_si512(); R];
    // A second chain of sums hides the latency of the first when there are few rows.
    let mut more = [_mm512_setzero_si512(); R];
    for (sum, &seed) in sums.iter_mut().zip(seeds) {
        *sum = _mm512_set1_epi32(seed);
    }
    let quads_of_line = if KIND == BYTE { 1 } else { 2 };
    let lines = codes.chunks_exact(LINE_BYTES).zip(quads.chunks_exact(quads_of_line * R));
    for (i, (line, quads)) in lines.enumerate() {
        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(PREFETCH_BYTES).cast());
        let (low, high) = load_codes::<KIND>(line, table);
        let first = if KIND == BYTE && R <= FEW_ROWS && i % 2 == 1 { &mut more } else { &mut sums };
        for r in 0..R {
            first[r] = _mm512_dpbusd_epi32(first[r], low, broadcast(quads[r]));
        }
        if KIND == BYTE {
            continue;
        }
        let second = if R <= FEW_ROWS { &mut more } else { &mut sums };
        for r in 0..R {
            second[r] = _mm512_dpbusd_epi32(second[r], high, broadcast(quads[R + r]));
        }
    }
    if R <= FEW_ROWS {
        for r in 0..R {
            sums[r] = _mm512_add_epi32(sums[r], more[r]);
        }
    }
    sums
}

/// The codes of a line, as bytes: of its first four columns and, if it has eight, of the others.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_codes<const KIND: u8>(line: &[u8], table: __m512i) -> (__m512i, __m512i) {
    let line = &line[..LINE_BYTES];
    // SAFETY: the slice has 64 bytes; the load has no alignment.
    let line = unsafe { _mm512_loadu_si512(line.as_ptr().cast()) };
    if KIND == BYTE {
        return (line, line);
    }
    let mask = _mm512_set1_epi8(15);
    let low = _mm512_and_si512(line, mask);
    let high = _mm512_and_si512(_mm512_srli_epi16(line, 4), mask);
    if KIND == TABLE {
        return (_mm512_shuffle_epi8(table, low), _mm512_shuffle_epi8(table, high));
    }
    (low, high)
}

/// The table of the codes in each 128-bit lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn table(codes: CodeKind) -> __m512i {
    match codes {
        CodeKind::Table(table) => {
            // SAFETY: the array has 16 bytes; the load has no alignment.
            _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
        }
        CodeKind::Nibble | CodeKind::Byte => _mm512_setzero_si512(),
    }
}

/// Four activations in every lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(quad: [i8; 4]) -> __m512i {
    _mm512_set1_epi32(i32::from_ne_bytes(quad.map(i8::cast_unsigned)))
}

/// 16 stored floats, widened.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,f16c")]
pub(super) fn load_floats(ty: FloatType, bytes: &[u8]) -> __m512 {
    let bytes = &bytes[..TILE_ROWS * ty.bytes()];
    match ty {
        // SAFETY: the slice has 64 bytes; the load has no alignment.
        FloatType::F32 => unsafe { _mm512_loadu_ps(bytes.as_ptr().cast()) },
        FloatType::F16 => _mm512_cvtph_ps(load_half_line(bytes)),
        FloatType::BF16 => {
            let wide = _mm512_cvtepu16_epi32(load_half_line(bytes));
            _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_half_line(bytes: &[u8]) -> __m256i {
    let bytes = &bytes[..32];
    // SAFETY: the slice has 32 bytes; the load has no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(out: &mut Lanes, values: __m512) {
    // SAFETY: the array has 16 floats; the store has no alignment.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), values) }
}
