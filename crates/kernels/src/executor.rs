//! What runs an operation: an ISA and threads.

use std::num::NonZeroUsize;

use crate::{Arena, Isa, Kernels, Pool};

/// An ISA, a thread pool, and the memory that packed weights live in.
pub struct Executor {
    kernels: &'static dyn Kernels,
    pool: Pool,
    arena: Arena,
}

impl Executor {
    /// An executor of `threads` threads, the caller included.
    pub fn new(kernels: &'static dyn Kernels, threads: NonZeroUsize) -> Self {
        Self { kernels, pool: Pool::new(threads), arena: Arena::new() }
    }

    /// The ISA in use.
    pub fn isa(&self) -> Isa {
        self.kernels.isa()
    }

    /// Threads that take part in an operation, the caller included.
    pub fn num_threads(&self) -> usize {
        self.pool.num_threads()
    }

    /// The thread pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The implementation in use.
    pub fn kernels(&self) -> &'static dyn Kernels {
        self.kernels
    }

    /// Where packed weights are placed.
    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }
}
