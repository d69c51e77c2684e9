//! Architectures as data, and the forward pass written once over a [`Device`].
//!
//! Start at [`open`] and [`load`]: they find the architecture of a checkpoint, turn its
//! configuration into a [`ModelSpec`], load the weights onto a device and give a [`Model`], which
//! is all that the engine sees. The forward pass is in `forward.rs`; each mixer and feed-forward
//! kind has its own file. This crate knows no file format, no instruction set and no HTTP.
#![forbid(unsafe_code)]

mod arch;
mod batch;
mod device;
mod error;
mod ffn;
mod forward;
mod load;
mod mixer;
mod model;
mod rope;
mod spec;
mod step;

pub use arch::architectures;
pub use batch::{
    Batch, BlockId, Input, Mask, Position, Reach, Row, SequenceId, SequenceRows, TokenId,
};
pub use device::{AttendLayer, Branch, Cache, Device, Linear, Norm, Qkv, Unsupported};
pub use error::LoadError;
pub use forward::Decoder;
pub use load::{LoadOptions, load, open, spec};
pub use model::{CacheGroup, Model, ModelError, ModelInfo, ModelOutput};
pub use rope::{DynamicNtk, Rope, RopePairing, RopeScaling, RopeTable, Yarn};
pub use spec::{
    Activation, AttentionSpec, Ffn, GatedFfnSpec, Head, LayerSpec, Mixer, ModelSpec, NormSpec,
};
pub use step::{KvSpec, Step, StepGroup, StepRope};
