//! Where top-k, top-p and min-p cut the tokens, without sorting them.

use std::ops::Range;

use russet_kernels::{LogitKernels, Share};

/// The largest weights down to `least`, smaller ids first among equals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cut {
    pub(super) least: f32,
    /// How many of exactly `least` are kept.
    pub(super) num_equal: usize,
}

/// When the largest weights are enough.
#[derive(Debug, Clone, Copy)]
pub(super) enum Enough {
    /// When they are as many.
    Num(usize),
    /// When they are at least one and add up to this.
    Sum(f64),
}

/// The search for the fewest of the largest weights, all of them in `0 ..= 1`, that are enough.
///
/// It is a bisection for the least of them: numbers that are not negative are ordered as their bits
/// are, and each step counts and adds up the weights between two bounds.
#[derive(Debug)]
pub(super) struct Search {
    enough: Enough,
    /// The bits of a bound: all weights from there are enough, or it is 0.
    low: u32,
    /// The bits of a bound: all weights from there are not enough.
    high: u32,
    /// The weights from `high`.
    above: Share,
    /// Those of `above` that steps are no longer given.
    left_out: Share,
    /// How many weights lie between the bounds.
    num_between: usize,
    /// How far below 1 the next bound is, in bits, as long as no `low` is known.
    stride: u32,
}

const ONE: u32 = 1.0_f32.to_bits();
/// What is below `2^-8` is seldom wanted.
const FIRST_STRIDE: u32 = 8 << (f32::MANTISSA_DIGITS - 1);

impl Search {
    /// For `enough` of `num` weights.
    pub(super) fn new(enough: Enough, num: usize) -> Self {
        let (high, above) = (2.0_f32.to_bits(), Share::default());
        let (left_out, stride) = (above, FIRST_STRIDE);
        Self { enough, low: 0, high, above, left_out, num_between: num, stride }
    }

    /// Whether the cut is not known yet.
    pub(super) fn is_open(&self) -> bool {
        self.high - self.low > 1
    }

    /// Where the least weight that is needed lies.
    pub(super) fn range(&self) -> Range<f32> {
        f32::from_bits(self.low)..f32::from_bits(self.high)
    }

    /// How many weights lie in [`Search::range`].
    pub(super) fn num_between(&self) -> usize {
        self.num_between
    }

    /// From now on steps are given the weights in [`Search::range`], as it is now, only.
    pub(super) fn leave_out_the_rest(&mut self) {
        self.left_out = self.above;
    }

    /// Narrows the range.
    pub(super) fn step(&mut self, kernels: LogitKernels, weights: &[f32]) {
        let middle = if self.low == 0 && self.stride < ONE {
            let middle = ONE - self.stride;
            self.stride *= 2;
            middle
        } else {
            self.low + (self.high - self.low) / 2
        };
        let Share { num, sum } = kernels.share(weights, f32::from_bits(middle));
        let found = Share { num: self.left_out.num + num, sum: self.left_out.sum + sum };
        let num_between = found.num - self.above.num;
        if self.enough.is_met_by(&found) {
            (self.low, self.num_between) = (middle, num_between);
        } else {
            (self.high, self.num_between) = (middle, self.num_between - num_between);
            self.above = found;
        }
    }

    /// The cut, once the search is no longer open.
    pub(super) fn cut(&self) -> Cut {
        let least = f32::from_bits(self.low);
        let (mut above, mut num_equal) = (self.above, 0);
        while num_equal < self.num_between && !self.enough.is_met_by(&above) {
            num_equal += 1;
            above.num += 1;
            above.sum += f64::from(least);
        }
        Cut { least, num_equal }
    }
}

impl Enough {
    fn is_met_by(self, share: &Share) -> bool {
        match self {
            Self::Num(num) => share.num >= num,
            Self::Sum(sum) => share.num > 0 && share.sum >= sum,
        }
    }
}
