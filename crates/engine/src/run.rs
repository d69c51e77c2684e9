//! The step loop: one thread owns the model and all state that changes.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;

use russet_decoder::{Batch, Model, ModelOutput, SequenceId};

use crate::event::EventSender;
use crate::handle::Place;
use crate::sampler::{Choice, Sampler, Scratch};
use crate::scheduler::{Cached, Schedule, Scheduler};
use crate::sequence::Sequence;
use crate::{BadLogits, Event, FinishReason, Request, SequenceError, Token, Usage};

/// Everything that can be asked of the engine's thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Generate.
    Submit(Box<Admitted>),
    /// End every sequence now.
    AbortAll,
    /// End once every sequence has.
    Finish,
}

/// A request that passed every check.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) request: Request,
    pub(crate) events: EventSender,
    pub(crate) place: Place,
}

/// The model, the sequences, and who waits for them.
pub(crate) struct Worker {
    model: Box<dyn Model>,
    scheduler: Scheduler,
    clients: BTreeMap<SequenceId, Client>,
    scratch: Scratch,
    next_id: u64,
    aborting: bool,
}

/// Who waits for a sequence, and how its tokens are chosen.
struct Client {
    events: EventSender,
    place: Place,
    sampler: Sampler,
    max_tokens: usize,
    usage: Usage,
}

/// Handles commands and computes steps until told to finish, or until no handle is left.
pub(crate) fn run(mut worker: Worker, commands: &Receiver<Command>) {
    let mut finishing = false;
    loop {
        let idle = worker.clients.is_empty();
        if idle && finishing {
            return;
        }
        let command = if idle { commands.recv().ok() } else { commands.try_recv().ok() };
        match command {
            Some(Command::Submit(admitted)) => worker.add(*admitted),
            Some(Command::AbortAll) => worker.abort_all(),
            Some(Command::Finish) => finishing = true,
            None if idle => return,
            None => worker.step(),
        }
    }
}

impl Worker {
    pub(crate) fn new(model: Box<dyn Model>, scheduler: Scheduler) -> Self {
        let (clients, scratch) = (BTreeMap::new(), Scratch::default());
        Self { model, scheduler, clients, scratch, next_id: 0, aborting: false }
    }

    /// Takes in a request.
    pub(crate) fn add(&mut self, admitted: Admitted) {
        let Admitted { request, events, place } = admitted;
        if self.aborting {
            return events.send(Event::Failed(SequenceError::Aborted));
        }
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        let sampler = Sampler::new(&request);
        let usage = Usage { prompt_len: request.prompt.len(), ..Usage::default() };
        let max_tokens = request.max_tokens;
        self.scheduler.add(Sequence::new(id, request.prompt));
        self.clients.insert(id, Client { events, place, sampler, max_tokens, usage });
    }

    /// Computes one step and tells the clients about it.
    pub(crate) fn step(&mut self) {
        self.drop_abandoned();
        let Some(Schedule { batch, started }) = self.scheduler.schedule() else { return };
        for started in started {
            let client = self.client(started.id);
            client.usage.cached_len = started.cached_len;
            let (prompt_len, cached_len) = (started.prompt_len, started.cached_len);
            client.events.send(Event::Started { prompt_len, cached_len });
        }
        match self.forward(&batch) {
            Ok(output) => self.commit(&batch, output),
            Err(error) => {
                for rows in &batch.sequences {
                    self.end(rows.id, Cached::Discard, Event::Failed(error.clone()));
                }
            }
        }
    }

    /// Ends every sequence, and those that were still on their way.
    pub(crate) fn abort_all(&mut self) {
        self.aborting = true;
        let ids: Vec<SequenceId> = self.clients.keys().copied().collect();
        for id in ids {
            self.end(id, Cached::Keep, Event::Failed(SequenceError::Aborted));
        }
    }

    /// A failing model fails its step, never the engine.
    fn forward(&mut self, batch: &Batch) -> Result<ModelOutput, SequenceError> {
        let model = AssertUnwindSafe(&mut self.model);
        match catch_unwind(|| { model }.forward(batch)) {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) => Err(SequenceError::Step { reason: error.to_string() }),
            Err(panic) => Err(SequenceError::Panic { reason: panic_message(&*panic) }),
        }
    }

    /// Chooses a token for each sequence whose logits the step gave.
    fn commit(&mut self, batch: &Batch, mut output: ModelOutput) {
        self.scheduler.commit(batch);
        let vocab_len = self.model.info().vocab_len;
        let mut logits = output.logits.chunks_exact_mut(vocab_len);
        for row in &batch.logits_rows {
            let owner = batch.sequences.iter().find(|s| s.rows.contains(row));
            let id = owner.expect("every row has a sequence").id;
            let client = self.clients.get_mut(&id).expect(HAS_CLIENT);
            let index = client.usage.output_len;
            let choice = logits
                .next()
                .ok_or(BadLogits::Count)
                .and_then(|logits| client.sampler.sample(logits, index, &mut self.scratch));
            match choice {
                Ok(choice) => self.advance(id, choice),
                Err(found) => {
                    let error = SequenceError::Logits { index, found };
                    self.end(id, Cached::Discard, Event::Failed(error));
                }
            }
        }
        self.model.recycle(output);
    }

    /// Appends a chosen token to its sequence, or ends the sequence.
    fn advance(&mut self, id: SequenceId, choice: Choice) {
        let client = self.client(id);
        client.usage.output_len += 1;
        let (usage, max_tokens) = (client.usage, client.max_tokens);
        if choice.is_stop {
            let reason = FinishReason::Stop(choice.token);
            return self.end(id, Cached::Keep, Event::Finished { reason, usage });
        }
        client.events.send(Event::Token(Token { id: choice.token, logprobs: choice.logprobs }));
        self.scheduler.push(id, choice.token);
        if usage.output_len == max_tokens {
            let reason = FinishReason::Length;
            self.end(id, Cached::Keep, Event::Finished { reason, usage });
        }
    }

    /// Forgets the sequences that nobody waits for.
    fn drop_abandoned(&mut self) {
        let abandoned = self.clients.extract_if(.., |_, client| client.events.is_abandoned());
        for (id, _) in abandoned {
            self.scheduler.finish(id, Cached::Keep);
        }
    }

    fn end(&mut self, id: SequenceId, cached: Cached, last: Event) {
        self.scheduler.finish(id, cached);
        if let Some(Client { events, place, .. }) = self.clients.remove(&id) {
            // Whoever gets the last event finds room for another request.
            drop(place);
            events.send(last);
        }
    }

    fn client(&mut self, id: SequenceId) -> &mut Client {
        self.clients.get_mut(&id).expect(HAS_CLIENT)
    }
}

const HAS_CLIENT: &str = "a scheduled sequence has a client";

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
