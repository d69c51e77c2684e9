//! The verbs, except attention.

use std::num::NonZeroUsize;

use russet_decoder::{
    Activation, AttendLayer, Branch, Cache, Device, Input, KvSpec, Linear, ModelError, ModelSpec,
    Norm, Qkv, Step, Unsupported,
};
use russet_kernels::{
    self as kernels, Activations, Executor, Isa, KvLayout, KvPool, KvType, PackedMatrix, Precision,
};
use russet_weights::MatrixSource;

use crate::attend;
use crate::buffers::{Buffer, Spares};

/// What is the caller's choice about the CPU.
#[derive(Debug, Clone, Copy)]
pub struct CpuOptions {
    /// Threads that compute, the calling one included.
    pub threads: NonZeroUsize,
    /// The instruction set; `None` takes the best there is.
    pub isa: Option<Isa>,
    /// f32 activations, or the fastest that keep the model's quality.
    pub precision: Precision,
    /// How keys and values are stored.
    pub kv_type: KvType,
}

/// The CPU with its packed weights' scratch memory.
pub struct CpuDevice {
    pub(crate) exec: Executor,
    pub(crate) spares: Spares,
    activations: Activations,
    precision: Precision,
    kv_type: KvType,
}

impl CpuDevice {
    /// Starts the worker threads. Errors if this CPU lacks the instruction set.
    pub fn new(options: CpuOptions) -> Result<Self, kernels::Error> {
        let exec = Executor::new(kernels::select(options.isa)?, options.threads);
        Ok(Self {
            exec,
            spares: Spares::default(),
            activations: Activations::new(),
            precision: options.precision,
            kv_type: options.kv_type,
        })
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.exec.isa()
    }

    /// Parallel regions so far, each of which ends with a barrier.
    pub fn num_regions(&self) -> u64 {
        self.exec.pool().num_regions()
    }

    /// `x · Wᵀ + bias` for each of `linears`, in one parallel region.
    fn multiply(&mut self, x: &[f32], width: usize, linears: &[&Linear<Self>]) -> Vec<Buffer> {
        let rows = x.len() / width;
        let matrices: Vec<&PackedMatrix> = linears.iter().map(|l| &l.matrix).collect();
        self.activations.prepare(&self.exec, x, width, &matrices, self.precision);
        let mut outputs: Vec<Buffer> =
            matrices.iter().map(|m| self.spares.take(rows, m.rows())).collect();
        let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(|b| &mut *b.values).collect();
        kernels::matmul(&self.exec, &matrices, &self.activations, &mut slices);
        for (output, linear) in outputs.iter_mut().zip(linears) {
            if let Some(bias) = &linear.bias {
                kernels::add_bias(&self.exec, &mut output.values, bias);
            }
        }
        outputs
    }

    fn normalised(&mut self, x: &Buffer, norm: &Norm<Self>) -> Buffer {
        let mut out = self.spares.take(x.values.len() / x.width, x.width);
        let (weight, eps) = (Some(norm.weight.as_slice()), norm.spec.eps);
        kernels::rms_norm(&self.exec, &x.values, weight, eps, x.width, &mut out.values);
        out
    }
}

impl Device for CpuDevice {
    type Tensor = Buffer;
    type Matrix = PackedMatrix;
    type Vector = Vec<f32>;
    type Cache = CpuCache;

    /// Every mixer, feed-forward part and norm that a spec can name has a kernel.
    fn check(&self, _spec: &ModelSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    fn load_matrix(&mut self, source: &MatrixSource<'_>) -> Result<PackedMatrix, Unsupported> {
        PackedMatrix::pack(&self.exec, &source.view, source.row_map)
            .map_err(|e| Unsupported { device: "cpu".into(), what: e.to_string() })
    }

    fn load_vector(&mut self, values: Vec<f32>) -> Vec<f32> {
        values
    }

    fn new_cache(&mut self, spec: &KvSpec, num_blocks: usize) -> Result<CpuCache, ModelError> {
        let layout = self.layout(spec);
        let bytes = layout.block_bytes() * num_blocks;
        let pool = KvPool::new(layout, num_blocks).map_err(|error| match error {
            kernels::Error::KvBlock { found, multiple } => ModelError::BlockLen { found, multiple },
            _ => ModelError::CacheMemory { bytes },
        })?;
        Ok(CpuCache { pool })
    }

    fn block_bytes(&self, spec: &KvSpec) -> usize {
        self.layout(spec).block_bytes()
    }

    fn matrix_bytes(&self, matrix: &PackedMatrix) -> usize {
        matrix.num_bytes()
    }

    fn embed(&mut self, step: &Step<'_>, table: Option<&PackedMatrix>, scale: f32) -> Buffer {
        let width = step.hidden_len;
        let mut out = self.spares.take(step.batch.rows.len(), width);
        for (row, out) in step.batch.rows.iter().zip(out.values.chunks_exact_mut(width)) {
            match row.input {
                Input::Token(token) => {
                    let table = table.expect("the decoder gives no tokens without a table");
                    table.dequantize_row(token.0 as usize, out);
                    out.iter_mut().for_each(|x| *x *= scale);
                }
                Input::Embedding(i) => {
                    out.copy_from_slice(&step.batch.embeddings[i * width..(i + 1) * width]);
                }
            }
        }
        out
    }

    fn project(
        &mut self,
        x: &Buffer,
        norm: Option<&Norm<Self>>,
        linears: &[&Linear<Self>],
    ) -> Vec<Buffer> {
        let Some(norm) = norm else { return self.multiply(&x.values, x.width, linears) };
        let normed = self.normalised(x, norm);
        let outputs = self.multiply(&normed.values, normed.width, linears);
        self.spares.give(normed);
        outputs
    }

    fn attend(&mut self, step: &Step<'_>, qkv: Qkv<Self>, layer: AttendLayer<'_, Self>) -> Buffer {
        attend::attend(self, step, qkv, layer)
    }

    fn gate(&mut self, gate: Buffer, up: Buffer, activation: Activation) -> Buffer {
        let mut out = self.spares.take(gate.values.len() / gate.width, gate.width);
        let activation = match activation {
            Activation::Silu => kernels::Activation::Silu,
            Activation::Gelu => kernels::Activation::Gelu,
            Activation::GeluTanh => kernels::Activation::GeluTanh,
        };
        kernels::gated(&self.exec, &gate.values, &up.values, activation, &mut out.values);
        self.spares.give(gate);
        self.spares.give(up);
        out
    }

    fn add_projected(&mut self, h: &mut Buffer, x: Buffer, branch: Branch<'_, Self>) {
        let mut y = self.multiply(&x.values, x.width, &[branch.linear]).remove(0);
        if let Some(norm) = branch.norm {
            let (weight, eps) = (Some(norm.weight.as_slice()), norm.spec.eps);
            kernels::rms_norm_in_place(&self.exec, &mut y.values, weight, eps, y.width);
        }
        kernels::add_scaled(&self.exec, &mut h.values, &y.values, branch.scale);
        self.spares.give(x);
        self.spares.give(y);
    }

    fn select(&mut self, x: &Buffer, rows: &[usize]) -> Buffer {
        let mut out = self.spares.take(rows.len(), x.width);
        for (&row, out) in rows.iter().zip(out.values.chunks_exact_mut(x.width)) {
            out.copy_from_slice(&x.values[row * x.width..(row + 1) * x.width]);
        }
        out
    }

    fn to_host(&mut self, x: Buffer) -> Vec<f32> {
        x.values.into_vec()
    }

    fn recycle_host(&mut self, values: Vec<f32>) {
        self.spares.give(Buffer::from_vec(values));
    }

    fn recycle(&mut self, x: Buffer) {
        self.spares.give(x);
    }
}

impl CpuDevice {
    fn layout(&self, spec: &KvSpec) -> KvLayout {
        KvLayout {
            dtype: self.kv_type,
            block_len: spec.block_len,
            num_kv_heads: spec.num_kv_heads,
            k_dim: spec.head_dim,
            v_dim: spec.head_dim,
        }
    }
}

/// One layer's KV blocks.
pub struct CpuCache {
    pub(crate) pool: KvPool,
}

impl Cache for CpuCache {
    fn copy_block(&mut self, from: u32, to: u32) {
        self.pool.copy_block(from, to);
    }

    fn read_block(&self, block: u32) -> Vec<u8> {
        self.pool.block(block).to_vec()
    }

    fn write_block(&mut self, block: u32, bytes: &[u8]) {
        self.pool.block_mut(block).copy_from_slice(bytes);
    }
}
