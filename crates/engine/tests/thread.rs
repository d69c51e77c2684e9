//! The engine on its own thread: what only shows when it really runs beside its clients.
#![cfg(test)]

mod fake_model;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use fake_model::{FakeModel, hashed_logits};
use russet_decoder::{Batch, BlockId, Model, ModelError, ModelInfo, ModelOutput};
use russet_engine::{
    Engine, EngineSettings, Event, Events, FinishReason, Request, SamplingParams, SequenceError,
    StartError, StopRule, SubmitError, TokenId,
};

const VOCAB_LEN: usize = 50;

fn request(prompt_len: usize, max_tokens: usize) -> Request {
    Request {
        prompt: vec![TokenId(1); prompt_len],
        max_tokens,
        sampling: SamplingParams::default(),
        stop: StopRule::Never,
        logprobs: None,
    }
}

fn start() -> Engine {
    let logits = Box::new(|history: &[TokenId]| Ok(hashed_logits(history, VOCAB_LEN)));
    let model = Box::new(FakeModel::new(VOCAB_LEN, logits));
    Engine::start(model, EngineSettings::default()).unwrap()
}

/// An engine that computes one step for each message sent; also counts the steps begun.
fn start_gated() -> (Engine, Sender<()>, Arc<AtomicUsize>) {
    let (go, gate): (Sender<()>, Receiver<()>) = channel();
    let logits = Box::new(move |history: &[TokenId]| {
        // Once the test is over nobody holds the gate.
        let _ = gate.recv();
        Ok(hashed_logits(history, VOCAB_LEN))
    });
    let model = Box::new(FakeModel::new(VOCAB_LEN, logits));
    let num_steps = model.num_steps();
    (Engine::start(model, EngineSettings::default()).unwrap(), go, num_steps)
}

fn last(events: &mut Events) -> Event {
    std::iter::from_fn(|| events.wait()).last().unwrap()
}

fn is_complete(event: &Event) -> bool {
    matches!(event, Event::Finished { reason: FinishReason::Length, .. })
}

#[test]
fn many_threads_are_all_answered() {
    let engine = start();
    std::thread::scope(|scope| {
        for prompt_len in 1..=32 {
            let handle = engine.handle();
            scope.spawn(move || {
                let mut events = handle.submit(request(prompt_len, 20)).unwrap();
                assert!(is_complete(&last(&mut events)));
            });
        }
    });
    engine.finish();
}

#[test]
fn dropping_the_events_stops_the_engine_within_a_step() {
    let (engine, go, num_steps) = start_gated();
    let events = engine.handle().submit(request(2, 1000)).unwrap();
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    wait_for(|| num_steps.load(Ordering::SeqCst) == 4);
    drop(events);
    for _ in 0..100 {
        go.send(()).unwrap();
    }
    wait_for(|| engine.handle().load().num_running == 0);
    assert_eq!(num_steps.load(Ordering::SeqCst), 4);
}

#[test]
fn finishing_completes_what_was_admitted() {
    let engine = start();
    let handle = engine.handle();
    let mut all: Vec<_> = (0..5).map(|_| handle.submit(request(3, 50)).unwrap()).collect();
    engine.finish();
    assert!(all.iter_mut().all(|events| is_complete(&last(events))));
    assert_eq!(handle.submit(request(1, 1)).unwrap_err(), SubmitError::Draining);
}

#[test]
fn dropping_the_engine_aborts_what_was_admitted() {
    let (engine, go, _) = start_gated();
    let handle = engine.handle();
    let mut all: Vec<_> = (0..5).map(|_| handle.submit(request(3, 50)).unwrap()).collect();
    drop(go);
    handle.abort_all();
    drop(engine);
    for events in &mut all {
        let last = last(events);
        let aborted = last == Event::Failed(SequenceError::Aborted);
        assert!(aborted || is_complete(&last), "{last:?}");
    }
}

/// Fails where no model may, after it was started.
struct Broken {
    model: FakeModel,
    started: bool,
}

impl Model for Broken {
    fn info(&self) -> &ModelInfo {
        assert!(!self.started, "deliberate failure");
        self.model.info()
    }

    fn allocate_cache(&mut self, num_blocks: &[usize]) -> Result<(), ModelError> {
        self.model.allocate_cache(num_blocks)
    }

    fn forward(&mut self, batch: &Batch) -> Result<ModelOutput, ModelError> {
        self.started = true;
        self.model.forward(batch)
    }

    fn copy_block(&mut self, group: usize, from: BlockId, to: BlockId) {
        self.model.copy_block(group, from, to);
    }

    fn read_block(&self, group: usize, block: BlockId) -> Vec<u8> {
        self.model.read_block(group, block)
    }

    fn write_block(&mut self, group: usize, block: BlockId, b: &[u8]) -> Result<(), ModelError> {
        self.model.write_block(group, block, b)
    }
}

#[test]
fn an_engine_whose_thread_ends_says_so_and_nobody_waits() {
    let logits = Box::new(|history: &[TokenId]| Ok(hashed_logits(history, VOCAB_LEN)));
    let model = Box::new(Broken { model: FakeModel::new(VOCAB_LEN, logits), started: false });
    let engine = Engine::start(model, EngineSettings::default()).unwrap();
    let handle = engine.handle();
    let mut all: Vec<_> = (0..3).filter_map(|_| handle.submit(request(2, 5)).ok()).collect();
    for events in &mut all {
        assert_eq!(last(events), Event::Failed(SequenceError::Stopped));
    }
    wait_for(|| handle.check_accepting() == Err(SubmitError::Stopped));
    assert_eq!(handle.submit(request(2, 5)).unwrap_err(), SubmitError::Stopped);
    engine.finish();
}

#[test]
fn a_setting_of_zero_is_refused_by_name() {
    let logits = Box::new(|_: &[TokenId]| Ok(vec![0.0]));
    let settings = EngineSettings { prefill_chunk: 0, ..EngineSettings::default() };
    let refused = Engine::start(Box::new(FakeModel::new(1, logits)), settings).unwrap_err();
    assert!(matches!(refused, StartError::Setting { name: "prefill_chunk", value: 0, .. }));
}

#[track_caller]
fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 10 s in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}
