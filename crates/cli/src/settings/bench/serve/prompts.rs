//! Settings of what servers are asked.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use russet_bench::load::Prompts;

/// What is asked where nothing else is said.
const TEXT: &str = "Explain in a few sentences why the sky is blue.";
/// Sizes of made-up prompts where nothing else is said.
const PREFIX_WORDS: usize = 512;
const WORDS: usize = 64;
const TURNS: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");
/// What is asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Prompts")]
pub(super) struct PromptSettings {
    /// What prompts have in common [default: unique]
    #[arg(long, value_name = "KIND")]
    prompts: Option<PromptKind>,
    /// Text of unique and fixed prompts
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// A JSONL file of {"prompt": ..} or {"messages": [..]}
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Words that shared-prefix prompts begin with [default: 512]
    #[arg(long, value_name = "N")]
    prefix_words: Option<usize>,
    /// Words of each shared-prefix prompt's, or each turn's own [default: 64]
    #[arg(long, value_name = "N")]
    words: Option<usize>,
    /// Turns of a multi-turn conversation [default: 3]
    #[arg(long, value_name = "N")]
    turns: Option<NonZeroUsize>,
    /// Chooses made-up words and arrival times; another one asks what no server has seen
    #[arg(long, value_name = "N", default_value = "0")]
    pub(super) seed: u64,
}

/// What prompts have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PromptKind {
    /// Nothing: each begins with words of its own
    Unique,
    /// Everything: the same text always
    Fixed,
    /// Their first words
    SharedPrefix,
    /// All earlier turns of their conversation
    MultiTurn,
}

impl PromptSettings {
    /// The prompts, what they are and what they have in common, in words.
    pub(super) fn prompts(&self) -> Result<(Prompts, String, String)> {
        let seed = self.seed;
        let text = self.prompt.as_deref().unwrap_or(TEXT);
        let words = self.words.unwrap_or(WORDS);
        let Some(kind) = self.kind()? else {
            let path = self.prompt_file.as_deref().unwrap_or("".as_ref());
            let what = format!("of {}", path.display());
            return Ok((Prompts::file(path)?, what, "as the file has it".to_owned()));
        };
        let (prompts, what, reuse) = match kind {
            PromptKind::Unique => (
                Prompts::unique(text, seed),
                format!("{text:?} after words of their own"),
                "no prompt comes twice".to_owned(),
            ),
            PromptKind::Fixed => (
                Prompts::fixed(text),
                format!("{text:?} always"),
                "always the same prompt, so all but the first may come from a cache".to_owned(),
            ),
            PromptKind::SharedPrefix => {
                let prefix = self.prefix_words.unwrap_or(PREFIX_WORDS);
                (
                    Prompts::shared_prefix(prefix, words, seed),
                    format!("of {prefix} words that all share and {words} of their own"),
                    format!("prompts share their first {prefix} words"),
                )
            }
            PromptKind::MultiTurn => {
                let turns = self.turns.unwrap_or(TURNS);
                (
                    Prompts::multi_turn(turns, words, seed),
                    format!("of conversations with {turns} turns of {words} words each"),
                    "turns carry all earlier turns of their conversation".to_owned(),
                )
            }
        };
        Ok((prompts, format!("{what}, seed {seed}"), reuse))
    }

    /// The kind, `None` for a file's. What would have no effect is refused.
    fn kind(&self) -> Result<Option<PromptKind>> {
        let kind = match (&self.prompt_file, self.prompts) {
            (Some(_), None) => None,
            (Some(_), Some(_)) => bail!("--prompts and --prompt-file exclude each other"),
            (None, kind) => Some(kind.unwrap_or(PromptKind::Unique)),
        };
        use PromptKind::{Fixed, MultiTurn, SharedPrefix, Unique};
        let settings = [
            ("--prompt", self.prompt.is_some(), &[Unique, Fixed][..]),
            ("--prefix-words", self.prefix_words.is_some(), &[SharedPrefix][..]),
            ("--words", self.words.is_some(), &[SharedPrefix, MultiTurn][..]),
            ("--turns", self.turns.is_some(), &[MultiTurn][..]),
        ];
        for (name, is_given, kinds) in settings {
            if is_given && !kind.is_some_and(|kind| kinds.contains(&kind)) {
                let kinds: Vec<String> = kinds.iter().map(word).collect();
                bail!("{name} has no effect here; it goes with --prompts {}", kinds.join(" or "));
            }
        }
        Ok(kind)
    }
}

fn word(kind: &PromptKind) -> String {
    kind.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
