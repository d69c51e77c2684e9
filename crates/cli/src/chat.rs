//! One conversation with a loaded model: messages in, text out as it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use russet_engine::{Event, Events, FinishReason, Request, SamplingParams, StopRule, TokenId};
use russet_tokenizer::{AddSpecial, RenderOptions, SkipSpecial, TextStart};
use serde_json::{Value, json};

use crate::loaded::Loaded;

/// How long Ctrl-C may go unnoticed.
const STOP_POLL: Duration = Duration::from_millis(50);

/// A conversation so far.
pub(crate) struct Conversation<'a> {
    loaded: &'a Loaded,
    messages: Vec<Value>,
    sampling: SamplingParams,
    max_tokens: Option<usize>,
}

/// How an answer went.
pub(crate) struct Answer {
    pub(crate) num_prompt_tokens: usize,
    pub(crate) num_tokens: usize,
    pub(crate) to_first_token: Duration,
    pub(crate) total: Duration,
    /// Why it ended before the model was done, if it did.
    pub(crate) cut_short: Option<&'static str>,
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(
        loaded: &'a Loaded,
        sampling: SamplingParams,
        max_tokens: Option<usize>,
    ) -> Self {
        Self { loaded, messages: Vec::new(), sampling, max_tokens }
    }

    /// Starts over with this system message, or none.
    pub(crate) fn reset(&mut self, system: Option<&str>) {
        self.messages.clear();
        self.messages.extend(system.map(|text| json!({"role": "system", "content": text})));
    }

    /// Starts over with the system message there is.
    pub(crate) fn forget(&mut self) {
        self.messages.retain(|message| message["role"] == "system");
    }

    /// Answers `prompt`, giving the text to `write` piece by piece, until done or `stop` is set.
    pub(crate) fn ask(
        &mut self,
        prompt: &str,
        stop: &AtomicBool,
        write: &mut dyn FnMut(&str) -> std::io::Result<()>,
    ) -> Result<Answer> {
        let kept = self.messages.len();
        self.messages.push(json!({"role": "user", "content": prompt}));
        match self.answer(stop, write) {
            Ok((answer, text)) => {
                self.messages.push(json!({"role": "assistant", "content": text}));
                Ok(answer)
            }
            Err(error) => {
                self.messages.truncate(kept);
                Err(error)
            }
        }
    }

    fn answer(
        &self,
        stop: &AtomicBool,
        write: &mut dyn FnMut(&str) -> std::io::Result<()>,
    ) -> Result<(Answer, String)> {
        let start = Instant::now();
        let request = self.request()?;
        let mut answer = Answer {
            num_prompt_tokens: request.prompt.len(),
            num_tokens: 0,
            to_first_token: Duration::ZERO,
            total: Duration::ZERO,
            cut_short: None,
        };
        let mut events = self.loaded.engine.handle().submit(request)?;
        let tokenizer = &self.loaded.tokenizer;
        let mut stream = tokenizer.decode_stream(SkipSpecial::Yes, TextStart::Beginning);
        let mut text = String::new();
        loop {
            let Some(event) = next_event(&mut events, stop) else {
                answer.cut_short = Some("stopped");
                break;
            };
            match event {
                Event::Started { .. } => {}
                Event::Token(token) => {
                    if answer.num_tokens == 0 {
                        answer.to_first_token = start.elapsed();
                    }
                    answer.num_tokens += 1;
                    emit(stream.push(token.id.0), &mut text, write)?;
                }
                Event::Finished { reason, .. } => {
                    let full = reason == FinishReason::Length;
                    answer.cut_short = full.then_some("the limit of tokens is reached");
                    break;
                }
                Event::Failed(error) => return Err(error.into()),
            }
        }
        emit(stream.finish(), &mut text, write)?;
        answer.total = start.elapsed();
        Ok((answer, text))
    }

    fn request(&self) -> Result<Request> {
        let prompt = self.prompt()?;
        let context = self.loaded.engine.handle().limits().context_len;
        if prompt.len() >= context {
            bail!("the prompt has {} tokens; the context has {context}", prompt.len());
        }
        let room = context - prompt.len();
        Ok(Request {
            max_tokens: self.max_tokens.map_or(room, |max| max.min(room)),
            prompt,
            sampling: self.sampling.clone(),
            stop: StopRule::Tokens { stop: self.loaded.stop_tokens.clone(), min_tokens: 0 },
            logprobs: None,
        })
    }

    /// The conversation as tokens. A model without a chat template continues the last message's
    /// text.
    fn prompt(&self) -> Result<Vec<TokenId>> {
        let tokenizer = &self.loaded.tokenizer;
        let ids = match &self.loaded.template {
            Some(template) => {
                let options = RenderOptions {
                    add_generation_prompt: true,
                    special: Some(tokenizer.special_tokens()),
                    ..RenderOptions::default()
                };
                let text = template.render(&Value::from(self.messages.clone()), &options)?;
                tokenizer.encode(&text, AddSpecial::No)?
            }
            None => {
                let last = self.messages.last().context("a conversation has a message")?;
                tokenizer.encode(last["content"].as_str().unwrap_or_default(), AddSpecial::Yes)?
            }
        };
        Ok(ids.into_iter().map(TokenId).collect())
    }
}

/// The next event, or `None` if `stop` is set first: a long prompt can take minutes to its first
/// event. There is one, as every request ends in a final event.
fn next_event(events: &mut Events, stop: &AtomicBool) -> Option<Event> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    while !stop.load(Ordering::Relaxed) {
        match events.poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(event) => return event,
            Poll::Pending => std::thread::park_timeout(STOP_POLL),
        }
    }
    None
}

/// Wakes a thread that waits for an event.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn emit(
    piece: Option<String>,
    text: &mut String,
    write: &mut dyn FnMut(&str) -> std::io::Result<()>,
) -> Result<()> {
    if let Some(piece) = piece {
        write(&piece)?;
        text.push_str(&piece);
    }
    Ok(())
}
