//! How many cores other processes leave.
//!
//! A thread whose core another process has keeps all the others waiting, for milliseconds. They are
//! then faster with one thread less. Linux tells how busy each core was; what this process did not
//! use of that is others'. Elsewhere every core counts as free.

use std::fs;
use std::time::{Duration, Instant};

/// How often the system is asked. Its clock ticks every 10 ms.
const PERIOD: Duration = Duration::from_millis(200);
/// The same on every architecture of Linux, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;
/// A core that others use up to this part of is still worth a thread. Somebody who always wants a
/// core gets half of it beside a thread of ours, more or less a tenth by the clock.
const SHARE_OF_OTHERS: f64 = 0.3;

/// The cores left by others, as last seen.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// When the system is to be asked again.
    next: Option<Instant>,
    last: Option<Usage>,
    /// `None` while nothing is known.
    num_free: Option<usize>,
}

/// What had been used of the cores that this process may run on, in ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Usage {
    at: Instant,
    num_cores: usize,
    by_all: u64,
    by_us: u64,
}

impl Rivals {
    /// How many threads find a core, at least one.
    pub(super) fn num_free_cores(&mut self) -> usize {
        let now = Instant::now();
        if self.next.is_none_or(|next| now >= next) {
            let usage = Usage::read(now);
            let both = usage.zip(self.last);
            self.num_free = both.map(|(usage, last)| usage.num_free_since(&last));
            (self.last, self.next) = (usage, Some(now + PERIOD));
        }
        self.num_free.unwrap_or(usize::MAX)
    }

    /// As if so many had been seen to be free just now.
    #[cfg(test)]
    pub(super) fn with_free_cores(num_free: usize) -> Self {
        let next = Some(Instant::now() + Duration::from_secs(3600));
        Self { next, last: None, num_free: Some(num_free) }
    }
}

impl Usage {
    fn read(at: Instant) -> Option<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{name}")).ok();
        let cores = allowed_cores(&read("self/status")?)?;
        let (by_us, is_nice) = own_ticks(&read("self/stat")?)?;
        let by_all = busy_ticks(&read("stat")?, &cores, is_nice);
        Some(Self { at, num_cores: cores.len(), by_all, by_us })
    }

    /// The cores that others left between `before` and this.
    fn num_free_since(&self, before: &Self) -> usize {
        let ticks = self.at.saturating_duration_since(before.at).as_secs_f64() * TICKS_PER_SECOND;
        let by_all = self.by_all.saturating_sub(before.by_all);
        let by_us = self.by_us.saturating_sub(before.by_us);
        let others = by_all.saturating_sub(by_us) as f64 / ticks.max(1.0);
        let num_free = (self.num_cores as f64 - others + SHARE_OF_OTHERS).floor();
        (num_free as usize).max(1)
    }
}

/// The cores that the scheduler may take, of a `status`: `Cpus_allowed_list: 0-3,8`.
fn allowed_cores(status: &str) -> Option<Vec<usize>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

/// The processor time of this process, of its `stat`, and whether it gives way to others.
fn own_ticks(stat: &str) -> Option<(u64, bool)> {
    // The name before may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3);
    let ticks = |number: usize| field(number)?.parse::<u64>().ok();
    let nice: i64 = field(19)?.parse().ok()?;
    Some((ticks(14)? + ticks(15)?, nice > 0))
}

/// What was used of `cores`, of the system's `stat`. Processes that give way take nothing from this
/// one, unless it does, too.
fn busy_ticks(stat: &str, cores: &[usize], with_nice: bool) -> u64 {
    let used = |line: &str| {
        let (name, numbers) = line.strip_prefix("cpu")?.split_once(' ')?;
        let is_ours = cores.contains(&name.parse().ok()?);
        let ticks: Vec<u64> = numbers.split(' ').map_while(|n| n.parse().ok()).collect();
        let [user, nice, system, _idle, _io, irq, soft_irq, ..] = ticks[..] else { return None };
        let nice = if with_nice { nice } else { 0 };
        is_ours.then_some(user + nice + system + irq + soft_irq)
    };
    stat.lines().filter_map(used).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 20 30 400 5 6 7 8 0 0\n\
                        cpu1 1000 0 0 0 0 0 0 0 0 0\ncpu10 7 0 0 0 0 0 0 0 0 0\nintr 1 2\n";

    #[test]
    fn cores_and_ticks_are_read() {
        let status = "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-2,10\n";
        assert_eq!(allowed_cores(status), Some(vec![0, 1, 2, 10]));
        assert_eq!(allowed_cores("Name:\tx\n"), None);
        assert_eq!(busy_ticks(STAT, &[0], false), 143);
        assert_eq!(busy_ticks(STAT, &[0], true), 163);
        assert_eq!(busy_ticks(STAT, &[1, 10], false), 1007);
        let stat = |nice| format!("12 (a ) b) S 1 1 1 0 -1 4 5 6 7 8 70 9 0 0 20 {nice} 3 0 1");
        assert_eq!(own_ticks(&stat(0)), Some((79, false)));
        assert_eq!(own_ticks(&stat(19)), Some((79, true)));
        assert_eq!(own_ticks("12 (a"), None);
    }

    #[test]
    fn this_system_is_read() {
        assert_eq!(Usage::read(Instant::now()).is_some(), cfg!(target_os = "linux"));
    }

    #[test]
    fn a_core_that_others_use_is_not_free() {
        let before = Usage { at: Instant::now(), num_cores: 4, by_all: 1000, by_us: 500 };
        let after = |by_all, by_us| {
            let (by_all, by_us) = (before.by_all + by_all, before.by_us + by_us);
            let at = before.at + Duration::from_secs(1);
            Usage { at, by_all, by_us, ..before }.num_free_since(&before)
        };
        assert_eq!(after(0, 0), 4);
        assert_eq!(after(400, 400), 4);
        assert_eq!(after(400, 375), 4, "others use a quarter of a core");
        assert_eq!(after(400, 340), 3);
        assert_eq!(after(400, 300), 3);
        assert_eq!(after(400, 200), 2);
        assert_eq!(after(400, 0), 1, "there is always the caller");
        assert_eq!(after(10, 30), 4, "clocks differ");
        assert_eq!(before.num_free_since(&before), 4);
    }
}
