//! Activations as int8 codes.
//!
//! A block of 32 with one large value leaves few codes to the others, and such blocks hold most of
//! the error: on three models the tenth of blocks with the largest scales held more than half. The
//! blocks whose scale stands out in their row are therefore coded twice, the second time what the
//! first codes left. Which they are depends on the row alone.

use super::activations::Forms;
use crate::Kernels;
use crate::quant::BLOCK;

/// Some rows, interleaved.
#[derive(Debug, Default)]
pub(crate) struct Int8 {
    /// All blocks.
    pub(crate) all: Codes,
    /// Second codes of the outlier blocks of any row, zero in the other rows.
    pub(crate) rest: Codes,
    /// Which blocks `rest` holds, ascending.
    pub(crate) outliers: Vec<usize>,
    group_sums: Vec<GroupSums>,
    scratch: Scratch,
}

/// Blocks of codes, interleaved: `x = scale * code`.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    /// `[k / 4][row][4]`
    pub(crate) codes: Vec<i8>,
    /// `[k / 32][row]`
    pub(crate) scales: Vec<f32>,
    /// `[k / 16][row]`: sums of 16 codes.
    pub(crate) sums: Vec<i32>,
    seeds: Vec<Seeds>,
}

/// What a weight offset contributes to the integer sums: `-offset * Σ code`, `[k / step][row]`.
#[derive(Debug)]
struct Seeds {
    offset: u8,
    step: usize,
    values: Vec<i32>,
}

/// Sums of the quantised activations over groups, `[k / group][row]`.
#[derive(Debug)]
struct GroupSums {
    group: usize,
    values: Vec<f32>,
}

/// Blocks of one row, or of several one after the other.
#[derive(Debug, Default)]
pub struct RowCodes {
    codes: Vec<[i8; BLOCK]>,
    scales: Vec<f32>,
    /// Sums of the first and the last 16 codes.
    sums: Vec<[i32; 2]>,
}

/// Buffers of one `fill`.
#[derive(Debug, Default)]
struct Scratch {
    row: RowCodes,
    /// The second codes of all rows, and where each belongs: (row, block).
    rest: RowCodes,
    places: Vec<(usize, usize)>,
    /// What is left of blocks after their first codes.
    left: Vec<f32>,
}

impl Int8 {
    /// What the biases of groups are multiplied with. Empty if no weights of such groups have
    /// biases.
    pub(crate) fn group_sums(&self, group: usize) -> &[f32] {
        self.group_sums.iter().find(|s| s.group == group).map_or(&[], |s| &s.values)
    }

    /// Quantises rows of `padded` elements.
    pub(super) fn fill(&mut self, kernels: &dyn Kernels, x: &[f32], padded: usize, forms: &Forms) {
        let rows = x.len() / padded;
        self.all.resize(padded / BLOCK, rows);
        let Scratch { row: first, rest, places, left } = &mut self.scratch;
        rest.clear();
        places.clear();
        for (row, x) in x.chunks_exact(padded).enumerate() {
            first.clear();
            kernels.quantize(x, first);
            self.all.put(first, (0..).map(|block| (row, block)), rows);
            left.clear();
            for block in outliers(&first.scales, forms.outlier_ratio) {
                places.push((row, block));
                let x = &x[block * BLOCK..];
                left.extend(left_of(x, &first.codes[block], first.scales[block]));
            }
            kernels.quantize(left, rest);
        }
        self.place_rest(rows);
        self.all.fill_seeds(forms, rows);
        self.rest.fill_seeds(forms, rows);
        self.fill_group_sums(forms, rows);
    }

    /// Interleaves the second codes of all rows.
    fn place_rest(&mut self, rows: usize) {
        let Scratch { rest, places, .. } = &self.scratch;
        self.outliers.clear();
        self.outliers.extend(places.iter().map(|&(_, block)| block));
        self.outliers.sort_unstable();
        self.outliers.dedup();
        self.rest.clear();
        self.rest.resize(self.outliers.len(), rows);
        let index = |block| self.outliers.binary_search(&block).expect("each was just listed");
        self.rest.put(rest, places.iter().map(|&(row, block)| (row, index(block))), rows);
    }

    fn fill_group_sums(&mut self, forms: &Forms, rows: usize) {
        self.group_sums.truncate(forms.group_sums.len());
        let empty = || GroupSums { group: 0, values: Vec::new() };
        self.group_sums.resize_with(forms.group_sums.len(), empty);
        let blocks = self.all.scales.len() / rows;
        for (sums, &group) in self.group_sums.iter_mut().zip(&forms.group_sums) {
            sums.group = group;
            sums.values.clear();
            sums.values.resize((blocks * BLOCK).div_ceil(group) * rows, 0.0);
            self.all.add_group_sums(0..blocks, rows, sums);
            self.rest.add_group_sums(self.outliers.iter().copied(), rows, sums);
        }
    }
}

impl Codes {
    /// What integer sums over `step` columns start with.
    pub(crate) fn seeds(&self, offset: u8, step: usize) -> &[i32] {
        let found = self.seeds.iter().find(|s| (s.offset, s.step) == (offset, step));
        &found.expect("`Activations::has` was asked").values
    }

    fn clear(&mut self) {
        self.codes.clear();
        self.scales.clear();
        self.sums.clear();
    }

    /// Makes room; new blocks are zero.
    fn resize(&mut self, blocks: usize, rows: usize) {
        self.codes.resize(blocks * BLOCK * rows, 0);
        self.scales.resize(blocks * rows, 0.0);
        self.sums.resize(2 * blocks * rows, 0);
    }

    /// Writes each block of `source` to its (row, block).
    fn put(
        &mut self,
        source: &RowCodes,
        places: impl Iterator<Item = (usize, usize)>,
        rows: usize,
    ) {
        let quads = self.codes.as_chunks_mut::<4>().0;
        let blocks = source.codes.iter().zip(&source.scales).zip(&source.sums);
        for (((codes, scale), sums), (row, block)) in blocks.zip(places) {
            let slots = &mut quads[block * (BLOCK / 4) * rows..][..BLOCK / 4 * rows];
            for (slot, quad) in slots[row..].iter_mut().step_by(rows).zip(codes.as_chunks().0) {
                *slot = *quad;
            }
            self.scales[block * rows + row] = *scale;
            self.sums[2 * block * rows + row] = sums[0];
            self.sums[(2 * block + 1) * rows + row] = sums[1];
        }
    }

    fn fill_seeds(&mut self, forms: &Forms, rows: usize) {
        self.seeds.truncate(forms.seeds.len());
        let empty = || Seeds { offset: 0, step: 0, values: Vec::new() };
        self.seeds.resize_with(forms.seeds.len(), empty);
        for (seeds, &(offset, step)) in self.seeds.iter_mut().zip(&forms.seeds) {
            (seeds.offset, seeds.step) = (offset, step);
            seeds.values.clear();
            let factor = -i32::from(offset);
            if step == 16 {
                seeds.values.extend(self.sums.iter().map(|sum| factor * sum));
                continue;
            }
            for halves in self.sums.chunks_exact(2 * rows) {
                let (first, second) = halves.split_at(rows);
                seeds.values.extend(first.iter().zip(second).map(|(a, b)| factor * (a + b)));
            }
        }
    }

    /// Adds `scale * Σ code` of each block to its group. `blocks`: which ones these are.
    fn add_group_sums(
        &self,
        blocks: impl Iterator<Item = usize>,
        rows: usize,
        sums: &mut GroupSums,
    ) {
        let own = self.scales.chunks_exact(rows).zip(self.sums.chunks_exact(2 * rows));
        for (block, (scales, halves)) in blocks.zip(own) {
            let (first, second) = halves.split_at(rows);
            let target = &mut sums.values[block * BLOCK / sums.group * rows..];
            if sums.group < BLOCK {
                for row in 0..rows {
                    target[row] += scales[row] * first[row] as f32;
                    target[rows + row] += scales[row] * second[row] as f32;
                }
            } else {
                for (row, target) in target[..rows].iter_mut().enumerate() {
                    *target += scales[row] * (first[row] + second[row]) as f32;
                }
            }
        }
    }
}

impl RowCodes {
    fn clear(&mut self) {
        self.codes.clear();
        self.scales.clear();
        self.sums.clear();
    }
}

/// The blocks of a row whose scale is above `ratio` times the mean scale.
fn outliers(scales: &[f32], ratio: f32) -> impl Iterator<Item = usize> {
    let limit = ratio * (sum(scales) / scales.len() as f32);
    scales.iter().enumerate().filter(move |&(_, &scale)| scale > limit).map(|(block, _)| block)
}

/// In eight partial sums, so that it is fast, and the same everywhere.
fn sum(values: &[f32]) -> f32 {
    let (eights, last) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().chain(last).sum()
}

/// What the codes leave of the values `x` of a block.
fn left_of(x: &[f32], codes: &[i8; BLOCK], scale: f32) -> impl Iterator<Item = f32> {
    x.iter().zip(codes).map(move |(x, &code)| f32::from(code).mul_add(-scale, *x))
}

/// What the codes of `row` leave of it. Equal lengths.
pub(super) fn residual(kernels: &dyn Kernels, row: &[f32], left: &mut [f32]) {
    let (blocks, end) = row.as_chunks::<BLOCK>();
    let mut padded = [0.0; BLOCK];
    padded[..end.len()].copy_from_slice(end);
    let mut codes = RowCodes::default();
    kernels.quantize(blocks.as_flattened(), &mut codes);
    kernels.quantize(&padded, &mut codes);
    let parts = row.chunks(BLOCK).zip(left.chunks_mut(BLOCK));
    for ((x, left), (codes, &scale)) in parts.zip(codes.codes.iter().zip(&codes.scales)) {
        left.iter_mut().zip(left_of(x, codes, scale)).for_each(|(left, value)| *left = value);
    }
}

/// Blocks whose largest magnitude is below this are zeroes: their scale would not be a normal
/// number.
const MIN_MAGNITUDE: f32 = 128.0 * f32::MIN_POSITIVE;
/// Adding this rounds a small float to an integer, half to even, in its low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Appends the blocks of `x`, whole blocks of 32. Compiled for each ISA, with equal results.
#[inline(always)]
pub(crate) fn quantize(x: &[f32], out: &mut RowCodes) {
    for x in x.as_chunks::<BLOCK>().0 {
        let mut codes = [0; BLOCK];
        out.scales.push(quantize_block(x, &mut codes));
        let (first, second) = codes.split_at(BLOCK / 2);
        // 16 codes add up to 2032 at most.
        let sum = |codes: &[i8]| i32::from(codes.iter().map(|&code| i16::from(code)).sum::<i16>());
        out.sums.push([sum(first), sum(second)]);
        out.codes.push(codes);
    }
}

/// Quantises blocks of 32: `scale = max |x| / 127`, codes rounded half to even. A block that holds
/// an infinity or a NaN gets such a scale, so that its outputs do too. Written to be vectorised
/// under any ISA, with equal results.
#[inline(always)]
fn quantize_block(x: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> f32 {
    // Magnitudes order like their bits, and infinities and NaNs are the largest.
    let magnitude = |v: &f32| v.to_bits() & 0x7fff_ffff;
    let largest = f32::from_bits(x.iter().map(magnitude).fold(0, u32::max));
    let inverse = if largest < MIN_MAGNITUDE { 0.0 } else { 127.0 / largest };
    for (code, x) in codes.iter_mut().zip(x) {
        *code = (x * inverse + ROUNDER).to_bits() as i8;
    }
    if inverse == 0.0 && largest.is_finite() { 0.0 } else { largest / 127.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_half_to_even_and_stay_within_127() {
        let mut x = [0.0; BLOCK];
        x[..7].copy_from_slice(&[127.0, -127.0, 0.5, 1.5, -2.5, 126.5, 3.49]);
        let mut codes = [0; BLOCK];
        assert_eq!(quantize_block(&x, &mut codes), 1.0);
        assert_eq!(codes[..7], [127, -127, 0, 2, -2, 126, 3]);
    }

    #[test]
    fn tiny_blocks_are_zero_and_non_finite_ones_stay_so() {
        let mut codes = [1; BLOCK];
        assert_eq!(quantize_block(&[f32::MIN_POSITIVE; BLOCK], &mut codes), 0.0);
        assert_eq!(codes, [0; BLOCK]);
        assert_eq!(quantize_block(&[0.0; BLOCK], &mut codes), 0.0);
        assert_eq!(quantize_block(&[f32::MAX; BLOCK], &mut codes), f32::MAX / 127.0);
        assert_eq!(codes, [127; BLOCK]);
        assert!(quantize_block(&[f32::NAN; BLOCK], &mut codes).is_nan());
        assert!(quantize_block(&[f32::INFINITY; BLOCK], &mut codes).is_infinite());
    }
}
