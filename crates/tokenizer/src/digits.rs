//! Long numbers, cut in time.
//!
//! Pre-tokenizers that group digits in threes from the right do it by looking ahead from each group
//! to the end of the number, in a time that grows with the square of its length: an hour for a
//! megabyte. Cut at multiples of three from its end, a number gives the same groups.

use tokenizers::pattern::Pattern;
use tokenizers::tokenizer::{Offsets, PreTokenizedString, SplitDelimiterBehavior};
use tokenizers::{Result, Tokenizer as Library};

/// Digits in a piece; a multiple of three.
const PIECE_DIGITS: usize = 90;

/// Whether the pre-tokenizer groups digits from the right, which takes an expression with threes
/// and a look ahead.
pub(crate) fn group_from_the_right(library: &Library) -> bool {
    let text = library.get_pre_tokenizer().and_then(|pre| serde_json::to_string(pre).ok());
    text.is_some_and(|text| text.contains("(?=") && text.contains("{3})"))
}

/// Cuts every long number.
pub(crate) fn cut(parts: &mut PreTokenizedString) -> Result<()> {
    parts.split(|_, text| text.split(LongNumbers, SplitDelimiterBehavior::Isolated))
}

struct LongNumbers;

impl Pattern for LongNumbers {
    fn find_matches(&self, text: &str) -> Result<Vec<(Offsets, bool)>> {
        let mut cuts = vec![0];
        let mut digits = Vec::new();
        for (at, c) in text.char_indices() {
            if c.is_numeric() {
                digits.push(at);
            } else {
                cuts.extend(inner_cuts(&digits));
                digits.clear();
            }
        }
        cuts.extend(inner_cuts(&digits));
        cuts.push(text.len());
        Ok(cuts.windows(2).map(|pair| ((pair[0], pair[1]), false)).collect())
    }
}

/// Where the number whose digits are at these places is cut.
fn inner_cuts(digits: &[usize]) -> impl Iterator<Item = usize> {
    let first = digits.len() % PIECE_DIGITS;
    let skipped = if first == 0 { PIECE_DIGITS } else { first };
    digits.iter().copied().skip(skipped).step_by(PIECE_DIGITS)
}

#[cfg(test)]
mod tests {
    use crate::{AddSpecial, GgufVocab, Tokenizer};

    #[test]
    fn long_numbers_have_the_groups_of_short_ones_in_time() {
        let tokens = ["7", "x", "77", "777"].map(str::to_owned).to_vec();
        let merges = Some(["7 7", "77 7"].map(str::to_owned).to_vec());
        for pre in ["afmoe", "superbpe", "tiny_aya"] {
            let (tokens, merges) = (tokens.clone(), merges.clone());
            let (model, pre) = ("gpt2".to_owned(), Some(pre.to_owned()));
            let vocab = GgufVocab { model, pre, tokens, merges, ..GgufVocab::default() };
            let tokenizer = Tokenizer::from_gguf(vocab).unwrap();
            for len in (0..280).chain([1 << 18]) {
                let text = format!("x{}", "7".repeat(len));
                let head = [None, Some(0), Some(2)][len % 3];
                let threes = std::iter::repeat_n(3, len / 3);
                let expected: Vec<u32> = [1].into_iter().chain(head).chain(threes).collect();
                assert_eq!(tokenizer.encode(&text, AddSpecial::No).unwrap(), expected, "{len}");
            }
        }
    }
}
