//! Scores of one line and one chunk to weights.

use crate::elementwise::math::{NUM_LANES, exp, fold_lanes, larger, softcap};

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
