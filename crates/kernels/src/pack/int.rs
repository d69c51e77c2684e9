//! Tiles of integer codes.
//!
//! ```text
//! tile    strips along K, one stream in memory
//! strip   [header][codes]
//! header  per group of the strip: 16 scales, then 16 biases if the form has them
//! codes   lines of 64 bytes; byte 4*row + i of a line is
//!           4 bits: column i (low nibble) and column 4 + i (high nibble) of 8
//!           8 bits: column i of 4
//! ```
//! A strip is a group, or as many of them as fill 32 columns and whole header lines. K is padded to
//! strips with zero scales, rows to 16 with zeros. A line times four (or eight) broadcast
//! activation bytes is then one (or two) `vpdpbusd`, and no sum runs across lanes. Scales lie
//! beside their codes because two interleaved streams in one page defeat the prefetchers: DRAM then
//! gives less than half its bandwidth.

use std::slice::ChunksExact;

use half::{bf16, f16};
use russet_tensor::FloatType;

use super::{PackedMatrix, TILE_ROWS, plain};
use crate::quant::{BLOCK, Block, CodeKind, IntForm, Source};

/// How far ahead of its use a line is fetched where a tile is read once.
const AHEAD_BYTES: usize = 2048;

/// Bytes of a line of codes.
pub(crate) const LINE_BYTES: usize = 64;

/// Sizes of the parts of a tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Blocks of 32 columns, padded to strips.
    pub(crate) num_blocks: usize,
    /// Blocks of 32 columns that hold weights.
    pub(super) source_blocks: usize,
    /// Bytes of the scales and biases of one group.
    pub(crate) group_bytes: usize,
    /// Bytes of the codes of one block.
    pub(crate) block_bytes: usize,
    /// Blocks of a strip.
    pub(crate) strip_blocks: usize,
    /// Bytes of the scales and biases of one strip.
    pub(crate) header_bytes: usize,
}

impl Layout {
    pub(crate) fn new(form: IntForm, cols: usize) -> Self {
        let group_bytes = TILE_ROWS * form.scale.bytes() * (1 + usize::from(form.biased));
        let mut strip_cols = form.group.max(BLOCK);
        if !(strip_cols / form.group * group_bytes).is_multiple_of(LINE_BYTES) {
            strip_cols *= 2;
        }
        let strip_blocks = strip_cols / BLOCK;
        let source_blocks = cols.div_ceil(BLOCK);
        Self {
            num_blocks: source_blocks.next_multiple_of(strip_blocks),
            source_blocks,
            group_bytes,
            block_bytes: form.block_code_bytes() * TILE_ROWS,
            strip_blocks,
            header_bytes: strip_cols / form.group * group_bytes,
        }
    }

    pub(crate) fn strip_bytes(&self) -> usize {
        self.header_bytes + self.strip_blocks * self.block_bytes
    }

    pub(crate) fn tile_bytes(&self) -> usize {
        self.num_blocks / self.strip_blocks * self.strip_bytes()
    }
}

/// Writes the tile whose lanes are `rows` of `source`.
pub(super) fn fill(layout: &Layout, source: &impl Source, rows: &[usize], tile: &mut [u8]) {
    let form = source.form();
    if let Some(parts) = source.plain() {
        return plain::fill(layout, form, &parts, rows, tile);
    }
    let mut block = Block::default();
    for b in 0..layout.source_blocks {
        let start = b / layout.strip_blocks * layout.strip_bytes();
        let (header, codes) = tile[start..].split_at_mut(layout.header_bytes);
        let first = b % layout.strip_blocks;
        let codes = &mut codes[first * layout.block_bytes..][..layout.block_bytes];
        for (lane, &row) in rows.iter().enumerate() {
            source.read(row, b, &mut block);
            put_codes(&form, &block.codes, lane, codes);
            if (b * BLOCK).is_multiple_of(form.group) {
                let groups = header[first * BLOCK / form.group * layout.group_bytes..]
                    .chunks_exact_mut(layout.group_bytes);
                put_scales(&form, &block, lane, groups);
            }
        }
    }
}

fn put_codes(form: &IntForm, codes: &[u8; BLOCK], lane: usize, lines: &mut [u8]) {
    let lines = lines.chunks_exact_mut(LINE_BYTES);
    let quads = codes.as_chunks::<4>().0;
    if form.codes == CodeKind::Byte {
        for (line, quad) in lines.zip(quads) {
            line[4 * lane..4 * lane + 4].copy_from_slice(quad);
        }
    } else {
        for (line, pair) in lines.zip(quads.as_chunks::<2>().0) {
            let (low, high) = (u32::from_le_bytes(pair[0]), u32::from_le_bytes(pair[1]));
            line[4 * lane..4 * lane + 4].copy_from_slice(&(low | high << 4).to_le_bytes());
        }
    }
}

/// Writes the scales (and biases) of the groups that start in a block.
fn put_scales<'g>(
    form: &IntForm,
    block: &Block,
    lane: usize,
    groups: impl Iterator<Item = &'g mut [u8]>,
) {
    let size = form.scale.bytes();
    for (half, group) in groups.take(BLOCK / form.step()).enumerate() {
        let at = lane * size;
        group[at..at + size].copy_from_slice(&block.scales[half].to_le_bytes()[..size]);
        if form.biased {
            let at = at + TILE_ROWS * size;
            group[at..at + size].copy_from_slice(&block.biases[half].to_le_bytes()[..size]);
        }
    }
}

/// All tiles of a matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IntTiles<'a> {
    matrix: &'a PackedMatrix,
    form: IntForm,
    layout: Layout,
}

/// One tile: 16 rows by all columns.
#[derive(Debug, Clone, Copy)]
pub struct IntTile<'a> {
    /// How codes become values.
    pub(crate) form: IntForm,
    /// Sizes of the parts.
    pub(crate) layout: Layout,
    /// The strips.
    pub(crate) bytes: &'a [u8],
    /// How far ahead of its use a line of codes should be fetched: left to itself, the CPU fetches
    /// while it multiplies only in part.
    pub(crate) ahead: usize,
}

impl<'a> IntTiles<'a> {
    /// `form` is the matrix's own.
    pub(crate) fn new(matrix: &'a PackedMatrix, form: IntForm) -> Self {
        Self { matrix, form, layout: Layout::new(form, matrix.cols) }
    }

    pub(crate) fn tile(&self, i: usize) -> IntTile<'a> {
        let bytes = self.matrix.tile(i);
        IntTile { form: self.form, layout: self.layout, bytes, ahead: AHEAD_BYTES }
    }
}

impl IntTile<'_> {
    /// The tile, with the next one fetched while it is used.
    pub(crate) fn fetching_next(self) -> Self {
        Self { ahead: self.bytes.len(), ..self }
    }

    /// Walks along K by integer sums of `step` columns.
    #[inline]
    pub(crate) fn steps(&self, step: usize) -> Steps<'_> {
        Steps {
            strips: self.bytes.chunks_exact(self.layout.strip_bytes()),
            layout: self.layout,
            step_bytes: self.layout.block_bytes * step / BLOCK,
            steps_of_group: self.form.group / step,
            header: &[],
            codes: &[],
            steps_left: 0,
        }
    }

    /// The header and the codes of the strip of block `b`.
    #[inline(always)]
    fn strip(&self, b: usize) -> (&[u8], &[u8]) {
        let start = b / self.layout.strip_blocks * self.layout.strip_bytes();
        self.bytes[start..start + self.layout.strip_bytes()].split_at(self.layout.header_bytes)
    }

    /// The codes of block `b`: lines of 64 bytes.
    #[inline(always)]
    pub(crate) fn block(&self, b: usize) -> &[u8] {
        let first = b % self.layout.strip_blocks * self.layout.block_bytes;
        &self.strip(b).1[first..first + self.layout.block_bytes]
    }

    /// The stored scales and biases of group `g`.
    #[inline(always)]
    pub(crate) fn group(&self, g: usize) -> &[u8] {
        let groups_of_strip = self.layout.strip_blocks * BLOCK / self.form.group;
        let header = self.strip(g * self.form.group / BLOCK).0;
        &header[g % groups_of_strip * self.layout.group_bytes..][..self.layout.group_bytes]
    }

    /// The 16 scales and the 16 biases (zero where the form has none) of group `g`.
    #[inline(always)]
    pub(crate) fn scales_of(&self, g: usize) -> ([f32; TILE_ROWS], [f32; TILE_ROWS]) {
        let size = self.form.scale.bytes();
        let group = self.group(g);
        let scales = widen(self.form.scale, group);
        let biases = if self.form.biased {
            widen(self.form.scale, &group[TILE_ROWS * size..])
        } else {
            [0.0; TILE_ROWS]
        };
        (scales, biases)
    }

    /// The codes of column `col`, through the table, less the offset.
    #[inline(always)]
    pub(crate) fn codes_of(&self, col: usize) -> [f32; TILE_ROWS] {
        let offset = i32::from(self.form.offset);
        let (cols, bits) = match self.form.codes {
            CodeKind::Byte => (4, 0),
            CodeKind::Nibble | CodeKind::Table(_) => (8, col % 8 / 4 * 4),
        };
        let line = &self.block(col / BLOCK)[col % BLOCK / cols * LINE_BYTES..][..LINE_BYTES];
        let code = |lane: usize| line[4 * lane + col % 4];
        match self.form.codes {
            CodeKind::Byte => std::array::from_fn(|l| (i32::from(code(l)) - offset) as f32),
            CodeKind::Nibble => {
                std::array::from_fn(|l| (i32::from(code(l) >> bits & 15) - offset) as f32)
            }
            CodeKind::Table(table) => std::array::from_fn(|l| {
                (i32::from(table[usize::from(code(l) >> bits & 15)]) - offset) as f32
            }),
        }
    }

    /// The values of all columns: `out[col][row]`, `num_blocks * 32` columns.
    #[inline(always)]
    pub(crate) fn widen_into(&self, out: &mut [[f32; TILE_ROWS]]) {
        for (g, columns) in out.chunks_mut(self.form.group).enumerate() {
            let (scales, biases) = self.scales_of(g);
            for (i, column) in columns.iter_mut().enumerate() {
                let codes = self.codes_of(g * self.form.group + i);
                for lane in 0..TILE_ROWS {
                    column[lane] = if self.form.biased {
                        scales[lane].mul_add(codes[lane], biases[lane])
                    } else {
                        scales[lane] * codes[lane]
                    };
                }
            }
        }
    }

    /// The values of one row.
    pub(super) fn read_row(&self, lane: usize, out: &mut [f32]) {
        for (g, values) in out.chunks_mut(self.form.group).enumerate() {
            let (scales, biases) = self.scales_of(g);
            for (i, value) in values.iter_mut().enumerate() {
                let code = self.codes_of(g * self.form.group + i)[lane];
                *value = if self.form.biased {
                    scales[lane].mul_add(code, biases[lane])
                } else {
                    scales[lane] * code
                };
            }
        }
    }
}

/// The steps of a tile: see [`IntTile::steps`].
pub(crate) struct Steps<'a> {
    strips: ChunksExact<'a, u8>,
    layout: Layout,
    step_bytes: usize,
    steps_of_group: usize,
    /// Of the current strip, what is still to come.
    header: &'a [u8],
    codes: &'a [u8],
    /// Of the current group.
    steps_left: usize,
}

/// One step along K.
pub(crate) struct Step<'a> {
    /// The scales and biases of the group that starts here.
    pub(crate) group: Option<&'a [u8]>,
    /// Lines of codes.
    pub(crate) codes: &'a [u8],
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    #[inline]
    fn next(&mut self) -> Option<Step<'a>> {
        if self.codes.is_empty() {
            (self.header, self.codes) = self.strips.next()?.split_at(self.layout.header_bytes);
        }
        let mut group = None;
        if self.steps_left == 0 {
            let (floats, rest) = self.header.split_at(self.layout.group_bytes);
            (group, self.header, self.steps_left) = (Some(floats), rest, self.steps_of_group);
        }
        self.steps_left -= 1;
        let (codes, rest) = self.codes.split_at(self.step_bytes);
        self.codes = rest;
        Some(Step { group, codes })
    }
}

/// 16 stored floats as f32.
#[inline(always)]
pub(crate) fn widen(ty: FloatType, bytes: &[u8]) -> [f32; TILE_ROWS] {
    let halves = |i: usize| u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]);
    match ty {
        FloatType::F32 => {
            let quads = bytes.as_chunks::<4>().0;
            std::array::from_fn(|i| f32::from_le_bytes(quads[i]))
        }
        FloatType::F16 => std::array::from_fn(|i| f16::from_bits(halves(i)).to_f32()),
        FloatType::BF16 => std::array::from_fn(|i| bf16::from_bits(halves(i)).to_f32()),
    }
}
