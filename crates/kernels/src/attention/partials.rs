//! What chunks have given the lines of a tile so far.

use crate::elementwise::math::{exp, larger};

use super::NUM_LANES;
use super::softmax::Stats;

/// For each line the statistics of its weights and the weighted sum of its values, not yet divided.
#[derive(Debug, Clone, Default)]
pub struct Partials {
    pub(crate) stats: Vec<Stats>,
    /// `[lines][stride]`.
    pub(crate) weighted: Vec<f32>,
    /// `v_dim` rounded up to whole lanes.
    pub(crate) stride: usize,
}

impl Partials {
    /// Empties `num_lines` lines of `v_dim` values.
    pub(crate) fn reset(&mut self, num_lines: usize, v_dim: usize) {
        self.stride = v_dim.next_multiple_of(NUM_LANES);
        self.stats.clear();
        self.stats.resize(num_lines, Stats::EMPTY);
        self.weighted.clear();
        self.weighted.resize(num_lines * self.stride, 0.0);
    }

    pub(crate) fn line_mut(&mut self, line: usize) -> &mut [f32] {
        &mut self.weighted[line * self.stride..][..self.stride]
    }

    /// Adds a later chunk.
    #[inline(always)]
    pub(crate) fn merge(&mut self, part: &Self) {
        let totals = self.stats.iter_mut().zip(self.weighted.chunks_exact_mut(self.stride));
        let parts = part.stats.iter().zip(part.weighted.chunks_exact(part.stride));
        for ((total, total_weighted), (part, part_weighted)) in totals.zip(parts) {
            if part.is_empty() {
                continue;
            }
            if total.is_empty() {
                *total = *part;
                total_weighted.copy_from_slice(part_weighted);
                continue;
            }
            let max = larger(total.max, part.max);
            let (keep, add) = (exp(total.max - max), exp(part.max - max));
            *total = Stats { max, sum: total.sum.mul_add(keep, part.sum * add) };
            for (total, part) in total_weighted.iter_mut().zip(part_weighted) {
                *total = total.mul_add(keep, part * add);
            }
        }
    }

    /// See [`Attention::finish`](super::Attention::finish).
    #[inline(always)]
    pub(crate) fn finish(&self, line: usize, sink: Option<f32>, out: &mut [f32]) {
        let stats = self.stats[line];
        let weighted = &self.weighted[line * self.stride..][..out.len()];
        if stats.is_empty() {
            return out.fill(0.0);
        }
        let mut factor = 1.0 / stats.sum;
        if let Some(sink) = sink {
            let max = larger(stats.max, sink);
            let keep = exp(stats.max - max);
            factor = keep / stats.sum.mul_add(keep, exp(sink - max));
        }
        for (out, weighted) in out.iter_mut().zip(weighted) {
            *out = weighted * factor;
        }
    }
}
