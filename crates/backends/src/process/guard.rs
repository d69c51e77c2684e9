//! The process that Russet starts in place of a program, so that the program cannot outlive it.
//!
//! A destructor or a signal handler is too late when Russet is killed with SIGKILL, and what has to
//! happen between `fork` and `exec` cannot be written without `unsafe`. So Russet starts itself
//! once more, and [`run`] is all that this second Russet does.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{self, Signal};

use crate::Launcher;

/// The subcommand of Russet that is the guard.
pub const SUBCOMMAND: &str = "__guard";

/// How a guard is started.
#[derive(Debug, Clone)]
pub struct Guard {
    /// A program that calls [`run`] with the arguments that follow its own.
    pub launcher: Launcher,
    /// How it does its work.
    pub kind: Kind,
}

/// How a guard sees to it that the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It asks the system to kill this process together with its parent, and then becomes the
    /// program. Linux only; what the program has started itself is left to the program.
    Replace,
    /// It stays the parent of the program, and kills the process group when the pipe to Russet,
    /// its standard input, breaks.
    Stay,
}

impl Kind {
    /// The better one of this system.
    pub const BEST: Self = if cfg!(target_os = "linux") { Self::Replace } else { Self::Stay };

    fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Stay => "stay",
        }
    }
}

impl Guard {
    /// This very program with [`SUBCOMMAND`].
    ///
    /// # Errors
    /// The system does not say which file is running.
    pub fn of_this_program() -> io::Result<Self> {
        // On Linux this finds the running file even after an update has put another in its place.
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()?
        };
        let launcher = Launcher { program, arguments: vec![SUBCOMMAND.to_owned()] };
        Ok(Self { launcher, kind: Kind::BEST })
    }

    /// What starts `launcher` with `arguments` under this guard, in a process group of its own.
    pub(super) fn command(&self, launcher: &Launcher, arguments: &[OsString]) -> Command {
        let mut command = Command::new(&self.launcher.program);
        command.args(&self.launcher.arguments);
        command.arg(self.kind.name()).arg(std::process::id().to_string());
        command.arg(&launcher.program).args(&launcher.arguments).args(arguments);
        command.stdin(match self.kind {
            Kind::Replace => Stdio::null(),
            Kind::Stay => Stdio::piped(),
        });
        command.process_group(0);
        command
    }
}

/// Acts as the guard. `arguments`: the kind, the process id of Russet, the program, its arguments.
///
/// Returns only if the program cannot be run. Otherwise this process becomes the program, or ends
/// with its exit status (128 and the number if a signal ended it).
pub fn run(arguments: &[OsString]) -> io::Error {
    let result = Job::parse(arguments).and_then(|job| match job.kind {
        Kind::Replace => replace(job),
        Kind::Stay => stay(job),
    });
    match result {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

#[derive(Debug)]
struct Job {
    kind: Kind,
    parent: i32,
    program: OsString,
    arguments: Vec<OsString>,
}

impl Job {
    fn parse(arguments: &[OsString]) -> io::Result<Self> {
        let refuse = |problem: String| {
            let usage = format!("{SUBCOMMAND} replace|stay PARENT PROGRAM [ARGUMENT]...");
            io::Error::new(io::ErrorKind::InvalidInput, format!("{problem}; accepted: {usage}"))
        };
        let [found, parent, program, arguments @ ..] = arguments else {
            return Err(refuse(format!("found {} arguments", arguments.len())));
        };
        let kind = [Kind::Replace, Kind::Stay].into_iter().find(|kind| found == kind.name());
        let kind = kind.ok_or_else(|| refuse(format!("found {found:?}")))?;
        let pid = parent.to_str().and_then(|text| text.parse().ok());
        let parent = pid.ok_or_else(|| refuse(format!("{parent:?} is no process id")))?;
        Ok(Self { kind, parent, program: program.clone(), arguments: arguments.to_vec() })
    }

    /// Fails if Russet has died: then there is no death left that could be noticed.
    fn check_parent(&self) -> io::Result<()> {
        let found = process::getppid().map_or(0, |pid| pid.as_raw_pid());
        if found == self.parent {
            return Ok(());
        }
        let message = format!("started by process {}, but the parent is {found}", self.parent);
        Err(io::Error::other(message))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        command
    }

    fn cannot_run(&self, error: &io::Error) -> io::Error {
        let program = OsStr::display(&self.program);
        io::Error::new(error.kind(), format!("cannot run {program}: {error}"))
    }
}

#[cfg(target_os = "linux")]
fn replace(job: Job) -> io::Result<Infallible> {
    process::set_parent_process_death_signal(Some(Signal::KILL))?;
    job.check_parent()?;
    Err(job.cannot_run(&job.command().exec()))
}

#[cfg(not(target_os = "linux"))]
fn replace(_: Job) -> io::Result<Infallible> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this kind of guard needs Linux"))
}

fn stay(job: Job) -> io::Result<Infallible> {
    job.check_parent()?;
    // The group will be killed, so it must not be anybody else's.
    if process::getpgrp() != process::getpid() {
        return Err(io::Error::other("the guard must lead its process group"));
    }
    // SIGTERM to the group is for the program. It is caught rather than ignored, as the program
    // would inherit the latter.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _context = runtime.enter();
    let _caught = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut child = job.command().spawn().map_err(|error| job.cannot_run(&error))?;
    let watch = std::thread::Builder::new().spawn(|| {
        // Nothing is ever sent.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        kill_this_group()
    });
    if let Err(error) = watch {
        let _ = child.kill();
        return Err(error);
    }
    let status = child.wait()?;
    let signal = || 128 + status.signal().unwrap_or_default();
    std::process::exit(status.code().unwrap_or_else(signal))
}

/// Ends this process too.
fn kill_this_group() -> io::Result<()> {
    Ok(process::kill_current_process_group(Signal::KILL)?)
}
