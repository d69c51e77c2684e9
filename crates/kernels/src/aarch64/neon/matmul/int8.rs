//! Integer codes times int8 activations, signed by signed: with `sdot` where the CPU has it, else
//! with `smull`.
//!
//! Codes of eight bits are made signed by taking 128 off, which the sums of the activations put
//! back.

use std::arch::aarch64::*;
use std::arch::asm;
use std::ops::Range;

use super::codes::{self, Block};
use super::{LANES, scales, with_rows};
use crate::matmul::forms::*;
use crate::matmul::{Chunk, Int8, IntTile, Lanes};
use crate::pack::{Group, TILE_ROWS};
use crate::quant::{BLOCK, CodeKind, ScaleKind};

/// Eight rows of a tile, from `lane`, and some rows of activations: from `first`, of `stride` that
/// are interleaved.
struct Job<'a> {
    tile: &'a IntTile<'a>,
    lane: usize,
    first: usize,
    stride: usize,
}

/// Eight rows.
type Eight<T> = [T; 2];

/// The kernels with one way to multiply, which decides the features they are compiled for.
macro_rules! kernels {
    ($name:ident, $features:literal, $add_products:ident) => {
        pub(super) mod $name {
            use super::*;

            /// `out[r]` = the products of the tile with the first codes of row `r` of the chunk,
            /// for each of `rows`.
            #[target_feature(enable = $features)]
            pub(in super::super) fn tile(
                tile: &IntTile<'_>,
                chunk: &Chunk,
                rows: Range<usize>,
                out: &mut [Lanes],
            ) {
                for lane in (0..TILE_ROWS).step_by(LANES) {
                    let job = Job { tile, lane, first: rows.start, stride: chunk.rows() };
                    let len = rows.len();
                    macro_rules! of_form {
                        ($kind:ident, $step:literal, $scale:ident) => {
                            with_rows!(
                                len,
                                half_tile::<$kind, $step, $scale>(&job, &chunk.int8, out)
                            )
                        };
                    }
                    with_form!(tile, of_form);
                }
            }

            /// Adds the products of the tile with the second codes of row `r` of the chunk to
            /// `out[r]`.
            #[target_feature(enable = $features)]
            pub(in super::super) fn rest(tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
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

            #[target_feature(enable = $features)]
            fn half_tile<const KIND: u8, const STEP: usize, const SCALE: u8, const R: usize>(
                job: &Job<'_>,
                int8: &Int8,
                out: &mut [Lanes],
            ) {
                let (form, rows) = (job.tile.form, job.stride);
                let mut acc = [[vdupq_n_f32(0.0); 2]; R];
                let mut scale = [vdupq_n_f32(0.0); 2];
                let (mut num_groups, group_sums) = (0, int8.group_sums(form.group));
                let quads = int8.codes.as_chunks::<4>().0.chunks_exact(STEP / 4 * rows);
                let seeds = int8.seeds(form.offset, STEP).chunks_exact(rows);
                let sums = int8.sums.chunks_exact(STEP / 16 * rows);
                let entries = quads.zip(seeds).zip(sums);
                for (s, (step, ((quads, seeds), sums))) in job.tile.steps().zip(entries).enumerate()
                {
                    if let Some(group) = step.group {
                        if form.biased {
                            let bias = load_biases::<SCALE>(form.scale, group, job.lane);
                            let sums = &group_sums[num_groups * rows + job.first..][..R];
                            acc = add_biases(acc, bias, sums);
                        }
                        scale = load_scales::<SCALE>(form.scale, group, job.lane);
                        num_groups += 1;
                    }
                    let mut products = starts::<KIND, STEP, SCALE, R>(job, seeds, sums);
                    let block = Block { codes: step.block, half: step.half, lane: job.lane };
                    add_step::<KIND, STEP, SCALE, R>(job, block, quads, &mut products);
                    let x_scales = &int8.scales[s * STEP / BLOCK * rows + job.first..];
                    add_scaled(&mut acc, scale, products, x_scales);
                }
                for (out, acc) in out[job.first..].iter_mut().zip(acc) {
                    store(out, job.lane, acc);
                }
            }

            /// Entry by entry; the tile is in the cache.
            #[target_feature(enable = $features)]
            fn rest_entries<const KIND: u8, const STEP: usize>(
                job: &Job<'_>,
                int8: &Int8,
                out: &mut [Lanes],
            ) {
                let (tile, rest, steps) = (job.tile, &int8.rest, BLOCK / STEP);
                let seeds = int8.rest_seeds(tile.form.offset, STEP);
                for (e, place) in rest.places.iter().enumerate() {
                    let out = &mut out[place.row];
                    let mut acc = [load(out, job.lane)];
                    let codes = tile.block(place.block);
                    let quads = rest.codes()[e].as_chunks().0.chunks_exact(STEP / 4);
                    for (half, quads) in quads.enumerate() {
                        let sum = sum(quads.as_flattened());
                        let seeds = &seeds[e * steps + half..];
                        let mut products = starts::<KIND, STEP, REST, 1>(job, seeds, &[sum]);
                        let block = Block { codes, half, lane: job.lane };
                        add_step::<KIND, STEP, REST, 1>(job, block, quads, &mut products);
                        let group = tile.group_at(place.block * BLOCK + half * STEP);
                        let scale = load_scales::<REST>(tile.form.scale, group, job.lane);
                        add_scaled(&mut acc, scale, products, &rest.scales()[e..]);
                    }
                    store(out, job.lane, acc[0]);
                }
            }

            /// Adds `Σ code * activation` of one step for each row.
            /// `quads`: `[columns / 4][stride]`.
            #[inline]
            #[target_feature(enable = $features)]
            fn add_step<const KIND: u8, const STEP: usize, const SCALE: u8, const R: usize>(
                job: &Job<'_>,
                block: Block<'_>,
                quads: &[[i8; 4]],
                sums: &mut [Eight<int32x4_t>; R],
            ) {
                let rows = job.stride;
                let table = codes::table(job.tile.form.codes);
                macro_rules! add_pair {
                    ($pair:literal) => {
                        let quads = &quads[2 * $pair * rows..][..2 * rows];
                        for q in 0..2 {
                            let codes = block.pair::<KIND, STEP, $pair>(q, table);
                            for (codes, quads) in codes.into_iter().zip(quads.chunks_exact(rows)) {
                                let quads = &quads[job.first..][..R];
                                for r in 0..R {
                                    sums[r][q] =
                                        $add_products(sums[r][q], codes, broadcast(quads[r]));
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
            }
        }
    };
}

kernels!(plain, "neon", add_products_plain);
kernels!(dotprod, "neon,dotprod", add_products_dot);

/// Lane i: `sum + Σ` of the four products of bytes 4i to 4i + 3.
#[inline]
#[target_feature(enable = "neon")]
fn add_products_plain(sums: int32x4_t, codes: int8x16_t, x: int8x16_t) -> int32x4_t {
    let low = vmull_s8(vget_low_s8(codes), vget_low_s8(x));
    let high = vmull_high_s8(codes, x);
    // Two products are at most 2 * 128 * 127 = 32512.
    vpadalq_s16(sums, vpaddq_s16(low, high))
}

/// As [`add_products_plain`]; the intrinsic is not stable yet.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn add_products_dot(mut sums: int32x4_t, codes: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: one instruction of a feature that this function requires; it touches no memory.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {codes:v}.16b, {x:v}.16b",
            sums = inout(vreg) sums,
            codes = in(vreg) codes,
            x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// `acc[r] += bias * sums[r]`
#[inline]
#[target_feature(enable = "neon")]
fn add_biases<const R: usize>(
    mut acc: [Eight<float32x4_t>; R],
    bias: Eight<float32x4_t>,
    sums: &[f32],
) -> [Eight<float32x4_t>; R] {
    let sums = &sums[..R];
    for r in 0..R {
        for q in 0..2 {
            acc[r][q] = vfmaq_f32(acc[r][q], bias[q], vdupq_n_f32(sums[r]));
        }
    }
    acc
}

/// The scales of eight rows of a group, from `lane`.
#[inline]
#[target_feature(enable = "neon")]
fn load_scales<const SCALE: u8>(
    kind: ScaleKind,
    group: Group<'_>,
    lane: usize,
) -> Eight<float32x4_t> {
    let four = |lane| scales::load_scales::<SCALE>(kind, group, lane);
    [four(lane), four(lane + 4)]
}

/// The biases of eight rows of a group, which has some, from `lane`.
#[inline]
#[target_feature(enable = "neon")]
fn load_biases<const SCALE: u8>(
    kind: ScaleKind,
    group: Group<'_>,
    lane: usize,
) -> Eight<float32x4_t> {
    let four = |lane| scales::load_biases::<SCALE>(kind, group, lane);
    [four(lane), four(lane + 4)]
}

/// What the sums of a step start with: the weight offset, and what signed codes are short of.
/// `seeds`: `[stride]`, `sixteens`: `[columns / 16][stride]`.
#[inline]
#[target_feature(enable = "neon")]
fn starts<const KIND: u8, const STEP: usize, const SCALE: u8, const R: usize>(
    job: &Job<'_>,
    seeds: &[i32],
    sixteens: &[i32],
) -> [Eight<int32x4_t>; R] {
    let seeds = &seeds[job.first..][..R];
    let mut starts = [[vdupq_n_s32(0); 2]; R];
    for r in 0..R {
        let mut seed = seeds[r];
        if codes::is_signed(KIND) {
            for sums in sixteens.chunks_exact(job.stride) {
                seed += 128 * sums[job.first + r];
            }
        }
        starts[r] = [vdupq_n_s32(seed); 2];
    }
    starts
}

/// `acc[r] += scale * (sums[r] * x_scales[r])`
#[inline]
#[target_feature(enable = "neon")]
fn add_scaled<const R: usize>(
    acc: &mut [Eight<float32x4_t>; R],
    scale: Eight<float32x4_t>,
    sums: [Eight<int32x4_t>; R],
    x_scales: &[f32],
) {
    let x_scales = &x_scales[..R];
    for r in 0..R {
        for q in 0..2 {
            let sum = vmulq_f32(vcvtq_f32_s32(sums[r][q]), vdupq_n_f32(x_scales[r]));
            acc[r][q] = vfmaq_f32(acc[r][q], scale[q], sum);
        }
    }
}

/// Adds up codes.
#[inline(always)]
fn sum(codes: &[i8]) -> i32 {
    codes.iter().map(|&code| i32::from(code)).sum()
}

/// Four activations in every lane.
#[inline]
#[target_feature(enable = "neon")]
fn broadcast(quad: [i8; 4]) -> int8x16_t {
    vreinterpretq_s8_s32(vdupq_n_s32(i32::from_ne_bytes(quad.map(i8::cast_unsigned))))
}

/// Loads eight lanes from `lane`.
#[inline]
#[target_feature(enable = "neon")]
fn load(lanes: &Lanes, lane: usize) -> Eight<float32x4_t> {
    let lanes = &lanes[lane..lane + LANES];
    // SAFETY: the slice has eight floats; the loads have no alignment.
    unsafe { [vld1q_f32(lanes.as_ptr()), vld1q_f32(lanes[4..].as_ptr())] }
}

/// Stores eight lanes from `lane`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn store(out: &mut Lanes, lane: usize, values: Eight<float32x4_t>) {
    let out = &mut out[lane..lane + LANES];
    // SAFETY: the slice has eight floats; the stores have no alignment.
    unsafe {
        vst1q_f32(out.as_mut_ptr(), values[0]);
        vst1q_f32(out[4..].as_mut_ptr(), values[1]);
    }
}
