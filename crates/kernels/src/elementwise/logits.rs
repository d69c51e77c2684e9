//! What choosing a token needs: passes over the logits of one position, in one thread.

use std::fmt;
use std::ops::Range;

use crate::Kernels;

/// Kernels for the logits of one position.
///
/// They need no pool: one thread reads a vocabulary in microseconds. All instruction sets give the
/// same bits.
#[derive(Clone, Copy)]
pub struct LogitKernels(&'static dyn Kernels);

/// The largest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Largest {
    /// The first of equals; 0 if nothing is above negative infinity.
    pub index: usize,
    /// Negative infinity if there is none. NaN is never largest.
    pub value: f32,
    /// Whether one of them is not a number.
    pub has_nan: bool,
}

/// How many numbers there are from some bound on, and what they add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share {
    /// How many.
    pub num: usize,
    /// Their sum.
    pub sum: f64,
}

impl LogitKernels {
    /// Those of one ISA.
    pub fn new(kernels: &'static dyn Kernels) -> Self {
        Self(kernels)
    }

    /// Those of the best ISA that this CPU has.
    pub fn best() -> Self {
        Self(crate::available()[0])
    }

    /// The largest element.
    pub fn argmax(self, x: &[f32]) -> Largest {
        self.0.argmax(x)
    }

    /// `out = exp((x - max) · factor)`, of one length; zero where that is below 1.2e-38.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn weigh(self, x: &[f32], max: f32, factor: f32, out: &mut [f32]) {
        assert_eq!(x.len(), out.len(), "x and out have one shape");
        self.0.weigh(x, max, factor, out);
    }

    /// The number and the sum of the elements from `least` on.
    ///
    /// For elements that are not negative, a smaller `least` never gives a smaller sum.
    pub fn share(self, x: &[f32], least: f32) -> Share {
        self.0.share(x, least)
    }

    /// Writes the indices of the elements in `range`, ascending, to the start of `out` and returns
    /// how many they are. The rest of `out` may change.
    ///
    /// # Panics
    /// If `out` is shorter than `x`, or `x` is longer than a `u32` counts.
    pub fn indices_in(self, x: &[f32], range: &Range<f32>, out: &mut [u32]) -> usize {
        assert!(x.len() <= out.len(), "room for every index");
        assert!(u32::try_from(x.len()).is_ok(), "indices of 32 bits");
        self.0.indices_in(x, range, out)
    }

    /// The index of the first element above `floor`.
    pub fn position_above(self, x: &[f32], floor: f32) -> Option<usize> {
        self.0.position_above(x, floor)
    }
}

impl fmt::Debug for LogitKernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogitKernels").field(&self.0.isa()).finish()
    }
}
