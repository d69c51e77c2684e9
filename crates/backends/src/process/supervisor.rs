//! The thread behind a [`super::Process`]: it alone starts, signals and reaps the program.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::watch;

use super::health::{Look, Probe, free_port, this_port};
use super::restarts::{Restart, Restarts};
use super::running::Running;
use super::spec::{Spec, doubled};
use super::state::{Lines, Problem, StartFailure, State};
use crate::Launcher;

/// What the supervisor waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The program has to be stopped.
    Stop,
    /// The program has ended. Comes exactly once for each that was started.
    Ended,
}

pub(super) struct Supervisor {
    spec: Spec,
    state: watch::Sender<State>,
    /// The running program's process group, or 0.
    group: Arc<AtomicU32>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// Whether there was an [`Event::Stop`].
    stop: bool,
    last_port: Option<u16>,
}

/// One run of the program that went wrong.
struct Ended {
    failure: StartFailure,
    ready_for: Option<Duration>,
}

/// Why the supervisor no longer waits for the program.
enum Turn {
    Ended,
    TimedOut,
    NotLoaded,
    Stop,
}

impl Supervisor {
    pub(super) fn new(
        spec: Spec,
        state: watch::Sender<State>,
        group: Arc<AtomicU32>,
        (sender, events): (Sender<Event>, Receiver<Event>),
    ) -> Self {
        Self { spec, state, group, sender, events, stop: false, last_port: None }
    }

    /// Runs the program, again and again, until it is stopped or given up.
    pub(super) fn run(mut self) {
        let end = self.supervise();
        self.state.send_replace(end);
    }

    fn supervise(&mut self) -> State {
        let mut restarts = Restarts::default();
        loop {
            let Some(Ended { mut failure, ready_for }) = self.run_once() else {
                return State::Stopped;
            };
            let Some(Restart { attempt, pause }) = restarts.after(ready_for, &self.spec) else {
                failure.num_attempts = restarts.failed_starts;
                return State::Failed(failure);
            };
            let StartFailure { command, problem, log, .. } = failure;
            let pause_s = pause.as_secs_f32();
            tracing::warn!("`{command}` {problem}; restart in {pause_s} s{}", Lines(&log));
            self.state.send_replace(State::Restarting { attempt, why: problem });
            let end = Instant::now() + pause;
            while !self.stop && self.next_event(Some(end)).is_some() {}
            if self.stop {
                return State::Stopped;
            }
        }
    }

    /// One run of the program, from its start to its end; none if it was told to stop.
    fn run_once(&mut self) -> Option<Ended> {
        let not_started = |command, error| {
            let failure = StartFailure::of(command, Problem::NotStarted(Arc::new(error)));
            Some(Ended { failure, ready_for: None })
        };
        let port = match self.spec.port {
            Some(port) => this_port(port),
            None => free_port(self.last_port),
        };
        let port = match port {
            Ok(port) => port,
            Err(error) => return not_started(self.spec.launcher.to_string(), error),
        };
        self.last_port = Some(port);
        let arguments = (self.spec.arguments)(port);
        let command = command_line(&self.spec.launcher, &arguments);
        tracing::info!("starting `{command}`");
        let sender = self.sender.clone();
        let ended = move || {
            // Without a receiver nobody waits any more.
            let _ = sender.send(Event::Ended);
        };
        let running = match Running::start(&self.spec, &arguments, ended) {
            Ok(running) => running,
            Err(error) => return not_started(command, error),
        };
        self.group.store(running.group(), Ordering::Relaxed);
        let (turn, ready_for) = self.follow((Ipv4Addr::LOCALHOST, port).into());
        if !matches!(turn, Turn::Ended) {
            self.end(&running);
        }
        self.group.store(0, Ordering::Relaxed);
        let (status, log) = running.reap();
        let problem = match (turn, status) {
            (Turn::TimedOut, _) => Problem::TimedOut(self.spec.timing.start_timeout),
            (Turn::NotLoaded, _) => Problem::NotLoaded,
            (_, Ok(status)) => Problem::Ended(status),
            (_, Err(error)) => Problem::Lost(Arc::new(error)),
        };
        let failure = StartFailure { command, problem, num_attempts: 1, log };
        (!self.stop).then_some(Ended { failure, ready_for })
    }

    /// Waits until the program is ready, and then for its end.
    fn follow(&mut self, address: SocketAddr) -> (Turn, Option<Duration>) {
        if let Some(turn) = self.wait_until_ready(address) {
            return (turn, None);
        }
        tracing::info!("ready at {address}");
        self.state.send_replace(State::Ready(address));
        let begin = Instant::now();
        let turn = match self.next_event(None) {
            Some(Event::Ended) => Turn::Ended,
            Some(Event::Stop) | None => Turn::Stop,
        };
        (turn, Some(begin.elapsed()))
    }

    /// None as soon as the program is ready.
    fn wait_until_ready(&mut self, address: SocketAddr) -> Option<Turn> {
        let timing = self.spec.timing.clone();
        let end = Instant::now() + timing.start_timeout;
        let mut pause = timing.poll_first;
        let mut probe = Probe::new(address, self.spec.health.clone(), timing.poll_timeout);
        loop {
            match self.next_event(Some(end.min(Instant::now() + pause))) {
                Some(Event::Ended) => return Some(Turn::Ended),
                Some(Event::Stop) => return Some(Turn::Stop),
                None => match probe.look() {
                    Look::Ready => return None,
                    Look::Failed => return Some(Turn::NotLoaded),
                    Look::NotYet if Instant::now() >= end => return Some(Turn::TimedOut),
                    Look::NotYet => pause = doubled(pause, timing.poll_max),
                },
            }
        }
    }

    /// Asks the program to end, and after a while ends it.
    fn end(&mut self, running: &Running) {
        running.signal(Signal::TERM);
        let end = Instant::now() + self.spec.timing.stop_grace;
        let mut limit = Some(end);
        loop {
            match self.next_event(limit) {
                Some(Event::Ended) => return,
                Some(Event::Stop) => {}
                None => {
                    tracing::warn!("the program does not end when asked to, and is killed");
                    running.signal(Signal::KILL);
                    limit = None;
                }
            }
        }
    }

    /// The next event, if one comes before `end`.
    fn next_event(&mut self, end: Option<Instant>) -> Option<Event> {
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        // There is always a sender: our own.
        let event = match end {
            Some(end) => self.events.recv_timeout(left(end)).ok(),
            None => self.events.recv().ok(),
        };
        self.stop |= event == Some(Event::Stop);
        event
    }
}

/// For people.
fn command_line(launcher: &Launcher, arguments: &[OsString]) -> String {
    let quoted = |argument: &OsStr| {
        let text = argument.to_string_lossy();
        let is_plain = !text.is_empty() && !text.contains(char::is_whitespace);
        if is_plain { format!(" {text}") } else { format!(" '{text}'") }
    };
    launcher.to_string() + &arguments.iter().map(|argument| quoted(argument)).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_shows_where_arguments_end() {
        let launcher = Launcher { program: "python3".into(), arguments: vec!["-m".into()] };
        let arguments = ["a", "b c", ""].map(OsString::from);
        assert_eq!(command_line(&launcher, &arguments), "python3 -m a 'b c' ''");
    }
}
