//! Kernels for NEON, with the dot-product and int8 matrix extensions where present.

mod attention;
mod elementwise;
mod matmul;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use crate::{Isa, Kernels};

/// Proof that this CPU has NEON and the extension named; only `detect` makes one.
pub(crate) struct Neon {
    products: Products,
}

/// The best instructions for products of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Products {
    /// Those of NEON itself.
    Plain,
    /// `sdot`.
    Dot,
    /// `usmmla`, for two rows and more, and `sdot`.
    Matrix,
}

impl Products {
    /// What this CPU has, best first.
    fn detect() -> Vec<Self> {
        use std::arch::is_aarch64_feature_detected;
        let has_dot = is_aarch64_feature_detected!("dotprod");
        let has_matrix = has_dot && is_aarch64_feature_detected!("i8mm");
        let matrix = has_matrix.then_some(Self::Matrix);
        let dot = has_dot.then_some(Self::Dot);
        matrix.into_iter().chain(dot).chain([Self::Plain]).collect()
    }
}

impl Neon {
    /// The proof, if this CPU has the instructions.
    pub(crate) fn detect() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Neon>> = OnceLock::new();
        FOUND.get_or_init(|| Self::all().into_iter().next()).as_ref()
    }

    /// One for each extension that this CPU has, best first.
    fn all() -> Vec<Self> {
        let has = std::arch::is_aarch64_feature_detected!("neon");
        let found = if has { Products::detect() } else { Vec::new() };
        found.into_iter().map(|products| Self { products }).collect()
    }
}

impl Kernels for Neon {
    fn isa(&self) -> Isa {
        Isa::Neon
    }

    fn name(&self) -> &'static str {
        match self.products {
            Products::Plain => "neon",
            Products::Dot => "neon+dotprod",
            Products::Matrix => "neon+dotprod+i8mm",
        }
    }
}
