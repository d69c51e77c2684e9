//! Operations on logits: the definitions, which every instruction set compiles for itself.

use std::ops::Range;

use crate::elementwise::logits::{Largest, Share};
use crate::elementwise::math::{NUM_LANES, exp, fold_lanes, larger};

/// Elements that are looked at together before anything is decided.
const MAX_BLOCK: usize = 1024;
/// Lanes of the largest: several vectors at once, as one comparison waits for the one before.
const MAX_LANES: usize = 4 * NUM_LANES;
/// Elements whose sum is made in f32, so that it is exact to some 1e-7.
const SUM_BLOCK: usize = 256;

#[inline(always)]
pub(crate) fn argmax(x: &[f32]) -> Largest {
    let mut found = Largest { index: 0, value: f32::NEG_INFINITY, has_nan: false };
    let mut start = 0;
    for (i, block) in x.chunks(MAX_BLOCK).enumerate() {
        let (max, has_nan) = block_max(block);
        found.has_nan |= has_nan;
        if max > found.value {
            (start, found.value) = (i * MAX_BLOCK, max);
        }
    }
    let at = x[start..].iter().position(|&x| x == found.value);
    found.index = start + at.unwrap_or(0);
    found
}

/// The largest number, and whether some element is NaN.
#[inline(always)]
fn block_max(x: &[f32]) -> (f32, bool) {
    let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
    let mut nans = [0_u32; MAX_LANES];
    let (parts, rest) = x.as_chunks::<MAX_LANES>();
    for part in parts {
        for lane in 0..MAX_LANES {
            lanes[lane] = larger(lanes[lane], part[lane]);
            nans[lane] |= u32::from(part[lane].is_nan());
        }
    }
    for (lane, &x) in rest.iter().enumerate() {
        lanes[lane] = larger(lanes[lane], x);
        nans[lane] |= u32::from(x.is_nan());
    }
    let mut folded = [f32::NEG_INFINITY; NUM_LANES];
    for (i, &x) in lanes.iter().enumerate() {
        folded[i % NUM_LANES] = larger(folded[i % NUM_LANES], x);
    }
    (fold_lanes(folded, larger), nans.into_iter().fold(0, |any, nan| any | nan) != 0)
}

#[inline(always)]
pub(crate) fn weigh(x: &[f32], max: f32, factor: f32, out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = exp((x - max) * factor);
    }
}

#[inline(always)]
pub(crate) fn share(x: &[f32], least: f32) -> Share {
    let mut share = Share::default();
    for block in x.chunks(SUM_BLOCK) {
        let (num, sum) = block_share(block, least);
        share.num += num;
        share.sum += f64::from(sum);
    }
    share
}

#[inline(always)]
fn block_share(x: &[f32], least: f32) -> (usize, f32) {
    let mut sums = [0.0_f32; NUM_LANES];
    let mut nums = [0_u32; NUM_LANES];
    let (parts, rest) = x.as_chunks::<NUM_LANES>();
    for part in parts {
        for lane in 0..NUM_LANES {
            // A choice would be compiled to shuffles of single lanes, four times as slow.
            let mask = 0_u32.wrapping_sub(u32::from(part[lane] >= least));
            sums[lane] += f32::from_bits(part[lane].to_bits() & mask);
            nums[lane] += mask & 1;
        }
    }
    for (lane, &x) in rest.iter().enumerate() {
        sums[lane] += if x >= least { x } else { 0.0 };
        nums[lane] += u32::from(x >= least);
    }
    let num: u32 = nums.iter().sum();
    (num as usize, fold_lanes(sums, |a, b| a + b))
}

#[inline(always)]
pub(crate) fn indices_in(x: &[f32], range: &Range<f32>, out: &mut [u32]) -> usize {
    let mut num = 0;
    let mut take = |start: usize, part: &[f32]| {
        for (index, &x) in (start..).zip(part) {
            // Written always and kept where it counts: branches would be mispredicted.
            out[num] = index as u32;
            num += usize::from(is_in(x, range));
        }
    };
    let (parts, rest) = x.as_chunks::<NUM_LANES>();
    for (i, part) in parts.iter().enumerate() {
        if any(part, |x| is_in(x, range)) {
            take(i * NUM_LANES, part);
        }
    }
    take(parts.len() * NUM_LANES, rest);
    num
}

#[inline(always)]
pub(crate) fn position_above(x: &[f32], floor: f32) -> Option<usize> {
    let (parts, _) = x.as_chunks::<NUM_LANES>();
    let start = parts.iter().position(|part| any(part, |x| x > floor)).unwrap_or(parts.len());
    let at = x[start * NUM_LANES..].iter().position(|&x| x > floor);
    at.map(|at| start * NUM_LANES + at)
}

/// Every element is looked at, so that this is a few instructions.
#[inline(always)]
fn any(part: &[f32; NUM_LANES], is_wanted: impl Fn(f32) -> bool) -> bool {
    let mut found = [0_u32; NUM_LANES];
    for lane in 0..NUM_LANES {
        found[lane] = u32::from(is_wanted(part[lane]));
    }
    found.into_iter().fold(0, |any, found| any | found) != 0
}

/// Both comparisons are made, so that loops over this vectorise.
#[inline(always)]
fn is_in(x: f32, range: &Range<f32>) -> bool {
    (x >= range.start) & (x < range.end)
}
