//! Drawing a token from the distribution that temperature, top-k, top-p and min-p leave.

use russet_kernels::LogitKernels;

use super::cut::{Cut, Enough, Search};
use crate::SamplingParams;

/// The tokens that may be drawn, by id, each with a weight: its probability relative to the most
/// likely one. The buffers are kept between draws.
#[derive(Debug)]
pub(super) struct Candidates {
    kernels: LogitKernels,
    /// How many there are; the buffers are as long as the vocabulary.
    len: usize,
    weights: Vec<f32>,
    /// Empty while every token is a candidate.
    ids: Vec<u32>,
    /// Places of some of the candidates.
    places: Vec<u32>,
    /// The weights among which a cut is searched in the end.
    few: Vec<f32>,
    /// Sums of [`BLOCK_LEN`] weights each.
    sums: Vec<f64>,
}

/// Weights that a draw passes over at once.
const BLOCK_LEN: usize = 256;
/// A search copies the weights in its range once they are at most one in this many.
const FEW: usize = 64;

impl Candidates {
    pub(super) fn new(kernels: LogitKernels) -> Self {
        let (weights, ids, places) = (Vec::new(), Vec::new(), Vec::new());
        Self { kernels, len: 0, weights, ids, places, few: Vec::new(), sums: Vec::new() }
    }

    /// The token at `uniform` (in `0 .. 1`) of the cumulative distribution. `max` is the largest
    /// logit, which is finite.
    ///
    /// Top-p counts the probabilities that top-k left, as vLLM does. Source for min-p: Nguyen et
    /// al., <https://arxiv.org/abs/2407.01082>; for top-p: Holtzman et al.,
    /// <https://arxiv.org/abs/1904.09751>.
    pub(super) fn draw(
        &mut self,
        logits: &[f32],
        max: f32,
        params: &SamplingParams,
        uniform: f64,
    ) -> u32 {
        self.weigh(logits, max, params.temperature);
        if params.top_k > 0 && params.top_k < self.len {
            self.keep_fewest(Enough::Num(params.top_k));
        }
        if params.top_p < 1.0 {
            let sum = f64::from(params.top_p) * self.total();
            self.keep_fewest(Enough::Sum(sum));
        }
        if params.min_p > 0.0 {
            self.keep(Cut { least: params.min_p, num_equal: usize::MAX });
        }
        let place = self.pick(uniform);
        let all = || u32::try_from(place).expect("a vocabulary has fewer than 2^32 tokens");
        self.ids.get(place).copied().unwrap_or_else(all)
    }

    /// Makes every token a candidate, of weight `exp((logit - max) / temperature)`.
    pub(super) fn weigh(&mut self, logits: &[f32], max: f32, temperature: f32) {
        self.len = logits.len();
        if self.weights.len() < self.len {
            self.weights.resize(self.len, 0.0);
            self.places.resize(self.len, 0);
        }
        // However small the temperature, the factor is finite: no difference leaves weight 1.
        let factor = temperature.recip().min(f32::MAX);
        self.kernels.weigh(logits, max, factor, &mut self.weights[..self.len]);
        self.ids.clear();
    }

    /// The sum of the weights.
    pub(super) fn total(&mut self) -> f64 {
        let sum = |block| self.kernels.share(block, 0.0).sum;
        self.sums.clear();
        self.sums.extend(self.weights[..self.len].chunks(BLOCK_LEN).map(sum));
        self.sums.iter().sum()
    }

    /// Keeps the fewest of the most likely that are enough.
    fn keep_fewest(&mut self, enough: Enough) {
        let weights = &self.weights[..self.len];
        let mut search = Search::new(enough, self.len);
        while search.is_open() && search.num_between() > self.len / FEW {
            search.step(self.kernels, weights);
        }
        let num = self.kernels.indices_in(weights, &search.range(), &mut self.places);
        self.few.clear();
        self.few.extend(self.places[..num].iter().map(|&place| weights[place as usize]));
        search.leave_out_the_rest();
        while search.is_open() {
            search.step(self.kernels, &self.few);
        }
        self.keep(search.cut());
    }

    /// Keeps what is before the cut, in the order of the ids.
    fn keep(&mut self, cut: Cut) {
        let range = cut.least..f32::INFINITY;
        let num = self.kernels.indices_in(&self.weights[..self.len], &range, &mut self.places);
        let are_all = self.ids.is_empty();
        let mut num_equal = cut.num_equal;
        self.len = 0;
        for &place in &self.places[..num] {
            let weight = self.weights[place as usize];
            if weight == cut.least {
                if num_equal == 0 {
                    continue;
                }
                num_equal -= 1;
            }
            self.weights[self.len] = weight;
            if are_all {
                self.ids.push(place);
            } else {
                self.ids[self.len] = self.ids[place as usize];
            }
            self.len += 1;
        }
    }

    /// The place of the candidate at `uniform` of the cumulative distribution.
    fn pick(&mut self, uniform: f64) -> usize {
        let wanted = uniform * self.total();
        let (block, rest) = reach(self.sums.iter().copied(), wanted);
        let weights = self.weights[..self.len].chunks(BLOCK_LEN).nth(block);
        let weights = weights.expect("every block has a sum").iter();
        block * BLOCK_LEN + reach(weights.map(|&weight| f64::from(weight)), rest).0
    }
}

/// The first place where the sum of `weights` exceeds `wanted`, and what is wanted of it there.
///
/// Rounding may put `wanted` at the very end: then it is the last place that can be drawn.
fn reach(weights: impl Iterator<Item = f64>, wanted: f64) -> (usize, f64) {
    let (mut sum, mut last) = (0.0, (0, wanted));
    for (place, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
        last = (place, wanted - sum);
        sum += weight;
        if sum > wanted {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candidates of these weights, each a multiple of 1/1024 so that sums are exact.
    fn candidates(weights: &[f32]) -> Candidates {
        let mut candidates = Candidates::new(LogitKernels::best());
        candidates.weigh(weights, 0.0, 1.0);
        candidates.weights.copy_from_slice(weights);
        candidates
    }

    fn random_weights(len: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Small ones are frequent, as in a distribution of tokens.
            ((state >> 54) >> (state & 7)) as f32 / 1024.0
        };
        let mut weights: Vec<f32> = (0..len).map(|_| next()).collect();
        weights[len / 3] = 1.0;
        weights
    }

    /// The ids that are left, and what sorting leaves.
    fn check(weights: &[f32], enough: Enough, num: usize) {
        let mut candidates = candidates(weights);
        candidates.keep_fewest(enough);
        let mut sorted: Vec<u32> = (0..weights.len() as u32).collect();
        sorted.sort_by(|a, b| weights[*b as usize].total_cmp(&weights[*a as usize]).then(a.cmp(b)));
        sorted.truncate(num);
        sorted.sort_unstable();
        assert_eq!(candidates.ids, sorted, "{enough:?} of {}", weights.len());
        assert_eq!(candidates.len, num);
        let kept: Vec<f32> = sorted.iter().map(|&id| weights[id as usize]).collect();
        assert_eq!(candidates.weights[..num], kept);
    }

    /// How many of the largest it takes to reach `sum`.
    fn num_to_reach(weights: &[f32], sum: f64) -> usize {
        let mut sorted = weights.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let mut reached = 0.0;
        let reaches = |weight: &f32| {
            reached += f64::from(*weight);
            reached >= sum
        };
        sorted.iter().position(reaches).map_or(weights.len(), |last| last + 1)
    }

    #[test]
    fn the_fewest_are_what_sorting_finds() {
        for (seed, len) in (1..100).chain([257, 1000, 5000]).enumerate() {
            let weights = random_weights(len, seed as u64);
            let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            for num in [1, 2, len / 10, len / 2, len - 1, len] {
                let num = num.clamp(1, len);
                check(&weights, Enough::Num(num), num);
            }
            for share in [0.0, 0.001, 0.1, 0.5, 0.9, 0.99, 1.0] {
                let sum = share * total;
                check(&weights, Enough::Sum(sum), num_to_reach(&weights, sum));
            }
        }
    }

    #[test]
    fn a_sum_that_rounding_puts_out_of_reach_keeps_all() {
        check(&[1.0, 0.0, 0.25], Enough::Sum(1.26), 3);
    }

    #[test]
    fn filters_after_each_other_keep_the_ids() {
        let mut candidates = candidates(&[0.25, 1.0, 0.5, 0.5, 0.125, 0.75]);
        candidates.keep_fewest(Enough::Num(4));
        assert_eq!(candidates.ids, [1, 2, 3, 5]);
        candidates.keep_fewest(Enough::Sum(1.76));
        assert_eq!(candidates.ids[..candidates.len], [1, 2, 5]);
        candidates.keep(Cut { least: 0.75, num_equal: usize::MAX });
        assert_eq!(candidates.ids[..candidates.len], [1, 5]);
        assert_eq!(candidates.weights[..candidates.len], [1.0, 0.75]);
    }

    #[test]
    fn a_draw_is_where_the_cumulative_sum_exceeds_it() {
        let weights = random_weights(600, 7);
        let mut candidates = candidates(&weights);
        let total = candidates.total();
        let mut sum = 0.0;
        for (place, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            let weight = f64::from(*weight);
            assert_eq!(candidates.pick((sum + 0.01 * weight) / total), place);
            assert_eq!(candidates.pick((sum + 0.99 * weight) / total), place);
            sum += weight;
        }
        let last = weights.iter().rposition(|weight| *weight > 0.0).unwrap();
        assert_eq!(candidates.pick(1.0), last);
    }
}
