//! CPU operations of a transformer: slices in, slices out. Knows no model, file or request.
//!
//! An [`Executor`] is an ISA (chosen at run time, [`select`]) and a thread pool. Weights are
//! converted once to a [`PackedMatrix`]; everything else works on plain slices. `scalar/` defines
//! each operation and one folder per ISA speeds it up.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod arena;
mod attention;
mod cell;
mod disjoint;
mod elementwise;
mod error;
mod executor;
mod isa;
mod kv;
mod matmul;
mod pack;
mod pair;
mod pool;
mod quant;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use arena::{AlignedBytes, Arena};
pub use attention::{Attention, AttentionArgs, AttentionRow, attention};
pub use elementwise::{
    Activation, Elementwise, HeadShape, Largest, LogitKernels, RmsNorm, RopePairing, RopeTable,
    Share, add_bias, add_scaled, gated, rms_norm, rms_norm_in_place, rope, scale, softcap,
};
pub use error::Error;
pub use executor::Executor;
pub use isa::{Isa, Kernels, available, select};
pub use kv::{KvLayout, KvPool, KvType};
pub use matmul::{
    Activations, Chunk, DenseTile, IntTile, Lanes, MatMul, Precision, matmul, matmul_gathered,
};
pub use pack::{PackedMatrix, packed_bytes};
pub use pool::Pool;
