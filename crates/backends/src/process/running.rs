//! One process of a program, from its start until the system has forgotten it.

use std::ffi::OsString;
use std::io;
use std::process::{Child, ExitStatus};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::Spec;
use super::log::Log;

/// A process that was started and whose end was not yet asked for. Until then its process id and
/// its group's are its own, even if it has ended, so they can be signalled without harm to others.
pub(super) struct Running {
    child: Child,
    group: Pid,
    log: Log,
}

impl Running {
    /// Starts the program. `ended` is called once, on another thread, when it has ended.
    pub(super) fn start(
        spec: &Spec,
        arguments: &[OsString],
        ended: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        // One pipe for both streams keeps their lines in order.
        let (output, writer) = io::pipe()?;
        let mut command = spec.guard.command(&spec.launcher, arguments);
        command.envs(spec.env.iter().map(|(name, value)| (name, value)));
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        // The pipe ends only when nobody holds the other end.
        drop(command);
        let group = Pid::from_child(&child);
        let name = spec.launcher.program.file_name().unwrap_or_default().to_string_lossy();
        let watched = Log::read(&name, output).and_then(|log| {
            let thread = std::thread::Builder::new().name("russet-wait".to_owned());
            thread.spawn(move || {
                wait_for_end(group);
                ended();
            })?;
            Ok(log)
        });
        match watched {
            Ok(log) => Ok(Self { child, group, log }),
            Err(error) => {
                signal(group, Signal::KILL);
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The number of the process group.
    pub(super) fn group(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the program, its guard and whatever it has started.
    pub(super) fn signal(&self, which: Signal) {
        signal(self.group, which);
    }

    /// How a program went that has ended, and its last lines. What it has left behind ends now.
    pub(super) fn reap(mut self) -> (io::Result<ExitStatus>, Vec<String>) {
        self.signal(Signal::KILL);
        (self.child.wait(), self.log.finish())
    }
}

fn signal(group: Pid, which: Signal) {
    // It fails where only ended processes are left, which is as good.
    if let Err(error) = kill_process_group(group, which) {
        tracing::debug!("no signal to process group {}: {error}", group.as_raw_pid());
    }
}

/// Blocks until the process has ended, and leaves it for [`Running::reap`].
fn wait_for_end(process: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let result = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(process), options));
    if let Err(error) = result {
        tracing::debug!("cannot wait for process {}: {error}", process.as_raw_pid());
    }
}
