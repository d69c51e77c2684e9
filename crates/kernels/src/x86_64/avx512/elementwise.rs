//! Elementwise operations, compiled for AVX-512.

use crate::elementwise::{
    Activation, Elementwise, HeadShape, Largest, RmsNorm, RopePairing, RopeTable, Share,
    elementwise_methods,
};

use super::Avx512;

impl Elementwise for Avx512 {
    elementwise_methods!("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c");
}
