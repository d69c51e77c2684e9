//! The likeliest token.

use russet_decoder::TokenId;

/// As many as the widest vector registers hold, so that lanes become one.
const LANES: usize = 16;

/// The first of the highest logits; `None` where none is finite.
pub(crate) fn argmax(logits: &[f32]) -> Option<TokenId> {
    let (blocks, rest) = logits.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for (max, &x) in lanes.iter_mut().zip(block) {
            // Unlike `f32::max` this is one instruction; NaN never wins.
            *max = if x > *max { x } else { *max };
        }
    }
    let max = lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    let at = logits.iter().position(|&x| x == max && x.is_finite())?;
    Some(TokenId(u32::try_from(at).expect("vocabularies are below 2^32 tokens")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_highest_is_found_at_every_place() {
        for len in 1..=40 {
            for at in 0..len {
                let mut logits = vec![-3.0; len];
                logits[at..].fill(2.0);
                assert_eq!(argmax(&logits), Some(TokenId(at as u32)), "{at} of {len}");
            }
        }
    }

    #[test]
    fn what_is_not_a_number_never_wins() {
        let mut logits = [f32::NAN; 20];
        assert_eq!(argmax(&logits), None);
        logits[18] = -1e30;
        assert_eq!(argmax(&logits), Some(TokenId(18)));
        assert_eq!(argmax(&[f32::NEG_INFINITY; 3]), None);
        assert_eq!(argmax(&[f32::INFINITY, 0.0]), None);
        assert_eq!(argmax(&[]), None);
    }
}
