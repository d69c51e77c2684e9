//! Outputs that several threads write, each its own columns.

use std::marker::PhantomData;

use crate::pack::TILE_ROWS;

/// A row-major matrix `[rows, cols]` whose columns are written by different threads.
pub(crate) struct Output<'a> {
    start: *mut f32,
    rows: usize,
    cols: usize,
    _borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: the only access is `put`, whose callers write disjoint columns.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    /// Panics if `values` is not `rows * cols` long.
    pub(crate) fn new(values: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(values.len(), rows * cols, "an output of {rows} x {cols}");
        Self { start: values.as_mut_ptr(), rows, cols, _borrow: PhantomData }
    }

    /// Writes the columns of tile `tile` of the rows from `row`, without those past the end.
    ///
    /// # Safety
    /// No other thread may write the same tile of the same rows.
    pub(crate) unsafe fn put(&self, row: usize, tile: usize, lanes: &[[f32; TILE_ROWS]]) {
        let col = tile * TILE_ROWS;
        let is_inside = row + lanes.len() <= self.rows && col < self.cols;
        assert!(is_inside, "tile {tile} of {} rows from {row}", lanes.len());
        let len = TILE_ROWS.min(self.cols - col);
        for (i, lanes) in lanes.iter().enumerate() {
            // SAFETY: in bounds by the assertion; exclusive by this function's contract.
            unsafe {
                let target = self.start.add((row + i) * self.cols + col);
                if len == TILE_ROWS {
                    // A constant length is a store or two instead of a call.
                    target.cast::<[f32; TILE_ROWS]>().write_unaligned(*lanes);
                } else {
                    std::ptr::copy_nonoverlapping(lanes.as_ptr(), target, len);
                }
            }
        }
    }
}
