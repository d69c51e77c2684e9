//! Loops of nothing but the instruction that a kernel multiplies with.

use std::time::{Duration, Instant};

use russet_kernels::Isa;

/// Sums that do not wait for each other: more than the latency of an instruction.
const SUMS: usize = 12;
/// Rounds between two looks at the clock.
const ROUNDS: usize = 20_000;

/// A loop of [`ROUNDS`] rounds, each adding once to [`SUMS`] sums.
#[derive(Clone, Copy)]
pub(crate) struct Peak {
    rounds: fn(),
    /// Multiplications and additions of one addition to a sum.
    operations: usize,
}

impl Peak {
    /// Operations a second of one thread.
    pub(crate) fn measure(self, time: Duration) -> f64 {
        let start = Instant::now();
        let mut operations = 0;
        while start.elapsed() < time {
            (self.rounds)();
            operations += ROUNDS * SUMS * self.operations;
        }
        operations as f64 / start.elapsed().as_secs_f64()
    }
}

/// A function that runs the rounds of `$add(sum, a, b)`.
macro_rules! rounds {
    ($features:literal, $zero:expr, $one:expr, $add:expr) => {{
        #[target_feature(enable = $features)]
        fn rounds() {
            let (mut sums, a, b) = ([$zero; SUMS], $one, $one);
            let (a, b) = (std::hint::black_box(a), std::hint::black_box(b));
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = $add(*sum, a, b);
                }
            }
            std::hint::black_box(sums);
        }
        // SAFETY: the caller found the features on this CPU.
        || unsafe { rounds() }
    }};
}

#[cfg(target_arch = "x86_64")]
mod of_isa {
    use std::arch::x86_64::*;

    use super::*;

    pub(crate) fn int8(isa: Isa) -> Option<Peak> {
        let has_evex =
            is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("avx512vnni");
        let (rounds, operations): (fn(), usize) = match isa {
            Isa::Avx512 => {
                let rounds = rounds!(
                    "avx512f,avx512vnni",
                    _mm512_setzero_si512(),
                    _mm512_set1_epi8(1),
                    |sum, a, b| _mm512_dpbusd_epi32(sum, a, b)
                );
                (rounds, 128)
            }
            Isa::AvxVnni if has_evex => {
                let rounds = rounds!(
                    "avx512vl,avx512vnni",
                    _mm256_setzero_si256(),
                    _mm256_set1_epi8(1),
                    |sum, a, b| _mm256_dpbusd_epi32(sum, a, b)
                );
                (rounds, 64)
            }
            Isa::AvxVnni => {
                let rounds =
                    rounds!("avxvnni", _mm256_setzero_si256(), _mm256_set1_epi8(1), |sum, a, b| {
                        _mm256_dpbusd_avx_epi32(sum, a, b)
                    });
                (rounds, 64)
            }
            Isa::Avx2 => {
                let rounds =
                    rounds!("avx2", _mm256_setzero_si256(), _mm256_set1_epi8(1), |sum, a, _| {
                        // Not of `a` and `b` alone, which would be multiplied once.
                        _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, sum))
                    });
                (rounds, 64)
            }
            Isa::Scalar | Isa::Neon => return None,
        };
        Some(Peak { rounds, operations })
    }

    pub(crate) fn bf16(isa: Isa) -> Option<Peak> {
        if isa != Isa::Avx512 || !is_x86_feature_detected!("avx512bf16") {
            return None;
        }
        let rounds = rounds!(
            "avx512f,avx512bf16",
            _mm512_setzero_ps(),
            _mm512_cvtne2ps_pbh(_mm512_set1_ps(1.0), _mm512_set1_ps(1.0)),
            |sum, a, b| _mm512_dpbf16_ps(sum, a, b)
        );
        Some(Peak { rounds, operations: 64 })
    }

    pub(crate) fn f32(isa: Isa) -> Option<Peak> {
        let (rounds, operations): (fn(), usize) = match isa {
            Isa::Avx512 => {
                let rounds =
                    rounds!("avx512f", _mm512_setzero_ps(), _mm512_set1_ps(1.0), |sum, a, b| {
                        _mm512_fmadd_ps(a, b, sum)
                    });
                (rounds, 32)
            }
            Isa::AvxVnni | Isa::Avx2 => {
                let rounds =
                    rounds!("avx2,fma", _mm256_setzero_ps(), _mm256_set1_ps(1.0), |sum, a, b| {
                        _mm256_fmadd_ps(a, b, sum)
                    });
                (rounds, 16)
            }
            Isa::Scalar | Isa::Neon => return None,
        };
        Some(Peak { rounds, operations })
    }
}

#[cfg(target_arch = "aarch64")]
mod of_isa {
    use std::arch::aarch64::*;

    use super::*;

    /// The intrinsics are not stable.
    pub(crate) fn int8(_isa: Isa) -> Option<Peak> {
        None
    }

    /// The kernels have no such instruction.
    pub(crate) fn bf16(_isa: Isa) -> Option<Peak> {
        None
    }

    pub(crate) fn f32(isa: Isa) -> Option<Peak> {
        let rounds =
            rounds!("neon", vdupq_n_f32(0.0), vdupq_n_f32(1.0), |sum, a, b| vfmaq_f32(sum, a, b));
        (isa == Isa::Neon).then_some(Peak { rounds, operations: 8 })
    }
}

pub(crate) use of_isa::{bf16, f32, int8};
