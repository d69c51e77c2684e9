//! Starting an engine, and sending it requests from any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use russet_decoder::{Model, ModelInfo, TokenId};

use crate::event::channel;
use crate::run::{Admitted, Command, Worker, run};
use crate::scheduler::Scheduler;
use crate::{EngineSettings, Events, Request, StartError, SubmitError};

/// Sequences that run at the same time.
const MAX_RUNNING: usize = 1;
/// The command channel has a slot for every request that may wait.
const MAX_WAITING: usize = 1 << 16;

/// A running engine. Dropping it aborts what it does and waits for its thread.
#[derive(Debug)]
pub struct Engine {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Sends requests to an engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: SyncSender<Command>,
    shared: Arc<Shared>,
}

/// What an engine accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tokens of prompt and output together.
    pub context_len: usize,
    /// Token ids are below this.
    pub vocab_len: usize,
    /// Requests that run at the same time.
    pub max_running: usize,
    /// Requests that may wait.
    pub max_waiting: usize,
}

/// What an engine has to do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Sequences being computed.
    pub num_running: usize,
    /// Sequences that wait for their turn.
    pub num_waiting: usize,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    num_admitted: Arc<AtomicUsize>,
    accepting: AtomicBool,
    /// Whether the engine's thread has not ended.
    alive: Arc<AtomicBool>,
}

/// Held by the engine's thread; dropped when it ends, however it does.
struct Alive {
    alive: Arc<AtomicBool>,
}

/// The place of one admitted request; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Place {
    num_admitted: Arc<AtomicUsize>,
}

impl Engine {
    /// Allocates the model's cache and starts the engine's thread.
    pub fn start(model: Box<dyn Model>, settings: EngineSettings) -> Result<Self, StartError> {
        let (handle, worker, commands) = connect(model, settings)?;
        let alive = Alive { alive: handle.shared.alive.clone() };
        let thread =
            std::thread::Builder::new().name("russet-engine".to_owned()).spawn(move || {
                let _alive = alive;
                run(worker, &commands);
            })?;
        Ok(Self { handle, thread: Some(thread) })
    }

    /// A way to send requests.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Takes nothing new, finishes what was admitted and ends.
    pub fn finish(mut self) {
        self.handle.drain();
        self.end(Command::Finish);
    }

    fn end(&mut self, last: Command) {
        // A thread that has ended cannot be told, and need not be.
        let _ = self.handle.commands.send(last);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.handle.abort_all();
            self.end(Command::Finish);
        }
    }
}

impl Handle {
    /// Admits a request, or refuses it. Never blocks.
    pub fn submit(&self, mut request: Request) -> Result<Events, SubmitError> {
        self.check(&request)?;
        if request.sampling.seed.is_none() {
            request.sampling.seed = Some(fresh_seed());
        }
        self.check_accepting()?;
        let place = self.take_place()?;
        let (sender, events) = channel();
        let admitted = Admitted { request, events: sender, place };
        let sent = self.commands.send(Command::Submit(Box::new(admitted)));
        sent.map_err(|_| SubmitError::Stopped)?;
        Ok(events)
    }

    /// What [`Handle::submit`] would refuse whatever the engine is doing.
    pub fn check(&self, request: &Request) -> Result<(), SubmitError> {
        let Limits { context_len, vocab_len, .. } = self.shared.limits;
        let (prompt_len, max_tokens) = (request.prompt.len(), request.max_tokens);
        if prompt_len == 0 {
            return Err(SubmitError::EmptyPrompt);
        }
        if max_tokens == 0 {
            return Err(SubmitError::NoTokensWanted);
        }
        if prompt_len.saturating_add(max_tokens) > context_len {
            return Err(SubmitError::TooLong { prompt_len, max_tokens, context_len });
        }
        let biased = request.sampling.logit_bias.iter().map(|(token, _)| token);
        check_tokens("prompt", request.prompt.iter(), vocab_len)?;
        check_tokens("logit_bias", biased, vocab_len)?;
        request.sampling.check()
    }

    /// What the engine accepts.
    pub fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// What the engine has to do.
    pub fn load(&self) -> Load {
        let num_admitted = self.shared.num_admitted.load(Ordering::SeqCst);
        let num_running = num_admitted.min(self.shared.limits.max_running);
        Load { num_running, num_waiting: num_admitted - num_running }
    }

    /// Refuses if every request would be: [`SubmitError::Draining`] or [`SubmitError::Stopped`].
    pub fn check_accepting(&self) -> Result<(), SubmitError> {
        if !self.shared.accepting.load(Ordering::SeqCst) {
            return Err(SubmitError::Draining);
        }
        let alive = self.shared.alive.load(Ordering::SeqCst);
        alive.then_some(()).ok_or(SubmitError::Stopped)
    }

    /// Refuses new requests from now on; those that were admitted go on.
    pub fn drain(&self) {
        self.shared.accepting.store(false, Ordering::SeqCst);
    }

    /// Ends all admitted requests with [`SequenceError::Aborted`](crate::SequenceError::Aborted)
    /// after the step that is being computed, and refuses new ones.
    pub fn abort_all(&self) {
        self.drain();
        // A thread that has ended has ended its sequences as well.
        let _ = self.commands.send(Command::AbortAll);
    }

    fn take_place(&self) -> Result<Place, SubmitError> {
        let Limits { max_running, max_waiting, .. } = self.shared.limits;
        let max_admitted = max_waiting + max_running;
        let num_admitted = &self.shared.num_admitted;
        let more = |num: usize| (num < max_admitted).then_some(num + 1);
        match num_admitted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more) {
            Ok(_) => Ok(Place { num_admitted: num_admitted.clone() }),
            Err(_) => Err(SubmitError::QueueFull { max_waiting }),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.num_admitted.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An engine whose steps are not being run yet.
pub(crate) fn connect(
    mut model: Box<dyn Model>,
    settings: EngineSettings,
) -> Result<(Handle, Worker, Receiver<Command>), StartError> {
    check_settings(&settings)?;
    let limits = limits(model.info(), &settings);
    let scheduler = Scheduler::new(model.info(), limits.context_len, settings.prefill_chunk);
    model
        .allocate_cache(&scheduler.num_blocks())
        .map_err(|source| StartError::Cache { cache_tokens: limits.context_len, source })?;
    // Admission bounds requests; the rest is for the other commands.
    let (commands, receiver) = sync_channel(settings.max_waiting + 8);
    let num_admitted = Arc::new(AtomicUsize::new(0));
    let alive = Arc::new(AtomicBool::new(true));
    let shared = Shared { limits, num_admitted, accepting: AtomicBool::new(true), alive };
    let handle = Handle { commands, shared: Arc::new(shared) };
    Ok((handle, Worker::new(model, scheduler), receiver))
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::SeqCst);
    }
}

fn check_settings(settings: &EngineSettings) -> Result<(), StartError> {
    let EngineSettings { max_waiting, prefill_chunk, cache_tokens } = *settings;
    for (name, value) in [("prefill_chunk", prefill_chunk), ("cache_tokens", cache_tokens)] {
        if value == 0 {
            return Err(StartError::Setting { name, value, accepted: "at least 1" });
        }
    }
    if max_waiting > MAX_WAITING {
        let (name, value) = ("max_waiting", max_waiting);
        return Err(StartError::Setting { name, value, accepted: "at most 65536" });
    }
    Ok(())
}

fn check_tokens<'a>(
    list: &'static str,
    mut tokens: impl Iterator<Item = &'a TokenId>,
    vocab_len: usize,
) -> Result<(), SubmitError> {
    let unknown = |token: &&TokenId| usize::try_from(token.0).map_or(true, |id| id >= vocab_len);
    match tokens.find(unknown) {
        Some(&token) => Err(SubmitError::UnknownToken { list, token, vocab_len }),
        None => Ok(()),
    }
}

fn limits(info: &ModelInfo, settings: &EngineSettings) -> Limits {
    // Slots and blocks are counted in 32 bits.
    let most = usize::try_from(i32::MAX).expect("a usize has at least 32 bits");
    let context_len = info.context_len.min(settings.cache_tokens).min(most);
    let (vocab_len, max_waiting) = (info.vocab_len, settings.max_waiting);
    Limits { context_len, vocab_len, max_running: MAX_RUNNING, max_waiting }
}

/// A seed from the operating system.
fn fresh_seed() -> u64 {
    getrandom::u64().expect("the operating system gives random numbers")
}
