//! Plain Rust kernels: the definition of every operation.

mod attention;
pub(crate) mod elementwise;
pub(crate) mod logits;
pub(crate) mod matmul;

use crate::{Isa, Kernels};

/// The implementation that every CPU can run.
pub(crate) struct Scalar;

impl Kernels for Scalar {
    fn isa(&self) -> Isa {
        Isa::Scalar
    }

    fn name(&self) -> &'static str {
        "scalar"
    }
}
