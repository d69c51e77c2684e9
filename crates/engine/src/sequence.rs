//! One generation inside the engine: its tokens and where their keys and values live.

use russet_decoder::{SequenceId, TokenId};

use crate::blocks::BlockTable;

/// A sequence that waits, runs, or stays for the next one to reuse.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: SequenceId,
    /// The prompt and what was generated after it.
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) prompt_len: usize,
    /// Tokens whose keys and values are in the cache; the next step computes those after them.
    pub(crate) cached_len: usize,
    /// One per cache group.
    pub(crate) tables: Vec<BlockTable>,
}

impl Sequence {
    pub(crate) fn new(id: SequenceId, prompt: Vec<TokenId>) -> Self {
        let prompt_len = prompt.len();
        Self { id, tokens: prompt, prompt_len, cached_len: 0, tables: Vec::new() }
    }

    /// Cached tokens that `prompt` starts with as well.
    pub(crate) fn common_len(&self, prompt: &[TokenId]) -> usize {
        let cached = &self.tokens[..self.cached_len];
        cached.iter().zip(prompt).take_while(|(a, b)| a == b).count()
    }
}
