//! Legacy completions.

use std::collections::HashMap;

use russet_protocol::{
    Completion, CompletionChoice, CompletionLogprobs, FinishReason, TokenLogprob, Usage,
};
use serde_json::Map;

use super::{Head, Shape, WholeChoice, to_json};
use crate::ServerState;
use crate::admit::Admitted;
use crate::generation::Progressed;

/// Answers of `POST /v1/completions`.
#[derive(Debug)]
pub(crate) struct CompletionShape {
    head: Head,
    /// Characters of each choice that were sent.
    sent_chars: HashMap<usize, usize>,
}

impl CompletionShape {
    pub(crate) fn new(state: &ServerState, model: String, admitted: &Admitted) -> Self {
        let head = Head::new(state, "cmpl", model, admitted);
        Self { head, sent_chars: HashMap::new() }
    }

    fn completion(
        &self,
        choices: Vec<CompletionChoice>,
        usage: Option<Option<Usage>>,
    ) -> Completion {
        Completion {
            id: self.head.id.clone(),
            object: "text_completion",
            created: self.head.created,
            model: self.head.model.clone(),
            system_fingerprint: self.head.fingerprint.clone(),
            choices,
            usage,
        }
    }

    fn chunk_of(&self, choices: Vec<CompletionChoice>, usage: Option<Usage>) -> String {
        to_json(&self.completion(choices, self.head.has_usage.then_some(usage)))
    }

    fn choice(
        &mut self,
        index: usize,
        text: String,
        logprobs: Vec<TokenLogprob>,
        finish_reason: Option<FinishReason>,
    ) -> CompletionChoice {
        let sent = self.sent_chars.entry(index).or_default();
        let has_logprobs = self.head.has_logprobs && !(text.is_empty() && logprobs.is_empty());
        let logprobs = has_logprobs.then(|| columns(logprobs, *sent));
        *sent += text.chars().count();
        CompletionChoice { text, index, logprobs, finish_reason }
    }
}

impl Shape for CompletionShape {
    type Whole = Completion;

    fn chunk(&mut self, progressed: Progressed) -> Option<String> {
        let choice = match progressed {
            Progressed::Text { index, piece } => {
                self.choice(index, piece.text, piece.logprobs, None)
            }
            Progressed::Ended { index, reason } => {
                self.choice(index, String::new(), Vec::new(), Some(reason))
            }
            Progressed::Started { .. } | Progressed::Failed(_) => return None,
        };
        Some(self.chunk_of(vec![choice], None))
    }

    fn usage_chunk(&self, usage: Usage) -> String {
        self.chunk_of(Vec::new(), Some(usage))
    }

    fn whole(&mut self, choices: Vec<WholeChoice>, usage: Usage) -> Completion {
        let choice = |(index, choice): (usize, WholeChoice)| {
            self.choice(index, choice.text, choice.logprobs, Some(choice.reason))
        };
        let choices = choices.into_iter().enumerate().map(choice).collect();
        self.completion(choices, Some(Some(usage)))
    }
}

/// One list for each property; the first token stands after `offset` characters.
fn columns(tokens: Vec<TokenLogprob>, mut offset: usize) -> CompletionLogprobs {
    let mut columns = CompletionLogprobs::default();
    for token in tokens {
        let likely = token.top_logprobs.into_iter();
        let top: Map<_, _> = likely.map(|top| (top.token, top.logprob.into())).collect();
        columns.top_logprobs.push(top);
        columns.token_logprobs.push(token.logprob);
        columns.text_offset.push(offset);
        offset += token.token.chars().count();
        columns.tokens.push(token.token);
    }
    columns
}
