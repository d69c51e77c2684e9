//! Integer codes times int8 activations: a lane is a row of the tile.

use std::arch::x86_64::*;

use super::codes::Block;
use super::dot::{self, EVEX, MADDUBS, Sums, VEX};
use super::loads::{load, store};
use super::scales::{Floats, Groups, load_units, scales};
use super::{LANES, with_rows};
use crate::matmul::forms::*;
use crate::matmul::{Chunk, Int8, IntTile, Lanes, SecondSteps};
use crate::pack::LINE_BYTES;
use crate::quant::{BLOCK, CodeKind, ScaleKind};
use crate::x86_64::avx2::Dot;
use crate::x86_64::later::{Later, entries_at_once};

/// Rows up to which a line takes so few instructions that the CPU runs ahead further than lines
/// are fetched; fetching them costs a tenth.
const fn unfetched_rows(dot: u8, kind: u8) -> usize {
    match kind {
        NIBBLE | TABLE | BYTE if dot == MADDUBS => 1,
        NIBBLE | TABLE | BYTE => 2,
        _ => 0,
    }
}

/// `out[r]` = the products of the tile with row `r` of the chunk.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn tile(dot: Dot, tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    match dot {
        Dot::Maddubs => tile_by::<MADDUBS>(tile, chunk, out),
        Dot::Vex => tile_by::<VEX>(tile, chunk, out),
        Dot::Evex => tile_by::<EVEX>(tile, chunk, out),
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn tile_by<const DOT: u8>(tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    let (rows, int8) = (chunk.rows(), &chunk.int8);
    macro_rules! of_form {
        ($kind:ident, 32, FLOATS) => {
            match (rows, tile.layout.strip_blocks) {
                (1, 1) => tile_rows::<DOT, $kind, 32, FLOATS, 1, 1>(tile, chunk, out),
                (1, 2) => tile_rows::<DOT, $kind, 32, FLOATS, 2, 1>(tile, chunk, out),
                (1, 4) => tile_rows::<DOT, $kind, 32, FLOATS, 4, 1>(tile, chunk, out),
                (_, _) => {
                    with_rows!(rows, tile_rows::<DOT, $kind, 32, FLOATS, 0>(tile, chunk, out))
                }
            }
        };
        ($kind:ident, 16, FLOATS) => {
            with_rows!(rows, tile_rows::<DOT, $kind, 16, FLOATS, 1>(tile, chunk, out))
        };
        ($kind:ident, $step:literal, $scale:ident) => {
            with_rows!(rows, tile_rows::<DOT, $kind, $step, $scale, 8>(tile, chunk, out))
        };
    }
    with_form!(tile, of_form);
    let at_once = entries_at_once(chunk, tile.form);
    if int8.rest.places.len() > at_once {
        rest::<DOT>(tile, int8, at_once, out);
    }
}

/// Adds the products of the tile with the second codes of row `r` of the chunk to `out[r]`, but for
/// those of `skip` entries.
#[target_feature(enable = "avx2,fma,f16c")]
fn rest<const DOT: u8>(tile: &IntTile<'_>, int8: &Int8, skip: usize, out: &mut [Lanes]) {
    macro_rules! of_form {
        ($kind:ident, $step:literal, $scale:ident) => {
            rest_entries::<DOT, $kind, $step>(tile, int8, skip, out)
        };
    }
    with_form!(tile, of_form);
}

/// The first codes. With one row also those second codes that are multiplied at once, since memory
/// leaves the time for it; they are added at the end.
///
/// `STEP`: columns of an integer sum. `STRIP`: blocks of a strip if not zero, which spares one row
/// much of the counting.
// Each alone has the registers for itself.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
fn tile_rows<
    const DOT: u8,
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
    let tables = dot::tables::<DOT>(form.codes);
    let mut stream = Stream::<STEP, R> {
        quads: int8.codes.as_chunks::<4>().0,
        seeds: int8.seeds(form.offset, STEP),
    };
    let mut groups = Groups::<SCALE>::new(form, layout.group_bytes, int8);
    let mut second = SecondSteps::<STEP>::new(int8, entries_at_once(chunk, form), form.offset);
    let mut later = Later::new();
    let ahead = (R > unfetched_rows(DOT, KIND)).then_some(tile.ahead);
    let is_scale_of_block = form.group <= BLOCK;
    let mut acc = [[_mm256_setzero_ps(); 2]; R];
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
        let mut scale = [_mm256_setzero_ps(); 2];
        let blocks = codes.chunks_exact(block_bytes(KIND)).zip(x_scales.chunks_exact(R));
        for (b, (codes, x_scales)) in blocks.enumerate() {
            fetch(codes, ahead);
            for half in 0..BLOCK / STEP {
                if b + half == 0 || is_scale_of_block {
                    (scale, acc) =
                        groups.read::<DOT, KIND, STEP, STRIP, R>(&units, &mut header, acc);
                }
                let (quads, seeds) = stream.step();
                let block = Block::new::<KIND>(codes, half);
                let sums =
                    dot::step::<DOT, KIND, STEP, SCALE, STRIP, R>(block, quads, seeds, tables);
                acc = add_scaled(acc, scale, sums, x_scales);
                if R == 1
                    && stream.quads.len() == second.due
                    && let Some((quads, seed, x_scale)) = second.next()
                {
                    let seeds = &[seed];
                    let [sums] =
                        dot::step::<DOT, KIND, STEP, SECOND, STRIP, 1>(block, quads, seeds, tables);
                    later.push(scale, scaled(sums, x_scale));
                }
            }
        }
    }
    for i in 0..later.len() {
        let (scale, sums) = later.get(i);
        acc[0] = add(acc[0], scale, sums);
    }
    for (out, [low, high]) in out.iter_mut().zip(acc) {
        store(out, 0, low);
        store(out, LANES, high);
    }
}

/// Fetches the lines `ahead` bytes after `bytes`, if so.
#[inline]
#[target_feature(enable = "avx2")]
fn fetch(bytes: &[u8], ahead: Option<usize>) {
    let Some(ahead) = ahead else { return };
    for line in bytes.chunks_exact(LINE_BYTES) {
        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(ahead).cast());
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

/// Entry by entry; the tile is in the cache.
#[target_feature(enable = "avx2,fma,f16c")]
fn rest_entries<const DOT: u8, const KIND: u8, const STEP: usize>(
    tile: &IntTile<'_>,
    int8: &Int8,
    skip: usize,
    out: &mut [Lanes],
) {
    let (form, rest, steps) = (tile.form, &int8.rest, BLOCK / STEP);
    let tables = dot::tables::<DOT>(form.codes);
    let (codes, x_scales) = (rest.codes(), rest.scales());
    let seeds = int8.rest_seeds(form.offset, STEP);
    for (e, entry) in rest.places.iter().enumerate().skip(skip) {
        let (lines, units, groups) = tile.block_and_groups(entry.block);
        let units = load_units::<REST>(form.scale, units);
        let out = &mut out[entry.row];
        let mut acc = [[load(out, 0), load(out, LANES)]];
        for half in 0..steps {
            let own = &groups[half * tile.layout.group_bytes..];
            let scale = scales::<REST>(form.scale, &units.0, own);
            let quads = &codes[e].as_chunks::<4>().0[half * STEP / 4..][..STEP / 4];
            let block = Block::new::<KIND>(lines, half);
            let seed = &[seeds[e * steps + half]];
            let sums = dot::step::<DOT, KIND, STEP, REST, 0, 1>(block, quads, seed, tables);
            acc = add_scaled(acc, scale, sums, &[x_scales[e]]);
        }
        store(out, 0, acc[0][0]);
        store(out, LANES, acc[0][1]);
    }
}

/// `acc[r] += scale * (sums[r] * x_scales[r])`
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_scaled<const R: usize>(
    mut acc: [Floats; R],
    scale: Floats,
    sums: Sums<R>,
    x_scales: &[f32],
) -> [Floats; R] {
    let x_scales = &x_scales[..R];
    for r in 0..R {
        acc[r] = add(acc[r], scale, scaled(sums[r], x_scales[r]));
    }
    acc
}

/// `sums * x_scale`
#[inline]
#[target_feature(enable = "avx2")]
fn scaled([low, high]: [__m256i; 2], x_scale: f32) -> Floats {
    let x_scale = _mm256_set1_ps(x_scale);
    [
        _mm256_mul_ps(_mm256_cvtepi32_ps(low), x_scale),
        _mm256_mul_ps(_mm256_cvtepi32_ps(high), x_scale),
    ]
}

/// `acc + scale * sums`
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add(mut acc: Floats, scale: Floats, sums: Floats) -> Floats {
    for h in 0..2 {
        acc[h] = _mm256_fmadd_ps(scale[h], sums[h], acc[h]);
    }
    acc
}
