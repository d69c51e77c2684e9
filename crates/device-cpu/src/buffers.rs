//! Activation buffers, reused from verb to verb.

/// Activations of some rows, `[rows, width]`.
#[derive(Debug)]
pub struct Buffer {
    pub(crate) values: Vec<f32>,
    pub(crate) width: usize,
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
        let fits = |values: &Vec<f32>| values.capacity() >= len;
        let best = (0..self.spare.len())
            .filter(|&i| fits(&self.spare[i]))
            .min_by_key(|&i| self.spare[i].capacity());
        let mut values = best.map_or_else(Vec::new, |i| self.spare.swap_remove(i));
        values.resize(len, 0.0);
        Buffer { values, width }
    }

    /// Gives a buffer back. Of too many the smallest goes: a large one is dear to take anew.
    pub(crate) fn give(&mut self, buffer: Buffer) {
        self.spare.push(buffer.values);
        if self.spare.len() > Self::MAX_SPARES {
            let smallest = (0..self.spare.len()).min_by_key(|&i| self.spare[i].capacity());
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
