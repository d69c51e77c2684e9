//! Kernels for NEON, with the dot-product extension where present.

mod attention;
mod elementwise;
mod matmul;

use std::sync::OnceLock;

use crate::{Isa, Kernels};

/// Proof that this CPU has NEON; only `detect` makes one.
pub(crate) struct Neon {
    /// Whether it also has `sdot` and `udot`.
    has_dotprod: bool,
}

impl Neon {
    /// The proof, if this CPU has the instructions.
    pub(crate) fn detect() -> Option<&'static Self> {
        use std::arch::is_aarch64_feature_detected;
        static FOUND: OnceLock<Option<Neon>> = OnceLock::new();
        let has = || is_aarch64_feature_detected!("neon");
        let make = || Self { has_dotprod: is_aarch64_feature_detected!("dotprod") };
        FOUND.get_or_init(|| has().then(make)).as_ref()
    }
}

impl Kernels for Neon {
    fn isa(&self) -> Isa {
        Isa::Neon
    }

    fn name(&self) -> &'static str {
        if self.has_dotprod { "neon+dotprod" } else { "neon" }
    }
}
