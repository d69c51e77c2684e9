//! Chat answers.

use russet_protocol::{
    AnswerMessage, ChatChoice, ChatChunk, ChatChunkChoice, ChatCompletion, ChatLogprobs, Delta,
    Usage,
};

use super::{Head, Shape, WholeChoice, to_json};
use crate::ServerState;
use crate::admit::Admitted;
use crate::generation::Progressed;
use crate::text::PlacedLogprob;

/// Answers of `POST /v1/chat/completions`.
#[derive(Debug)]
pub(crate) struct ChatShape {
    head: Head,
}

impl ChatShape {
    pub(crate) fn new(state: &ServerState, model: String, admitted: &Admitted) -> Self {
        Self { head: Head::new(state, "chatcmpl", model, admitted) }
    }

    fn chunk_of(&self, choices: Vec<ChatChunkChoice>, usage: Option<Usage>) -> String {
        let head = &self.head;
        to_json(&ChatChunk {
            id: head.id.clone(),
            object: "chat.completion.chunk",
            created: head.created,
            model: head.model.clone(),
            system_fingerprint: head.fingerprint.clone(),
            choices,
            usage: head.has_usage.then_some(usage),
        })
    }

    fn logprobs(&self, tokens: Vec<PlacedLogprob>) -> Option<ChatLogprobs> {
        let content = tokens.into_iter().map(|placed| placed.logprob).collect();
        self.head.has_logprobs.then_some(ChatLogprobs { content, refusal: None })
    }
}

impl Shape for ChatShape {
    type Whole = ChatCompletion;

    fn chunk(&self, progressed: Progressed) -> Option<String> {
        let choice = match progressed {
            Progressed::Started { index } => {
                let delta = Delta { role: Some(ASSISTANT), content: Some(String::new()) };
                ChatChunkChoice { index, delta, logprobs: None, finish_reason: None }
            }
            Progressed::Text { index, piece } => {
                let delta = Delta { role: None, content: Some(piece.text) };
                let logprobs = self.logprobs(piece.logprobs);
                ChatChunkChoice { index, delta, logprobs, finish_reason: None }
            }
            Progressed::Ended { index, reason } => {
                let (delta, finish_reason) = (Delta::default(), Some(reason));
                ChatChunkChoice { index, delta, logprobs: None, finish_reason }
            }
            Progressed::Failed(_) => return None,
        };
        Some(self.chunk_of(vec![choice], None))
    }

    fn usage_chunk(&self, usage: Usage) -> String {
        self.chunk_of(Vec::new(), Some(usage))
    }

    fn whole(&self, choices: Vec<WholeChoice>, usage: Usage) -> ChatCompletion {
        let choice = |(index, choice): (usize, WholeChoice)| ChatChoice {
            index,
            message: AnswerMessage { role: ASSISTANT, content: choice.piece.text, refusal: None },
            logprobs: self.logprobs(choice.piece.logprobs),
            finish_reason: choice.reason,
        };
        ChatCompletion {
            choices: choices.into_iter().enumerate().map(choice).collect(),
            id: self.head.id.clone(),
            object: "chat.completion",
            created: self.head.created,
            model: self.head.model.clone(),
            system_fingerprint: self.head.fingerprint.clone(),
            usage,
        }
    }
}

const ASSISTANT: &str = "assistant";
