//! What an engine tells about a generation, and the channel that carries it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use russet_decoder::TokenId;

use crate::SequenceError;

/// What happens to an admitted request, in this order: `Started`, any number of `Token`s, and one
/// `Finished` or `Failed`. `Failed` may come first.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Its turn has come; its prompt is being computed.
    Started {
        /// Tokens of the prompt.
        prompt_len: usize,
        /// Of these, tokens whose keys and values were still cached.
        cached_len: usize,
    },
    /// A token was chosen.
    Token(Token),
    /// The generation is complete.
    Finished {
        /// Why it ended.
        reason: FinishReason,
        /// What it took.
        usage: Usage,
    },
    /// The generation cannot go on.
    Failed(SequenceError),
}

/// A chosen token.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// The token.
    pub id: TokenId,
    /// Present if the request asked for it.
    pub logprobs: Option<TokenLogprobs>,
}

/// Log-probabilities at one position: the log-softmax of the model's logits, before bias,
/// penalties and temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprobs {
    /// Of the chosen token.
    pub chosen: f32,
    /// The most likely tokens, most likely first.
    pub top: Vec<(TokenId, f32)>,
}

/// Why a generation is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model chose this stop token, which had no [`Event::Token`].
    Stop(TokenId),
    /// It has `max_tokens` tokens.
    Length,
}

/// What a generation took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_len: usize,
    /// Of these, tokens whose keys and values were still cached.
    pub cached_len: usize,
    /// Tokens generated, a stop token included.
    pub output_len: usize,
}

/// The events of one request. Dropping it aborts the generation within one step.
///
/// Holds at most `max_tokens + 2` events, so a slow reader never blocks the engine.
#[derive(Debug)]
pub struct Events {
    channel: Arc<Channel>,
}

/// The engine's end. Dropped without a final event, it sends [`SequenceError::Stopped`].
#[derive(Debug)]
pub(crate) struct EventSender {
    channel: Arc<Channel>,
}

#[derive(Debug, Default)]
struct Channel {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Event>,
    ended: bool,
    abandoned: bool,
    waker: Option<Waker>,
}

pub(crate) fn channel() -> (EventSender, Events) {
    let channel = Arc::new(Channel::default());
    (EventSender { channel: channel.clone() }, Events { channel })
}

impl Events {
    /// Waits for the next event; `None` after the final one.
    pub fn wait(&mut self) -> Option<Event> {
        let mut state = self.channel.lock();
        loop {
            if let Some(event) = state.queue.pop_front() {
                return Some(event);
            }
            if state.ended {
                return None;
            }
            state = self.channel.changed.wait(state).expect(NEVER_POISONED);
        }
    }

    /// The next event if it is there; otherwise wakes `context`'s task when it is.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.channel.lock();
        if let Some(event) = state.queue.pop_front() {
            return Poll::Ready(Some(event));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.channel.lock();
        state.abandoned = true;
        state.queue.clear();
    }
}

impl EventSender {
    /// Sends an event unless the other end is gone; nothing is sent after a final event.
    pub(crate) fn send(&self, event: Event) {
        let mut state = self.channel.lock();
        if state.ended {
            return;
        }
        state.ended = matches!(event, Event::Finished { .. } | Event::Failed(_));
        if !state.abandoned {
            state.queue.push_back(event);
        }
        let waker = state.waker.take();
        drop(state);
        self.channel.changed.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether nobody waits for events any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.channel.lock().abandoned
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        self.send(Event::Failed(SequenceError::Stopped));
    }
}

const NEVER_POISONED: &str = "nothing panics while it holds an event channel";

impl Channel {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(NEVER_POISONED)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn token(id: u32) -> Event {
        Event::Token(Token { id: TokenId(id), logprobs: None })
    }

    #[test]
    fn a_dropped_sender_ends_with_a_failure_once() {
        let (sender, mut events) = channel();
        sender.send(token(1));
        drop(sender);
        assert_eq!(events.wait(), Some(token(1)));
        assert_eq!(events.wait(), Some(Event::Failed(SequenceError::Stopped)));
        assert_eq!(events.wait(), None);
    }

    #[test]
    fn nothing_follows_a_final_event() {
        let (sender, mut events) = channel();
        let end = Event::Finished { reason: FinishReason::Length, usage: Usage::default() };
        sender.send(end.clone());
        sender.send(token(1));
        drop(sender);
        assert_eq!(events.wait(), Some(end));
        assert_eq!(events.wait(), None);
    }

    #[test]
    fn polling_registers_for_exactly_one_wake() {
        let (sender, mut events) = channel();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        assert_eq!(events.poll_next(&mut context), Poll::Pending);
        sender.send(token(1));
        sender.send(token(2));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(events.poll_next(&mut context), Poll::Ready(Some(token(1))));
        assert_eq!(events.poll_next(&mut context), Poll::Ready(Some(token(2))));
        assert_eq!(events.poll_next(&mut context), Poll::Pending);
    }

    #[test]
    fn the_sender_sees_an_abandoned_receiver() {
        let (sender, events) = channel();
        assert!(!sender.is_abandoned());
        drop(events);
        assert!(sender.is_abandoned());
    }
}
