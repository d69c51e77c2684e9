//! The loop over a fake model: every request gets one final event.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use russet_decoder::{ModelError, TokenId};

use super::*;
use crate::fake_model::{FakeModel, Logits, hashed_logits, mix};
use crate::handle::{Handle, connect};
use crate::{EngineSettings, Events, Load, SamplingParams, StopRule, SubmitError};

const VOCAB_LEN: usize = 61;
const STOP: TokenId = TokenId(7);

/// An engine whose steps the test runs, so that nothing depends on timing.
struct Bench {
    handle: Handle,
    worker: Worker,
    commands: Receiver<Command>,
    num_steps: Arc<AtomicUsize>,
}

impl Bench {
    fn new(settings: EngineSettings) -> Self {
        Self::with(settings, Box::new(|history| Ok(hashed_logits(history, VOCAB_LEN))))
    }

    fn with(settings: EngineSettings, logits: Logits) -> Self {
        let model = Box::new(FakeModel::new(VOCAB_LEN, logits));
        let num_steps = model.num_steps();
        let (handle, worker, commands) = connect(model, settings).unwrap();
        Self { handle, worker, commands, num_steps }
    }

    fn submit(&mut self, request: Request) -> Events {
        let events = self.handle.submit(request).unwrap();
        self.receive();
        events
    }

    fn receive(&mut self) {
        while let Ok(Command::Submit(admitted)) = self.commands.try_recv() {
            self.worker.add(*admitted);
        }
    }

    fn run(&mut self) {
        while !self.worker.clients.is_empty() {
            self.worker.step();
        }
    }

    fn generate(&mut self, request: Request) -> Vec<Event> {
        let mut events = self.submit(request);
        self.run();
        drain(&mut events)
    }
}

fn settings() -> EngineSettings {
    EngineSettings { max_waiting: 100, prefill_chunk: 8, cache_tokens: 96 }
}

fn request(prompt: &[u32], max_tokens: usize) -> Request {
    Request {
        prompt: prompt.iter().copied().map(TokenId).collect(),
        max_tokens,
        sampling: SamplingParams::greedy(),
        stop: StopRule::Never,
        logprobs: None,
    }
}

fn drain(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.wait()).collect()
}

fn tokens(events: &[Event]) -> Vec<TokenId> {
    let token = |event: &Event| match event {
        Event::Token(token) => Some(token.id),
        _ => None,
    };
    events.iter().filter_map(token).collect()
}

/// What greedy decoding gives, computed from the histories alone.
fn expected(request: &Request) -> (Vec<TokenId>, FinishReason) {
    let mut history = request.prompt.clone();
    while history.len() < request.prompt.len() + request.max_tokens {
        let logits = hashed_logits(&history, VOCAB_LEN);
        let best = (0..VOCAB_LEN).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        let best = TokenId(u32::try_from(best).unwrap());
        let stops = matches!(&request.stop, StopRule::Tokens { stop, .. } if stop.contains(&best));
        if stops {
            return (history.split_off(request.prompt.len()), FinishReason::Stop(best));
        }
        history.push(best);
    }
    (history.split_off(request.prompt.len()), FinishReason::Length)
}

#[test]
fn a_request_has_its_events_in_order() {
    let mut bench = Bench::new(settings());
    let request = request(&[1, 2, 3], 4);
    let events = bench.generate(request.clone());
    let (output, reason) = expected(&request);
    assert_eq!(events[0], Event::Started { prompt_len: 3, cached_len: 0 });
    assert_eq!(tokens(&events), output);
    let usage = Usage { prompt_len: 3, cached_len: 0, output_len: 4 };
    assert_eq!(events[5..], [Event::Finished { reason, usage }]);
}

#[test]
fn a_stop_token_ends_and_is_counted_but_not_reported() {
    let mut bench = Bench::with(
        settings(),
        Box::new(|history| {
            let next = if history.len() < 6 { 9 } else { STOP.0 as usize };
            Ok((0..VOCAB_LEN).map(|id| f32::from(u8::from(id == next))).collect())
        }),
    );
    let stop = StopRule::Tokens { stop: vec![STOP], min_tokens: 0 };
    let events = bench.generate(Request { stop, ..request(&[1, 2, 3], 40) });
    assert_eq!(tokens(&events), [TokenId(9); 3]);
    let usage = Usage { prompt_len: 3, cached_len: 0, output_len: 4 };
    let reason = FinishReason::Stop(STOP);
    assert_eq!(events.last(), Some(&Event::Finished { reason, usage }));

    let stop = StopRule::Tokens { stop: vec![STOP], min_tokens: 8 };
    let events = bench.generate(Request { stop, ..request(&[1, 2, 3], 40) });
    assert_eq!(tokens(&events).len(), 8, "min_tokens holds the stop token back");
}

/// Random requests with shared beginnings and random aborts: every one is answered once, with what
/// a cold engine would say, and no block is lost.
#[test]
fn a_thousand_random_requests_leak_nothing() {
    let mut bench = Bench::new(settings());
    let all_free = bench.worker.scheduler.num_blocks();
    let mut live: Vec<(Request, Events)> = Vec::new();
    let (mut num_answered, mut num_reused, mut num_aborted) = (0, 0, 0);
    let (mut state, mut last_prompt) = (42, Vec::new());
    let mut random = |below: usize| {
        state = mix(state);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..1000 {
        let own: Vec<u32> = (0..=random(20)).map(|_| random(VOCAB_LEN) as u32).collect();
        let shared = if random(2) == 0 { &[][..] } else { &last_prompt[..] };
        let prompt = if shared.len() > 40 { own } else { [shared, &own].concat() };
        last_prompt.clone_from(&prompt);
        let stop = StopRule::Tokens { stop: vec![STOP, TokenId(11)], min_tokens: 0 };
        let request = Request { stop, ..request(&prompt, 1 + random(30)) };
        live.push((request.clone(), bench.submit(request)));
        for _ in 0..random(40) {
            bench.worker.step();
        }
        if random(4) == 0 {
            live.swap_remove(random(live.len()));
            num_aborted += 1;
        }
    }
    bench.run();
    for (request, mut events) in live {
        let events = drain(&mut events);
        let finals = events.iter().filter(|e| matches!(e, Event::Finished { .. })).count();
        assert_eq!(finals, 1);
        let Some(Event::Finished { reason, usage }) = events.last() else { panic!("{events:?}") };
        assert_eq!((tokens(&events), *reason), expected(&request));
        num_reused += usize::from(usage.cached_len > 0);
        num_answered += 1;
    }
    assert_eq!(num_answered + num_aborted, 1000);
    assert!(num_reused > 50, "only {num_reused} requests reused a prefix");
    assert_eq!(bench.worker.scheduler.num_free_without_resident(), all_free);
    assert_eq!(bench.handle.load(), Load::default());
}

#[test]
fn the_next_turn_of_a_conversation_reuses_the_last_one() {
    let mut bench = Bench::new(settings());
    let first = request(&[1, 2, 3, 4, 5], 20);
    let output = tokens(&bench.generate(first.clone()));
    let mut second = request(&[], 5);
    second.prompt = [first.prompt, output, vec![TokenId(3), TokenId(4)]].concat();
    let events = bench.generate(second.clone());
    // The last token of the first output was never computed.
    assert_eq!(events[0], Event::Started { prompt_len: 27, cached_len: 24 });
    assert_eq!(tokens(&events), expected(&second).0);
    // Asked again, all but the last prompt token is there.
    let again = bench.generate(second.clone());
    assert_eq!(tokens(&again), expected(&second).0);
}

#[test]
fn a_dropped_receiver_stops_within_one_step() {
    let mut bench = Bench::new(settings());
    let events = bench.submit(request(&[1; 60], 30));
    bench.worker.step();
    drop(events);
    bench.worker.step();
    assert!(bench.worker.clients.is_empty());
    let waiting = [bench.submit(request(&[1], 30)), bench.submit(request(&[1], 30))];
    bench.worker.step();
    drop(waiting);
    bench.worker.step();
    assert_eq!(bench.handle.load(), Load::default());
    assert_eq!(bench.num_steps.load(Ordering::SeqCst), 2, "one for each that ran");
}

#[test]
fn a_failing_model_fails_its_request_and_serves_the_next() {
    for failing in 0..3 {
        let logits: Logits = Box::new(move |history| match (history[0], failing) {
            (TokenId(1), _) => Ok(hashed_logits(history, VOCAB_LEN)),
            (_, 0) => panic!("deliberate failure number {}", 1),
            (_, 1) => Err(ModelError::CacheMemory { bytes: 12 }),
            _ => Ok(vec![f32::NAN; VOCAB_LEN]),
        });
        let mut bench = Bench::with(settings(), logits);
        let all_free = bench.worker.scheduler.num_blocks();
        let events = bench.generate(request(&[2, 3], 5));
        let [Event::Started { .. }, Event::Failed(error)] = &events[..] else {
            panic!("{events:?}");
        };
        let messages = [
            "the model failed while computing a step: deliberate failure number 1",
            "the model could not compute a step: \
             no memory for the KV cache: 12 bytes were asked for",
            "the model's logits of output token 0 are not numbers (NaN)",
        ];
        assert_eq!(error.to_string(), messages[failing]);
        assert_eq!(bench.worker.scheduler.num_free_without_resident(), all_free);
        let good = request(&[1, 2], 5);
        assert_eq!(tokens(&bench.generate(good.clone())), expected(&good).0);
    }
}

#[test]
fn refusals_name_what_was_found_and_what_fits() {
    let bench = Bench::new(settings());
    let refusal = |request: Request| bench.handle.submit(request).unwrap_err().to_string();
    assert_eq!(refusal(request(&[], 1)), "the prompt has no tokens");
    assert_eq!(
        refusal(request(&[1; 90], 7)),
        "the prompt has 90 tokens and 7 more were asked for, 97 in all; \
         the context has room for 96"
    );
    assert_eq!(refusal(request(&[61], 1)), "token 61 of `prompt` is outside the vocabulary of 61");
    let mut hot = request(&[1], 1);
    hot.sampling.temperature = f32::NAN;
    assert_eq!(refusal(hot), "`temperature` is NaN; it must be a finite number of 0 or more");
    let mut tiny = request(&[1], 1);
    tiny.sampling.repetition_penalty = 0.0005;
    let message = "`repetition_penalty` is 0.0005; it must be between 0.001 and 1000";
    assert_eq!(refusal(tiny), message);
    assert!(bench.handle.submit(request(&[1; 90], 6)).is_ok());
}

#[test]
fn the_waiting_queue_is_bounded() {
    let mut bench = Bench::new(EngineSettings { max_waiting: 2, ..settings() });
    let _live: Vec<_> = (0..3).map(|_| bench.submit(request(&[1], 2))).collect();
    let full = SubmitError::QueueFull { max_waiting: 2 };
    assert_eq!(bench.handle.submit(request(&[1], 2)).unwrap_err(), full);
    assert_eq!(bench.handle.load(), Load { num_running: 1, num_waiting: 2 });
    bench.worker.step();
    bench.worker.step();
    assert!(bench.handle.submit(request(&[1], 2)).is_ok());
}

#[test]
fn draining_finishes_what_was_admitted() {
    let mut bench = Bench::new(settings());
    let mut events = bench.submit(request(&[1], 3));
    bench.handle.drain();
    assert_eq!(bench.handle.submit(request(&[1], 3)).unwrap_err(), SubmitError::Draining);
    bench.run();
    assert_eq!(tokens(&drain(&mut events)).len(), 3);
}

#[test]
fn aborting_ends_everything_at_once() {
    let mut bench = Bench::new(settings());
    let mut all: Vec<_> = (0..3).map(|_| bench.submit(request(&[1], 30))).collect();
    bench.worker.step();
    bench.worker.abort_all();
    for events in &mut all {
        assert_eq!(drain(events).last(), Some(&Event::Failed(SequenceError::Aborted)));
    }
}

#[test]
fn a_seed_gives_the_same_tokens_whatever_ran_before() {
    let sampled = |seed| {
        let sampling = SamplingParams { seed: Some(seed), ..SamplingParams::default() };
        Request { sampling, ..request(&[5, 6], 20) }
    };
    let mut bench = Bench::new(settings());
    let first = tokens(&bench.generate(sampled(1)));
    bench.generate(request(&[1], 5));
    assert_eq!(tokens(&bench.generate(sampled(1))), first);
    assert_ne!(tokens(&bench.generate(sampled(2))), first);
}
