//! Integer codes times int8 activations with `vpdpbusd`: a lane is a row of the tile.

use std::arch::x86_64::*;

use russet_tensor::FloatType;

use super::codes::{Block, prefetch, table};
use super::with_rows;
use crate::matmul::forms::*;
use crate::matmul::{Chunk, Int8, IntTile, Lanes, SecondSteps};
use crate::pack::{Group, LINE_BYTES, TILE_ROWS};
use crate::quant::{BLOCK, CodeKind, ScaleKind};
use crate::x86_64::later::{Later, entries_at_once};

/// Rows up to which the latency of `vpdpbusd` shows.
const FEW_ROWS: usize = 3;
/// How far ahead of its use a line is fetched with so few rows, if at all: the kernel is soon
/// there.
const FEW_AHEAD_BYTES: usize = 4096;

/// How far ahead of its use a line is fetched, other than `ahead` with few rows.
///
/// With codes in one plane a line then takes so few instructions that the CPU runs ahead further
/// by itself, and fetching costs up to a fifth.
const fn ahead_of(kind: u8, rows: usize, ahead: usize) -> Option<usize> {
    match kind {
        _ if rows > FEW_ROWS => Some(ahead),
        NIBBLE | TABLE | BYTE => None,
        _ => Some(FEW_AHEAD_BYTES),
    }
}

/// `out[r]` = the products of the tile with row `r` of the chunk.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c")]
pub(super) fn tile(tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    macro_rules! of_form {
        ($kind:ident, 32, FLOATS) => {
            match (chunk.rows(), tile.layout.strip_blocks) {
                (1, 1) => tile_rows::<$kind, 32, FLOATS, 1, 1>(tile, chunk, out),
                (1, 2) => tile_rows::<$kind, 32, FLOATS, 2, 1>(tile, chunk, out),
                (1, 4) => tile_rows::<$kind, 32, FLOATS, 4, 1>(tile, chunk, out),
                (rows, 1) => with_rows!(rows, tile_rows::<$kind, 32, FLOATS, 1>(tile, chunk, out)),
                (rows, _) => with_rows!(rows, tile_rows::<$kind, 32, FLOATS, 0>(tile, chunk, out)),
            }
        };
        ($kind:ident, 16, FLOATS) => {
            with_rows!(chunk.rows(), tile_rows::<$kind, 16, FLOATS, 1>(tile, chunk, out))
        };
        ($kind:ident, $step:literal, $scale:ident) => {
            with_rows!(chunk.rows(), tile_rows::<$kind, $step, $scale, 8>(tile, chunk, out))
        };
    }
    with_form!(tile, of_form);
    let at_once = entries_at_once(chunk, tile.form);
    if chunk.int8.rest.places.len() > at_once {
        rest(tile, chunk, at_once, out);
    }
}

/// Adds the products of the tile with the second codes of row `r` of the chunk to `out[r]`, but for
/// those of `skip` entries.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c")]
fn rest(tile: &IntTile<'_>, chunk: &Chunk, skip: usize, out: &mut [Lanes]) {
    macro_rules! of_form {
        ($kind:ident, $step:literal, $scale:ident) => {
            rest_entries::<$kind, $step>(tile, &chunk.int8, skip, out)
        };
    }
    with_form!(tile, of_form);
}

/// The first codes. With one row also those second codes that are multiplied at once, since memory
/// leaves the time for it; they are added at the end.
///
/// `STEP`: columns of an integer sum. `STRIP`: blocks of a strip if not zero, which spares one row
/// much of the counting.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c")]
fn tile_rows<
    const KIND: u8,
    const STEP: usize,
    const SCALE: u8,
    const STRIP: usize,
    const R: usize,
>(
    tile: &IntTile<'_>,
    chunk: &Chunk,
    out: &mut [Lanes],
) {
    let (form, layout, int8) = (tile.form, &tile.layout, &chunk.int8);
    let table = table(form.codes);
    let mut stream = Stream::<STEP, R> {
        quads: int8.codes.as_chunks::<4>().0,
        seeds: int8.seeds(form.offset, STEP),
    };
    let mut groups = Groups {
        scale: scale_kind::<SCALE>(form.scale),
        biased: form.biased,
        bytes: layout.group_bytes,
        sums: int8.group_sums(form.group),
    };
    let mut second = SecondSteps::<STEP>::new(int8, entries_at_once(chunk, form), form.offset);
    let mut later = Later::new();
    let ahead = ahead_of(KIND, R, tile.ahead);
    let is_scale_of_block = form.group <= BLOCK;
    let mut acc = [_mm512_setzero_ps(); R];
    let strip_blocks = if STRIP == 0 { layout.strip_blocks } else { STRIP };
    let codes_bytes = strip_blocks * block_bytes(KIND);
    let strips = tile.bytes.chunks_exact(layout.header_bytes + codes_bytes);
    for (strip, x_scales) in strips.zip(int8.scales.chunks_exact(strip_blocks * R)) {
        let (header, codes) = strip.split_at(layout.header_bytes);
        let codes = &codes[..codes_bytes];
        if SCALE != FLOATS {
            fetch(header, ahead);
        }
        let (units, mut header) = header.split_at(layout.unit_bytes);
        let units = groups.load_units(units);
        let mut scale = _mm512_setzero_ps();
        let blocks = codes.chunks_exact(block_bytes(KIND)).zip(x_scales.chunks_exact(R));
        for (b, (codes, x_scales)) in blocks.enumerate() {
            for half in 0..BLOCK / STEP {
                if b + half == 0 || is_scale_of_block {
                    (scale, acc) = groups.read(units, &mut header, acc);
                }
                let (quads, seeds) = stream.step();
                let block = Block { codes, half, ahead };
                let sums = step::<KIND, STEP, SCALE, STRIP, R>(block, quads, seeds, table);
                acc = add_scaled(acc, scale, sums, x_scales);
                if R == 1
                    && stream.quads.len() == second.due
                    && let Some((quads, seed, x_scale)) = second.next()
                {
                    let weights = unpack::<KIND, STEP, SCALE, STRIP>(block, table);
                    let sum = multiply::<KIND, STEP, SCALE, STRIP>(weights, quads, seed);
                    later.push(scale, scaled(sum, x_scale));
                }
            }
        }
    }
    for i in 0..later.len() {
        let (scale, sum) = later.get(i);
        acc[0] = _mm512_fmadd_ps(scale, sum, acc[0]);
    }
    for (out, acc) in out.iter_mut().zip(acc) {
        store(out, acc);
    }
}

/// Fetches the lines `ahead` bytes after `bytes`, if so.
#[inline]
#[target_feature(enable = "avx512f")]
fn fetch(bytes: &[u8], ahead: Option<usize>) {
    let Some(ahead) = ahead else { return };
    for line in bytes.chunks_exact(LINE_BYTES) {
        prefetch(line, ahead);
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

/// Block by block, each unpacked once for all its entries; the tile is in the cache.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c")]
fn rest_entries<const KIND: u8, const STEP: usize>(
    tile: &IntTile<'_>,
    int8: &Int8,
    skip: usize,
    out: &mut [Lanes],
) {
    let (form, rest, steps) = (tile.form, &int8.rest, BLOCK / STEP);
    let table = table(form.codes);
    let (mut codes, mut scales) = (&rest.codes()[skip..], &rest.scales()[skip..]);
    let mut seeds = &int8.rest_seeds(form.offset, STEP)[skip * steps..];
    for places in rest.places[skip..].chunk_by(|a, b| a.block == b.block) {
        let (lines, units, groups) = tile.block_and_groups(places[0].block);
        let lines = &lines[..block_bytes(KIND)];
        for half in 0..steps {
            let own = &groups[half * tile.layout.group_bytes..];
            let scale = load_scales(form.scale, Group { units, own });
            let block = Block { codes: lines, half, ahead: None };
            let weights = unpack::<KIND, STEP, REST, 0>(block, table);
            let entries = places.iter().zip(codes).zip(scales).zip(seeds.chunks_exact(steps));
            for (((place, codes), x_scale), seeds) in entries {
                let quads = &codes.as_chunks::<4>().0[half * STEP / 4..][..STEP / 4];
                let sum = multiply::<KIND, STEP, REST, 0>(weights, quads, seeds[half]);
                let out = &mut out[place.row];
                let [acc] = add_scaled([load(out)], scale, [sum], &[*x_scale]);
                store(out, acc);
            }
        }
        (codes, scales) = (&codes[places.len()..], &scales[places.len()..]);
        seeds = &seeds[places.len() * steps..];
    }
}

/// The codes of a step, four columns a register; half of the registers if it is half a block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn unpack<const KIND: u8, const STEP: usize, const SCALE: u8, const STRIP: usize>(
    block: Block<'_>,
    table: __m512i,
) -> [__m512i; 8] {
    let (a, b) = block.pair::<KIND, STEP, 0>(table);
    let (c, d) = block.pair::<KIND, STEP, 1>(table);
    if STEP < BLOCK {
        let nothing = _mm512_setzero_si512();
        return [a, b, c, d, nothing, nothing, nothing, nothing];
    }
    let (e, f) = block.pair::<KIND, STEP, 2>(table);
    let (g, h) = block.pair::<KIND, STEP, 3>(table);
    [a, b, c, d, e, f, g, h]
}

/// `seed + Σ code * activation` of one step of one row.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn multiply<const KIND: u8, const STEP: usize, const SCALE: u8, const STRIP: usize>(
    weights: [__m512i; 8],
    quads: &[[i8; 4]],
    seed: i32,
) -> __m512i {
    let quads = &quads[..STEP / 4];
    let mut sum = _mm512_set1_epi32(seed);
    for (weights, quad) in weights.iter().zip(quads) {
        sum = _mm512_dpbusd_epi32(sum, *weights, broadcast(*quad));
    }
    sum
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
        acc[r] = _mm512_fmadd_ps(scale, scaled(sums[r], x_scales[r]), acc[r]);
    }
    acc
}

/// `sum * x_scale`
#[inline]
#[target_feature(enable = "avx512f")]
fn scaled(sum: __m512i, x_scale: f32) -> __m512 {
    _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(x_scale))
}

/// Walks the groups of a tile.
struct Groups<'a> {
    scale: ScaleKind,
    biased: bool,
    /// Of the scales and biases of one.
    bytes: usize,
    /// Sums of the activations of the groups to come, `[group][row]`.
    sums: &'a [f32],
}

impl Groups<'_> {
    /// The units of the scales and of the biases of a strip.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl,f16c")]
    fn load_units(&self, units: &[u8]) -> [__m512; 2] {
        if let ScaleKind::Float(_) = self.scale {
            return [_mm512_setzero_ps(); 2];
        }
        let (scale, bias) = units.split_at(LINE_BYTES / 2);
        [load_floats(FloatType::F16, scale), load_floats(FloatType::F16, bias)]
    }

    /// The scales of the next group; its biases go to the sums.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c")]
    fn read<const R: usize>(
        &mut self,
        units: [__m512; 2],
        header: &mut &[u8],
        mut acc: [__m512; R],
    ) -> (__m512, [__m512; R]) {
        let (own, rest) = header.split_at(self.bytes);
        *header = rest;
        if self.biased
            && let Some((sums, rest)) = self.sums.split_first_chunk::<R>()
        {
            let bias = biases(self.scale, units[1], own);
            for r in 0..R {
                acc[r] = _mm512_fmadd_ps(bias, _mm512_set1_ps(sums[r]), acc[r]);
            }
            self.sums = rest;
        }
        (scales(self.scale, units[0], own), acc)
    }
}

/// The scales of a group.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c")]
fn load_scales(kind: ScaleKind, group: Group<'_>) -> __m512 {
    let units = match kind {
        ScaleKind::Float(_) => _mm512_setzero_ps(),
        ScaleKind::Bytes | ScaleKind::Nibbles => load_floats(FloatType::F16, group.units),
    };
    scales(kind, units, group.own)
}

/// The scales of a group in `units`, of which floats make no use.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c")]
fn scales(kind: ScaleKind, units: __m512, own: &[u8]) -> __m512 {
    let codes = match kind {
        ScaleKind::Float(ty) => return load_floats(ty, own),
        ScaleKind::Bytes => load_quarter_line(own),
        ScaleKind::Nibbles => _mm_and_si128(load_quarter_line(own), _mm_set1_epi8(15)),
    };
    _mm512_mul_ps(units, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)))
}

/// The biases of a group, which has some.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c")]
fn biases(kind: ScaleKind, units: __m512, own: &[u8]) -> __m512 {
    let own = &own[kind.bias_start()..];
    let codes = match kind {
        ScaleKind::Float(ty) => return load_floats(ty, own),
        ScaleKind::Bytes => load_quarter_line(own),
        ScaleKind::Nibbles => {
            let both = load_quarter_line(own);
            _mm_and_si128(_mm_srli_epi16::<4>(both), _mm_set1_epi8(15))
        }
    };
    _mm512_mul_ps(units, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_quarter_line(bytes: &[u8]) -> __m128i {
    let bytes = &bytes[..16];
    // SAFETY: the slice has 16 bytes; the load has no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// `seed + Σ code * activation` of one step, for each row. `quads`: `[columns / 4][row]`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn step<const KIND: u8, const STEP: usize, const SCALE: u8, const STRIP: usize, const R: usize>(
    block: Block<'_>,
    quads: &[[i8; 4]],
    seeds: &[i32],
    table: __m512i,
) -> [__m512i; R] {
    let mut sums = [_mm512_setzero_si512(); R];
    for (sum, &seed) in sums.iter_mut().zip(seeds) {
        *sum = _mm512_set1_epi32(seed);
    }
    // A second chain of sums hides the latency of the first when there are few rows.
    let mut more = [_mm512_setzero_si512(); R];
    let quads = &quads[..STEP / 4 * R];
    macro_rules! add_pair {
        ($pair:literal) => {
            let (low, high) = block.pair::<KIND, STEP, $pair>(table);
            let quads = &quads[2 * $pair * R..][..2 * R];
            for r in 0..R {
                sums[r] = _mm512_dpbusd_epi32(sums[r], low, broadcast(quads[r]));
            }
            let second = if R <= FEW_ROWS { &mut more } else { &mut sums };
            for r in 0..R {
                second[r] = _mm512_dpbusd_epi32(second[r], high, broadcast(quads[R + r]));
            }
        };
    }
    add_pair!(0);
    add_pair!(1);
    if STEP == BLOCK {
        add_pair!(2);
        add_pair!(3);
    }
    if R <= FEW_ROWS {
        for r in 0..R {
            sums[r] = _mm512_add_epi32(sums[r], more[r]);
        }
    }
    sums
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
