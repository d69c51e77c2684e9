//! Kernels for AVX2 with FMA and F16C.

mod attention;
mod elementwise;
mod matmul;

use std::sync::OnceLock;

use crate::{Isa, Kernels};

/// Proof that this CPU has AVX2, FMA and F16C; only `detect` makes one.
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, if this CPU has the instructions.
    pub(crate) fn detect() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Avx2>> = OnceLock::new();
        let has = || {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
        };
        FOUND.get_or_init(|| has().then_some(Self(()))).as_ref()
    }
}

impl Kernels for Avx2 {
    fn isa(&self) -> Isa {
        Isa::Avx2
    }

    fn name(&self) -> &'static str {
        "avx2"
    }
}
