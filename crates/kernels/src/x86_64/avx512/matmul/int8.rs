//! Integer codes times int8 activations with `vpdpbusd`: a lane is a row of the tile.

use std::arch::x86_64::*;

use russet_tensor::FloatType;

use super::with_rows;
use crate::matmul::{Chunk, Int8, IntTile, Lanes};
use crate::pack::{LINE_BYTES, TILE_ROWS};
use crate::quant::{BLOCK, CodeKind};

/// Kinds of codes as constants, so that each is its own loop.
const NIBBLE: u8 = 0;
const TABLE: u8 = 1;
const BYTE: u8 = 2;

/// Calls `$of_form!(kind, columns of a step, blocks of a strip)` with the constants of the tile.
macro_rules! with_form {
    ($tile:ident, $of_form:ident) => {{
        macro_rules! of_kind {
            ($kind:ident) => {
                match ($tile.form.step(), $tile.layout.strip_blocks) {
                    (16, _) => $of_form!($kind, 16, 1),
                    (_, 1) => $of_form!($kind, 32, 1),
                    (_, 2) => $of_form!($kind, 32, 2),
                    (_, _) => $of_form!($kind, 32, 4),
                }
            };
        }
        match $tile.form.codes {
            CodeKind::Nibble => of_kind!(NIBBLE),
            CodeKind::Table(_) => of_kind!(TABLE),
            CodeKind::Byte => of_kind!(BYTE),
        }
    }};
}

/// Rows up to which the latency of `vpdpbusd` shows.
const FEW_ROWS: usize = 3;

/// `out[r]` = the products of the tile with the first codes of row `r` of the chunk.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c")]
pub(super) fn tile(tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    macro_rules! of_form {
        ($kind:ident, $step:literal, $strip:literal) => {
            with_rows!(chunk.rows(), tile_rows::<$kind, $step, $strip>(tile, chunk, out))
        };
    }
    with_form!(tile, of_form);
}

/// Adds the products of the tile with the second codes of row `r` of the chunk to `out[r]`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c")]
pub(super) fn rest(tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    macro_rules! of_form {
        ($kind:ident, $step:literal, $strip:literal) => {
            rest_entries::<$kind, $step, $strip>(tile, &chunk.int8, out)
        };
    }
    with_form!(tile, of_form);
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
    let step_bytes = block_bytes(KIND) * STEP / BLOCK;
    let mut stream = Stream::<STEP, R> {
        quads: int8.codes.as_chunks::<4>().0,
        seeds: int8.seeds(form.offset, STEP),
    };
    let mut groups =
        Groups { ty: form.scale, biased: form.biased, sums: int8.group_sums(form.group) };
    let is_scale_of_block = form.group <= BLOCK;
    let mut acc = [_mm512_setzero_ps(); R];
    let strips = tile.bytes.chunks_exact(layout.strip_bytes());
    for (strip, x_scales) in strips.zip(int8.scales.chunks_exact(STRIP * R)) {
        let (mut header, codes) = strip.split_at(layout.header_bytes);
        let codes = &codes[..STRIP * block_bytes(KIND)];
        let mut scale = _mm512_setzero_ps();
        for (b, codes) in codes.chunks_exact(block_bytes(KIND)).enumerate() {
            let x_scales = &x_scales[b * R..][..R];
            for (half, codes) in codes.chunks_exact(step_bytes).enumerate() {
                if b + half == 0 || is_scale_of_block {
                    (scale, acc) = groups.read(&mut header, acc);
                }
                let (quads, seeds) = stream.step();
                let sums = step::<KIND, R, true>((codes, tile.ahead), quads, seeds, table);
                acc = add_scaled(acc, scale, sums, x_scales);
            }
        }
    }
    for (out, acc) in out.iter_mut().zip(acc) {
        store(out, acc);
    }
}

/// The codes and seeds of the activations, in order.
struct Stream<'a, const STEP: usize, const R: usize> {
    quads: &'a [[i8; 4]],
    seeds: &'a [i32],
}

impl<'a, const STEP: usize, const R: usize> Stream<'a, STEP, R> {
    /// Those of the next step.
    #[inline]
    fn step(&mut self) -> (&'a [[i8; 4]], &'a [i32]) {
        let (quads, seeds);
        (quads, self.quads) = self.quads.split_at(STEP / 4 * R);
        (seeds, self.seeds) = self.seeds.split_at(R);
        (quads, seeds)
    }
}

/// Bytes of the codes of a block.
const fn block_bytes(kind: u8) -> usize {
    BLOCK * TILE_ROWS / if kind == BYTE { 1 } else { 2 }
}

/// Entry by entry; the tile is in the cache.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c")]
fn rest_entries<const KIND: u8, const STEP: usize, const STRIP: usize>(
    tile: &IntTile<'_>,
    int8: &Int8,
    out: &mut [Lanes],
) {
    let (form, layout, rest) = (tile.form, &tile.layout, &int8.rest);
    let table = table(form.codes);
    let steps = BLOCK / STEP;
    let step_bytes = block_bytes(KIND) / steps;
    let (codes, scales) = (rest.codes(), rest.scales());
    let seeds = int8.rest_seeds(form.offset, STEP);
    // Groups that start in a block.
    let groups = if form.group <= BLOCK { steps } else { 0 };
    for (e, place) in rest.places.iter().enumerate() {
        let (strip, block) = (place.block / STRIP, place.block % STRIP);
        let strip = &tile.bytes[strip * layout.strip_bytes()..][..layout.strip_bytes()];
        let (header, lines) = strip.split_at(layout.header_bytes);
        let header = &header[block * groups * layout.group_bytes..];
        let lines = &lines[block * block_bytes(KIND)..][..block_bytes(KIND)];
        let out = &mut out[place.row];
        let mut acc = [load(out)];
        for i in 0..steps {
            let scale = load_floats(form.scale, &header[i * layout.group_bytes..]);
            let quads = &codes[e].as_chunks::<4>().0[i * STEP / 4..][..STEP / 4];
            let lines = &lines[i * step_bytes..][..step_bytes];
            let sums = step::<KIND, 1, false>((lines, 0), quads, &[seeds[e * steps + i]], table);
            acc = add_scaled(acc, scale, sums, &[scales[e]]);
        }
        store(out, acc[0]);
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

/// `seed + Σ code * activation` of one step, for each row. `quads`: `[columns / 4][row]`. With
/// `FETCH` the codes `ahead` bytes on are fetched.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn step<const KIND: u8, const R: usize, const FETCH: bool>(
    (codes, ahead): (&[u8], usize),
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
        if FETCH {
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(ahead).cast());
        }
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
fn load(lanes: &Lanes) -> __m512 {
    // SAFETY: the array has 16 floats; the load has no alignment.
    unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(out: &mut Lanes, values: __m512) {
    // SAFETY: the array has 16 floats; the store has no alignment.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), values) }
}
