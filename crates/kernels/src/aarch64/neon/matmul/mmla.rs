//! Integer codes times int8 activations of two rows and more with `usmmla`, which adds the products
//! of eight columns of two rows of weights and two of activations.
//!
//! Four rows of weights meet all rows of a chunk, so that codes are unpacked once. Sums stay as the
//! instruction leaves them, `[row of weights][row of activations]`, until the end of the tile:
//! scales are made to fit instead.

use std::arch::aarch64::*;
use std::arch::asm;

use super::codes::{self, Block, prefetch};
use super::scales::{load_biases, load_scales};
use crate::matmul::forms::*;
use crate::matmul::{Chunk, Int8, IntTile, Lanes};
use crate::pack::{Group, LINE_BYTES, TILE_ROWS};
use crate::quant::{BLOCK, CodeKind, ScaleKind};

/// Columns whose codes are unpacked together.
const HALF: usize = BLOCK / 2;

/// Rows of weights of a pass.
const ROWS: usize = 4;
/// Passes over a tile.
const PASSES: usize = TILE_ROWS / ROWS;

/// Products of four rows of weights with two of activations: two registers.
type Four<T> = [T; 2];

/// Calls `$function::<$generics, R, P>($arguments)` with R = `$rows`, two to twelve, in P pairs.
macro_rules! with_pairs {
    ($rows:expr, $function:ident::<$($generic:tt),+>($($argument:expr),+)) => {
        match $rows {
            2 => $function::<$($generic,)+ 2, 1>($($argument),+),
            3 => $function::<$($generic,)+ 3, 2>($($argument),+),
            4 => $function::<$($generic,)+ 4, 2>($($argument),+),
            5 => $function::<$($generic,)+ 5, 3>($($argument),+),
            6 => $function::<$($generic,)+ 6, 3>($($argument),+),
            7 => $function::<$($generic,)+ 7, 4>($($argument),+),
            8 => $function::<$($generic,)+ 8, 4>($($argument),+),
            9 => $function::<$($generic,)+ 9, 5>($($argument),+),
            10 => $function::<$($generic,)+ 10, 5>($($argument),+),
            11 => $function::<$($generic,)+ 11, 6>($($argument),+),
            12 => $function::<$($generic,)+ 12, 6>($($argument),+),
            rows => unreachable!("a chunk of {rows} rows"),
        }
    };
}

/// `out[r]` = the products of the tile with the first codes of row `r` of the chunk, which has at
/// least two.
#[target_feature(enable = "neon,i8mm")]
pub(super) fn tile(tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]) {
    let ahead = tile.fetching_next().ahead;
    for pass in 0..PASSES {
        let job = Job { tile, pass, ahead };
        macro_rules! of_form {
            ($kind:ident, $step:literal, $scale:ident) => {
                with_pairs!(chunk.rows(), four_rows::<$kind, $step, $scale>(&job, &chunk.int8, out))
            };
        }
        with_form!(tile, of_form);
    }
}

/// Four rows of a tile.
struct Job<'a> {
    tile: &'a IntTile<'a>,
    /// Which four.
    pass: usize,
    /// Where the next tile is: each pass fetches its share of it.
    ahead: usize,
}

#[target_feature(enable = "neon,i8mm")]
fn four_rows<const KIND: u8, const STEP: usize, const SCALE: u8, const R: usize, const P: usize>(
    job: &Job<'_>,
    int8: &Int8,
    out: &mut [Lanes],
) {
    let (form, layout, lane) = (job.tile.form, &job.tile.layout, ROWS * job.pass);
    let table = codes::table(form.codes);
    let mut acc = [[vdupq_n_f32(0.0); 2]; P];
    let mut scale = [vdupq_n_f32(0.0); 2];
    let mut group_sums = int8.group_sums(form.group).as_chunks::<R>().0.iter();
    let mut quads = int8.codes.as_chunks::<4>().0;
    let mut seeds = int8.seeds(form.offset, STEP).as_chunks::<R>().0.iter();
    let codes_bytes = layout.strip_blocks * block_bytes(KIND);
    let strips = job.tile.bytes.chunks_exact(layout.header_bytes + codes_bytes);
    for (strip, x_scales) in strips.zip(int8.scales.chunks_exact(layout.strip_blocks * R)) {
        let (header, codes) = strip.split_at(layout.header_bytes);
        job.fetch_header(header);
        let (units, mut groups) = header.split_at(layout.unit_bytes);
        let blocks = codes.chunks_exact(block_bytes(KIND)).zip(x_scales.as_chunks::<R>().0);
        for (b, (codes, x_scales)) in blocks.enumerate() {
            job.fetch_codes::<KIND>(codes);
            for (half, seeds) in (0..BLOCK / STEP).zip(&mut seeds) {
                // Groups are powers of two.
                if (b * BLOCK + half * STEP) & (form.group - 1) == 0 {
                    let own;
                    (own, groups) = groups.split_at(layout.group_bytes);
                    let group = Group { units, own };
                    if form.biased
                        && let Some(sums) = group_sums.next()
                    {
                        let bias = twice(load_biases::<SCALE>(form.scale, group, lane));
                        acc = add_biases(acc, bias, sums);
                    }
                    scale = twice(load_scales::<SCALE>(form.scale, group, lane));
                }
                let step;
                (step, quads) = quads.split_at(STEP / 4 * R);
                let block = Block { codes, half, lane };
                let sums = step_sums::<KIND, STEP, SCALE, R, P>(block, table, step, seeds);
                acc = add_scaled(acc, scale, sums, x_scales);
            }
        }
    }
    for p in 0..P {
        store(&mut out[first_of::<R>(p)][lane..], vuzp1q_f32(acc[p][0], acc[p][1]));
        store(&mut out[first_of::<R>(p) + 1][lane..], vuzp2q_f32(acc[p][0], acc[p][1]));
    }
}

impl Job<'_> {
    /// Fetches the header of a strip of the next tile, if that falls to this pass.
    #[inline]
    #[target_feature(enable = "neon")]
    fn fetch_header(&self, header: &[u8]) {
        if self.pass == 0 {
            for line in header.chunks(LINE_BYTES) {
                prefetch(line, self.ahead);
            }
        }
    }

    /// Fetches this pass's share of a block of the next tile, rounded up.
    #[inline]
    #[target_feature(enable = "neon")]
    fn fetch_codes<const KIND: u8>(&self, codes: &[u8]) {
        for i in 0..const { block_bytes(KIND).div_ceil(PASSES * LINE_BYTES) } {
            prefetch(codes, self.ahead + (PASSES * i + self.pass) * LINE_BYTES);
        }
    }
}

/// `seed + Σ code * activation` of one step for each row. `quads`: `[columns / 4][row]`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn step_sums<const KIND: u8, const STEP: usize, const SCALE: u8, const R: usize, const P: usize>(
    block: Block<'_>,
    table: uint8x16_t,
    quads: &[[i8; 4]],
    seeds: &[i32; R],
) -> [Four<int32x4_t>; P] {
    let mut sums = [[vdupq_n_s32(0); 2]; P];
    for (p, sums) in sums.iter_mut().enumerate() {
        *sums = [pair_of_ints(seeds, p); 2];
    }
    let quads = &quads[..STEP / 4 * R];
    let first = if STEP == BLOCK { 0 } else { block.half };
    for half in 0..STEP / HALF {
        let codes = block.sixteen::<KIND, STEP, SCALE, R>(first + half, table);
        let quads = &quads[half * HALF / 4 * R..][..HALF / 4 * R];
        for i in 0..2 {
            let (first, second) = (&quads[i * R..][..R], &quads[(i + 2) * R..][..R]);
            let x = pairs_of_codes::<R, P>(first, second);
            for p in 0..P {
                for k in 0..2 {
                    sums[p][k] = add_products(sums[p][k], codes[i][k], x[p]);
                }
            }
        }
    }
    sums
}

/// `acc[p] += bias * sums` of the rows of each pair.
#[inline]
#[target_feature(enable = "neon")]
fn add_biases<const R: usize, const P: usize>(
    mut acc: [Four<float32x4_t>; P],
    bias: Four<float32x4_t>,
    sums: &[f32; R],
) -> [Four<float32x4_t>; P] {
    for (p, acc) in acc.iter_mut().enumerate() {
        let sums = pair_of_floats(sums, p);
        acc[0] = vfmaq_f32(acc[0], bias[0], sums);
        acc[1] = vfmaq_f32(acc[1], bias[1], sums);
    }
    acc
}

/// `sums` and the products of two rows of codes with two of activations, eight columns each; the
/// intrinsic is not stable yet.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn add_products(mut sums: int32x4_t, codes: uint8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: one instruction of a feature that this function requires; it touches no memory.
    unsafe {
        asm!(
            "usmmla {sums:v}.4s, {codes:v}.16b, {x:v}.16b",
            sums = inout(vreg) sums,
            codes = in(vreg) codes,
            x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// `acc[p] += scale * (sums[p] * x_scales)` of the rows of each pair.
#[inline]
#[target_feature(enable = "neon")]
fn add_scaled<const R: usize, const P: usize>(
    mut acc: [Four<float32x4_t>; P],
    scale: Four<float32x4_t>,
    sums: [Four<int32x4_t>; P],
    x_scales: &[f32; R],
) -> [Four<float32x4_t>; P] {
    for p in 0..P {
        let x_scale = pair_of_floats(x_scales, p);
        for k in 0..2 {
            let sum = vmulq_f32(vcvtq_f32_s32(sums[p][k]), x_scale);
            acc[p][k] = vfmaq_f32(acc[p][k], scale[k], sum);
        }
    }
    acc
}

/// The first row of pair `p`. The last of an odd number of rows is paired with the one before it,
/// which is then computed twice, with the same result.
#[inline(always)]
const fn first_of<const R: usize>(p: usize) -> usize {
    if 2 * p + 2 <= R { 2 * p } else { R - 2 }
}

/// Of each pair of rows, eight columns: a quad of `first` and one of `second` a row.
#[inline]
#[target_feature(enable = "neon")]
fn pairs_of_codes<const R: usize, const P: usize>(
    first: &[[i8; 4]],
    second: &[[i8; 4]],
) -> [int8x16_t; P] {
    let mut pairs = [vdupq_n_s8(0); P];
    for p in 0..P {
        let at = first_of::<R>(p);
        if 2 * p + 4 <= R && p % 2 == 0 {
            let (first, second) = (load_four(&first[at..]), load_four(&second[at..]));
            pairs[p] = vreinterpretq_s8_s32(vzip1q_s32(first, second));
            pairs[p + 1] = vreinterpretq_s8_s32(vzip2q_s32(first, second));
        } else if 2 * p + 2 > R || p % 2 == 0 {
            let (first, second) = (load_two(&first[at..]), load_two(&second[at..]));
            pairs[p] = vreinterpretq_s8_s32(vzip1q_s32(first, second));
        }
    }
    pairs
}

/// The values of four rows, each in two lanes.
#[inline]
#[target_feature(enable = "neon")]
fn twice(values: float32x4_t) -> Four<float32x4_t> {
    [vzip1q_f32(values, values), vzip2q_f32(values, values)]
}

/// The values of the rows of pair `p`, twice.
#[inline]
#[target_feature(enable = "neon")]
fn pair_of_floats<const R: usize>(values: &[f32; R], p: usize) -> float32x4_t {
    let pair = &values[first_of::<R>(p)..][..2];
    // SAFETY: the slice has two floats; the load has no alignment.
    let pair = unsafe { vld1_f32(pair.as_ptr()) };
    vcombine_f32(pair, pair)
}

/// As [`pair_of_floats`].
#[inline]
#[target_feature(enable = "neon")]
fn pair_of_ints<const R: usize>(values: &[i32; R], p: usize) -> int32x4_t {
    let pair = &values[first_of::<R>(p)..][..2];
    // SAFETY: the slice has two integers; the load has no alignment.
    let pair = unsafe { vld1_s32(pair.as_ptr()) };
    vcombine_s32(pair, pair)
}

/// Quads of four rows, a lane each.
#[inline]
#[target_feature(enable = "neon")]
fn load_four(quads: &[[i8; 4]]) -> int32x4_t {
    let quads = &quads[..4];
    // SAFETY: the slice has 16 bytes; the load has no alignment.
    vreinterpretq_s32_s8(unsafe { vld1q_s8(quads.as_ptr().cast()) })
}

/// Quads of two rows, twice.
#[inline]
#[target_feature(enable = "neon")]
fn load_two(quads: &[[i8; 4]]) -> int32x4_t {
    let quads = &quads[..2];
    // SAFETY: the slice has eight bytes; the load has no alignment.
    let two = vreinterpret_s32_s8(unsafe { vld1_s8(quads.as_ptr().cast()) });
    vcombine_s32(two, two)
}

#[inline]
#[target_feature(enable = "neon")]
fn store(out: &mut [f32], values: float32x4_t) {
    let out = &mut out[..ROWS];
    // SAFETY: the slice has four floats; the store has no alignment.
    unsafe { vst1q_f32(out.as_mut_ptr(), values) }
}
