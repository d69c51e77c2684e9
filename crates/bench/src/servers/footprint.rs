//! What the processes of a group use of memory and processors. Source: proc(5); where there is no
//! `/proc`, nothing is known.

use std::fs;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How often memory is looked at, and after how many looks for new processes.
const PAUSE: Duration = Duration::from_millis(100);
const LOOKS_PER_SEARCH: usize = 10;
/// Ticks of processor time in a second: Linux reports in these on every architecture of today.
const TICKS_PER_S: f64 = 100.0;

/// What the processes of a group used in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Footprint {
    /// The most memory that was resident at once, of all looks; pages that processes share count
    /// for each.
    pub peak_bytes: u64,
    /// Seconds of processor time.
    pub cpu_s: f64,
    /// The span.
    pub wall_s: f64,
}

impl Footprint {
    /// Processors that were busy on average.
    pub fn cores(&self) -> Option<f64> {
        (self.wall_s > 0.0).then(|| self.cpu_s / self.wall_s)
    }

    /// What was used in both spans.
    pub fn and(self, other: Self) -> Self {
        Self {
            peak_bytes: self.peak_bytes.max(other.peak_bytes),
            cpu_s: self.cpu_s + other.cpu_s,
            wall_s: self.wall_s + other.wall_s,
        }
    }
}

/// Watches one group after another, from a thread of its own.
#[derive(Debug)]
pub struct Meter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    watched: Mutex<Watched>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Watched {
    group: Option<Group>,
    is_over: bool,
}

/// A group that is being watched.
#[derive(Debug)]
struct Group {
    id: u32,
    members: Vec<u32>,
    num_looks: usize,
    peak_bytes: u64,
    ticks_before: u64,
    since: Instant,
}

impl Meter {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new() -> std::io::Result<Self> {
        let watched = Mutex::new(Watched::default());
        let shared = Arc::new(Shared { watched, changed: Condvar::new() });
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name("russet-meter".to_owned());
        let thread = thread.spawn(move || look_again_and_again(&of_thread))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Watches the process group `id` from now on, or nothing. What the one before used until now;
    /// `None` if there was none, or if the system does not tell.
    pub fn watch(&self, id: Option<u32>) -> Option<Footprint> {
        let mut watched = self.shared.lock();
        let ended = watched.group.take().and_then(Group::end);
        watched.group = id.and_then(Group::begin);
        self.shared.changed.notify_all();
        ended
    }

    /// The most memory that the group's processes had resident since their start, each by itself.
    pub fn peak_since_start(id: u32) -> Option<u64> {
        members(id).into_iter().map(|process| status_bytes(process, "VmHWM:")).sum()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look_again_and_again(shared: &Shared) {
    let mut watched = shared.lock();
    while !watched.is_over {
        let is_watching = watched.group.as_mut().map(Group::look).is_some();
        watched = if is_watching {
            let waited = shared.changed.wait_timeout(watched, PAUSE);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            shared.changed.wait(watched).unwrap_or_else(PoisonError::into_inner)
        };
    }
}

impl Group {
    fn begin(id: u32) -> Option<Self> {
        let members = members(id);
        let ticks_before = ticks(&members);
        let since = Instant::now();
        let known = !members.is_empty();
        known.then_some(Self { id, members, num_looks: 0, peak_bytes: 0, ticks_before, since })
    }

    fn look(&mut self) {
        self.num_looks += 1;
        if self.num_looks.is_multiple_of(LOOKS_PER_SEARCH) {
            self.members = members(self.id);
        }
        let bytes = |process: &u32| status_bytes(*process, "VmRSS:").unwrap_or(0);
        self.peak_bytes = self.peak_bytes.max(self.members.iter().map(bytes).sum());
    }

    fn end(mut self) -> Option<Footprint> {
        let wall_s = self.since.elapsed().as_secs_f64();
        self.members = members(self.id);
        self.look();
        // Those that ended took their time with them, unless a member waited for them.
        let ticks = ticks(&self.members).saturating_sub(self.ticks_before);
        let cpu_s = ticks as f64 / TICKS_PER_S;
        (self.peak_bytes > 0).then_some(Footprint { peak_bytes: self.peak_bytes, cpu_s, wall_s })
    }
}

/// The processes of a group.
fn members(group: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_member = |process: &u32| stat(*process).is_some_and(|stat| stat.group == group);
    processes.filter(is_member).collect()
}

fn ticks(processes: &[u32]) -> u64 {
    processes.iter().filter_map(|process| stat(*process)).map(|stat| stat.ticks).sum()
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    /// Of the process and of its children that it has waited for.
    ticks: u64,
}

fn stat(process: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name before may contain anything; the group is the third field after it, four kinds of
    // processor time begin with the twelfth.
    let (_, after_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok());
    Some(Stat { group: fields.get(2)?.parse().ok()?, ticks: ticks.sum::<Option<u64>>()? })
}

/// A field of `/proc/PID/status` that is in kB.
fn status_bytes(process: u32, field: &str) -> Option<u64> {
    parse_status(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, field)
}

fn parse_status(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_the_group_are_found_behind_any_name() {
        let text = "7 (a ) b) S 1 42 9 0 -1 0 0 0 0 0 10 5 3 2 20 0 1 0 0 0";
        assert_eq!(parse_stat(text), Some(Stat { group: 42, ticks: 20 }));
        assert_eq!(parse_stat("7 (a) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let text = "VmHWM:\t    2000 kB\nVmRSS:\t    1000 kB\n";
        assert_eq!(parse_status(text, "VmRSS:"), Some(1_024_000));
        assert_eq!(parse_status(text, "VmSwap:"), None);
    }

    #[test]
    fn footprints_of_spans_are_added() {
        let first = Footprint { peak_bytes: 5, cpu_s: 1.0, wall_s: 2.0 };
        let second = Footprint { peak_bytes: 3, cpu_s: 2.0, wall_s: 1.0 };
        let both = first.and(second);
        assert_eq!(both, Footprint { peak_bytes: 5, cpu_s: 3.0, wall_s: 3.0 });
        assert_eq!((both.cores(), Footprint::default().cores()), (Some(1.0), None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_group_of_processes_is_measured() {
        use std::os::unix::process::CommandExt;
        use std::process::{Command, Stdio};

        // The shell waits for a child that computes.
        let script = "while [ ! -e \"$0\" ]; do sh -c 'i=0; while [ $i -lt 20000 ]; do \
                      i=$((i+1)); done'; done; exec sleep 60";
        let folder = tempfile::tempdir().unwrap();
        let stop = folder.path().join("stop");
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&stop).stdin(Stdio::null()).process_group(0);
        let mut child = command.spawn().unwrap();
        let meter = Meter::new().unwrap();
        assert_eq!(meter.watch(Some(child.id())), None);
        let begin = Instant::now();
        let ticks = || ticks(&members(child.id()));
        while ticks() < 30 && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::write(&stop, "").unwrap();
        let used = meter.watch(None).unwrap();
        assert!(used.cpu_s >= 0.1 && used.wall_s > 0.0, "{used:?}");
        assert!(used.peak_bytes > 100_000, "{used:?}");
        assert!(Meter::peak_since_start(child.id()).unwrap() > 100_000);
        assert_eq!(meter.watch(None), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
