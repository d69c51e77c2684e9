//! Activations as int8 codes.
//!
//! A block of 32 with one large value leaves few codes to the others, and such blocks hold most of
//! the error: on three models the tenth of blocks with the largest scales held more than half. The
//! blocks whose scale stands out in their row are therefore coded twice, the second time what the
//! first codes left. Which they are depends on the row alone.

use super::activations::Forms;
use crate::Kernels;
use crate::quant::BLOCK;

/// Some rows, `x = scale * code` in each block: the first codes of all rows interleaved, the second
/// codes block by block.
#[derive(Debug, Default)]
pub(crate) struct Int8 {
    /// `[block][8][row][4]`
    pub(crate) codes: Vec<i8>,
    /// `[block][row]`
    pub(crate) scales: Vec<f32>,
    /// `[block][2][row]`: sums of 16 codes.
    pub(crate) sums: Vec<i32>,
    /// The second codes.
    pub(crate) rest: Rest,
    seeds: Vec<Seeds>,
    group_sums: Vec<GroupSums>,
    /// What `fill` interleaves.
    first: RowCodes,
}

/// What the first codes left of the blocks that stand out, blocks ascending.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// Whose rest each entry is.
    pub(crate) places: Vec<Place>,
    entries: RowCodes,
    /// `row * blocks + block` of each entry.
    of: Vec<usize>,
    /// Of each row, the largest scale that does not stand out.
    limits: Vec<f32>,
}

/// A block of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) block: usize,
}

/// What a weight offset contributes to the integer sums: `-offset * Σ code`.
#[derive(Debug, Default)]
struct Seeds {
    offset: u8,
    step: usize,
    /// `[block][32 / step][row]`
    first: Vec<i32>,
    /// `[entry][32 / step]`
    rest: Vec<i32>,
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

impl Int8 {
    /// What integer sums over `step` columns of the first codes start with.
    pub(crate) fn seeds(&self, offset: u8, step: usize) -> &[i32] {
        &self.find_seeds(offset, step).first
    }

    /// What integer sums over `step` columns of the second codes start with.
    pub(crate) fn rest_seeds(&self, offset: u8, step: usize) -> &[i32] {
        &self.find_seeds(offset, step).rest
    }

    fn find_seeds(&self, offset: u8, step: usize) -> &Seeds {
        let found = self.seeds.iter().find(|s| (s.offset, s.step) == (offset, step));
        found.expect("`Activations::has` was asked")
    }

    /// What the biases of groups are multiplied with. Empty if no weights of such groups have
    /// biases.
    pub(crate) fn group_sums(&self, group: usize) -> &[f32] {
        self.group_sums.iter().find(|s| s.group == group).map_or(&[], |s| &s.values)
    }

    /// Quantises rows of `padded` elements.
    pub(super) fn fill(&mut self, kernels: &dyn Kernels, x: &[f32], padded: usize, forms: &Forms) {
        let (rows, blocks) = (x.len() / padded, padded / BLOCK);
        self.first.clear();
        kernels.quantize(x, &mut self.first);
        self.rest.choose(&self.first.scales, blocks, forms.outlier_ratio);
        kernels.quantize_rest(x, &self.first, &self.rest.of, &mut self.rest.entries);
        self.interleave(rows, blocks);
        self.fill_seeds(forms, rows);
        self.fill_group_sums(forms, rows);
    }

    /// Writes the first codes of all rows to their places.
    fn interleave(&mut self, rows: usize, blocks: usize) {
        let first = &self.first;
        self.codes.resize(blocks * BLOCK * rows, 0);
        self.scales.resize(blocks * rows, 0.0);
        self.sums.resize(2 * blocks * rows, 0);
        let quads = self.codes.as_chunks_mut::<4>().0.chunks_exact_mut(QUADS * rows);
        let scales = self.scales.chunks_exact_mut(rows);
        let sums = self.sums.chunks_exact_mut(2 * rows);
        for (block, ((quads, scales), sums)) in quads.zip(scales).zip(sums).enumerate() {
            for row in 0..rows {
                let i = row * blocks + block;
                let codes = first.codes[i].as_chunks::<4>().0;
                for (q, quad) in codes.iter().enumerate() {
                    quads[q * rows + row] = *quad;
                }
                scales[row] = first.scales[i];
                [sums[row], sums[rows + row]] = first.sums[i];
            }
        }
    }

    fn fill_seeds(&mut self, forms: &Forms, rows: usize) {
        self.seeds.resize_with(forms.seeds.len(), Seeds::default);
        for (seeds, &(offset, step)) in self.seeds.iter_mut().zip(&forms.seeds) {
            (seeds.offset, seeds.step) = (offset, step);
            sum_steps(&self.sums, rows, (offset, step), &mut seeds.first);
            let rest = self.rest.entries.sums.as_flattened();
            sum_steps(rest, 1, (offset, step), &mut seeds.rest);
        }
    }

    /// Sums `scale * Σ code` of the codes of each group: of its blocks, then of their rests.
    fn fill_group_sums(&mut self, forms: &Forms, rows: usize) {
        self.group_sums.resize_with(forms.group_sums.len(), GroupSums::default);
        for (sums, &group) in self.group_sums.iter_mut().zip(&forms.group_sums) {
            let blocks = self.scales.len() / rows;
            sums.group = group;
            sums.values.clear();
            sums.values.resize((blocks * BLOCK).div_ceil(group) * rows, 0.0);
            let own = self.scales.chunks_exact(rows).zip(self.sums.chunks_exact(2 * rows));
            for (block, (scales, halves)) in own.enumerate() {
                let target = &mut sums.values[block * BLOCK / group * rows..];
                add_sums(scales, halves, group, target, rows);
            }
            let entries = &self.rest.entries;
            for (i, &Place { row, block }) in self.rest.places.iter().enumerate() {
                let target = &mut sums.values[block * BLOCK / group * rows + row..];
                add_sums(&entries.scales[i..=i], &entries.sums[i], group, target, rows);
            }
        }
    }
}

/// Four-column pieces of a block.
const QUADS: usize = BLOCK / 4;

/// `-offset * Σ code` of each step of `sums: [block][2][row]`.
fn sum_steps(sums: &[i32], rows: usize, (offset, step): (u8, usize), values: &mut Vec<i32>) {
    let factor = -i32::from(offset);
    values.clear();
    if step < BLOCK {
        values.extend(sums.iter().map(|sum| factor * sum));
        return;
    }
    for halves in sums.chunks_exact(2 * rows) {
        let (first, second) = halves.split_at(rows);
        values.extend(first.iter().zip(second).map(|(a, b)| factor * (a + b)));
    }
}

/// Adds `scale * Σ code` of a block of some rows to its group in `target: [group][row]`, or to its
/// two groups of 16.
fn add_sums(scales: &[f32], halves: &[i32], group: usize, target: &mut [f32], stride: usize) {
    let rows = scales.len();
    let (first, second) = halves.split_at(rows);
    for row in 0..rows {
        if group < BLOCK {
            target[row] += scales[row] * first[row] as f32;
            target[stride + row] += scales[row] * second[row] as f32;
        } else {
            target[row] += scales[row] * (first[row] + second[row]) as f32;
        }
    }
}

impl Rest {
    /// Chooses the blocks whose scale stands out in their row; their codes are still to come.
    fn choose(&mut self, scales: &[f32], blocks: usize, ratio: f32) {
        self.places.clear();
        self.of.clear();
        self.entries.clear();
        if ratio == f32::INFINITY {
            return;
        }
        self.limits.clear();
        let mean = |scales: &[f32]| sum(scales) / scales.len() as f32;
        self.limits.extend(scales.chunks_exact(blocks).map(|scales| ratio * mean(scales)));
        for block in 0..blocks {
            for (row, limit) in self.limits.iter().enumerate() {
                let i = row * blocks + block;
                if scales[i] > *limit {
                    self.of.push(i);
                    self.places.push(Place { row, block });
                }
            }
        }
    }

    /// The codes of each entry.
    pub(crate) fn codes(&self) -> &[[i8; BLOCK]] {
        &self.entries.codes
    }

    /// The scale of each entry.
    pub(crate) fn scales(&self) -> &[f32] {
        &self.entries.scales
    }
}

/// The first steps with second codes of the one row of a chunk, as a kernel comes to them.
#[cfg(target_arch = "x86_64")]
pub(crate) struct SecondSteps<'a, const STEP: usize> {
    /// How many quads of the first codes are left after the step that is the next with second
    /// codes: with this, a kernel has nothing to count.
    pub(crate) due: usize,
    num_quads: usize,
    places: &'a [Place],
    codes: &'a [[i8; BLOCK]],
    scales: &'a [f32],
    seeds: &'a [i32],
    /// Columns of the block that are done.
    done: usize,
}

#[cfg(target_arch = "x86_64")]
impl<'a, const STEP: usize> SecondSteps<'a, STEP> {
    /// Of `entries` entries, for weights of `offset`.
    #[inline(always)]
    pub(crate) fn new(int8: &'a Int8, entries: usize, offset: u8) -> Self {
        let rest = &int8.rest;
        let mut steps = Self {
            due: 0,
            num_quads: int8.codes.len() / 4,
            places: &rest.places[..entries],
            codes: &rest.entries.codes,
            scales: &rest.entries.scales,
            seeds: int8.rest_seeds(offset, STEP),
            done: 0,
        };
        steps.set_due();
        steps
    }

    #[inline(always)]
    fn set_due(&mut self) {
        let end = |place: &Place| (place.block * BLOCK + self.done + STEP) / 4;
        self.due = self.places.first().map_or(usize::MAX, |place| self.num_quads - end(place));
    }

    /// The codes, the seed and the scale of the next step.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(&'a [[i8; 4]], i32, f32)> {
        let (codes, scale) = (self.codes.first()?, *self.scales.first()?);
        let quads = &codes.as_chunks().0[self.done / 4..][..STEP / 4];
        let (&seed, seeds) = self.seeds.split_first()?;
        self.seeds = seeds;
        self.done += STEP;
        if self.done == BLOCK {
            self.done = 0;
            (self.places, self.codes) = (&self.places[1..], &self.codes[1..]);
            self.scales = &self.scales[1..];
        }
        self.set_due();
        Some((quads, seed, scale))
    }
}

impl RowCodes {
    fn clear(&mut self) {
        self.codes.clear();
        self.scales.clear();
        self.sums.clear();
    }

    #[inline(always)]
    fn push(&mut self, (codes, scale): ([i8; BLOCK], f32)) {
        self.codes.push(codes);
        self.scales.push(scale);
    }

    /// Sums the codes.
    #[inline(always)]
    fn sum(&mut self) {
        self.sums.resize(self.codes.len(), [0; 2]);
        for (sums, codes) in self.sums.iter_mut().zip(&self.codes) {
            let (eights, _) = codes.as_chunks();
            *sums = [sum_half([eights[0], eights[1]]), sum_half([eights[2], eights[3]])];
        }
    }
}

/// The sum of 16 codes, in 16-bit parts of words: compilers add them one by one.
#[inline(always)]
fn sum_half(codes: [[i8; 8]; 2]) -> i32 {
    const LOW: u64 = 0x00ff_00ff_00ff_00ff;
    const OFFSET: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0001_0001_0001_0001;
    let mut parts = 0;
    for eight in codes {
        // From -128..=127 to 0..=255.
        let bytes = u64::from_ne_bytes(eight.map(i8::cast_unsigned)) ^ OFFSET;
        parts += (bytes & LOW) + (bytes >> 8 & LOW);
    }
    (parts.wrapping_mul(ONES) >> 48) as i32 - 16 * 128
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

/// Sets `out`, which is empty, to the blocks of `x`, whole blocks of 32. Compiled for each ISA,
/// with equal results.
#[inline(always)]
pub(crate) fn quantize(x: &[f32], out: &mut RowCodes) {
    for x in x.as_chunks::<BLOCK>().0 {
        out.push(quantize_block(x));
    }
    out.sum();
}

/// Sets `out`, which is empty, to what the codes `first` of the blocks of `x` leave of those in
/// `blocks`. Compiled for
/// each ISA, with equal results.
#[inline(always)]
pub(crate) fn quantize_rest(x: &[f32], first: &RowCodes, blocks: &[usize], out: &mut RowCodes) {
    let x = x.as_chunks::<BLOCK>().0;
    for &i in blocks {
        let (x, coded, scale) = (&x[i], &first.codes[i], first.scales[i]);
        let left = std::array::from_fn(|k| x[k] - f32::from(coded[k]) * scale);
        out.push(quantize_block(&left));
    }
    out.sum();
}

/// Quantises a block.
///
/// `scale = max |x| / 127`, codes rounded half to even. A block that holds an infinity or a NaN
/// gets such a scale, so that its outputs do too. Written to be vectorised under any ISA, with
/// equal results.
#[inline(always)]
fn quantize_block(x: &[f32; BLOCK]) -> ([i8; BLOCK], f32) {
    // Magnitudes order like their bits, and infinities and NaNs are the largest.
    let magnitude = |v: &f32| v.to_bits() & 0x7fff_ffff;
    let largest = f32::from_bits(x.iter().map(magnitude).fold(0, u32::max));
    let inverse = if largest < MIN_MAGNITUDE { 0.0 } else { 127.0 / largest };
    let scale = if inverse == 0.0 && largest.is_finite() { 0.0 } else { largest / 127.0 };
    let mut codes = [0; BLOCK];
    for (code, x) in codes.iter_mut().zip(x) {
        *code = (x * inverse + ROUNDER).to_bits() as i8;
    }
    (codes, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_half_to_even_and_stay_within_127() {
        let mut x = [0.0; BLOCK];
        x[..7].copy_from_slice(&[127.0, -127.0, 0.5, 1.5, -2.5, 126.5, 3.49]);
        x[16..18].copy_from_slice(&[-5.2, -6.0]);
        let mut out = RowCodes::default();
        quantize(&x, &mut out);
        assert_eq!(out.scales, [1.0]);
        assert_eq!(out.codes[0][..7], [127, -127, 0, 2, -2, 126, 3]);
        assert_eq!(out.sums, [[129, -11]]);
    }

    #[test]
    fn tiny_blocks_are_zero_and_non_finite_ones_stay_so() {
        let of = |value| quantize_block(&[value; BLOCK]);
        assert_eq!(of(f32::MIN_POSITIVE), ([0; BLOCK], 0.0));
        assert_eq!(of(0.0), ([0; BLOCK], 0.0));
        assert_eq!(of(f32::MAX), ([127; BLOCK], f32::MAX / 127.0));
        assert!(of(f32::NAN).1.is_nan());
        assert!(of(f32::INFINITY).1.is_infinite());
    }
}
