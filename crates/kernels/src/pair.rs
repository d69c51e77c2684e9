//! Two bf16 values side by side, as `vdpbf16ps` multiplies them.

use crate::cell::{Stored, scatter};

/// Two neighbours, the first in the low half.
///
/// Products of pairs are added to a sum the second first, each with one rounding: that is what
/// `vdpbf16ps` does (but it takes numbers below the normal range for zero).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Pair(pub(crate) u32);

impl Pair {
    /// Rounds both to nearest, ties to even.
    #[inline(always)]
    pub(crate) fn new(first: f32, second: f32) -> Self {
        Self(rounded(first) >> 16 | rounded(second) & HIGH)
    }

    /// Of the upper halves of two values.
    #[inline(always)]
    pub(crate) fn of_halves([first, second]: [u16; 2]) -> Self {
        Self(u32::from(first) | u32::from(second) << 16)
    }

    #[inline(always)]
    pub(crate) fn first(self) -> f32 {
        f32::from_bits(self.0 << 16)
    }

    #[inline(always)]
    pub(crate) fn second(self) -> f32 {
        f32::from_bits(self.0 & HIGH)
    }

    /// The first or the second.
    #[inline(always)]
    pub(crate) fn get(self, i: usize) -> f32 {
        if i == 0 { self.first() } else { self.second() }
    }

    /// Replaces the first or the second.
    pub(crate) fn set(&mut self, i: usize, value: f32) {
        let (first, second) = if i == 0 { (value, self.second()) } else { (self.first(), value) };
        *self = Self::new(first, second);
    }

    /// `sum` plus the products of both.
    #[inline(always)]
    pub(crate) fn dot(self, other: Self, sum: f32) -> f32 {
        let sum = self.second().mul_add(other.second(), sum);
        self.first().mul_add(other.first(), sum)
    }
}

/// The half that holds the second.
const HIGH: u32 = 0xffff_0000;

/// The upper half of `x`, which is not negative, rounded to bf16, ties up.
#[inline(always)]
pub(crate) fn half_of_weight(x: f32) -> u16 {
    (x.to_bits().wrapping_add(0x8000) >> 16) as u16
}

/// The bits of `x`, rounded to bf16 in the upper half.
#[inline(always)]
fn rounded(x: f32) -> u32 {
    let bits = x.to_bits();
    // A carry could turn a NaN into something else; its upper half with the quiet bit is one.
    let nan = bits | 0x0040_0000;
    if x.is_nan() { nan } else { bits.wrapping_add(0x7fff + (bits >> 16 & 1)) }
}

/// Rounds `from` to pairs; a last one alone is followed by zero.
#[inline(always)]
pub(crate) fn pack(from: &[f32], to: &mut [Pair]) {
    let (pairs, last) = from.as_chunks::<2>();
    for (to, pair) in to.iter_mut().zip(pairs) {
        *to = Pair::new(pair[0], pair[1]);
    }
    if let [last] = last {
        to[pairs.len()] = Pair::new(*last, 0.0);
    }
}

impl Stored for Pair {
    const PER_CELL: usize = 2;
    type Factor = Self;
    type Loaded<L: crate::attention::Lanes> = L::Pairs;

    fn factors<'a>(_floats: &'a [f32], pairs: &'a [Self]) -> &'a [Self] {
        pairs
    }

    #[inline(always)]
    fn element(self, i: usize) -> f32 {
        self.get(i)
    }

    fn store_key(key: &[f32], to: &mut [Self], step: usize) {
        scatter(key, to, step, pack);
    }

    fn store_value(value: &[f32], to: &mut [Self], (slot, stride): (usize, usize)) {
        for (pair, x) in to[slot / 2 * stride..].iter_mut().zip(value) {
            pair.set(slot % 2, *x);
        }
    }

    #[inline(always)]
    fn factor(factor: Self, i: usize) -> f32 {
        factor.get(i)
    }

    #[inline(always)]
    fn load<L: crate::attention::Lanes>(lanes: L, from: &[Self]) -> L::Pairs {
        lanes.load_pairs(from)
    }

    #[inline(always)]
    fn splat<L: crate::attention::Lanes>(lanes: L, factor: Self) -> L::Pairs {
        lanes.splat_pair(factor)
    }

    #[inline(always)]
    fn add<L: crate::attention::Lanes>(
        lanes: L,
        factor: L::Pairs,
        cells: L::Pairs,
        sum: L::Vector,
    ) -> L::Vector {
        lanes.add_pairs(factor, cells, sum)
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn rounding_is_that_of_the_half_crate() {
        let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE];
        let ties = [0x3f80_8000_u32, 0x3f81_8000, 0xc040_8000].map(f32::from_bits);
        let spread = (0..1000u32).map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b9)));
        for x in special.into_iter().chain(ties).chain(spread.filter(|x| !x.is_nan())) {
            let pair = Pair::new(x, -x);
            assert_eq!(pair.first().to_bits(), bf16::from_f32(x).to_f32().to_bits(), "{x}");
            assert_eq!(pair.second().to_bits(), bf16::from_f32(-x).to_f32().to_bits(), "{x}");
        }
        for nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7fff_ffff), f32::from_bits(0x7f80_0001)] {
            assert!(Pair::new(nan, 1.0).first().is_nan());
            assert_eq!(Pair::new(nan, 1.0).second(), 1.0);
        }
    }

    #[test]
    fn halves_are_set_alone() {
        let mut pair = Pair::new(1.0, 2.0);
        pair.set(0, -4.0);
        assert_eq!((pair.get(0), pair.get(1)), (-4.0, 2.0));
        pair.set(1, 0.5);
        assert_eq!((pair.get(0), pair.get(1)), (-4.0, 0.5));
        assert_eq!(pair.dot(Pair::new(2.0, 8.0), 1.0), 1.0 + 4.0 - 8.0);
    }
}
