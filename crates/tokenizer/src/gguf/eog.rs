//! Which tokens end a generation.

use std::collections::BTreeSet;

use super::{GgufVocab, token_type};

/// Texts that end a turn whichever model has them; llama.cpp keeps the same list because files
/// often name only one of several ends.
const END_TEXTS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// The named ends (eos, eot, eom) and the control tokens whose text says so.
pub(super) fn eos_ids(vocab: &GgufVocab) -> BTreeSet<u32> {
    let named = [vocab.eos, vocab.eot, vocab.eom].into_iter().flatten();
    let by_text = vocab.tokens.iter().enumerate().filter(|(id, text)| {
        let looked_for = matches!(
            vocab.token_type(*id),
            token_type::CONTROL | token_type::USER_DEFINED | token_type::UNKNOWN
        );
        looked_for && END_TEXTS.contains(&text.as_str())
    });
    let mut ids: BTreeSet<u32> = by_text.map(|(id, _)| id as u32).chain(named).collect();
    let has = |ids: &BTreeSet<u32>, text: &str| {
        ids.iter().find(|&&id| vocab.tokens[id as usize] == text).copied()
    };
    // Where messages end in <|return|> or <|call|> (or <|flush|>, <|calls|>), <|end|> only
    // separates them; where <|tool_response> ends one, </s> is plain text.
    let harmony = has(&ids, "<|return|>").is_some() && has(&ids, "<|call|>").is_some();
    let solar = has(&ids, "<|flush|>").is_some() && has(&ids, "<|calls|>").is_some();
    if let Some(end) = has(&ids, "<|end|>").filter(|_| harmony || solar) {
        ids.remove(&end);
    }
    if let Some(end) = has(&ids, "</s>").filter(|_| has(&ids, "<|tool_response>").is_some()) {
        ids.remove(&end);
    }
    ids
}
