//! Codes of 16 rows by 32 columns, as planes of lines.
//!
//! A plane holds `w` bits of every code, in `w` lines of 64 bytes: byte `4 * row + i` of the line
//! `w * q / 8` has those of column `4 * q + i` from bit `w * q % 8` on. So a row is a word of 32
//! bits of a line, and a shift and a mask give the codes of four columns of all rows.
//!
//! ```text
//! 2 bits  one plane          3 bits  two bits, then the upper one
//! 4 bits  one plane          5 bits  four bits, then the upper one
//! 8 bits  one plane          6 bits  four bits, then the upper two
//! ```

use super::TILE_ROWS;
use crate::quant::{BLOCK, CodeKind};

/// Bytes of a line.
pub(crate) const LINE_BYTES: usize = 64;

/// Some bits of all codes of a block.
struct Plane {
    /// How many.
    width: usize,
    /// The lowest of them.
    shift: usize,
    /// The first line.
    line: usize,
}

impl Plane {
    const fn first(width: usize) -> Self {
        Self { width, shift: 0, line: 0 }
    }

    /// The plane above one of `lower` bits.
    const fn above(lower: usize, width: usize) -> Self {
        Self { width, shift: lower, line: lower }
    }

    /// Its bits of four codes, as the lowest of each byte.
    fn mask(&self) -> u32 {
        0x0101_0101 * ((1 << self.width) - 1)
    }
}

fn planes(codes: CodeKind) -> &'static [Plane] {
    match codes {
        CodeKind::Two => const { &[Plane::first(2)] },
        CodeKind::Three => const { &[Plane::first(2), Plane::above(2, 1)] },
        CodeKind::Nibble | CodeKind::Table(_) => const { &[Plane::first(4)] },
        CodeKind::Five => const { &[Plane::first(4), Plane::above(4, 1)] },
        CodeKind::Six => const { &[Plane::first(4), Plane::above(4, 2)] },
        CodeKind::Byte => const { &[Plane::first(8)] },
    }
}

/// Bytes of a block of codes.
pub(super) fn block_bytes(codes: CodeKind) -> usize {
    codes.bits() * LINE_BYTES
}

/// Writes the codes of row `lane` to a block.
pub(super) fn put(kind: CodeKind, codes: &[u8; BLOCK], lane: usize, block: &mut [u8]) {
    let quads = codes.as_chunks::<4>().0;
    for plane in planes(kind) {
        let lines = block[plane.line * LINE_BYTES..].chunks_exact_mut(LINE_BYTES);
        for (line, quads) in lines.zip(quads.chunks_exact(8 / plane.width)) {
            let mut word = 0;
            for (i, &quad) in quads.iter().enumerate() {
                let bits = u32::from_le_bytes(quad) >> plane.shift & plane.mask();
                word |= bits << (i * plane.width);
            }
            line[4 * lane..4 * lane + 4].copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// The codes of the columns from `4 * q` of a block, a word of four bytes a row.
#[inline(always)]
pub(crate) fn quad(kind: CodeKind, block: &[u8], q: usize) -> [u32; TILE_ROWS] {
    let mut codes = [0; TILE_ROWS];
    for plane in planes(kind) {
        let bit = plane.width * q;
        let line = &block[(plane.line + bit / 8) * LINE_BYTES..][..LINE_BYTES];
        for (code, word) in codes.iter_mut().zip(line.as_chunks::<4>().0) {
            *code |= (u32::from_le_bytes(*word) >> (bit % 8) & plane.mask()) << plane.shift;
        }
    }
    if let CodeKind::Table(table) = kind {
        let look_up = |byte: u8| table[usize::from(byte)];
        codes = codes.map(|word| u32::from_le_bytes(word.to_le_bytes().map(look_up)));
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_from_their_planes() {
        for kind in [
            CodeKind::Two,
            CodeKind::Three,
            CodeKind::Nibble,
            CodeKind::Five,
            CodeKind::Six,
            CodeKind::Byte,
        ] {
            let code = |lane: usize, col: usize| (lane * 37 + col * 11) as u8 >> (8 - kind.bits());
            let mut block = vec![0; block_bytes(kind)];
            for lane in 0..TILE_ROWS {
                put(kind, &std::array::from_fn(|col| code(lane, col)), lane, &mut block);
            }
            for col in 0..BLOCK {
                let found = quad(kind, &block, col / 4);
                for (lane, word) in found.into_iter().enumerate() {
                    assert_eq!(word.to_le_bytes()[col % 4], code(lane, col), "{kind:?}");
                }
            }
        }
    }
}
