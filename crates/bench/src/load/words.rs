//! Made-up text of a given number of words, the same for the same seed on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Short and common, so that a word is about one token.
const WORDS: [&str; 64] = [
    "air", "apple", "arm", "bank", "bear", "bird", "blue", "boat", "book", "box", "bread",
    "bridge", "cat", "chair", "city", "cloud", "coat", "corn", "day", "desk", "dog", "door",
    "earth", "eye", "farm", "field", "fire", "fish", "floor", "foot", "garden", "glass", "gold",
    "grass", "green", "hand", "hill", "horse", "house", "ice", "king", "lake", "leaf", "light",
    "milk", "moon", "night", "ocean", "paper", "park", "rain", "red", "river", "road", "salt",
    "ship", "snow", "star", "stone", "sun", "table", "tree", "water", "wind",
];
/// Bits that one word carries.
const WORD_BITS: u32 = WORDS.len().ilog2();
/// Words of a tag; numbers that are less than 2^36 apart have different ones.
const TAG_WORDS: u32 = 6;

/// Which of the texts of a seed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    /// What all requests share.
    Shared,
    /// What belongs to one turn of one conversation.
    Own { conversation: u64, turn: usize },
}

/// So many words.
pub(super) fn text(seed: u64, stream: Stream, num_words: usize) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(match stream {
        Stream::Shared => u64::MAX,
        Stream::Own { conversation, .. } => conversation,
    });
    if let Stream::Own { turn, .. } = stream {
        // Turns of one conversation are far apart in its stream, in steps of 2^32 words of output.
        random.set_word_pos((turn as u128) << 32);
    }
    let word = |_| WORDS[random.next_u32() as usize % WORDS.len()];
    (0..num_words).map(word).collect::<Vec<_>>().join(" ")
}

/// Some words that no other number has. The first ones differ soonest, so that two texts which
/// begin with a tag share next to nothing.
pub(super) fn tag(seed: u64, number: u64) -> String {
    let mut code = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number);
    let mut words = Vec::new();
    for _ in 0..TAG_WORDS {
        words.push(WORDS[code as usize % WORDS.len()]);
        code >>= WORD_BITS;
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const fn own(conversation: u64, turn: usize) -> Stream {
        Stream::Own { conversation, turn }
    }

    #[test]
    fn the_words_are_distinct() {
        assert_eq!(HashSet::from(WORDS).len(), WORDS.len());
        assert_eq!(1 << WORD_BITS, WORDS.len());
    }

    #[test]
    fn texts_are_the_same_for_the_same_seed_and_place_only() {
        assert_eq!(text(1, own(2, 3), 50), text(1, own(2, 3), 50));
        let texts = [
            text(1, own(2, 3), 50),
            text(2, own(2, 3), 50),
            text(1, own(3, 3), 50),
            text(1, own(2, 4), 50),
            text(1, Stream::Shared, 50),
        ];
        assert_eq!(HashSet::from(texts).len(), 5);
        assert_eq!(text(1, own(0, 0), 7).split(' ').count(), 7);
        assert_eq!(text(1, own(0, 0), 0), "");
    }

    #[test]
    fn the_stream_is_pinned() {
        assert_eq!(text(42, own(7, 1), 4), "boat blue floor book");
        assert_eq!(tag(42, 7), "star moon bird city green sun");
    }

    #[test]
    fn tags_differ_in_their_first_word_from_their_neighbours() {
        let tags: Vec<String> = (0..5000).map(|number| tag(9, number)).collect();
        for pair in tags.windows(2) {
            assert_ne!(pair[0].split(' ').next(), pair[1].split(' ').next());
        }
        assert_eq!(tags.iter().collect::<HashSet<_>>().len(), tags.len());
        assert!(tags.iter().all(|tag| tag.split(' ').count() == TAG_WORDS as usize));
    }
}
