//! Tiles of integer codes from rows whose codes are in order of columns: a cache line of each row
//! at a time.

use super::int::Layout;
use super::{LINE_BYTES, TILE_ROWS, lines};
use crate::quant::{BLOCK, IntForm, PlainRows};

/// Writes the tile whose lanes are `rows` of `parts`, as [`super::int::fill`] does.
pub(super) fn fill(
    layout: &Layout,
    form: IntForm,
    parts: &PlainRows<'_>,
    rows: &[usize],
    tile: &mut [u8],
) {
    let codes = part_rows(parts.codes, layout.source_blocks * BLOCK * form.codes.bits() / 8, rows);
    let code_lines = tile
        .chunks_exact_mut(layout.strip_bytes())
        .flat_map(|strip| strip[layout.header_bytes..].as_chunks_mut::<LINE_BYTES>().0);
    let codes = &codes[..rows.len()];
    match form.codes.bits() {
        8 => lines::transpose(codes, |words| words, code_lines),
        _ => lines::transpose(codes, halves, code_lines),
    }
    let row_len = layout.source_blocks * BLOCK / form.group * parts.scale.bytes();
    let scales = part_rows(parts.scales, row_len, rows);
    let biases =
        if form.biased { part_rows(parts.biases, row_len, rows) } else { Default::default() };
    let groups = tile
        .chunks_exact_mut(layout.strip_bytes())
        .flat_map(|strip| strip[..layout.header_bytes].chunks_exact_mut(layout.group_bytes));
    match parts.scale.bytes() {
        2 => put_scales::<2>(&scales, &biases, groups),
        _ => put_scales::<4>(&scales, &biases, groups),
    }
}

/// The rows of a part with `row_len` bytes a row; none for lanes past the last.
fn part_rows<'a>(part: &'a [u8], row_len: usize, rows: &[usize]) -> [&'a [u8]; TILE_ROWS] {
    let mut out = [[].as_slice(); TILE_ROWS];
    for (out, row) in out.iter_mut().zip(rows) {
        *out = &part[row * row_len..(row + 1) * row_len];
    }
    out
}

/// Eight nibbles in order, twice, as a line has them: the first four are the low ones of four
/// bytes, the others the high ones.
#[inline(always)]
fn halves(nibbles: u64) -> u64 {
    /// Swaps the bits of `mask` with those `by` places higher.
    fn swap(word: u64, mask: u64, by: u32) -> u64 {
        let differing = (word ^ word >> by) & mask;
        word ^ differing ^ differing << by
    }
    swap(swap(nibbles, 0x0000_ff00_0000_ff00, 8), 0x00f0_00f0_00f0_00f0, 4)
}

/// Writes scales, and biases if there are any, of `SIZE` bytes to their groups.
fn put_scales<'g, const SIZE: usize>(
    scales: &[&[u8]; TILE_ROWS],
    biases: &[&[u8]; TILE_ROWS],
    groups: impl Iterator<Item = &'g mut [u8]>,
) {
    for (g, group) in groups.enumerate() {
        let (to_scales, to_biases) = group.as_chunks_mut::<SIZE>().0.split_at_mut(TILE_ROWS);
        for (part, to) in [(scales, to_scales), (biases, to_biases)] {
            for (row, to) in part.iter().zip(to) {
                if let Some(value) = row.as_chunks::<SIZE>().0.get(g) {
                    *to = *value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use russet_tensor::{FloatSlice, FloatType};

    use super::*;
    use crate::pack::int;
    use crate::quant::{Affine, Block, Source};

    /// A source that is read block by block.
    struct ByBlocks<S>(S);

    impl<S: Source> Source for ByBlocks<S> {
        fn form(&self) -> IntForm {
            self.0.form()
        }

        fn read(&self, row: usize, block: usize, out: &mut Block) {
            self.0.read(row, block, out);
        }
    }

    fn check<const BITS: usize>(cols: usize, group: usize, ty: FloatType, lanes: &[usize]) {
        let num_rows = 20;
        let bytes = |len: usize, seed: usize| -> Vec<u8> {
            (0..len).map(|i| ((i + seed).wrapping_mul(0x9e37_79b1) >> 11) as u8).collect()
        };
        let codes = bytes(num_rows * cols / 8 * BITS, 1);
        let [scales, biases] = [2, 3].map(|i| bytes(num_rows * cols / group * ty.bytes(), i));
        let (scales, biases) = (FloatSlice::new(ty, &scales), FloatSlice::new(ty, &biases));
        let source = || Affine::<BITS> { cols, group, codes: &codes, scales, biases };
        assert!(source().plain().is_some());
        let layout = Layout::new(source().form(), cols);
        let mut tiles = [(); 2].map(|()| vec![0; layout.tile_bytes()]);
        int::fill(&layout, &source(), lanes, &mut tiles[0]);
        int::fill(&layout, &ByBlocks(source()), lanes, &mut tiles[1]);
        assert_eq!(tiles[0], tiles[1], "{BITS} bits, {cols} columns in groups of {group}, {ty:?}");
    }

    #[test]
    fn a_tile_is_the_same_as_block_by_block() {
        let all: Vec<usize> = (0..TILE_ROWS).collect();
        let others = [19, 0, 7];
        for (cols, group) in
            [(32, 32), (96, 32), (160, 32), (64, 64), (192, 64), (128, 128), (640, 128)]
        {
            for ty in [FloatType::F16, FloatType::F32] {
                for lanes in [&all[..], &others] {
                    check::<4>(cols, group, ty, lanes);
                    check::<8>(cols, group, ty, lanes);
                }
            }
        }
    }
}
