//! The choices of one request while the engine generates them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use russet_engine::{Event, Events, SequenceError, Token, TokenId, TokenLogprobs};
use russet_protocol::{FinishReason, LikelyToken, TokenLogprob, Usage};
use russet_tokenizer::{SkipSpecial, TextStart, Tokenizer};

use crate::EngineModel;
use crate::admit::{Admitted, PlannedChoice, TextPlace};
use crate::error::ApiError;
use crate::text::{Piece, Progress, StopText};

/// JSON has no infinity; this is what OpenAI sends for a token that cannot come.
const LOWEST_LOGPROB: f32 = -9999.0;

/// All choices of one request. Dropping it aborts them within one step.
#[derive(Debug)]
pub(crate) struct Generation {
    choices: Vec<Choice>,
    ready: VecDeque<Progressed>,
    usage: Usage,
}

/// What happened to a choice.
#[derive(Debug)]
pub(crate) enum Progressed {
    /// Its turn has come.
    Started { index: usize },
    /// It has more text.
    Text { index: usize, piece: Piece },
    /// It is complete.
    Ended { index: usize, reason: FinishReason },
    /// The request cannot go on; nothing follows.
    Failed(SequenceError),
}

#[derive(Debug)]
struct Choice {
    /// `None` once the choice has ended.
    events: Option<Events>,
    text: StopText,
    tokenizer: Arc<Tokenizer>,
    echo: Option<String>,
    of_prompt: usize,
}

impl Generation {
    /// Sends all choices to the engine, or none.
    pub(crate) fn start(model: &EngineModel, admitted: Admitted) -> Result<Self, ApiError> {
        let Admitted { choices, stop, place, delivery: _ } = admitted;
        let mut usage = Usage::default();
        let start = |planned: PlannedChoice| {
            if planned.of_prompt == 0 {
                usage.prompt_tokens += planned.request.prompt.len();
            }
            Choice::start(model, planned, stop.clone(), place)
        };
        let choices = choices.into_iter().map(start).collect::<Result<_, ApiError>>()?;
        usage.total_tokens = usage.prompt_tokens;
        Ok(Self { choices, ready: VecDeque::new(), usage })
    }

    /// Token counts so far.
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// Takes one event of each choice that has one; whether there was any.
    fn take_ready_events(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        for index in 0..self.choices.len() {
            // A failure clears the list.
            let Some(choice) = self.choices.get_mut(index) else { break };
            let Some(events) = &mut choice.events else { continue };
            match events.poll_next(context) {
                Poll::Ready(Some(event)) => {
                    any = true;
                    self.take(index, event);
                }
                Poll::Ready(None) => choice.events = None,
                Poll::Pending => {}
            }
        }
        any
    }

    fn take(&mut self, index: usize, event: Event) {
        let choice = &mut self.choices[index];
        match event {
            Event::Started { cached_len, .. } => {
                if choice.of_prompt == 0 {
                    self.usage.prompt_tokens_details.cached_tokens += cached_len;
                }
                self.ready.push_back(Progressed::Started { index });
                if let Some(text) = choice.echo.take().filter(|text| !text.is_empty()) {
                    let piece = Piece { text, logprobs: Vec::new() };
                    self.ready.push_back(Progressed::Text { index, piece });
                }
            }
            Event::Token(token) => {
                self.count_output(1);
                let progress = self.choices[index].push(&token);
                self.advance(index, progress, None);
            }
            Event::Finished { reason, .. } => {
                let reason = match reason {
                    russet_engine::FinishReason::Stop(_) => {
                        // The stop token had no event of its own.
                        self.count_output(1);
                        FinishReason::Stop
                    }
                    russet_engine::FinishReason::Length => FinishReason::Length,
                };
                let progress = self.choices[index].text.finish();
                self.advance(index, progress, Some(reason));
            }
            Event::Failed(error) => {
                self.choices.clear();
                self.ready.push_back(Progressed::Failed(error));
            }
        }
    }

    /// Gives out new text; ends the choice after a stop string or for `reason`.
    fn advance(&mut self, index: usize, progress: Progress, reason: Option<FinishReason>) {
        let (piece, reason) = match progress {
            Progress::More(piece) => (piece, reason),
            Progress::Stopped(piece) => (piece, Some(FinishReason::Stop)),
        };
        if piece != Piece::default() {
            self.ready.push_back(Progressed::Text { index, piece });
        }
        if let Some(reason) = reason {
            self.choices[index].events = None;
            self.ready.push_back(Progressed::Ended { index, reason });
        }
    }

    fn count_output(&mut self, num: usize) {
        self.usage.completion_tokens += num;
        self.usage.total_tokens += num;
    }
}

impl Stream for Generation {
    type Item = Progressed;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Progressed>> {
        loop {
            if let Some(progressed) = self.ready.pop_front() {
                return Poll::Ready(Some(progressed));
            }
            if !self.take_ready_events(context) {
                // Every live choice has been asked to wake us.
                let live = self.choices.iter().any(|choice| choice.events.is_some());
                return if live { Poll::Pending } else { Poll::Ready(None) };
            }
        }
    }
}

impl Choice {
    fn start(
        model: &EngineModel,
        planned: PlannedChoice,
        stop: Vec<String>,
        place: TextPlace,
    ) -> Result<Self, ApiError> {
        let tokenizer = model.tokenizer.clone();
        let start = match place {
            TextPlace::Answer => TextStart::Beginning,
            TextPlace::AfterPrompt => TextStart::Continuation,
        };
        let text = StopText::new(tokenizer.decode_stream(SkipSpecial::Yes, start), stop);
        let events = Some(model.handle.submit(planned.request)?);
        let (echo, of_prompt) = (planned.echo, planned.of_prompt);
        Ok(Self { events, text, tokenizer, echo, of_prompt })
    }

    fn push(&mut self, token: &Token) -> Progress {
        let tokenizer = &self.tokenizer;
        let report = |logprobs: &TokenLogprobs| report(tokenizer, token.id, logprobs);
        let logprob = token.logprobs.as_ref().map(report);
        self.text.push(token.id.0, logprob)
    }
}

fn report(tokenizer: &Tokenizer, id: TokenId, logprobs: &TokenLogprobs) -> TokenLogprob {
    let likely = |&(id, logprob): &(TokenId, f32)| {
        let bytes = tokenizer.token_bytes(id.0);
        LikelyToken {
            token: String::from_utf8_lossy(bytes).into_owned(),
            logprob: logprob.max(LOWEST_LOGPROB),
            bytes: bytes.to_vec(),
        }
    };
    let LikelyToken { token, logprob, bytes } = likely(&(id, logprobs.chosen));
    let top_logprobs = logprobs.top.iter().map(likely).collect();
    TokenLogprob { token, logprob, bytes, top_logprobs }
}
