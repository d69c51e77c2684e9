//! Elementwise operations, compiled for NEON.

use crate::elementwise::{
    Activation, Elementwise, HeadShape, Largest, RmsNorm, RopePairing, RopeTable, Share,
    elementwise_methods,
};

use super::Neon;

impl Elementwise for Neon {
    elementwise_methods!("neon");
}
