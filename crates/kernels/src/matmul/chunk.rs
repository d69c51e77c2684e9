//! Up to 12 rows of activations, interleaved so that a kernel reads them as one stream.

use half::bf16;

use super::activations::Forms;
use crate::Kernels;
use crate::pack::DENSE_PAD;
use crate::quant::BLOCK;

/// Rows of a chunk: as many as an AVX-512 kernel has accumulators for.
pub(crate) const MAX_CHUNK_ROWS: usize = 12;

/// Some rows of activations.
#[derive(Debug, Default)]
pub struct Chunk {
    rows: usize,
    /// `[k][row]`, K padded to 64.
    pub(crate) floats: Vec<f32>,
    /// `[k / 2][row][2]`, K padded to 64, bf16 bits.
    pub(crate) bf16: Vec<u16>,
    /// The int8 form.
    pub(crate) int8: Int8,
}

/// Rows as int8 blocks of 32: `x = scale * code`.
#[derive(Debug, Default)]
pub(crate) struct Int8 {
    /// `[k / 4][row][4]`
    pub(crate) codes: Vec<i8>,
    /// `[k / 32][row]`
    pub(crate) scales: Vec<f32>,
    /// `[k / 16][row]`: sums of 16 codes.
    pub(crate) sums: Vec<i32>,
    seeds: Vec<Seeds>,
    group_sums: Vec<GroupSums>,
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
    fn fill(&mut self, kernels: &dyn Kernels, x: &[f32], padded: usize, forms: &Forms) {
        let rows = x.len() / padded;
        self.codes.resize(x.len(), 0);
        self.scales.resize(x.len() / BLOCK, 0.0);
        self.sums.resize(x.len() / 16, 0);
        let quads = self.codes.as_chunks_mut::<4>().0;
        for (row, x) in x.chunks_exact(padded).enumerate() {
            for (b, x) in x.as_chunks::<BLOCK>().0.iter().enumerate() {
                let mut codes = [0; BLOCK];
                self.scales[b * rows + row] = kernels.quantize_block(x, &mut codes);
                let slots = quads[b * (BLOCK / 4) * rows + row..].iter_mut().step_by(rows);
                for (slot, &quad) in slots.zip(codes.as_chunks::<4>().0) {
                    *slot = quad;
                }
                for (half, codes) in codes.as_chunks::<16>().0.iter().enumerate() {
                    let sum = codes.iter().map(|&code| i16::from(code)).sum::<i16>();
                    self.sums[(2 * b + half) * rows + row] = sum.into();
                }
            }
        }
        self.fill_seeds(forms, rows);
        self.fill_group_sums(forms, rows);
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

    fn fill_group_sums(&mut self, forms: &Forms, rows: usize) {
        self.group_sums.truncate(forms.group_sums.len());
        let empty = || GroupSums { group: 0, values: Vec::new() };
        self.group_sums.resize_with(forms.group_sums.len(), empty);
        let Self { scales, sums, group_sums, .. } = self;
        for (sums_of, &group) in group_sums.iter_mut().zip(&forms.group_sums) {
            sums_of.group = group;
            sums_of.values.clear();
            for (g, sums) in sums.chunks_exact(group / 16 * rows).enumerate() {
                let first = g * group / BLOCK;
                sums_of.values.extend((0..rows).map(|row| {
                    let scale = |block: usize| scales[(first + block) * rows + row];
                    group_sum(sums, row, rows, group, scale)
                }));
            }
        }
    }
}

/// `Σ scale * Σ code` over the blocks of one group, in order. `sums` are the group's sums of 16.
fn group_sum(
    sums: &[i32],
    row: usize,
    rows: usize,
    group: usize,
    scale: impl Fn(usize) -> f32,
) -> f32 {
    if group == 16 {
        return scale(0) * sums[row] as f32;
    }
    let mut total = 0.0;
    for (block, halves) in sums.chunks_exact(2 * rows).enumerate() {
        total += scale(block) * (halves[row] + halves[rows + row]) as f32;
    }
    total
}

impl Chunk {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes the rows of `x`, of `cols` elements each, in `forms`.
    pub(super) fn fill(&mut self, kernels: &dyn Kernels, x: &[f32], cols: usize, forms: &Forms) {
        self.rows = x.len() / cols;
        let padded = cols.next_multiple_of(PAD);
        let mut buffer = Vec::new();
        let x = if padded == cols {
            x
        } else {
            buffer.reserve_exact(self.rows * padded);
            for row in x.chunks_exact(cols) {
                buffer.extend_from_slice(row);
                buffer.resize(buffer.len().next_multiple_of(padded), 0.0);
            }
            &buffer
        };
        if forms.float {
            self.floats.resize(x.len(), 0.0);
            for (row, x) in x.chunks_exact(padded).enumerate() {
                interleave(x, &mut self.floats, row, self.rows);
            }
        }
        if forms.bf16 {
            self.fill_bf16(x, padded);
        }
        if forms.int8 {
            self.int8.fill(kernels, x, padded, forms);
        }
    }

    fn fill_bf16(&mut self, x: &[f32], padded: usize) {
        self.bf16.resize(x.len(), 0);
        let targets = self.bf16.as_chunks_mut::<2>().0;
        for (row, x) in x.chunks_exact(padded).enumerate() {
            let slots = targets.iter_mut().skip(row).step_by(self.rows);
            for (slot, pair) in slots.zip(x.as_chunks::<2>().0) {
                *slot = pair.map(|value| bf16::from_f32(value).to_bits());
            }
        }
    }
}

/// `target[i][row] = source[i]` for `rows` rows.
fn interleave<T: Copy>(source: &[T], target: &mut [T], row: usize, rows: usize) {
    for (slot, &value) in target.iter_mut().skip(row).step_by(rows).zip(source) {
        *slot = value;
    }
}

/// What K is padded to, with zeros: whole strips of weights whose groups are not longer than a
/// block.
const PAD: usize = 2 * BLOCK;
const _: () = assert!(PAD.is_multiple_of(DENSE_PAD), "float rows reach the end of a tile");

/// Blocks whose largest magnitude is below this are zeroes: their scale would not be a normal
/// number.
const MIN_MAGNITUDE: f32 = 128.0 * f32::MIN_POSITIVE;
/// Adding this rounds a small float to an integer, half to even, in its low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Quantises blocks of 32: `scale = max |x| / 127`, codes rounded half to even. A block that holds
/// an infinity or a NaN gets such a scale, so that its outputs do too. Written to be vectorised
/// under any ISA, with equal results.
#[inline(always)]
pub(crate) fn quantize_block(x: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> f32 {
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
