//! Activations as int8 codes.
//!
//! A block of 32 with one large value leaves few codes to the others, and such blocks hold most of
//! the error: on three models the tenth of blocks with the largest scales held more than half. The
//! blocks whose scale stands out in their row are therefore coded twice, the second time what the
//! first codes left. Which they are depends on the row alone.

use super::activations::Forms;
use crate::Kernels;
use crate::quant::BLOCK;

/// Some rows, interleaved, as one stream of entries: `x = scale * code` of a block, or of what the
/// entry before left of it.
#[derive(Debug, Default)]
pub(crate) struct Int8 {
    /// How many entries, one or two, each block has. A row whose own block is coded once has zeros
    /// in the second.
    pub(crate) entries: Vec<u8>,
    /// `[entry][8][row][4]`
    pub(crate) codes: Vec<i8>,
    /// `[entry][row]`
    pub(crate) scales: Vec<f32>,
    /// `[entry][2][row]`: sums of 16 codes.
    pub(crate) sums: Vec<i32>,
    seeds: Vec<Seeds>,
    group_sums: Vec<GroupSums>,
    scratch: Scratch,
}

/// What a weight offset contributes to the integer sums: `-offset * Σ code`,
/// `[entry][32 / step][row]`.
#[derive(Debug, Default)]
struct Seeds {
    offset: u8,
    step: usize,
    values: Vec<i32>,
}

/// Sums of the quantised activations over groups, `[k / group][row]`.
#[derive(Debug, Default)]
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
    first: RowCodes,
    /// The second codes, and of which blocks of `first` they are.
    second: RowCodes,
    twice: Vec<usize>,
    /// The first entry of each block.
    starts: Vec<usize>,
}

impl Int8 {
    /// What integer sums over `step` columns start with.
    pub(crate) fn seeds(&self, offset: u8, step: usize) -> &[i32] {
        let found = self.seeds.iter().find(|s| (s.offset, s.step) == (offset, step));
        &found.expect("`Activations::has` was asked").values
    }

    /// What the biases of groups are multiplied with. Empty if no weights of such groups have
    /// biases.
    pub(crate) fn group_sums(&self, group: usize) -> &[f32] {
        self.group_sums.iter().find(|s| s.group == group).map_or(&[], |s| &s.values)
    }

    /// Quantises rows of `padded` elements.
    pub(super) fn fill(&mut self, kernels: &dyn Kernels, x: &[f32], padded: usize, forms: &Forms) {
        let (rows, blocks) = (x.len() / padded, padded / BLOCK);
        let Scratch { first, second, twice, .. } = &mut self.scratch;
        first.clear();
        kernels.quantize(x, first);
        twice.clear();
        for (row, scales) in first.scales.chunks_exact(blocks).enumerate() {
            twice.extend(outliers(scales, forms.outlier_ratio).map(|block| row * blocks + block));
        }
        second.clear();
        kernels.quantize_rest(x, first, twice, second);
        self.interleave(rows, blocks);
        self.fill_seeds(forms, rows);
        self.fill_group_sums(forms, rows);
    }

    /// Writes the scratch blocks to their places in the stream.
    fn interleave(&mut self, rows: usize, blocks: usize) {
        let Scratch { first, second, twice, starts } = &mut self.scratch;
        self.entries.clear();
        self.entries.resize(blocks, 1);
        twice.iter().for_each(|i| self.entries[i % blocks] = 2);
        starts.clear();
        let mut total = 0;
        for entries in &self.entries {
            starts.push(total);
            total += usize::from(*entries);
        }
        self.codes.resize(total * BLOCK * rows, 0);
        self.scales.resize(total * rows, 0.0);
        self.sums.resize(2 * total * rows, 0);
        let mut target =
            Target { rows, codes: &mut self.codes, scales: &mut self.scales, sums: &mut self.sums };
        for (block, &start) in starts.iter().enumerate() {
            (0..rows).for_each(|row| target.put(start, row, first, row * blocks + block));
            if self.entries[block] == 2 {
                target.clear(start + 1);
            }
        }
        for (i, of) in twice.iter().enumerate() {
            target.put(starts[of % blocks] + 1, of / blocks, second, i);
        }
    }

    fn fill_seeds(&mut self, forms: &Forms, rows: usize) {
        self.seeds.resize_with(forms.seeds.len(), Seeds::default);
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

    /// Sums `scale * Σ code` of the entries of each group.
    fn fill_group_sums(&mut self, forms: &Forms, rows: usize) {
        self.group_sums.resize_with(forms.group_sums.len(), GroupSums::default);
        for (sums, &group) in self.group_sums.iter_mut().zip(&forms.group_sums) {
            sums.group = group;
            sums.values.clear();
            sums.values.resize((self.entries.len() * BLOCK).div_ceil(group) * rows, 0.0);
            let mut own = self.scales.chunks_exact(rows).zip(self.sums.chunks_exact(2 * rows));
            for (block, entries) in self.entries.iter().enumerate() {
                let target = &mut sums.values[block * BLOCK / group * rows..];
                for (scales, halves) in own.by_ref().take(usize::from(*entries)) {
                    add_sums(scales, halves, group, target);
                }
            }
        }
    }
}

/// Adds `scale * Σ code` of an entry to its group, or to its two groups of 16.
fn add_sums(scales: &[f32], halves: &[i32], group: usize, target: &mut [f32]) {
    let rows = scales.len();
    let (first, second) = halves.split_at(rows);
    if group < BLOCK {
        let (target, next) = target.split_at_mut(rows);
        for row in 0..rows {
            target[row] += scales[row] * first[row] as f32;
            next[row] += scales[row] * second[row] as f32;
        }
    } else {
        for (row, target) in target[..rows].iter_mut().enumerate() {
            *target += scales[row] * (first[row] + second[row]) as f32;
        }
    }
}

/// The stream being written.
struct Target<'a> {
    rows: usize,
    codes: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl Target<'_> {
    /// Writes block `i` of `source` to one row of an entry.
    fn put(&mut self, entry: usize, row: usize, source: &RowCodes, i: usize) {
        let rows = self.rows;
        let slots = &mut self.codes.as_chunks_mut::<4>().0[entry * QUADS * rows..][..QUADS * rows];
        for (slot, quad) in slots[row..].iter_mut().step_by(rows).zip(source.codes[i].as_chunks().0)
        {
            *slot = *quad;
        }
        self.scales[entry * rows + row] = source.scales[i];
        let [first, second] = source.sums[i];
        self.sums[2 * entry * rows + row] = first;
        self.sums[(2 * entry + 1) * rows + row] = second;
    }

    /// Makes an entry zero in all rows.
    fn clear(&mut self, entry: usize) {
        let rows = self.rows;
        self.codes[entry * BLOCK * rows..][..BLOCK * rows].fill(0);
        self.scales[entry * rows..][..rows].fill(0.0);
        self.sums[2 * entry * rows..][..2 * rows].fill(0);
    }
}

/// Four-column pieces of a block.
const QUADS: usize = BLOCK / 4;

impl RowCodes {
    fn clear(&mut self) {
        self.codes.clear();
        self.scales.clear();
        self.sums.clear();
    }

    #[inline(always)]
    fn push(&mut self, codes: [i8; BLOCK], scale: f32) {
        let (first, second) = codes.split_at(BLOCK / 2);
        // 16 codes add up to 2032 at most.
        let sum = |codes: &[i8]| i32::from(codes.iter().map(|&code| i16::from(code)).sum::<i16>());
        self.sums.push([sum(first), sum(second)]);
        self.codes.push(codes);
        self.scales.push(scale);
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
        let scale = quantize_block(x, &mut codes);
        out.push(codes, scale);
    }
}

/// Appends what the codes `first` of the blocks of `x` leave of those in `blocks`. Compiled for
/// each ISA, with equal results.
#[inline(always)]
pub(crate) fn quantize_rest(x: &[f32], first: &RowCodes, blocks: &[usize], out: &mut RowCodes) {
    let x = x.as_chunks::<BLOCK>().0;
    for &i in blocks {
        let (x, coded, scale) = (&x[i], &first.codes[i], first.scales[i]);
        let left = std::array::from_fn(|k| x[k] - f32::from(coded[k]) * scale);
        let mut codes = [0; BLOCK];
        let scale = quantize_block(&left, &mut codes);
        out.push(codes, scale);
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
