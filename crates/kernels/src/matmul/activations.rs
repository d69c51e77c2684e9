//! The rows that weights are multiplied with, in the forms that kernels read.

use super::Operand;
use super::chunk::Chunk;
use crate::pack::Form;
use crate::{Executor, PackedMatrix};

/// How exact a product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// f32 activations, f32 sums.
    Exact,
    /// For quantised weights, activations as the sum of two int8 codes (about 15 bits); else as
    /// `Exact`.
    Fine,
    /// For quantised weights int8 activations, blocks that stand out coded twice; for bf16 weights
    /// bf16 activations where the CPU multiplies them.
    Balanced,
    /// As `Balanced`, but every block is coded once, as in other engines.
    Fast,
}

impl Precision {
    /// How many times the mean scale of its row a block's scale must be to be coded twice.
    fn outlier_ratio(self) -> f32 {
        match self {
            Self::Exact | Self::Fine => 0.0,
            Self::Balanced => 1.5,
            Self::Fast => f32::INFINITY,
        }
    }
}

/// Rows of activations; buffers are reused from one `prepare` to the next.
#[derive(Debug)]
pub struct Activations {
    rows: usize,
    cols: usize,
    precision: Precision,
    forms: Forms,
    chunks: Vec<Chunk>,
}

/// Which forms of the activations are wanted.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Forms {
    pub(crate) float: bool,
    pub(crate) bf16: bool,
    pub(crate) int8: bool,
    /// (offset, step) of the integer sums wanted.
    pub(crate) seeds: Vec<(u8, usize)>,
    /// Groups whose sums biases are multiplied with.
    pub(crate) group_sums: Vec<usize>,
    /// Blocks above so many times the mean scale of their row are coded twice.
    pub(crate) outlier_ratio: f32,
}

/// Elements below which more threads do not pay.
const MIN_PARALLEL: usize = 1 << 13;

impl Activations {
    /// No rows yet.
    pub fn new() -> Self {
        let (forms, chunks) = Default::default();
        Self { rows: 0, cols: 0, precision: Precision::Exact, forms, chunks }
    }

    /// Takes the rows `x: [rows, cols]`, in the forms that `matrices` need at `precision`.
    ///
    /// # Panics
    /// If `x` is not whole rows of `cols` elements.
    pub fn prepare(
        &mut self,
        exec: &Executor,
        x: &[f32],
        cols: usize,
        matrices: &[&PackedMatrix],
        precision: Precision,
    ) {
        assert!(cols > 0 && x.len().is_multiple_of(cols), "whole rows of {cols} elements");
        self.rows = x.len() / cols;
        self.cols = cols;
        self.precision = precision;
        self.forms.gather(exec, matrices, precision);
        fill(exec, &mut self.chunks, (x, cols), &self.forms);
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Whether the form that a product with `matrix` reads is there.
    pub(crate) fn has(&self, operand: Operand, matrix: &PackedMatrix) -> bool {
        match (operand, matrix.form()) {
            (Operand::Int8, Form::Int(form)) => {
                let has_sums = !form.biased || self.forms.group_sums.contains(&form.group);
                has_sums && self.forms.seeds.contains(&(form.offset, form.step()))
            }
            (Operand::Int8, Form::Dense(_)) => self.forms.int8,
            (Operand::Bf16, _) => self.forms.bf16,
            (Operand::Float, _) => self.forms.float,
        }
    }
}

/// Takes rows into chunks of about the same number.
fn fill(exec: &Executor, chunks: &mut Vec<Chunk>, (x, cols): (&[f32], usize), forms: &Forms) {
    let rows = x.len() / cols;
    let kernels = exec.kernels();
    let num_chunks = rows.div_ceil(kernels.chunk_rows());
    chunks.resize_with(num_chunks, Chunk::default);
    let bound = |i: usize| rows * i / num_chunks * cols;
    let fill = |i: usize, chunk: &mut Chunk| {
        chunk.fill(kernels, &x[bound(i)..bound(i + 1)], cols, forms);
    };
    if x.len() < MIN_PARALLEL {
        chunks.iter_mut().enumerate().for_each(|(i, chunk)| fill(i, chunk));
    } else {
        exec.pool().for_each(chunks, fill);
    }
}

impl Default for Activations {
    fn default() -> Self {
        Self::new()
    }
}

impl Forms {
    /// Sets what `matrices` need.
    fn gather(&mut self, exec: &Executor, matrices: &[&PackedMatrix], precision: Precision) {
        self.seeds.clear();
        self.group_sums.clear();
        self.outlier_ratio = precision.outlier_ratio();
        let needs = |wanted| move |m: &&PackedMatrix| Operand::of(exec, m, precision) == wanted;
        self.float = matrices.iter().any(needs(Operand::Float));
        self.bf16 = matrices.iter().any(needs(Operand::Bf16));
        self.int8 = matrices.iter().any(needs(Operand::Int8));
        for matrix in matrices.iter().copied().filter(needs(Operand::Int8)) {
            let Form::Int(form) = matrix.form() else { continue };
            let seed = (form.offset, form.step());
            if !self.seeds.contains(&seed) {
                self.seeds.push(seed);
            }
            if form.biased && !self.group_sums.contains(&form.group) {
                self.group_sums.push(form.group);
            }
        }
    }
}
