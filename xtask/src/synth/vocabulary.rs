//! A byte-level BPE vocabulary of any size: every byte, then merges of letters that no text needs.
//!
//! It loads wherever a real one does and encodes every text; what the tokens mean does not matter
//! to a random model.

use serde_json::{Map, Value, json};

/// Tokens that no text contains, in the order of their ids.
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
/// Ids of special tokens.
pub(super) const UNKNOWN: usize = 0;
pub(super) const BOS: usize = 1;
pub(super) const EOS: usize = 2;
/// GGUF's numbers for kinds of tokens.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

const CHAT_TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + \
    '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// How a text is split before merging: the rules that GGUF calls `smollm`.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The vocabulary in the order of its ids.
pub(super) struct Vocabulary {
    pub(super) tokens: Vec<String>,
    merged: Vec<(String, String)>,
}

impl Vocabulary {
    /// A vocabulary of `size` tokens, at least one for each byte.
    pub(super) fn new(size: usize) -> Self {
        let fixed = SPECIAL.iter().map(|&token| token.to_owned());
        let mut tokens: Vec<String> = fixed.chain(byte_letters().map(String::from)).collect();
        let merged: Vec<_> = merges().take(size - tokens.len()).collect();
        tokens.extend(merged.iter().map(|(left, right)| format!("{left}{right}")));
        assert_eq!(tokens.len(), size, "there are merges enough");
        Self { tokens, merged }
    }

    /// Merges as GGUF writes them.
    pub(super) fn merges(&self) -> Vec<String> {
        self.merged.iter().map(|(left, right)| format!("{left} {right}")).collect()
    }

    pub(super) fn token_types(&self) -> Vec<i32> {
        let kind = |id| if id < SPECIAL.len() { CONTROL } else { NORMAL };
        (0..self.tokens.len()).map(kind).collect()
    }

    pub(super) fn chat_template(&self) -> &'static str {
        CHAT_TEMPLATE
    }

    /// The text of `tokenizer.json`.
    pub(super) fn tokenizer_json(&self) -> String {
        let special = SPECIAL.iter().enumerate().map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true})
        });
        let ids = self.tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into()));
        let split = |pattern| {
            json!({"type": "Split", "pattern": {"Regex": pattern},
            "behavior": "Isolated", "invert": false})
        };
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
            "use_regex": false});
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": special.collect::<Vec<_>>(),
            "normalizer": null,
            "pre_tokenizer": {"type": "Sequence",
                "pretokenizers": [split(r"\p{N}"), split(WORDS), bytes.clone()]},
            "post_processor": null,
            "decoder": bytes,
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": false,
                "vocab": Value::Object(ids.collect::<Map<_, _>>()),
                "merges": self.merged,
            },
        })
        .to_string()
    }

    /// The text of `tokenizer_config.json`.
    pub(super) fn tokenizer_config_json(&self) -> String {
        let config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": SPECIAL[BOS],
            "eos_token": SPECIAL[EOS],
            "unk_token": SPECIAL[UNKNOWN],
            "pad_token": SPECIAL[EOS],
            "add_prefix_space": false,
            "clean_up_tokenization_spaces": false,
            "chat_template": CHAT_TEMPLATE,
        });
        format!("{config:#}\n")
    }
}

/// The character that stands for each byte: itself if it prints, else one above U+0100.
/// Source: GPT-2's tokenizer.
fn byte_letters() -> impl Iterator<Item = char> {
    let mut next = 0x100..;
    (0..=255u8).map(move |byte| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        _ => next.next().and_then(char::from_u32).expect("only 68 bytes do not print"),
    })
}

/// Two letters, then a pair and a letter, then two pairs; no two give the same token.
fn merges() -> impl Iterator<Item = (String, String)> {
    let letters = || ('a'..='z').map(String::from);
    // A space in front is part of a word, and looks like this.
    let first = || std::iter::once("\u{120}".to_owned()).chain(letters());
    let join = |(left, right): (String, String)| left + &right;
    let pairs = move || first().flat_map(move |a| letters().map(move |b| (a.clone(), b)));
    let ends = move || letters().flat_map(move |a| letters().map(move |b| a.clone() + &b));
    let triples = pairs().map(join).flat_map(move |a| letters().map(move |b| (a.clone(), b)));
    let quads = pairs().map(join).flat_map(move |a| ends().map(move |b| (a.clone(), b)));
    pairs().chain(triples).chain(quads)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_tokens_differ_and_merges_join_known_tokens() {
        let vocabulary = Vocabulary::new(49_152);
        assert_eq!(vocabulary.tokens.len(), 49_152);
        let mut known = BTreeSet::new();
        for token in &vocabulary.tokens {
            assert!(known.insert(token.as_str()), "{token} twice");
        }
        for (left, right) in &vocabulary.merged {
            assert!(known.contains(left.as_str()) && known.contains(right.as_str()));
        }
    }

    #[test]
    fn bytes_look_as_in_gpt2() {
        let letters: Vec<char> = byte_letters().collect();
        assert_eq!(letters.len(), 256);
        assert_eq!((letters[0x20], letters[0x0a], letters[0xad]), ('Ġ', 'Ċ', '\u{143}'));
        assert_eq!((letters[0x41], letters[0xe9]), ('A', 'é'));
    }
}
