//! Kernels for AVX2 with FMA and F16C, which multiply integers with `vpmaddubsw`, or where there is
//! AVX-VNNI with `vpdpbusd`.

mod attention;
mod elementwise;
mod matmul;

use std::sync::OnceLock;

use crate::{Isa, Kernels};

/// Proof that this CPU has AVX2, FMA, F16C and the instructions of `dot`; only `detect` and
/// `detect_vnni` make one.
pub(crate) struct Avx2 {
    dot: Dot,
}

/// How codes and int8 activations are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dot {
    /// `vpmaddubsw` of AVX2.
    Maddubs,
    /// `vpdpbusd` of AVX-VNNI.
    Vex,
    /// `vpdpbusd` of AVX-512 VL: what tests and `--isa` use where AVX-VNNI is not.
    Evex,
}

impl Dot {
    /// `vpdpbusd`, if this CPU has it in registers of 256 bits.
    fn vnni() -> Option<Self> {
        let has_evex =
            || is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("avx512vnni");
        if is_x86_feature_detected!("avxvnni") {
            return Some(Self::Vex);
        }
        has_evex().then_some(Self::Evex)
    }
}

impl Avx2 {
    /// The proof of AVX2, if this CPU has the instructions.
    pub(crate) fn detect() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Avx2>> = OnceLock::new();
        FOUND.get_or_init(|| Self::with(Dot::Maddubs)).as_ref()
    }

    /// The proof of AVX2 and AVX-VNNI, if this CPU has the instructions.
    pub(crate) fn detect_vnni() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Avx2>> = OnceLock::new();
        FOUND.get_or_init(|| Dot::vnni().and_then(Self::with)).as_ref()
    }

    /// The proof, of a `dot` that this CPU has.
    fn with(dot: Dot) -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has.then_some(Self { dot })
    }
}

impl Kernels for Avx2 {
    fn isa(&self) -> Isa {
        match self.dot {
            Dot::Maddubs => Isa::Avx2,
            Dot::Vex | Dot::Evex => Isa::AvxVnni,
        }
    }

    fn name(&self) -> &'static str {
        match self.dot {
            Dot::Maddubs => "avx2",
            Dot::Vex => "avx-vnni",
            Dot::Evex => "avx-vnni as avx512vl",
        }
    }
}
