//! Activation buffers, reused from verb to verb.

use std::ops::{Deref, DerefMut};

/// Activations of some rows, `[rows, width]`.
#[derive(Debug)]
pub struct Buffer {
    pub(crate) values: Values,
    pub(crate) width: usize,
}

/// The front of a vector, which keeps its length: to shorten it and to lengthen it again would
/// write zeros each time.
#[derive(Debug)]
pub(crate) struct Values {
    vec: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// One row of any values.
    pub(crate) fn from_vec(vec: Vec<f32>) -> Self {
        let len = vec.len();
        Self { values: Values { vec, len }, width: len }
    }
}

impl Values {
    /// The values alone.
    pub(crate) fn into_vec(mut self) -> Vec<f32> {
        self.vec.truncate(self.len);
        self.vec
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.vec[..self.len]
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.vec[..self.len]
    }
}

/// Spare buffers. A step frees and takes the same few sizes over and over.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    spare: Vec<Vec<f32>>,
}

impl Spares {
    /// More than a step has alive at once would only be held for nothing.
    const MAX_SPARES: usize = 16;

    /// A buffer of `rows` by `width`, its contents unspecified.
    pub(crate) fn take(&mut self, rows: usize, width: usize) -> Buffer {
        let len = rows * width;
        // The smallest that fits, so that large ones stay for large requests.
        let best = (0..self.spare.len())
            .filter(|&i| self.spare[i].len() >= len)
            .min_by_key(|&i| self.spare[i].len());
        let vec = best.map_or_else(|| vec![0.0; len], |i| self.spare.swap_remove(i));
        Buffer { values: Values { vec, len }, width }
    }

    /// Gives a buffer back. Of too many the smallest goes: a large one is dear to take anew.
    pub(crate) fn give(&mut self, buffer: Buffer) {
        self.spare.push(buffer.values.vec);
        if self.spare.len() > Self::MAX_SPARES {
            let smallest = (0..self.spare.len()).min_by_key(|&i| self.spare[i].len());
            self.spare.swap_remove(smallest.expect("one was just pushed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_spare_that_fits_is_reused() {
        let mut spares = Spares::default();
        let (small, large) = (spares.take(1, 8), spares.take(64, 8));
        let (small_at, large_at) = (small.values.as_ptr(), large.values.as_ptr());
        spares.give(large);
        spares.give(small);
        assert_eq!(spares.take(2, 4).values.as_ptr(), small_at);
        assert_eq!(spares.take(2, 8).values.as_ptr(), large_at);
    }

    #[test]
    fn small_spares_do_not_crowd_out_a_large_one() {
        let mut spares = Spares::default();
        let small: Vec<Buffer> = (0..Spares::MAX_SPARES).map(|_| spares.take(1, 8)).collect();
        let large = spares.take(64, 8);
        let large_at = large.values.as_ptr();
        small.into_iter().for_each(|buffer| spares.give(buffer));
        spares.give(large);
        assert_eq!(spares.spare.len(), Spares::MAX_SPARES);
        assert_eq!(spares.take(64, 8).values.as_ptr(), large_at);
    }
}
