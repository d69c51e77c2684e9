//! The tokens with a role: where text begins and ends, and their texts for chat templates.

use std::collections::{BTreeMap, BTreeSet};

/// Roles and texts of special tokens.
#[derive(Debug, Clone, Default)]
pub struct SpecialTokens {
    /// `bos_token`, `eos_token`, …, as chat templates name them, with their texts.
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Option<u32>,
    pub(crate) eos_ids: BTreeSet<u32>,
}

impl SpecialTokens {
    /// Name (`bos_token`, `eos_token`, `unk_token`, …) and text of each, in order of name.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The text of one, by the name templates use.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }
}
