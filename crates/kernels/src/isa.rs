//! Which instruction sets there are, and which of them this CPU has.

use std::fmt;
use std::str::FromStr;

use crate::{Attention, Elementwise, Error, MatMul, scalar::Scalar};

/// One implementation of every operation. Values exist only for ISAs that this CPU has.
pub trait Kernels: MatMul + Attention + Elementwise + Sync {
    /// The ISA of this implementation.
    fn isa(&self) -> Isa;

    /// The instruction sets in use, for logs, such as `avx512-vnni+bf16`.
    fn name(&self) -> &'static str;
}

/// An instruction set that has kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust: the definition that the others are compared with.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX2, FMA, F16C and AVX-VNNI, or the same instruction of AVX-512 VL.
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, VL, DQ and VNNI; BF16 is used where present.
    Avx512,
    /// aarch64 with NEON; the dot-product and int8 matrix extensions are used where present.
    Neon,
}

impl Isa {
    /// Every ISA, whether or not this CPU has it.
    pub const ALL: [Self; 5] = [Self::Scalar, Self::Avx2, Self::AvxVnni, Self::Avx512, Self::Neon];
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        })
    }
}

impl FromStr for Isa {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = || Error::UnknownIsa { found: name.into() };
        Self::ALL.into_iter().find(|isa| isa.to_string() == name).ok_or_else(found)
    }
}

/// The implementations that this CPU can run, best first; scalar is always last.
pub fn available() -> Vec<&'static dyn Kernels> {
    let mut found: Vec<&'static dyn Kernels> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        use crate::x86_64::{Avx2, Avx512};
        found.extend(Avx512::detect().map(|k| k as &dyn Kernels));
        found.extend(Avx2::detect_vnni().map(|k| k as &dyn Kernels));
        found.extend(Avx2::detect().map(|k| k as &dyn Kernels));
    }
    #[cfg(target_arch = "aarch64")]
    found.extend(crate::aarch64::Neon::detect().map(|k| k as &dyn Kernels));
    found.push(&Scalar);
    found
}

/// The best implementation, or the one forced.
///
/// # Errors
/// If the forced ISA is not available here.
pub fn select(forced: Option<Isa>) -> Result<&'static dyn Kernels, Error> {
    let available = available();
    let wanted = available.iter().find(|k| forced.is_none_or(|isa| k.isa() == isa));
    wanted.copied().ok_or_else(|| Error::IsaUnavailable {
        isa: forced.unwrap_or(Isa::Scalar),
        available: available.iter().map(|k| k.isa()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_scalar_is_last() {
        for isa in Isa::ALL {
            assert_eq!(isa.to_string().parse::<Isa>().unwrap(), isa);
        }
        let message = "sse9".parse::<Isa>().unwrap_err().to_string();
        assert_eq!(
            message,
            r#"unknown isa "sse9"; accepted: scalar, avx2, avx-vnni, avx512, neon"#
        );
        assert_eq!(available().last().unwrap().isa(), Isa::Scalar);
    }

    #[test]
    fn a_missing_isa_is_refused_by_name() {
        let missing = if cfg!(target_arch = "aarch64") { Isa::Avx2 } else { Isa::Neon };
        let Err(error) = select(Some(missing)) else { panic!("{missing} cannot be here") };
        assert!(error.to_string().starts_with(&format!("isa {missing} is not available")));
        assert_eq!(select(Some(Isa::Scalar)).unwrap().isa(), Isa::Scalar);
        assert_eq!(select(None).unwrap().isa(), available()[0].isa());
    }
}
