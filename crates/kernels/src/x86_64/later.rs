//! Products whose place in the order of additions is still to come.

use std::mem::MaybeUninit;

use crate::matmul::Chunk;
use crate::quant::{BLOCK, IntForm};

/// How many are kept.
const MAX_LATER: usize = 64;

/// Entries of the second codes that are multiplied together with the first.
#[inline(always)]
pub(super) fn entries_at_once(chunk: &Chunk, form: IntForm) -> usize {
    let most = if chunk.rows() == 1 { MAX_LATER * form.step() / BLOCK } else { 0 };
    chunk.int8.rest.places.len().min(most)
}

/// Pairs of a group's scales and a sum to be multiplied with them.
pub(super) struct Later<T> {
    /// Not cleared, which would take as long as a product with a short row.
    pairs: [MaybeUninit<(T, T)>; MAX_LATER],
    len: usize,
}

impl<T: Copy> Later<T> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { pairs: [const { MaybeUninit::uninit() }; MAX_LATER], len: 0 }
    }

    /// Panics if [`MAX_LATER`] are kept already.
    #[inline(always)]
    pub(super) fn push(&mut self, scale: T, sum: T) {
        self.pairs[self.len].write((scale, sum));
        self.len += 1;
    }

    /// How many are kept.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Panics unless `i` is below [`Self::len`].
    #[inline(always)]
    pub(super) fn get(&self, i: usize) -> (T, T) {
        assert!(i < self.len, "only what was kept");
        // SAFETY: `push` wrote the first `len`.
        unsafe { self.pairs[i].assume_init() }
    }
}
