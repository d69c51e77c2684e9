//! Drawing a token from the distribution that temperature, top-k, top-p and min-p leave.

use crate::SamplingParams;

/// Draws tokens; keeps its buffers between draws.
#[derive(Debug, Default)]
pub(crate) struct Drawer {
    candidates: Vec<Candidate>,
}

/// A token that may be drawn.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// The probability relative to the most likely token: `exp((logit - max) / temperature)`.
    weight: f32,
    id: u32,
}

/// How many of the most likely tokens are sorted at first to find where top-p cuts.
const FIRST_SORTED: usize = 64;

impl Drawer {
    /// The token at `uniform` (in `0 .. 1`) of the cumulative distribution. `best` is the index of
    /// the largest logit, which is finite.
    ///
    /// Top-p counts the probabilities that top-k left, as vLLM does. Source for min-p: Nguyen et
    /// al., <https://arxiv.org/abs/2407.01082>; for top-p: Holtzman et al.,
    /// <https://arxiv.org/abs/1904.09751>.
    pub(crate) fn draw(
        &mut self,
        logits: &[f32],
        best: usize,
        params: &SamplingParams,
        uniform: f64,
    ) -> u32 {
        let (max, temperature) = (logits[best], params.temperature);
        let weigh = |(id, logit): (usize, &f32)| Candidate {
            // Dividing the difference cannot overflow upwards however small the temperature.
            weight: ((logit - max) / temperature).exp(),
            id: u32::try_from(id).expect("a vocabulary has fewer than 2^32 tokens"),
        };
        self.candidates.clear();
        self.candidates.extend(logits.iter().enumerate().map(weigh));
        // A temperature so small that 0 / t is not a number leaves the most likely token alone.
        self.candidates[best].weight = 1.0;
        self.keep_top_k(params.top_k);
        self.keep_top_p(params.top_p);
        self.candidates.retain(|candidate| candidate.weight >= params.min_p);
        self.pick(uniform)
    }

    fn keep_top_k(&mut self, top_k: usize) {
        if top_k > 0 && top_k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(top_k, more_likely);
            self.candidates.truncate(top_k);
            self.candidates.sort_unstable_by(more_likely);
        }
    }

    /// Sorts no more of the candidates than it takes to find the cut.
    fn keep_top_p(&mut self, top_p: f32) {
        if top_p >= 1.0 {
            return;
        }
        let wanted = f64::from(top_p) * total(&self.candidates);
        let mut num_sorted = FIRST_SORTED;
        loop {
            let num = num_sorted.min(self.candidates.len());
            if num < self.candidates.len() {
                self.candidates.select_nth_unstable_by(num, more_likely);
            }
            self.candidates[..num].sort_unstable_by(more_likely);
            let mut sum = 0.0;
            let reaches = |candidate: &Candidate| {
                sum += f64::from(candidate.weight);
                sum >= wanted
            };
            if let Some(last) = self.candidates[..num].iter().position(reaches) {
                return self.candidates.truncate(last + 1);
            }
            if num == self.candidates.len() {
                return;
            }
            num_sorted *= 8;
        }
    }

    fn pick(&self, uniform: f64) -> u32 {
        let wanted = uniform * total(&self.candidates);
        let mut sum = 0.0;
        let reached = |candidate: &&Candidate| {
            sum += f64::from(candidate.weight);
            sum > wanted
        };
        // Rounding may put `wanted` at the very end: then it is the last that can be drawn.
        let last = || self.candidates.iter().rev().find(|candidate| candidate.weight > 0.0);
        let picked = self.candidates.iter().find(reached).or_else(last);
        picked.expect("the most likely token has weight 1").id
    }
}

fn total(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|candidate| f64::from(candidate.weight)).sum()
}

/// Larger weights first, smaller ids among equals.
fn more_likely(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.weight.total_cmp(&a.weight).then(a.id.cmp(&b.id))
}
