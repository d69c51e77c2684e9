//! Kernels for AVX-512 with VNNI, and BF16 where present.

mod attention;
mod elementwise;
mod matmul;

use std::sync::OnceLock;

use crate::{Isa, Kernels};

/// Proof that this CPU has AVX-512 F, BW, VL, DQ and VNNI (and FMA and F16C); only `detect` makes
/// one.
pub(crate) struct Avx512 {
    /// Whether it also has AVX-512 BF16.
    has_bf16: bool,
}

impl Avx512 {
    /// The proof, if this CPU has the instructions.
    pub(crate) fn detect() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Avx512>> = OnceLock::new();
        let has = || {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vnni")
                && is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
        };
        let make = || Self { has_bf16: is_x86_feature_detected!("avx512bf16") };
        FOUND.get_or_init(|| has().then(make)).as_ref()
    }
}

impl Kernels for Avx512 {
    fn isa(&self) -> Isa {
        Isa::Avx512
    }

    fn name(&self) -> &'static str {
        if self.has_bf16 { "avx512-vnni+bf16" } else { "avx512-vnni" }
    }
}
