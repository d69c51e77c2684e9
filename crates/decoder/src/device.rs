//! What a device can do, in LLM-sized verbs over its own tensors.
//!
//! The verbs are coarse on purpose: `project` lets a CPU normalise and quantise an activation once
//! for several matrices, `add_projected` lets it fuse the residual, and a lazy device builds its
//! graph and evaluates once in `to_host`.

use russet_weights::MatrixSource;

use crate::spec::{Activation, AttentionSpec, NormSpec};
use crate::{KvSpec, ModelError, ModelSpec, Step};

/// A device that the decoder's forward pass runs on.
///
/// Every verb's result for a row depends on that row (and, in `attend`, its own sequence) only, bit
/// for bit.
pub trait Device: Send {
    /// Activations: one row per batch row (or per selected row).
    type Tensor;
    /// A weight matrix in the device's form.
    type Matrix: Send;
    /// Norm weights or a bias.
    type Vector: Send;
    /// One layer's KV blocks.
    type Cache: Cache;

    /// What the device lacks of `spec`, by name.
    fn check(&self, spec: &ModelSpec) -> Result<(), Unsupported>;

    /// Takes a matrix from its file into the device's form.
    fn load_matrix(&mut self, source: &MatrixSource<'_>) -> Result<Self::Matrix, Unsupported>;

    /// Takes norm weights or a bias.
    fn load_vector(&mut self, values: Vec<f32>) -> Self::Vector;

    /// Allocates one layer's blocks.
    fn new_cache(&mut self, spec: &KvSpec, num_blocks: usize) -> Result<Self::Cache, ModelError>;

    /// Bytes that one block of a layer takes.
    fn block_bytes(&self, spec: &KvSpec) -> usize;

    /// Bytes of a loaded matrix.
    fn matrix_bytes(&self, matrix: &Self::Matrix) -> usize;

    /// The rows' input: token embeddings times `scale`, supplied embeddings as they are. A later
    /// pipeline stage has no `table` and no tokens.
    fn embed(&mut self, step: &Step<'_>, table: Option<&Self::Matrix>, scale: f32) -> Self::Tensor;

    /// `linear(norm(x))` for each of `linears`, which share their input.
    fn project(
        &mut self,
        x: &Self::Tensor,
        norm: Option<&Norm<Self>>,
        linears: &[&Linear<Self>],
    ) -> Vec<Self::Tensor>;

    /// Normalises and rotates queries and keys, writes keys and values to their slots, and attends.
    fn attend(
        &mut self,
        step: &Step<'_>,
        qkv: Qkv<Self>,
        layer: AttendLayer<'_, Self>,
    ) -> Self::Tensor;

    /// `activation(gate) * up`
    fn gate(
        &mut self,
        gate: Self::Tensor,
        up: Self::Tensor,
        activation: Activation,
    ) -> Self::Tensor;

    /// `h += scale * norm(linear(x))`
    fn add_projected(&mut self, h: &mut Self::Tensor, x: Self::Tensor, branch: Branch<'_, Self>);

    /// The given rows, in order.
    fn select(&mut self, x: &Self::Tensor, rows: &[usize]) -> Self::Tensor;

    /// Brings a tensor to the host, `[rows, width]`.
    fn to_host(&mut self, x: Self::Tensor) -> Vec<f32>;

    /// Takes back what [`Device::to_host`] returned.
    fn recycle_host(&mut self, _values: Vec<f32>) {}

    /// Takes back a tensor that nothing needs any more.
    fn recycle(&mut self, x: Self::Tensor);
}

/// One layer's KV blocks, as the model moves them.
pub trait Cache: Send {
    /// Copies one block over another.
    fn copy_block(&mut self, from: u32, to: u32);
    /// The bytes of a block.
    fn read_block(&self, block: u32) -> Vec<u8>;
    /// Restores the bytes of a block; their length is that of `read_block`.
    fn write_block(&mut self, block: u32, bytes: &[u8]);
}

/// A matrix with its bias.
pub struct Linear<D: Device + ?Sized> {
    /// `[outputs, inputs]`
    pub matrix: D::Matrix,
    /// One per output.
    pub bias: Option<D::Vector>,
}

/// A norm with its weights.
pub struct Norm<D: Device + ?Sized> {
    /// Which norm.
    pub spec: NormSpec,
    /// One per element of the normalised width.
    pub weight: D::Vector,
}

/// Queries, keys and values of a step's rows.
pub struct Qkv<D: Device + ?Sized> {
    /// `[rows, num_heads, head_dim]`
    pub q: D::Tensor,
    /// `[rows, num_kv_heads, head_dim]`
    pub k: D::Tensor,
    /// `[rows, num_kv_heads, head_dim]`
    pub v: D::Tensor,
}

/// What `attend` needs of its layer.
pub struct AttendLayer<'a, D: Device + ?Sized> {
    /// Heads, scale, reach.
    pub spec: &'a AttentionSpec,
    /// Norm of each query head.
    pub q_norm: Option<&'a Norm<D>>,
    /// Norm of each key head.
    pub k_norm: Option<&'a Norm<D>>,
    /// The cache group whose block tables the layer uses.
    pub group: usize,
    /// The layer's blocks.
    pub cache: &'a mut D::Cache,
}

/// The end of a residual branch.
pub struct Branch<'a, D: Device + ?Sized> {
    /// Projects back to the hidden width.
    pub linear: &'a Linear<D>,
    /// Applied to the projection.
    pub norm: Option<&'a Norm<D>>,
    /// Multiplies the branch.
    pub scale: f32,
}

/// Something a device cannot do, by name.
#[derive(Debug, thiserror::Error)]
#[error("{device} does not support {what}")]
pub struct Unsupported {
    /// The device.
    pub device: String,
    /// What it lacks, with the value found.
    pub what: String,
}
