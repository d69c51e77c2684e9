//! Tiles of plain floats.
//!
//! ```text
//! f32, f16  [k][16 rows]
//! bf16      [k / 2][16 rows][2]    pairs along K, as `vdpbf16ps` reads them
//! ```
//! K is padded to 4 with zeros, rows to 16.

use half::{bf16, f16};
use russet_tensor::{FloatSlice, FloatType, FpFormat, fp8_e4m3_value};

use super::{LINE_BYTES, PackedMatrix, TILE_ROWS, lines};

/// What K is padded to: two partial sums over pairs.
pub(crate) const DENSE_PAD: usize = 4;

/// Bytes of a tile of `cols` columns.
pub(super) fn tile_bytes(ty: FloatType, cols: usize) -> usize {
    cols.next_multiple_of(DENSE_PAD) * TILE_ROWS * ty.bytes()
}

/// A matrix that is packed as floats.
pub(super) enum Source<'a> {
    /// Stored as floats.
    Floats(FloatSlice<'a>),
    /// MLX mxfp8: E4M3 codes in groups of 32 with E8M0 scales, in the type that holds every value
    /// exactly.
    Mxfp8 { codes: &'a [u8], scales: &'a [u8], ty: FloatType, table: Box<[f32; 256]> },
}

impl<'a> Source<'a> {
    /// mxfp8 fits bf16 unless a scale reaches below bf16's denormals: the smallest code is 2^-9,
    /// the smallest bf16 2^-133.
    pub(super) fn mxfp8(codes: &'a [u8], scales: &'a [u8]) -> Self {
        let is_exact = scales.iter().all(|&s| s >= 3);
        let ty = if is_exact { FloatType::BF16 } else { FloatType::F32 };
        let table = Box::new(std::array::from_fn(|code| fp8_e4m3_value(code as u8)));
        Self::Mxfp8 { codes, scales, ty, table }
    }

    /// The type of the packed floats.
    pub(super) fn dtype(&self) -> FloatType {
        match self {
            Self::Floats(floats) => floats.dtype(),
            Self::Mxfp8 { ty, .. } => *ty,
        }
    }
}

/// Writes the tile whose lanes are `rows` of the source.
pub(super) fn fill(source: &Source<'_>, cols: usize, rows: &[usize], tile: &mut [u8]) {
    let lines = tile.as_chunks_mut::<LINE_BYTES>().0;
    match source {
        Source::Floats(floats) => {
            let mut lanes = [[].as_slice(); TILE_ROWS];
            for (lane, &row) in lanes.iter_mut().zip(rows) {
                *lane = floats.slice(row * cols, (row + 1) * cols).bytes();
            }
            lines::transpose(&lanes[..rows.len()], |words| words, lines.iter_mut());
        }
        Source::Mxfp8 { codes, scales, ty, table } => {
            for (lane, &row) in rows.iter().enumerate() {
                let scales = &scales[row * cols / 32..(row + 1) * cols / 32];
                let codes = codes[row * cols..(row + 1) * cols].chunks_exact(32).zip(scales);
                let values = codes.flat_map(|(codes, &scale)| {
                    let scale = FpFormat::Mxfp8.scale_value(scale);
                    codes.iter().map(move |&code| table[usize::from(code)] * scale)
                });
                put_values(*ty, values, lane, lines);
            }
        }
    }
    if source.dtype() == FloatType::F16 {
        lines.iter_mut().for_each(split_pairs);
    }
}

/// Writes the values of one lane, as f32 or as bf16.
fn put_values(
    ty: FloatType,
    values: impl Iterator<Item = f32>,
    lane: usize,
    lines: &mut [[u8; LINE_BYTES]],
) {
    if ty == FloatType::F32 {
        for (line, value) in lines.iter_mut().zip(values) {
            line.as_chunks_mut::<4>().0[lane] = value.to_le_bytes();
        }
    } else {
        for (k, value) in values.enumerate() {
            let value = bf16::from_f32(value).to_le_bytes();
            lines[k / 2].as_chunks_mut::<2>().0[2 * lane + k % 2] = value;
        }
    }
}

/// From pairs of columns, as bf16 has them, to one column after the other.
fn split_pairs(line: &mut [u8; LINE_BYTES]) {
    let pairs = *line;
    let (first, second) = line.as_chunks_mut::<2>().0.split_at_mut(TILE_ROWS);
    for (lane, pair) in pairs.as_chunks::<4>().0.iter().enumerate() {
        first[lane] = [pair[0], pair[1]];
        second[lane] = [pair[2], pair[3]];
    }
}

/// All tiles of a matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DenseTiles<'a> {
    matrix: &'a PackedMatrix,
    ty: FloatType,
}

/// One tile: 16 rows by all columns.
#[derive(Debug, Clone, Copy)]
pub struct DenseTile<'a> {
    /// Type of the elements, hence their order.
    pub(crate) ty: FloatType,
    /// The elements; K is padded to 4.
    pub(crate) bytes: &'a [u8],
}

impl<'a> DenseTiles<'a> {
    /// `ty` is the matrix's own.
    pub(crate) fn new(matrix: &'a PackedMatrix, ty: FloatType) -> Self {
        Self { matrix, ty }
    }

    pub(crate) fn tile(&self, i: usize) -> DenseTile<'a> {
        DenseTile { ty: self.ty, bytes: self.matrix.tile(i) }
    }
}

impl<'a> DenseTile<'a> {
    /// A tile of f32 columns made on the fly.
    pub(crate) fn of_floats(columns: &'a [[f32; TILE_ROWS]]) -> Self {
        let floats = columns.as_flattened();
        // SAFETY: any f32 is four initialised bytes, and `u8` has no alignment.
        let bytes = unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), 4 * floats.len()) };
        Self { ty: FloatType::F32, bytes }
    }

    /// Columns, padded to 4.
    pub(crate) fn padded_cols(&self) -> usize {
        self.bytes.len() / (TILE_ROWS * self.ty.bytes())
    }

    /// The value at column `k` of row `lane`.
    #[inline(always)]
    pub(crate) fn get(&self, k: usize, lane: usize) -> f32 {
        let index = match self.ty {
            FloatType::BF16 => (k / 2 * TILE_ROWS + lane) * 2 + k % 2,
            FloatType::F32 | FloatType::F16 => k * TILE_ROWS + lane,
        };
        let two = || [self.bytes[2 * index], self.bytes[2 * index + 1]];
        match self.ty {
            FloatType::F32 => f32::from_le_bytes(self.bytes.as_chunks::<4>().0[index]),
            FloatType::F16 => f16::from_le_bytes(two()).to_f32(),
            FloatType::BF16 => bf16::from_le_bytes(two()).to_f32(),
        }
    }

    /// The values of one row.
    pub(super) fn read_row(&self, lane: usize, out: &mut [f32]) {
        for (k, value) in out.iter_mut().enumerate() {
            *value = self.get(k, lane);
        }
    }
}
