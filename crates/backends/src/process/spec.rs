//! What is to be run, and how patiently.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use super::Guard;
use crate::{Launcher, MLX_MODEL_NAME};

/// A program to keep running.
pub struct Spec {
    /// What stands between Russet and the program.
    pub guard: Guard,
    /// The program.
    pub launcher: Launcher,
    /// Its further arguments, given the port on 127.0.0.1 where it has to listen. Called again for
    /// every start, as each gets another port. They are shown in errors and logs.
    pub arguments: Box<dyn Fn(u16) -> Vec<OsString> + Send>,
    /// Environment variables that it gets besides those of this process.
    pub env: Vec<(OsString, OsString)>,
    /// The port to give it; without one, a free one for each start.
    pub port: Option<u16>,
    /// How it says that it is ready.
    pub health: Health,
    /// What to do when it was ready and ends by itself.
    pub when_ended: WhenEnded,
    /// After so many starts in a row without becoming ready it is given up. The first start of all
    /// is never repeated.
    pub max_failed_starts: u32,
    /// How long everything may take.
    pub timing: Timing,
}

impl Spec {
    /// With `GET /health` that tells all, five starts and the usual times.
    pub fn new(
        guard: Guard,
        launcher: Launcher,
        arguments: impl Fn(u16) -> Vec<OsString> + Send + 'static,
    ) -> Self {
        Self {
            guard,
            launcher,
            arguments: Box::new(arguments),
            env: Vec::new(),
            port: None,
            health: Health::tells("/health"),
            when_ended: WhenEnded::Restart,
            max_failed_starts: 5,
            timing: Timing::default(),
        }
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("guard", &self.guard)
            .field("launcher", &self.launcher)
            .field("port", &self.port)
            .field("health", &self.health)
            .field("when_ended", &self.when_ended)
            .field("max_failed_starts", &self.max_failed_starts)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

/// What to do about a program that was ready and ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenEnded {
    /// Start it again, after a pause.
    Restart,
    /// Leave it ended: who measures it wants to see that it ended.
    GiveUp,
}

/// How a program says that it is ready: what its answer to `GET /health` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// 200: it is ready. Anything else: it may become so.
    Tells {
        /// Where it is asked; begins with a slash.
        path: String,
    },
    /// 200: it listens, and is ready when it answers this body of a `POST /v1/completions`.
    /// 503: it has failed to load the model and will never be ready.
    Listens {
        /// A small request.
        request: String,
    },
}

impl Health {
    /// 200 at `path` means ready.
    pub fn tells(path: &str) -> Self {
        Self::Tells { path: path.to_owned() }
    }

    /// That of `mlx_lm.server`, which is asked for a token.
    pub fn of_mlx_server() -> Self {
        let request = format!(r#"{{"model":"{MLX_MODEL_NAME}","prompt":"a","max_tokens":1}}"#);
        Self::Listens { request }
    }
}

/// How long everything may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// From the start of the program until it is ready.
    pub start_timeout: Duration,
    /// Between the first two looks at its health; each further pause is twice as long.
    pub poll_first: Duration,
    /// The longest pause between two looks at its health.
    pub poll_max: Duration,
    /// For the answer to one look.
    pub poll_timeout: Duration,
    /// From the request to end (SIGTERM) until it is ended (SIGKILL).
    pub stop_grace: Duration,
    /// Before the first restart; each further pause is twice as long.
    pub restart_first: Duration,
    /// The longest pause before a restart.
    pub restart_max: Duration,
    /// What was ready for so long starts again with the shortest pause.
    pub stable_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            // A large model on a slow disk takes minutes.
            start_timeout: Duration::from_secs(600),
            poll_first: Duration::from_millis(50),
            poll_max: Duration::from_millis(250),
            poll_timeout: Duration::from_secs(1),
            stop_grace: Duration::from_secs(10),
            restart_first: Duration::from_millis(500),
            restart_max: Duration::from_secs(30),
            stable_after: Duration::from_secs(60),
        }
    }
}

/// The pause after one of length `now`.
pub(super) fn doubled(now: Duration, max: Duration) -> Duration {
    now.saturating_mul(2).min(max)
}
