//! Some rows of activations, interleaved so that a kernel reads them as one stream.

use half::bf16;

use super::activations::Forms;
use super::int8::Int8;
use crate::Kernels;
use crate::pack::DENSE_PAD;
use crate::quant::BLOCK;

/// Rows of a chunk at most: as many as an AVX-512 kernel has accumulators for.
pub(crate) const MAX_CHUNK_ROWS: usize = 12;

/// Some rows of activations.
#[derive(Debug, Default)]
pub struct Chunk {
    rows: usize,
    /// `[k][row]`, K padded to 64.
    pub(crate) floats: Vec<f32>,
    /// `[k / 2][row][2]`, K padded to 64, bf16 bits.
    pub(crate) bf16: Vec<u16>,
    /// The int8 form.
    pub(crate) int8: Int8,
}

impl Chunk {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes the rows of `x`, of `cols` elements each, in `forms`.
    pub(super) fn fill(&mut self, kernels: &dyn Kernels, x: &[f32], cols: usize, forms: &Forms) {
        self.rows = x.len() / cols;
        let padded = cols.next_multiple_of(PAD);
        let mut buffer = Vec::new();
        let x = if padded == cols {
            x
        } else {
            buffer.reserve_exact(self.rows * padded);
            for row in x.chunks_exact(cols) {
                buffer.extend_from_slice(row);
                buffer.resize(buffer.len().next_multiple_of(padded), 0.0);
            }
            &buffer
        };
        if forms.float {
            self.floats.resize(x.len(), 0.0);
            for (row, x) in x.chunks_exact(padded).enumerate() {
                interleave(x, &mut self.floats, row, self.rows);
            }
        }
        if forms.bf16 {
            self.fill_bf16(x, padded);
        }
        if forms.int8 {
            self.int8.fill(kernels, x, padded, forms);
        }
    }

    fn fill_bf16(&mut self, x: &[f32], padded: usize) {
        self.bf16.resize(x.len(), 0);
        let targets = self.bf16.as_chunks_mut::<2>().0;
        for (row, x) in x.chunks_exact(padded).enumerate() {
            let slots = targets.iter_mut().skip(row).step_by(self.rows);
            for (slot, pair) in slots.zip(x.as_chunks::<2>().0) {
                *slot = pair.map(|value| bf16::from_f32(value).to_bits());
            }
        }
    }
}

/// `target[i][row] = source[i]` for `rows` rows.
fn interleave<T: Copy>(source: &[T], target: &mut [T], row: usize, rows: usize) {
    for (slot, &value) in target.iter_mut().skip(row).step_by(rows).zip(source) {
        *slot = value;
    }
}

/// What K is padded to, with zeros: whole strips of weights whose groups are not longer than a
/// block.
const PAD: usize = 2 * BLOCK;
const _: () = assert!(PAD.is_multiple_of(DENSE_PAD), "float rows reach the end of a tile");
