//! Weight matrices in the layout of the kernels: tiles of 16 rows, so that one SIMD lane is one
//! output.

mod dense;
mod int;
mod lines;
mod plain;
mod planes;
mod scales;
#[cfg(target_arch = "aarch64")]
mod steps;

use russet_tensor::{FloatType, FpFormat, GgmlType, MatrixData, MatrixView, RowMap};

use crate::quant::{self, Affine, IntForm, Source};
use crate::{AlignedBytes, Error, Executor};

pub use dense::DenseTile;
pub(crate) use dense::{DENSE_PAD, DenseTiles};
pub use int::IntTile;
pub(crate) use int::IntTiles;
pub(crate) use planes::LINE_BYTES;
pub(crate) use scales::Group;

/// Rows of a tile.
pub(crate) const TILE_ROWS: usize = 16;

/// A weight matrix `[rows, cols]`, converted without loss to the layout that the kernels read.
#[derive(Debug)]
pub struct PackedMatrix {
    rows: usize,
    cols: usize,
    encoding: String,
    form: Form,
    tile_bytes: usize,
    bytes: AlignedBytes,
}

/// What the tiles of a matrix hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Form {
    /// Integer codes with scales.
    Int(IntForm),
    /// Plain floats.
    Dense(FloatType),
}

impl PackedMatrix {
    /// Packs `view` with its rows in the order of `rows`, on all threads of `exec`.
    ///
    /// # Errors
    /// If the parts of the view do not fit its shape, the row order does not fit the rows, or
    /// memory is short.
    pub fn pack(exec: &Executor, view: &MatrixView<'_>, rows: RowMap) -> Result<Self, Error> {
        let view = checked(view)?;
        if let RowMap::HalvesFromPairs { heads } = rows
            && (heads == 0 || !view.rows.is_multiple_of(2 * heads))
        {
            return Err(Error::Heads { rows: view.rows, heads });
        }
        with_source(&view, &Packer { exec, view, map: rows })
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes of the packed form: what one product with one row of activations reads.
    pub fn num_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The encoding of the file it came from, such as `affine 4-bit group 64`.
    pub fn encoding(&self) -> String {
        self.encoding.clone()
    }

    /// The values of row `row`. Panics if `out` has not `cols` elements or the row is out of range.
    ///
    /// A value is `scale * (code - offset) + bias`, rounded once.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        assert_eq!(out.len(), self.cols, "one element a column");
        let (tile, lane) = (row / TILE_ROWS, row % TILE_ROWS);
        match self.form {
            Form::Int(form) => IntTiles::new(self, form).tile(tile).read_row(lane, out),
            Form::Dense(ty) => DenseTiles::new(self, ty).tile(tile).read_row(lane, out),
        }
    }

    /// What the tiles hold.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Number of tiles.
    pub(crate) fn num_tiles(&self) -> usize {
        self.rows.div_ceil(TILE_ROWS)
    }

    /// The bytes of tile `i`.
    fn tile(&self, i: usize) -> &[u8] {
        &self.bytes[i * self.tile_bytes..(i + 1) * self.tile_bytes]
    }
}

/// A matrix on its way into tiles.
struct Packer<'a> {
    exec: &'a Executor,
    view: MatrixView<'a>,
    map: RowMap,
}

impl Packer<'_> {
    /// Allocates the tiles and has `fill` write each, given the source rows of its lanes.
    fn pack(
        &self,
        form: Form,
        tile_bytes: usize,
        fill: impl Fn(&[usize], &mut [u8]) + Sync,
    ) -> Result<PackedMatrix, Error> {
        let (rows, cols) = (self.view.rows, self.view.cols);
        let num_tiles = rows.div_ceil(TILE_ROWS);
        let len = num_tiles.checked_mul(tile_bytes);
        let len = len.ok_or(Error::OutOfMemory { bytes: usize::MAX })?;
        let mut bytes = self.exec.arena().alloc(len)?;
        let mut tiles: Vec<&mut [u8]> = bytes.chunks_exact_mut(tile_bytes.max(1)).collect();
        self.exec.pool().for_each(&mut tiles, |i, tile| {
            let first = i * TILE_ROWS;
            let mut sources = [0; TILE_ROWS];
            let lanes = TILE_ROWS.min(rows - first);
            for (lane, source) in sources[..lanes].iter_mut().enumerate() {
                *source = self.map.source_row(first + lane, rows);
            }
            fill(&sources[..lanes], tile);
        });
        let encoding = self.view.encoding();
        Ok(PackedMatrix { rows, cols, encoding, form, tile_bytes, bytes })
    }
}

/// Bytes that [`PackedMatrix::pack`] makes of `view`, without packing it.
///
/// # Errors
/// As `pack`, if the parts of the view do not fit its shape.
pub fn packed_bytes(view: &MatrixView<'_>) -> Result<usize, Error> {
    let view = checked(view)?;
    let tile_bytes = with_source(&view, &Measure { cols: view.cols });
    let bytes = view.rows.div_ceil(TILE_ROWS).checked_mul(tile_bytes);
    bytes.ok_or(Error::OutOfMemory { bytes: usize::MAX })
}

fn checked<'a>(view: &MatrixView<'a>) -> Result<MatrixView<'a>, Error> {
    if let MatrixData::Affine { group, .. } = view.data
        && ![32, 64, 128].contains(&group)
    {
        return Err(Error::Group { found: group });
    }
    Ok(MatrixView::new(view.rows, view.cols, view.data)?)
}

/// What is done with the reader of an encoding.
trait WithSource {
    type Output;

    fn int(&self, source: &impl Source) -> Self::Output;
    fn dense(&self, source: &dense::Source<'_>) -> Self::Output;
}

/// Finds the bytes of a tile.
struct Measure {
    cols: usize,
}

impl WithSource for Measure {
    type Output = usize;

    fn int(&self, source: &impl Source) -> usize {
        int::Layout::new(source.form(), self.cols).tile_bytes()
    }

    fn dense(&self, source: &dense::Source<'_>) -> usize {
        dense::tile_bytes(source.dtype(), self.cols)
    }
}

impl WithSource for Packer<'_> {
    type Output = Result<PackedMatrix, Error>;

    fn int(&self, source: &impl Source) -> Result<PackedMatrix, Error> {
        let form = source.form();
        let layout = int::Layout::new(form, self.view.cols);
        self.pack(Form::Int(form), layout.tile_bytes(), |rows, tile| {
            int::fill(&layout, source, rows, tile);
        })
    }

    fn dense(&self, source: &dense::Source<'_>) -> Result<PackedMatrix, Error> {
        let (ty, cols) = (source.dtype(), self.view.cols);
        self.pack(Form::Dense(ty), dense::tile_bytes(ty, cols), |rows, tile| {
            dense::fill(source, cols, rows, tile);
        })
    }
}

/// Chooses the reader of the view's encoding.
fn with_source<W: WithSource>(view: &MatrixView<'_>, then: &W) -> W::Output {
    let cols = view.cols;
    match view.data {
        MatrixData::Dense(floats) => then.dense(&dense::Source::Floats(floats)),
        MatrixData::Affine { bits, group, codes, scales, biases } => {
            macro_rules! affine {
                ($bits:literal) => {
                    then.int(&Affine::<$bits> { cols, group, codes, scales, biases })
                };
            }
            match bits.get() {
                2 => affine!(2),
                3 => affine!(3),
                4 => affine!(4),
                5 => affine!(5),
                6 => affine!(6),
                _ => affine!(8),
            }
        }
        MatrixData::Fp { format, codes, scales, global_scale } => match format {
            FpFormat::Mxfp4 => then.int(&quant::Mxfp4 { cols, codes, scales }),
            FpFormat::Nvfp4 => then.int(&quant::Nvfp4 { cols, codes, scales, global_scale }),
            FpFormat::Mxfp8 => then.dense(&dense::Source::mxfp8(codes, scales)),
        },
        MatrixData::Ggml { ty, bytes } => with_ggml(cols, ty, bytes, then),
    }
}

fn with_ggml<W: WithSource>(cols: usize, ty: GgmlType, bytes: &[u8], then: &W) -> W::Output {
    use russet_tensor::FloatSlice;
    let dense = |ty| then.dense(&dense::Source::Floats(FloatSlice::new(ty, bytes)));
    match ty {
        GgmlType::F32 => dense(FloatType::F32),
        GgmlType::F16 => dense(FloatType::F16),
        GgmlType::BF16 => dense(FloatType::BF16),
        GgmlType::Q4_0 => then.int(&quant::Q4_0 { cols, bytes }),
        GgmlType::Q4_1 => then.int(&quant::Q4_1 { cols, bytes }),
        GgmlType::Q5_0 => then.int(&quant::Q5_0 { cols, bytes }),
        GgmlType::Q5_1 => then.int(&quant::Q5_1 { cols, bytes }),
        GgmlType::Q8_0 => then.int(&quant::Q8_0 { cols, bytes }),
        GgmlType::Q2_K => then.int(&quant::Q2K { cols, bytes }),
        GgmlType::Q3_K => then.int(&quant::Q3K { cols, bytes }),
        GgmlType::Q4_K => then.int(&quant::Q4K { cols, bytes }),
        GgmlType::Q5_K => then.int(&quant::Q5K { cols, bytes }),
        GgmlType::Q6_K => then.int(&quant::Q6K { cols, bytes }),
        GgmlType::IQ4_NL => then.int(&quant::Iq4Nl { cols, bytes }),
        GgmlType::IQ4_XS => then.int(&quant::Iq4Xs { cols, bytes }),
        GgmlType::MXFP4 => then.int(&quant::GgmlMxfp4 { cols, bytes }),
    }
}
