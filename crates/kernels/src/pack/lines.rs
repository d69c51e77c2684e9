//! From rows, as files store them, to lines that hold a word of each of 16 rows.

use super::{LINE_BYTES, TILE_ROWS};

/// Pairs of 32-bit words of a line's length.
type Words = [u64; LINE_BYTES / 8];

/// Word `i` of row `lane`, of 32 bits and changed by `change` (which gets two at once), becomes
/// word `lane` of line `i`. Words past the end of the rows and lanes past the last row are zero.
///
/// Reads a cache line of each row at a time: rows may lie at the same places of the cache, which
/// would lose the rest of the line before it was read.
#[inline(always)]
pub(super) fn transpose<'l>(
    rows: &[&[u8]],
    change: impl Fn(u64) -> u64,
    mut lines: impl Iterator<Item = &'l mut [u8; LINE_BYTES]>,
) {
    let row_len = rows.first().map_or(0, |row| row.len());
    let mut words = [Words::default(); TILE_ROWS];
    for start in (0..row_len).step_by(LINE_BYTES) {
        let end = row_len.min(start + LINE_BYTES);
        for (words, row) in words.iter_mut().zip(rows) {
            read(&row[start..end], &change, words);
        }
        let num_lines = (end - start).div_ceil(4);
        for (line, to) in in_lines(&words)[..num_lines].iter().zip(&mut lines) {
            *to = *line;
        }
    }
}

/// Up to 16 words, the rest zero.
#[inline(always)]
fn read(bytes: &[u8], change: impl Fn(u64) -> u64, words: &mut Words) {
    let mut padded = [0; LINE_BYTES];
    let bytes = match bytes.first_chunk() {
        Some(bytes) => bytes,
        None => {
            padded[..bytes.len()].copy_from_slice(bytes);
            &padded
        }
    };
    for (word, pair) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = change(u64::from_le_bytes(*pair));
    }
}

/// The transpose of 16 rows by 16 words.
#[inline(always)]
fn in_lines(words: &[Words; TILE_ROWS]) -> [[u8; LINE_BYTES]; TILE_ROWS] {
    const LOW: u64 = u32::MAX as u64;
    let mut lines = [[0; LINE_BYTES]; TILE_ROWS];
    for (i, two) in lines.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let [even, odd] = two.each_mut().map(|line| line.as_chunks_mut::<8>().0);
        for (lanes, words) in words.as_chunks::<2>().0.iter().enumerate() {
            let (first, second) = (words[0][i], words[1][i]);
            even[lanes] = (first & LOW | second << 32).to_le_bytes();
            odd[lanes] = (first >> 32 | second & !LOW).to_le_bytes();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_become_lines() {
        for (num_rows, row_len) in [(16, 64), (16, 128), (3, 84), (16, 2), (1, 66), (5, 0)] {
            let byte = |lane: usize, i: usize| (lane * 37 + i * 11 + 1) as u8;
            let rows: Vec<Vec<u8>> =
                (0..num_rows).map(|lane| (0..row_len).map(|i| byte(lane, i)).collect()).collect();
            let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
            let mut lines = vec![[0xee; LINE_BYTES]; row_len.div_ceil(4) + 1];
            transpose(&rows, |words| !words, lines.iter_mut());
            assert_eq!(lines.pop(), Some([0xee; LINE_BYTES]), "{num_rows} rows of {row_len}");
            for (l, line) in lines.iter().enumerate() {
                for (i, &found) in line.iter().enumerate() {
                    let (lane, i) = (i / 4, 4 * l + i % 4);
                    let stored = if i < row_len { byte(lane, i) } else { 0 };
                    let wanted = if lane < num_rows { !stored } else { 0 };
                    assert_eq!(found, wanted, "{num_rows} rows of {row_len}: {i} of {lane}");
                }
            }
        }
    }
}
