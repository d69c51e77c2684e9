//! The CPU as a [`Device`](russet_decoder::Device): packed weights, KV blocks and scratch buffers
//! over `russet-kernels`.
//!
//! A verb prepares its input once (norm, then quantisation) for all matrices that share it, so a
//! layer has five parallel regions: q/k/v, attention, attention output, gate/up, down. Start
//! reading at [`CpuDevice`].
#![forbid(unsafe_code)]

mod attend;
mod buffers;
mod device;

pub use device::{CpuDevice, CpuOptions};
pub use russet_kernels::{Isa, KvType, Precision};
