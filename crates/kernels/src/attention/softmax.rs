//! Scores of one line and one chunk to weights.

use crate::elementwise::math::{NUM_LANES, exp, exp2, fold_lanes, larger, softcap};
use crate::pair::{Pair, half_of_weight};

use super::CHUNK_LEN;
use super::spans::Span;

/// How a score becomes a logit: times `scale`, then softly capped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curve {
    pub(crate) scale: f32,
    pub(crate) softcap: Option<f32>,
}

/// The largest logit of some slots and the sum of `e^(logit - max)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stats {
    pub(crate) max: f32,
    pub(crate) sum: f32,
}

impl Stats {
    /// Of no slots.
    pub(crate) const EMPTY: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };

    pub(crate) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }
}

impl Curve {
    /// Replaces the scores of the visible slots by their weights `e^(logit - max)`.
    ///
    /// Slots outside `spans` but in the same 16 become zero. The maximum and the sum are taken in
    /// 16 lanes by `slot % 16` and then in pairs, so every instruction set has the same order.
    #[inline(always)]
    pub(crate) fn softmax(self, row: &mut [f32; CHUNK_LEN], spans: &[Span]) -> Stats {
        let hull = spans.iter().fold(Span::EMPTY, |hull, span| hull.hull(*span));
        if hull.is_empty() {
            return Stats::EMPTY;
        }
        let hull = hull.outward();
        self.logits(&mut row[hull.start..hull.end]);
        hide_gaps(row, spans, hull);
        let logits = row[hull.start..hull.end].as_chunks_mut::<NUM_LANES>().0;
        let max = max_of(logits);
        Stats { max, sum: weights(logits, max) }
    }

    /// As [`Self::softmax`], but writes the weights as bf16, and of the scores only the softly
    /// capped are changed.
    #[inline(always)]
    pub(crate) fn softmax_pairs(
        self,
        row: &mut [f32; CHUNK_LEN],
        spans: &[Span],
        weights: &mut [Pair; CHUNK_LEN / 2],
    ) -> Stats {
        let hull = spans.iter().fold(Span::EMPTY, |hull, span| hull.hull(*span));
        if hull.is_empty() {
            return Stats::EMPTY;
        }
        let hull = hull.outward();
        let mut scale = self.scale;
        if self.softcap.is_some() {
            self.logits(&mut row[hull.start..hull.end]);
            scale = 1.0;
        }
        hide_gaps(row, spans, hull);
        let scores = row[hull.start..hull.end].as_chunks().0;
        let weights = weights[hull.start / 2..hull.end / 2].as_chunks_mut().0;
        let max = max_of(scores);
        Stats { max: max * scale, sum: pair_weights(scores, max, scale, weights) }
    }

    #[inline(always)]
    fn logits(self, scores: &mut [f32]) {
        for score in scores.iter_mut() {
            *score *= self.scale;
        }
        if let Some(cap) = self.softcap {
            let inverse_cap = 1.0 / cap;
            for score in scores {
                *score = softcap(*score, cap, inverse_cap);
            }
        }
    }
}

/// Whatever the invisible slots of `hull` hold, they get no weight.
#[inline(always)]
fn hide_gaps(row: &mut [f32], spans: &[Span], hull: Span) {
    let mut start = hull.start;
    for span in spans {
        row[start..span.start].fill(f32::NEG_INFINITY);
        start = span.end;
    }
    row[start..hull.end].fill(f32::NEG_INFINITY);
}

#[inline(always)]
fn max_of(logits: &[[f32; NUM_LANES]]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; NUM_LANES];
    for logits in logits {
        for i in 0..NUM_LANES {
            lanes[i] = larger(lanes[i], logits[i]);
        }
    }
    fold_lanes(lanes, larger)
}

/// Writes `e^((score - max)·scale)`, rounded to bf16, and returns the sum before rounding.
#[inline(always)]
fn pair_weights(
    scores: &[[f32; NUM_LANES]],
    max: f32,
    scale: f32,
    weights: &mut [[Pair; NUM_LANES / 2]],
) -> f32 {
    let scale = scale * std::f32::consts::LOG2_E;
    let start = -(max * scale);
    let mut lanes = [0.0; NUM_LANES];
    for (scores, weights) in scores.iter().zip(weights) {
        let mut halves = [0; NUM_LANES];
        for i in 0..NUM_LANES {
            let weight = exp2(scores[i].mul_add(scale, start));
            lanes[i] += weight;
            halves[i] = half_of_weight(weight);
        }
        for (weights, halves) in weights.iter_mut().zip(halves.as_chunks().0) {
            *weights = Pair::of_halves(*halves);
        }
    }
    fold_lanes(lanes, |a, b| a + b)
}

/// Replaces logits by weights and returns their sum.
#[inline(always)]
fn weights(logits: &mut [[f32; NUM_LANES]], max: f32) -> f32 {
    let mut lanes = [0.0; NUM_LANES];
    for logits in logits {
        for i in 0..NUM_LANES {
            logits[i] = exp(logits[i] - max);
            lanes[i] += logits[i];
        }
    }
    fold_lanes(lanes, |a, b| a + b)
}
