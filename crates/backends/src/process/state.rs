//! How a program is doing, and why it is not.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

/// How a program is doing.
#[derive(Debug, Clone)]
pub enum State {
    /// It is started for the first time.
    Starting,
    /// It answers at this address.
    Ready(SocketAddr),
    /// It was ready, and is not any more.
    Restarting {
        /// Counts from 1 since the program last was ready for [`super::Timing::stable_after`].
        attempt: u32,
        /// How the last run ended.
        why: Problem,
    },
    /// It is not started again.
    Failed(StartFailure),
    /// It was stopped as wished.
    Stopped,
}

/// How a run of a program went wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Problem {
    /// There never was a process.
    #[error("could not be started: {0}")]
    NotStarted(Arc<io::Error>),
    /// The process ended.
    #[error("ended ({0})")]
    Ended(ExitStatus),
    /// The process ended, and the system does not tell how.
    #[error("ended ({0})")]
    Lost(Arc<io::Error>),
    /// The process did not become ready in time, and was ended.
    #[error("was not ready after {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// It says that it never will be ready, and was ended.
    #[error("cannot load the model")]
    NotLoaded,
    /// Somebody stopped it.
    #[error("was stopped")]
    Stopped,
}

/// Why a program is not ready and will not be.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{command}` {problem}{}{}", Attempts(*num_attempts), Lines(log))]
pub struct StartFailure {
    /// The program with its arguments.
    pub command: String,
    /// What happened.
    pub problem: Problem,
    /// How often in a row it was started without becoming ready.
    pub num_attempts: u32,
    /// The last lines that it printed.
    pub log: Vec<String>,
}

impl StartFailure {
    /// A failure of which there is nothing more to say.
    pub(super) fn of(command: String, problem: Problem) -> Self {
        Self { command, problem, num_attempts: 1, log: Vec::new() }
    }
}

struct Attempts(u32);

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 1 { write!(f, ", at start {} in a row", self.0) } else { Ok(()) }
    }
}

/// Each on a line of its own.
pub(super) struct Lines<'a>(pub(super) &'a [String]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() {
            f.write_str("; it printed:")?;
        }
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_everything() {
        let problem = Problem::TimedOut(Duration::from_millis(1500));
        let mut failure = StartFailure::of("llama-server --port 1".to_owned(), problem);
        let text = "`llama-server --port 1` was not ready after 1.5 s";
        assert_eq!(failure.to_string(), text);
        failure.num_attempts = 5;
        failure.log = vec!["loading".to_owned(), "still loading".to_owned()];
        let lines = "; it printed:\n  loading\n  still loading";
        assert_eq!(failure.to_string(), format!("{text}, at start 5 in a row{lines}"));
    }
}
