//! The few vector operations that attention is written in.

use half::f16;

use super::CHUNK_LEN;
use super::softmax::{Curve, Stats};
use super::spans::Span;
use crate::pair::Pair;

/// One vector register of `f32` of an instruction set; a value proves that the CPU has it.
///
/// Every method but the two of the softmax inlines into a function compiled for that instruction
/// set.
pub(crate) trait Lanes: Copy {
    /// `WIDTH` floats.
    type Vector: Copy;
    /// `WIDTH` pairs of bf16.
    type Pairs: Copy;
    /// 4, 8 or 16.
    const WIDTH: usize;
    /// Vectors side by side in a register tile: as many as leave room for six lines.
    const COLUMNS: usize;

    /// All lanes equal to `x`.
    fn splat(self, x: f32) -> Self::Vector;
    /// The first `WIDTH` elements. Panics if there are fewer.
    fn load(self, from: &[f32]) -> Self::Vector;
    /// The first `WIDTH` elements, widened. Panics if there are fewer.
    fn load_f16(self, from: &[f16]) -> Self::Vector;
    /// Overwrites the first `WIDTH` elements. Panics if there are fewer.
    fn store(self, vector: Self::Vector, to: &mut [f32]);
    /// `a·b + c`, rounded once.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// All lanes equal to `pair`.
    fn splat_pair(self, pair: Pair) -> Self::Pairs;
    /// The first `WIDTH` pairs. Panics if there are fewer.
    fn load_pairs(self, from: &[Pair]) -> Self::Pairs;
    /// [`Pair::dot`] in each lane.
    fn add_pairs(self, a: Self::Pairs, b: Self::Pairs, sum: Self::Vector) -> Self::Vector;
    /// Asks for the cache line of `from[at]`; does nothing where that is out of range.
    fn prefetch<T>(self, from: &[T], at: usize);
    /// [`Curve::softmax`], compiled once for the instruction set.
    fn softmax(self, curve: Curve, row: &mut [f32; CHUNK_LEN], spans: &[Span]) -> Stats;
    /// [`Curve::softmax_pairs`], likewise.
    fn softmax_pairs(
        self,
        curve: Curve,
        row: &mut [f32; CHUNK_LEN],
        spans: &[Span],
        weights: &mut [Pair; CHUNK_LEN / 2],
    ) -> Stats;
}
