//! Kernels for x86-64.

mod avx2;
mod avx512;
mod later;

pub(crate) use avx2::Avx2;
pub(crate) use avx512::Avx512;
