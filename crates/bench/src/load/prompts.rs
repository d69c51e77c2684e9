//! What is asked: the messages of each request, the same for the same seed.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::words::{Stream, tag, text};
use super::{Error, prompt_file};

/// Where prompts come from. Conversations are numbered; clones are cheap.
#[derive(Debug, Clone)]
pub struct Prompts {
    source: Arc<Source>,
    seed: u64,
}

#[derive(Debug, Serialize)]
enum Source {
    Fixed(String),
    Unique(String),
    SharedPrefix { prefix_words: usize, own_words: usize },
    MultiTurn { turns: NonZeroUsize, words: usize },
    File(Vec<Vec<Value>>),
}

impl Prompts {
    /// The same text always: a server with a prefix cache computes it once.
    pub fn fixed(text: &str) -> Self {
        Self::new(Source::Fixed(text.to_owned()), 0)
    }

    /// A text after some words that are different each time, so that no prefix cache helps beyond
    /// what the chat template puts before it.
    pub fn unique(text: &str, seed: u64) -> Self {
        Self::new(Source::Unique(text.to_owned()), seed)
    }

    /// Made-up text in one message: first words that all share, then words of each one's own.
    pub fn shared_prefix(prefix_words: usize, own_words: usize, seed: u64) -> Self {
        Self::new(Source::SharedPrefix { prefix_words, own_words }, seed)
    }

    /// Conversations of some turns, each turn with made-up words of its own after all that was said
    /// before. Conversations share nothing.
    pub fn multi_turn(turns: NonZeroUsize, words: usize, seed: u64) -> Self {
        Self::new(Source::MultiTurn { turns, words }, seed)
    }

    /// A prompt on each line of a file, `{"messages": [...]}` or `{"prompt": "..."}`. After the
    /// last line the first one follows.
    pub fn file(path: &Path) -> Result<Self, Error> {
        Ok(Self::new(Source::File(prompt_file::read(path)?), 0))
    }

    /// Digest of all that decides what is asked, but for the answers that later turns carry.
    pub fn sha256(&self) -> String {
        let digest = Sha256::digest(json!([*self.source, self.seed]).to_string());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn new(source: Source, seed: u64) -> Self {
        Self { source: Arc::new(source), seed }
    }

    /// Requests that one conversation consists of.
    pub fn num_turns(&self) -> NonZeroUsize {
        match *self.source {
            Source::MultiTurn { turns, .. } => turns,
            _ => NonZeroUsize::MIN,
        }
    }

    /// Messages of a conversation's first request.
    pub fn begin(&self, conversation: u64) -> Vec<Value> {
        let user = match &*self.source {
            Source::Fixed(text) => text.clone(),
            Source::Unique(text) => format!("{}. {text}", tag(self.seed, conversation)),
            Source::SharedPrefix { prefix_words, own_words } => {
                let shared = text(self.seed, Stream::Shared, *prefix_words);
                let own = self.own(conversation, 0, *own_words);
                format!("{shared}\n{} {own}", tag(self.seed, conversation))
            }
            Source::MultiTurn { words, .. } => {
                format!("{}. {}", tag(self.seed, conversation), self.own(conversation, 0, *words))
            }
            Source::File(prompts) => {
                return prompts[(conversation % prompts.len() as u64) as usize].clone();
            }
        };
        vec![message("user", &user)]
    }

    /// Makes the messages of a conversation's next request from those of its last and the answer.
    /// `turn` counts from 0, which [`begin`](Self::begin) gives.
    pub fn go_on(&self, messages: &mut Vec<Value>, answer: &str, conversation: u64, turn: usize) {
        let Source::MultiTurn { words, .. } = *self.source else { return };
        messages.push(message("assistant", answer));
        messages.push(message("user", &self.own(conversation, turn, words)));
    }

    fn own(&self, conversation: u64, turn: usize, num_words: usize) -> String {
        text(self.seed, Stream::Own { conversation, turn }, num_words)
    }
}

fn message(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only_text(messages: &[Value]) -> &str {
        let [message] = messages else { panic!("one message, not {messages:?}") };
        assert_eq!(message["role"], "user");
        message["content"].as_str().unwrap()
    }

    /// How many characters two texts have in common at their beginning.
    fn common(a: &str, b: &str) -> usize {
        a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
    }

    #[test]
    fn a_fixed_prompt_is_always_the_same() {
        let prompts = Prompts::fixed("Hello");
        assert_eq!(only_text(&prompts.begin(0)), "Hello");
        assert_eq!(prompts.begin(0), prompts.begin(7));
        assert_eq!(prompts.num_turns().get(), 1);
    }

    #[test]
    fn the_digest_tells_prompts_apart() {
        let turns = |turns| Prompts::multi_turn(NonZeroUsize::new(turns).unwrap(), 5, 1);
        assert_eq!(Prompts::unique("a", 1).sha256(), Prompts::unique("a", 1).sha256());
        let all = [
            Prompts::unique("a", 1),
            Prompts::unique("a", 2),
            Prompts::unique("b", 1),
            Prompts::fixed("a"),
            turns(2),
            turns(3),
        ];
        let digests: std::collections::HashSet<String> = all.iter().map(Prompts::sha256).collect();
        assert_eq!(digests.len(), all.len());
        assert!(digests.iter().all(|digest| digest.len() == 64));
    }

    #[test]
    fn unique_prompts_differ_at_their_start() {
        let prompts = Prompts::unique("Tell me of ships.", 3);
        let (first, second) = (prompts.begin(0), prompts.begin(1));
        let (first, second) = (only_text(&first), only_text(&second));
        assert!(first.ends_with("Tell me of ships.") && second.ends_with("Tell me of ships."));
        assert!(common(first, second) < 5, "{first} / {second}");
        assert_eq!(prompts.begin(1), Prompts::unique("Tell me of ships.", 3).begin(1));
        assert_ne!(prompts.begin(1), Prompts::unique("Tell me of ships.", 4).begin(1));
    }

    #[test]
    fn a_shared_prefix_is_shared_and_then_the_texts_part() {
        let prompts = Prompts::shared_prefix(100, 20, 5);
        let (first, second) = (prompts.begin(0), prompts.begin(1));
        let (first, second) = (only_text(&first), only_text(&second));
        let prefix = first.split('\n').next().unwrap();
        assert_eq!(prefix.split(' ').count(), 100);
        assert!((prefix.len()..prefix.len() + 6).contains(&common(first, second)));
        let other = Prompts::shared_prefix(100, 20, 6).begin(0);
        assert!(common(first, only_text(&other)) < prefix.len());
    }

    #[test]
    fn a_turn_carries_all_that_was_said_before() {
        let prompts = Prompts::multi_turn(NonZeroUsize::new(3).unwrap(), 10, 1);
        assert_eq!(prompts.num_turns().get(), 3);
        let mut messages = prompts.begin(4);
        let first = messages.clone();
        prompts.go_on(&mut messages, "I see.", 4, 1);
        assert_eq!(messages[0], first[0]);
        assert_eq!(messages[1], json!({"role": "assistant", "content": "I see."}));
        assert_eq!(only_text(&messages[2..]).split(' ').count(), 10);
        assert!(common(only_text(&first), only_text(&prompts.begin(5))) < 6);
    }
}
