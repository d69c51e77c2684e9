//! Matrix products `y = x · Wᵀ` of packed weights.
//!
//! An output element's float operations happen in one order, whatever the number of rows, the
//! threads or the tiling:
//!
//! - integer codes: with `s` the scale, `b` the bias of a group and `a` the scale of a block of 32
//!   activations, `acc = b * Σ(a * q) + acc` at the start of each group, then `acc = s * (a * Σ
//!   code * q) + acc` per block (per half block where groups are of 16); after the last block the
//!   same for the blocks with second codes. `*` `+` is one fused operation and the inner sums are
//!   exact integers.
//! - floats: two accumulators, for even and odd columns, added at the end.
//!
//! All implementations are therefore equal bit for bit, except that bf16 dot products (where the
//! CPU has them) round as that instruction does.

mod activations;
mod chunk;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) mod forms;
mod int8;
mod output;

use std::ops::Range;

use russet_tensor::FloatType;

use crate::pack::{DenseTiles, Form, IntTiles};
use crate::{Executor, PackedMatrix};

pub use crate::pack::{DenseTile, IntTile};
pub use activations::{Activations, Precision};
pub use chunk::Chunk;
pub(crate) use chunk::MAX_CHUNK_ROWS;
#[cfg(target_arch = "x86_64")]
pub(crate) use int8::SecondSteps;
pub(crate) use int8::{Int8, RowCodes, quantize, quantize_rest};
pub(crate) use output::Output;

use crate::pack::TILE_ROWS;
use crate::quant::BLOCK;

/// A row of outputs of one tile.
pub type Lanes = [f32; TILE_ROWS];

/// The matrix-product kernels of one ISA: one tile of 16 weight rows times a chunk of activation
/// rows.
pub trait MatMul {
    /// Rows that a chunk has at most, 12 or less.
    fn chunk_rows(&self) -> usize {
        MAX_CHUNK_ROWS
    }

    /// Whether [`MatMul::bf16_tile`] is implemented.
    fn has_bf16_dot(&self) -> bool {
        false
    }

    /// Sets `out`, which is empty, to `x`, whole blocks of 32 activations, as codes.
    fn quantize(&self, x: &[f32], out: &mut RowCodes);

    /// Sets `out`, which is empty, to what the codes `first` leave of the blocks of `x` whose
    /// indices are given.
    fn quantize_rest(&self, x: &[f32], first: &RowCodes, blocks: &[usize], out: &mut RowCodes);

    /// `out[r]` = outputs of activation row `r`, int8 activations.
    fn int8_tile(&self, tile: &IntTile<'_>, chunk: &Chunk, out: &mut [Lanes]);

    /// `out[r]` = outputs of activation row `r`, f32 activations.
    fn float_tile(&self, tile: &DenseTile<'_>, chunk: &Chunk, out: &mut [Lanes]);

    /// `out[r]` = outputs of activation row `r`, bf16 weights and activations.
    fn bf16_tile(&self, _tile: &DenseTile<'_>, _chunk: &Chunk, _out: &mut [Lanes]) {
        unreachable!("only where has_bf16_dot says so")
    }

    /// The values of a tile as f32, `out[col][row]`.
    fn widen_tile(&self, tile: &IntTile<'_>, out: &mut [Lanes]);
}

/// The form of the activations that a product reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operand {
    Float,
    Int8,
    Bf16,
}

impl Operand {
    /// The form that `matrix` needs at `precision`.
    pub(crate) fn of(exec: &Executor, matrix: &PackedMatrix, precision: Precision) -> Self {
        match (precision, matrix.form()) {
            (Precision::Exact, _) | (Precision::Fine, Form::Dense(_)) => Self::Float,
            (_, Form::Int(_)) => Self::Int8,
            (_, Form::Dense(FloatType::BF16)) if exec.kernels().has_bf16_dot() => Self::Bf16,
            (_, Form::Dense(_)) => Self::Float,
        }
    }
}

/// `outputs[i] = x · matrices[i]ᵀ`, all in one parallel region.
///
/// `outputs[i]` is `[x.rows(), matrices[i].rows()]`, row-major, and is overwritten.
///
/// # Panics
/// If an output has the wrong length, a matrix has other columns than `x`, or `x` was not prepared
/// for it.
pub fn matmul(
    exec: &Executor,
    matrices: &[&PackedMatrix],
    x: &Activations,
    outputs: &mut [&mut [f32]],
) {
    let factors: Vec<_> = matrices.iter().map(|&matrix| (matrix, x)).collect();
    matmul_gathered(exec, &factors, outputs);
}

/// `outputs[i] = xᵢ · matrixᵢᵀ` for each `(matrixᵢ, xᵢ)`, all in one parallel region: experts with
/// the rows that were routed to each, of which there may be any number.
///
/// `outputs[i]` is `[xᵢ.rows(), matrixᵢ.rows()]`, row-major, and is overwritten.
///
/// # Panics
/// As [`matmul`].
pub fn matmul_gathered(
    exec: &Executor,
    factors: &[(&PackedMatrix, &Activations)],
    outputs: &mut [&mut [f32]],
) {
    assert_eq!(factors.len(), outputs.len(), "one output a matrix");
    let mut products = Vec::with_capacity(factors.len());
    for (&(matrix, x), output) in factors.iter().zip(outputs) {
        assert_eq!(matrix.cols(), x.cols(), "columns of weights and activations");
        let operand = Operand::of(exec, matrix, x.precision());
        assert!(x.has(operand, matrix), "activations were not prepared for this matrix");
        let output = Output::new(output, x.rows(), matrix.rows());
        let tiles = Tiles::of(matrix);
        products.push(Product { exec, matrix, tiles, x, operand, output });
    }
    let tasks = split(exec, &products);
    exec.pool().run(tasks.len(), |i| {
        let (product, tiles) = &tasks[i];
        // SAFETY: the tile ranges of a product's tasks are disjoint.
        unsafe { products[*product].run(tiles.clone()) };
    });
}

/// Tasks a thread should find, so that a slow thread delays the others by little.
const TASKS_PER_THREAD: usize = 8;
/// Weight bytes times rows below which a task is not worth its start.
const MIN_TASK_WORK: usize = 1 << 14;
/// Weight bytes times rows above which the others wait long for the last task.
const MAX_TASK_WORK: usize = 1 << 17;

/// Cuts the products into tasks of about the same work: (product, tiles).
fn split(exec: &Executor, products: &[Product<'_>]) -> Vec<(usize, Range<usize>)> {
    let work = |p: &Product<'_>| p.matrix.num_bytes() * p.x.rows();
    let total: usize = products.iter().map(work).sum();
    let most = MAX_TASK_WORK * products.iter().map(|p| p.x.rows()).max().unwrap_or(0).max(1);
    let per_task = match exec.num_threads() {
        1 => usize::MAX,
        threads => (total / (threads * TASKS_PER_THREAD)).clamp(MIN_TASK_WORK, most),
    };
    let mut tasks = Vec::with_capacity(total.div_ceil(per_task) + products.len());
    for (i, product) in products.iter().enumerate() {
        let num_tiles = if product.x.rows() == 0 { 0 } else { product.matrix.num_tiles() };
        let parts = work(product).div_ceil(per_task).clamp(1, num_tiles.max(1));
        tasks.extend((0..parts).map(|p| (i, num_tiles * p / parts..num_tiles * (p + 1) / parts)));
    }
    tasks
}

/// One matrix times the activations.
struct Product<'a> {
    exec: &'a Executor,
    matrix: &'a PackedMatrix,
    tiles: Tiles<'a>,
    x: &'a Activations,
    operand: Operand,
    output: Output<'a>,
}

/// Activation bytes that a sweep over tiles reuses from the L2 cache.
const SWEEP_BYTES: usize = 384 << 10;

impl Product<'_> {
    /// Computes the outputs of `tiles` for every row.
    ///
    /// # Safety
    /// No other thread may compute the same tiles of this product.
    unsafe fn run(&self, tiles: Range<usize>) {
        let chunk_rows = self.exec.kernels().chunk_rows();
        let chunk_bytes = chunk_rows * self.x.cols() * self.operand.bytes();
        let sweep = (SWEEP_BYTES / chunk_bytes.max(1)).max(1);
        let mut first_row = 0;
        for chunks in self.x.chunks().chunks(sweep) {
            // SAFETY: as this function's contract.
            unsafe { self.sweep(tiles.clone(), chunks, first_row) };
            first_row += chunks.iter().map(Chunk::rows).sum::<usize>();
        }
    }

    /// Computes `tiles` for `chunks`, whose first output row is `first_row`. Each tile is read once
    /// from memory.
    ///
    /// # Safety
    /// As for [`Self::run`].
    unsafe fn sweep(&self, tiles: Range<usize>, chunks: &[Chunk], first_row: usize) {
        let kernels = self.exec.kernels();
        let mut lanes = [[0.0; TILE_ROWS]; MAX_CHUNK_ROWS];
        let mut widened = Vec::new();
        for t in tiles {
            let tile = self.tile(t, &mut widened);
            let mut row = first_row;
            for (i, chunk) in chunks.iter().enumerate() {
                let out = &mut lanes[..chunk.rows()];
                match &tile {
                    Tile::Int(tile) => {
                        // The first chunk waits for memory, the last need not.
                        let last = i > 0 && i + 1 == chunks.len();
                        let tile = if last { &tile.fetching_next() } else { tile };
                        kernels.int8_tile(tile, chunk, out);
                    }
                    Tile::Dense(tile) if self.operand == Operand::Bf16 => {
                        kernels.bf16_tile(tile, chunk, out);
                    }
                    Tile::Dense(tile) => kernels.float_tile(tile, chunk, out),
                }
                // SAFETY: this thread alone computes this tile.
                unsafe { self.output.put(row, t, out) };
                row += chunk.rows();
            }
        }
    }

    /// Tile `t`, as floats if integer codes meet float activations.
    fn tile<'t>(&'t self, t: usize, widened: &'t mut Vec<Lanes>) -> Tile<'t> {
        match &self.tiles {
            Tiles::Dense(tiles) => Tile::Dense(tiles.tile(t)),
            Tiles::Int(tiles) => {
                let tile = tiles.tile(t);
                if self.operand == Operand::Int8 {
                    return Tile::Int(tile);
                }
                widened.resize(tile.layout.num_blocks * BLOCK, [0.0; TILE_ROWS]);
                self.exec.kernels().widen_tile(&tile, widened);
                Tile::Dense(DenseTile::of_floats(widened))
            }
        }
    }
}

/// The tiles of a matrix; to find how they are laid out takes as long as some blocks of a product.
enum Tiles<'a> {
    Int(IntTiles<'a>),
    Dense(DenseTiles<'a>),
}

impl<'a> Tiles<'a> {
    fn of(matrix: &'a PackedMatrix) -> Self {
        match matrix.form() {
            Form::Dense(ty) => Self::Dense(DenseTiles::new(matrix, ty)),
            Form::Int(form) => Self::Int(IntTiles::new(matrix, form)),
        }
    }
}

enum Tile<'a> {
    Int(IntTile<'a>),
    Dense(DenseTile<'a>),
}

impl Operand {
    /// Bytes of one activation.
    fn bytes(self) -> usize {
        match self {
            Self::Float => 4,
            Self::Int8 => 1,
            Self::Bf16 => 2,
        }
    }
}
