//! Runs one command with a limit on its time, alone or beside a busy process.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::contender::{Invocation, Output, Stream};
use super::probe::Probe;

/// Between two looks at a process: coarse, so as not to take time from it.
const POLL: Duration = Duration::from_millis(50);
/// The core of the busy process. Engines are not pinned.
const BUSY_CORE: &str = "1";

/// Why a run gave no figures.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("stopped after {} s", limit.as_secs())]
    TooSlow { limit: Duration },
    #[error("{status}: {message}")]
    Exit { status: ExitStatus, message: String },
    #[error("could not start: {0}")]
    Start(#[from] std::io::Error),
    #[error("printed something else than expected: {0}")]
    Json(#[from] serde_json::Error),
    #[error("printed no figures")]
    Nothing,
}

/// What a command printed and how long it ran.
pub(super) fn run(
    invocation: &Invocation,
    probe: Probe,
    limit: Duration,
) -> Result<Output, Failure> {
    let mut command = Command::new(&invocation.program);
    command.args(&invocation.arguments).envs(invocation.environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child, limit)?;
    let (stdout, stderr) = (joined(stdout), joined(stderr));
    if !status.success() {
        return Err(Failure::Exit { status, message: last_line(&stderr) });
    }
    let text = match invocation.prints_to {
        Stream::Stdout => stdout,
        Stream::Stderr => stderr,
    };
    let output = (invocation.parse)(&text, probe)?;
    if output.samples.is_empty() { Err(Failure::Nothing) } else { Ok(output) }
}

fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus, Failure> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(Failure::TooSlow { limit });
        }
        thread::sleep(POLL);
    }
}

type Reader = Option<thread::JoinHandle<String>>;

/// Reads a pipe to its end, so that its writer never waits.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Reader {
    let read = |mut pipe: Box<dyn Read + Send>| {
        let mut bytes = Vec::new();
        // What came before an error is what there is.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    pipe.map(|pipe| thread::spawn(move || read(Box::new(pipe))))
}

fn joined(reader: Reader) -> String {
    reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("no message").trim().to_owned()
}

/// A process that keeps one core busy until it is dropped.
pub(super) struct BusyProcess(Child);

impl BusyProcess {
    /// Pinned to a core where `taskset` is installed.
    pub(super) fn start() -> Result<Self, std::io::Error> {
        let spin = ["sh", "-c", "while :; do :; done"];
        let pinned = Command::new("taskset").args(["-c", BUSY_CORE]).args(spin).spawn();
        let child = pinned.or_else(|_| Command::new(spin[0]).args(&spin[1..]).spawn())?;
        Ok(Self(child))
    }
}

impl Drop for BusyProcess {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::probe::{Kind, Sample};
    use super::*;

    fn shell(script: &str) -> Invocation {
        let parse = |text: &str, probe: Probe| {
            let rate =
                |line: &str| line.parse().ok().and_then(|r| probe.sample(Kind::Decode, 1, r));
            Ok(Output { version: None, samples: text.lines().filter_map(rate).collect() })
        };
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        let environment = vec![("RATE", "7")];
        Invocation { arguments, environment, ..Invocation::new("sh".as_ref(), "", parse) }
    }

    fn outcome(script: &str) -> Result<Vec<Sample>, String> {
        let limit = Duration::from_millis(300);
        let output = run(&shell(script), Probe::Short, limit);
        output.map(|output| output.samples).map_err(|failure| failure.to_string())
    }

    #[test]
    fn figures_come_from_what_is_printed() {
        let samples = outcome("echo note >&2; echo $RATE").unwrap();
        assert_eq!(samples, [Probe::Short.sample(Kind::Decode, 1, 7.0).unwrap()]);
        let command = shell("echo $RATE >&2");
        let command = Invocation { prints_to: Stream::Stderr, ..command };
        assert!(run(&command, Probe::Short, Duration::from_secs(9)).is_ok());
        assert_eq!(outcome("echo hello"), Err("printed no figures".to_owned()));
    }

    #[test]
    fn a_failure_says_why() {
        let failed = outcome("echo no such model >&2; exit 3").unwrap_err();
        assert_eq!(failed, "exit status: 3: no such model");
        assert_eq!(outcome("sleep 30").unwrap_err(), "stopped after 0 s");
    }

    #[test]
    fn a_busy_process_ends_with_its_owner() {
        let mut busy = BusyProcess::start().unwrap();
        assert!(busy.0.try_wait().unwrap().is_none());
        let id = busy.0.id();
        drop(busy);
        assert!(!std::path::Path::new(&format!("/proc/{id}/cmdline")).exists());
    }
}
