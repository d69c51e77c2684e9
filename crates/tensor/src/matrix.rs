//! A weight matrix as its file stores it.

use crate::{AffineBits, FloatSlice, FpFormat, GgmlType};

/// A weight matrix as its file stores it: `rows` outputs by `cols` inputs, row-major, groups along
/// `cols`.
#[derive(Debug, Clone, Copy)]
pub struct MatrixView<'a> {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// The encoded elements.
    pub data: MatrixData<'a>,
}

/// The encoding of a matrix and its bytes.
#[derive(Debug, Clone, Copy)]
pub enum MatrixData<'a> {
    /// Plain floats, `[rows, cols]`.
    Dense(FloatSlice<'a>),
    /// MLX affine: `w = q * scale + bias`.
    Affine {
        /// Width of a code.
        bits: AffineBits,
        /// Elements that share a scale and a bias: 32, 64 or 128.
        group: usize,
        /// Bit streams, `[rows, cols * bits / 8]` bytes.
        codes: &'a [u8],
        /// `[rows, cols / group]`
        scales: FloatSlice<'a>,
        /// `[rows, cols / group]`
        biases: FloatSlice<'a>,
    },
    /// MLX floating-point modes: `w = code * scale [* global_scale / (448 * 6)]`.
    Fp {
        /// Codes and scales.
        format: FpFormat,
        /// `[rows, cols * bits / 8]` bytes, low nibble first.
        codes: &'a [u8],
        /// `[rows, cols / group]` bytes.
        scales: &'a [u8],
        /// NVFP4's scale of the whole tensor.
        global_scale: Option<f32>,
    },
    /// Blocks of a GGUF file.
    Ggml {
        /// The block type.
        ty: GgmlType,
        /// `[rows, cols / block_len]` blocks.
        bytes: &'a [u8],
    },
}

/// Sizes of an encoding that do not fit its shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The inner dimension does not hold whole groups or blocks.
    #[error("{cols} columns are not a multiple of {multiple}, which {encoding} needs")]
    Columns {
        /// Columns found.
        cols: usize,
        /// What they must be a multiple of.
        multiple: usize,
        /// The encoding's name.
        encoding: String,
    },
    /// A part has another length than the shape says.
    #[error("{part} of a {rows}x{cols} {encoding} matrix has {found} bytes, {expected} expected")]
    Bytes {
        /// Which part: codes, scales or biases.
        part: &'static str,
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
        /// The encoding's name.
        encoding: String,
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
}

/// Where row `r` of a matrix comes from in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowMap {
    /// In order.
    Identity,
    /// GGUF llama files interleave the two rotary halves of each of `heads` heads; this undoes it.
    HalvesFromPairs {
        /// Heads in the matrix; each has `rows / heads` rows.
        heads: usize,
    },
}

impl RowMap {
    /// The row of the file that holds row `r` of a matrix of `rows` rows.
    pub fn source_row(self, r: usize, rows: usize) -> usize {
        match self {
            Self::Identity => r,
            Self::HalvesFromPairs { heads } => {
                let head_rows = rows / heads;
                let (head, i) = (r / head_rows, r % head_rows);
                let half = head_rows / 2;
                head * head_rows + 2 * (i % half) + i / half
            }
        }
    }
}

impl<'a> MatrixView<'a> {
    /// A view whose parts are checked against the shape.
    pub fn new(rows: usize, cols: usize, data: MatrixData<'a>) -> Result<Self, ShapeError> {
        let view = Self { rows, cols, data };
        view.check()?;
        Ok(view)
    }

    /// A readable name of the encoding, such as `affine 4-bit group 64` or `Q4_K`.
    pub fn encoding(&self) -> String {
        match self.data {
            MatrixData::Dense(floats) => floats.dtype().name().into(),
            MatrixData::Affine { bits, group, .. } => {
                format!("affine {}-bit group {group}", bits.get())
            }
            MatrixData::Fp { format, .. } => format.name().into(),
            MatrixData::Ggml { ty, .. } => ty.to_string(),
        }
    }

    /// Bytes of all parts.
    pub fn num_bytes(&self) -> usize {
        self.parts().iter().map(|part| part.1).sum()
    }

    /// Rows `start..end` as their own view: how fused and stacked matrices are split.
    pub fn row_range(&self, start: usize, end: usize) -> Self {
        assert!(start <= end && end <= self.rows, "rows {start}..{end} of {}", self.rows);
        let cut = |bytes: &'a [u8]| {
            let row = bytes.len() / self.rows.max(1);
            &bytes[start * row..end * row]
        };
        let cut_floats = |f: FloatSlice<'a>| {
            let row = f.len() / self.rows.max(1);
            f.slice(start * row, end * row)
        };
        let data = match self.data {
            MatrixData::Dense(floats) => MatrixData::Dense(cut_floats(floats)),
            MatrixData::Affine { bits, group, codes, scales, biases } => MatrixData::Affine {
                bits,
                group,
                codes: cut(codes),
                scales: cut_floats(scales),
                biases: cut_floats(biases),
            },
            MatrixData::Fp { format, codes, scales, global_scale } => {
                MatrixData::Fp { format, codes: cut(codes), scales: cut(scales), global_scale }
            }
            MatrixData::Ggml { ty, bytes } => MatrixData::Ggml { ty, bytes: cut(bytes) },
        };
        Self { rows: end - start, cols: self.cols, data }
    }

    /// What `cols` must be a multiple of.
    fn col_multiple(&self) -> usize {
        match self.data {
            MatrixData::Dense(_) => 1,
            MatrixData::Affine { group, .. } => group,
            MatrixData::Fp { format, .. } => format.group(),
            MatrixData::Ggml { ty, .. } => ty.block_len(),
        }
    }

    /// Each part: name, bytes found, bytes expected.
    fn parts(&self) -> Vec<(&'static str, usize, usize)> {
        let (rows, cols) = (self.rows, self.cols);
        match self.data {
            MatrixData::Dense(f) => {
                vec![("elements", f.bytes().len(), rows * cols * f.dtype().bytes())]
            }
            MatrixData::Affine { bits, group, codes, scales, biases } => {
                let floats = |f: FloatSlice<'_>| rows * (cols / group) * f.dtype().bytes();
                vec![
                    ("codes", codes.len(), rows * bits.row_bytes(cols)),
                    ("scales", scales.bytes().len(), floats(scales)),
                    ("biases", biases.bytes().len(), floats(biases)),
                ]
            }
            MatrixData::Fp { format, codes, scales, .. } => vec![
                ("codes", codes.len(), rows * cols * format.bits() / 8),
                ("scales", scales.len(), rows * (cols / format.group())),
            ],
            MatrixData::Ggml { ty, bytes } => {
                vec![("blocks", bytes.len(), rows * ty.row_bytes(cols))]
            }
        }
    }

    fn check(&self) -> Result<(), ShapeError> {
        let (rows, cols, multiple) = (self.rows, self.cols, self.col_multiple());
        if !cols.is_multiple_of(multiple) {
            return Err(ShapeError::Columns { cols, multiple, encoding: self.encoding() });
        }
        for (part, found, expected) in self.parts() {
            if found != expected {
                let encoding = self.encoding();
                return Err(ShapeError::Bytes { part, rows, cols, encoding, found, expected });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_must_fit_the_shape() {
        let bytes = vec![0u8; 18 * 4];
        let view = |rows, cols| {
            MatrixView::new(rows, cols, MatrixData::Ggml { ty: GgmlType::Q4_0, bytes: &bytes })
        };
        assert_eq!(view(2, 64).unwrap().row_range(1, 2).num_bytes(), 36);
        assert!(matches!(view(2, 48), Err(ShapeError::Columns { multiple: 32, .. })));
        let message = view(3, 64).unwrap_err().to_string();
        assert_eq!(message, "blocks of a 3x64 Q4_0 matrix has 72 bytes, 108 expected");
    }

    #[test]
    fn halves_from_pairs_is_a_permutation_within_heads() {
        let map = RowMap::HalvesFromPairs { heads: 2 };
        let rows: Vec<usize> = (0..12).map(|r| map.source_row(r, 12)).collect();
        assert_eq!(rows, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    }
}
