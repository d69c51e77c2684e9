//! Tiles of integer codes.
//!
//! ```text
//! tile    strips along K, one stream in memory
//! strip   [header][codes]
//! header  the units of scales if there are any, then the scales of the groups of the strip
//! codes   blocks of 32 columns
//! ```
//! See the modules `scales` and `planes`. A strip is as many columns as share units; else a group,
//! or as many of them as fill 32 columns and whole header lines. K is padded to strips with zero
//! scales, rows to 16 with zeros. Four columns of a block times four broadcast activation bytes are
//! then one `vpdpbusd`, and no sum runs across lanes. Scales lie beside their codes because two
//! interleaved streams in one page defeat the prefetchers: DRAM then gives less than half its
//! bandwidth.

use super::scales::{self, Group};
use super::{LINE_BYTES, PackedMatrix, TILE_ROWS, plain, planes};
use crate::quant::{BLOCK, Block, IntForm, Source};

/// How far ahead of its use a line is fetched where a tile is read once.
const AHEAD_BYTES: usize = 2048;

/// Sizes of the parts of a tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Blocks of 32 columns, padded to strips.
    pub(crate) num_blocks: usize,
    /// Blocks of 32 columns that hold weights.
    pub(super) source_blocks: usize,
    /// Bytes of the units of the scales of one strip.
    pub(crate) unit_bytes: usize,
    /// Bytes of the scales and biases of one group.
    pub(crate) group_bytes: usize,
    /// Bytes of the codes of one block.
    pub(crate) block_bytes: usize,
    /// Blocks of a strip.
    pub(crate) strip_blocks: usize,
    /// Bytes of the units, scales and biases of one strip.
    pub(crate) header_bytes: usize,
}

impl Layout {
    pub(crate) fn new(form: IntForm, cols: usize) -> Self {
        let group_bytes = scales::group_bytes(&form);
        let groups_bytes = |cols: usize| cols / form.group * group_bytes;
        let (strip_cols, unit_bytes) = form.scale.units().unwrap_or_else(|| {
            let cols = form.group.max(BLOCK);
            let is_whole = groups_bytes(cols).is_multiple_of(LINE_BYTES);
            (if is_whole { cols } else { 2 * cols }, 0)
        });
        let strip_blocks = strip_cols / BLOCK;
        let source_blocks = cols.div_ceil(BLOCK);
        Self {
            num_blocks: source_blocks.next_multiple_of(strip_blocks),
            source_blocks,
            unit_bytes,
            group_bytes,
            block_bytes: planes::block_bytes(form.codes),
            strip_blocks,
            header_bytes: unit_bytes + groups_bytes(strip_cols),
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
        let (units, groups) = header.split_at_mut(layout.unit_bytes);
        let first = b % layout.strip_blocks;
        let codes = &mut codes[first * layout.block_bytes..][..layout.block_bytes];
        let groups = &mut groups[first * BLOCK / form.group * layout.group_bytes..];
        let num_groups =
            if (b * BLOCK).is_multiple_of(form.group) { BLOCK / form.step() } else { 0 };
        for (lane, &row) in rows.iter().enumerate() {
            source.read(row, b, &mut block);
            planes::put(form.codes, &block.codes, lane, codes);
            scales::put_units(&block, lane, units);
            let groups = groups.chunks_exact_mut(layout.group_bytes);
            for (half, group) in groups.take(num_groups).enumerate() {
                scales::put(&form, &block, half, lane, group);
            }
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
    /// How far ahead of its use a line should be fetched: left to itself, the CPU fetches while it
    /// multiplies only in part.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        expect(dead_code, reason = "scalar code leaves it to the CPU")
    )]
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

    /// The strip of block `b`, as header and codes, and which of its blocks it is. Strips and
    /// groups are powers of two: a division would take as long as a product with a block.
    #[inline(always)]
    fn strip(&self, b: usize) -> (&[u8], &[u8], usize) {
        let (layout, blocks) = (&self.layout, self.layout.strip_blocks);
        let start = (b >> blocks.trailing_zeros()) * layout.strip_bytes();
        let strip = &self.bytes[start..start + layout.strip_bytes()];
        let (header, codes) = strip.split_at(layout.header_bytes);
        (header, codes, b & (blocks - 1))
    }

    /// The planes of the codes of block `b`.
    #[inline(always)]
    pub(crate) fn block(&self, b: usize) -> &[u8] {
        &self.block_and_groups(b).0[..self.layout.block_bytes]
    }

    /// The planes of the codes from block `b` on, the units of its scales, and the stored scales
    /// and biases from its first group on.
    #[inline(always)]
    pub(crate) fn block_and_groups(&self, b: usize) -> (&[u8], &[u8], &[u8]) {
        let (header, codes, b) = self.strip(b);
        let (units, groups) = header.split_at(self.layout.unit_bytes);
        let g = (b * BLOCK) >> self.form.group.trailing_zeros();
        let codes = &codes[b * self.layout.block_bytes..];
        (codes, units, &groups[g * self.layout.group_bytes..])
    }

    /// The stored scales and biases of the group of column `col`.
    #[inline(always)]
    pub(crate) fn group_at(&self, col: usize) -> Group<'_> {
        let (_, units, groups) = self.block_and_groups(col / BLOCK);
        let g = (col % BLOCK) >> self.form.group.trailing_zeros();
        Group { units, own: &groups[g * self.layout.group_bytes..][..self.layout.group_bytes] }
    }

    /// The 16 scales and the 16 biases (zero where the form has none) of group `g`.
    #[inline(always)]
    pub(crate) fn scales_of(&self, g: usize) -> ([f32; TILE_ROWS], [f32; TILE_ROWS]) {
        scales::read(&self.form, self.group_at(g * self.form.group))
    }

    /// The codes of the columns from `4 * q`, through the table, a word of four bytes a row.
    #[inline(always)]
    pub(crate) fn quad(&self, q: usize) -> [u32; TILE_ROWS] {
        planes::quad(self.form.codes, self.block(q / (BLOCK / 4)), q % (BLOCK / 4))
    }

    /// The values of all columns: `out[col][row]`, `num_blocks * 32` columns.
    #[inline(always)]
    pub(crate) fn widen_into(&self, out: &mut [[f32; TILE_ROWS]]) {
        let offset = i32::from(self.form.offset);
        for (g, columns) in out.chunks_mut(self.form.group).enumerate() {
            let (scales, biases) = self.scales_of(g);
            for (q, columns) in columns.chunks_mut(4).enumerate() {
                let words = self.quad(g * self.form.group / 4 + q);
                for (i, column) in columns.iter_mut().enumerate() {
                    for lane in 0..TILE_ROWS {
                        let code = ((words[lane] >> (8 * i) & 0xff) as i32 - offset) as f32;
                        column[lane] = if self.form.biased {
                            scales[lane].mul_add(code, biases[lane])
                        } else {
                            scales[lane] * code
                        };
                    }
                }
            }
        }
    }

    /// The values of one row.
    pub(super) fn read_row(&self, lane: usize, out: &mut [f32]) {
        for (g, values) in out.chunks_mut(self.form.group).enumerate() {
            let (scales, biases) = self.scales_of(g);
            for (q, values) in values.chunks_mut(4).enumerate() {
                let word = self.quad(g * self.form.group / 4 + q)[lane];
                for (value, code) in values.iter_mut().zip(word.to_le_bytes()) {
                    let code = (i32::from(code) - i32::from(self.form.offset)) as f32;
                    *value = if self.form.biased {
                        scales[lane].mul_add(code, biases[lane])
                    } else {
                        scales[lane] * code
                    };
                }
            }
        }
    }
}
