//! A folder that says what the stand-in does, and ways to see what became of it.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use russet_backends::Launcher;
use russet_backends::process::guard::{Guard, Kind};
use russet_backends::process::{Spec, State, Timing};
use rustix::process::{Pid, test_kill_process};

/// After this a condition that should have come true fails the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// The kinds of guard that this system has.
pub(crate) const KINDS: &[Kind] =
    if cfg!(target_os = "linux") { &[Kind::Replace, Kind::Stay] } else { &[Kind::Stay] };

/// A stand-in and its folder.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    kind: Kind,
}

impl Scene {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), kind }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// Tells the stand-in something.
    pub(crate) fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The lines that somebody has written into a file of the folder.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The processes that were started, in order.
    pub(crate) fn pids(&self) -> Vec<i32> {
        self.lines("pids").iter().map(|line| line.parse().unwrap()).collect()
    }

    /// The stand-in as it is to be run, with times for tests.
    pub(crate) fn spec(&self) -> Spec {
        self.spec_of(stand_in(&["serve", self.folder()]))
    }

    /// Some other program under the same guard.
    pub(crate) fn spec_of(&self, launcher: Launcher) -> Spec {
        let guard = Guard { launcher: stand_in(&["guard"]), kind: self.kind };
        let mut spec = Spec::new(guard, launcher, |port| vec![port.to_string().into()]);
        spec.timing = Timing {
            start_timeout: PATIENCE,
            poll_first: Duration::from_millis(5),
            poll_max: Duration::from_millis(50),
            stop_grace: PATIENCE,
            ..Timing::default()
        };
        spec
    }

    /// A shell that runs `script`, in which `"$0" "$@"` is the stand-in.
    pub(crate) fn shell(&self, script: &str) -> Spec {
        let Launcher { program, arguments } = stand_in(&["serve", self.folder()]);
        let mut all = vec!["-c".to_owned(), script.to_owned()];
        all.push(program.to_str().unwrap().to_owned());
        all.extend(arguments);
        self.spec_of(Launcher { program: PathBuf::from("sh"), arguments: all })
    }
}

pub(crate) fn stand_in(arguments: &[&str]) -> Launcher {
    Launcher {
        program: PathBuf::from(env!("CARGO_BIN_EXE_stand-in")),
        arguments: arguments.iter().map(ToString::to_string).collect(),
    }
}

/// Has the program at `address` crash.
pub(crate) fn crash(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /crash HTTP/1.1\r\n\r\n").unwrap();
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until there is no such process.
#[track_caller]
pub(crate) fn eventually_gone(pid: i32) {
    eventually(&format!("process {pid} is gone"), || !is_alive(pid));
}

/// Whether there is a process of this id that has not ended.
pub(crate) fn is_alive(pid: i32) -> bool {
    // In a container there may be nobody to reap orphans, and the dead keep their ids.
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    let is_zombie = stat.is_ok_and(|stat| {
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
    });
    !is_zombie && test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

/// The state without what differs from run to run.
pub(crate) fn name(state: &State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Ready(_) => "ready",
        State::Restarting { .. } => "restarting",
        State::Failed(_) => "failed",
        State::Stopped => "stopped",
    }
}
