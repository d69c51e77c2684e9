//! Legacy completions.

use russet_protocol::{
    Completion, CompletionChoice, CompletionLogprobs, FinishReason, LikelyTexts, Usage,
};

use super::{Head, Shape, WholeChoice, to_json};
use crate::ServerState;
use crate::admit::Admitted;
use crate::generation::Progressed;
use crate::text::{Piece, PlacedLogprob};

/// Answers of `POST /v1/completions`.
#[derive(Debug)]
pub(crate) struct CompletionShape {
    head: Head,
}

impl CompletionShape {
    pub(crate) fn new(state: &ServerState, model: String, admitted: &Admitted) -> Self {
        Self { head: Head::new(state, "cmpl", model, admitted) }
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
        &self,
        index: usize,
        piece: Piece,
        finish_reason: Option<FinishReason>,
    ) -> CompletionChoice {
        let has_logprobs = self.head.has_logprobs && piece != Piece::default();
        let logprobs = has_logprobs.then(|| columns(piece.logprobs));
        CompletionChoice { text: piece.text, index, logprobs, finish_reason }
    }
}

impl Shape for CompletionShape {
    type Whole = Completion;

    fn chunk(&self, progressed: Progressed) -> Option<String> {
        let choice = match progressed {
            Progressed::Text { index, piece } => self.choice(index, piece, None),
            Progressed::Ended { index, reason } => {
                self.choice(index, Piece::default(), Some(reason))
            }
            Progressed::Started { .. } | Progressed::Failed(_) => return None,
        };
        Some(self.chunk_of(vec![choice], None))
    }

    fn usage_chunk(&self, usage: Usage) -> String {
        self.chunk_of(Vec::new(), Some(usage))
    }

    fn whole(&self, choices: Vec<WholeChoice>, usage: Usage) -> Completion {
        let choice = |(index, choice): (usize, WholeChoice)| {
            self.choice(index, choice.piece, Some(choice.reason))
        };
        let choices = choices.into_iter().enumerate().map(choice).collect();
        self.completion(choices, Some(Some(usage)))
    }
}

/// One list for each property.
fn columns(tokens: Vec<PlacedLogprob>) -> CompletionLogprobs {
    let mut columns = CompletionLogprobs::default();
    for PlacedLogprob { offset, logprob: token } in tokens {
        let mut top = LikelyTexts::default();
        token.top_logprobs.into_iter().for_each(|likely| top.add(likely.token, likely.logprob));
        // OpenAI's lists have the chosen token, likely or not.
        top.add(token.token.clone(), token.logprob);
        columns.top_logprobs.push(top);
        columns.token_logprobs.push(token.logprob);
        columns.text_offset.push(offset);
        columns.tokens.push(token.token);
    }
    columns
}
