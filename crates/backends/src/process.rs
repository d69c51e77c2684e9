//! One program of an external backend: started, watched, restarted, and never left behind.
//!
//! Start reading at [`Process`]. Russet does not start the program itself but a [`guard`], which
//! ends it when Russet dies in any way. The guard, the program and whatever that starts are one
//! process group, and nothing but this group is ever signalled.

mod block_on;
pub mod guard;
mod health;
mod log;
mod restarts;
mod running;
mod spec;
mod state;
mod supervisor;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use tokio::sync::watch;

pub use guard::Guard;
pub use spec::{Health, Spec, Timing, WhenEnded};
pub use state::{Problem, StartFailure, State};

use block_on::block_on;
use supervisor::{Event, Supervisor};

/// A program that is kept running until this is dropped.
///
/// Dropping it stops the program and waits for its end, up to [`Timing::stop_grace`] and a little
/// more. Async callers, which may not wait like this, call [`Process::request_stop`] first and
/// await [`State::Stopped`].
#[derive(Debug)]
pub struct Process {
    name: String,
    state: watch::Receiver<State>,
    group: Arc<AtomicU32>,
    events: Sender<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the program and blocks until it is ready.
    ///
    /// # Errors
    /// Why the program did not become ready: it ended or took too long. It is gone then.
    pub fn start(spec: Spec) -> Result<Self, StartFailure> {
        let process = Self::spawn(spec)?;
        block_on(process.ready())?;
        Ok(process)
    }

    /// Starts the program and returns at once; [`Process::ready`] tells how it goes.
    ///
    /// # Errors
    /// The system gives no thread to watch the program.
    pub fn spawn(spec: Spec) -> Result<Self, StartFailure> {
        let name = spec.launcher.to_string();
        let (sender, events) = mpsc::channel();
        let (publish, state) = watch::channel(State::Starting);
        let group = Arc::new(AtomicU32::new(0));
        let supervisor = Supervisor::new(spec, publish, group.clone(), (sender.clone(), events));
        // The program lives no longer than the thread that starts it, so it gets one of its own.
        let thread = std::thread::Builder::new().name("russet-backend".to_owned());
        match thread.spawn(move || supervisor.run()) {
            Ok(thread) => Ok(Self { name, state, group, events: sender, thread: Some(thread) }),
            Err(error) => Err(failure(&name, error)),
        }
    }

    /// Waits until the program is ready, through restarts if need be.
    ///
    /// # Errors
    /// It failed for good or was stopped.
    pub async fn ready(&self) -> Result<SocketAddr, StartFailure> {
        let mut state = self.state.clone();
        let settled = state
            .wait_for(|state| matches!(state, State::Ready(_) | State::Failed(_) | State::Stopped));
        match settled.await.as_deref() {
            Ok(State::Ready(address)) => Ok(*address),
            Ok(State::Failed(failure)) => Err(failure.clone()),
            _ => Err(StartFailure::of(self.name.clone(), Problem::Stopped)),
        }
    }

    /// How it is now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The process group that the program runs in, for those who measure what it uses; none while
    /// it does not run.
    pub fn group(&self) -> Option<u32> {
        Some(self.group.load(Ordering::Relaxed)).filter(|&group| group > 0)
    }

    /// For those who wait for changes. A reader that is late sees only the newest state.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Has the program stopped, without waiting for it.
    pub fn request_stop(&self) {
        // Without a receiver it has stopped already.
        let _ = self.events.send(Event::Stop);
    }

    /// Stops the program and waits for its end.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.request_stop();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported, and has ended the program.
            let _ = thread.join();
        }
    }
}

fn failure(name: &str, error: io::Error) -> StartFailure {
    StartFailure::of(name.to_owned(), Problem::NotStarted(Arc::new(error)))
}
