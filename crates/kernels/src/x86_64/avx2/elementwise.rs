//! Elementwise operations, compiled for AVX2.

use crate::elementwise::{
    Activation, Elementwise, HeadShape, Largest, RmsNorm, RopePairing, RopeTable, Share,
    elementwise_methods,
};

use super::Avx2;

impl Elementwise for Avx2 {
    elementwise_methods!("avx2,fma,f16c");
}
