//! Whether other processes take the cores of the workers.
//!
//! A caller that waits for a worker whose core another process has, waits for that process. It is
//! then faster alone.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Waits below this are not looked at.
const SHORT_WAIT: Duration = Duration::from_micros(300);
/// How long the caller works alone for each unit of time that it lost: what trying again may cost
/// is then a small part of the whole.
const ALONE_FACTOR: u32 = 32;
const LONGEST_FIRST: Duration = Duration::from_millis(150);
/// Each time that the rival is found to be there still, twice as long as before, up to this.
const LONGEST_ALONE: Duration = Duration::from_secs(1);
/// A loss so soon after the caller was alone is due to a rival that never pauses.
const SOON: Duration = Duration::from_millis(10);

/// Until when the caller is better off without workers.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    alone_until: Option<Instant>,
    /// How long the caller was alone last, and until when.
    last: Option<(Duration, Instant)>,
}

impl Rivals {
    /// Whether to leave the workers asleep now.
    pub(super) fn is_alone(&mut self) -> bool {
        self.alone_until.is_some() && self.is_alone_at(Instant::now())
    }

    fn is_alone_at(&mut self, now: Instant) -> bool {
        self.alone_until = self.alone_until.filter(|until| now < *until);
        self.alone_until.is_some()
    }

    /// Takes note of time that was lost until `now`.
    pub(super) fn note(&mut self, lost: Duration, now: Instant) {
        let same = self.last.filter(|(_, end)| now < *end + lost + SOON);
        let alone = match same {
            Some((alone, _)) => (alone * 2).min(LONGEST_ALONE),
            None => (lost * ALONE_FACTOR).min(LONGEST_FIRST),
        };
        self.alone_until = Some(now + alone);
        self.last = Some((alone, now + alone));
    }
}

/// Where the system counts how long each worker was ready to run and did not. Only Linux does.
#[derive(Debug, Default)]
pub(super) struct Delays {
    counters: Mutex<Vec<PathBuf>>,
}

impl Delays {
    /// Adds the calling thread.
    pub(super) fn add_this_thread(&self) {
        if let Ok(thread) = std::fs::read_link("/proc/thread-self") {
            let counter = Path::new("/proc").join(thread).join("schedstat");
            self.counters.lock().unwrap_or_else(PoisonError::into_inner).push(counter);
        }
    }

    /// The delays of all workers so far.
    fn total(&self) -> Duration {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |path: &PathBuf| std::fs::read_to_string(path).ok();
        let delays = counters.iter().filter_map(read).filter_map(|stat| delay(&stat));
        Duration::from_nanos(delays.sum())
    }
}

/// The second of the three numbers of a `schedstat`: nanoseconds of waiting for a core.
fn delay(stat: &str) -> Option<u64> {
    stat.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// One wait for workers.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    delays: &'a Delays,
    start: Instant,
    /// The delays when the wait was no longer short.
    before: Option<Duration>,
}

impl<'a> Wait<'a> {
    pub(super) fn start(delays: &'a Delays) -> Self {
        Self { delays, start: Instant::now(), before: None }
    }

    /// To be called now and then while waiting.
    pub(super) fn look(&mut self) {
        if self.before.is_none() && self.start.elapsed() > SHORT_WAIT {
            self.before = Some(self.delays.total());
        }
    }

    /// How long the wait was, if workers were kept from running for at least half of it.
    pub(super) fn lost(&self) -> Option<Duration> {
        let kept = self.delays.total().saturating_sub(self.before?);
        let waited = self.start.elapsed();
        (kept * 2 > waited).then_some(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_alone_in_proportion_to_what_it_lost() {
        let mut rivals = Rivals::default();
        let now = Instant::now();
        assert!(!rivals.is_alone_at(now));
        rivals.note(Duration::from_millis(2), now);
        assert!(rivals.is_alone_at(now + Duration::from_millis(63)));
        assert!(!rivals.is_alone_at(now + Duration::from_millis(64)));
        // Much later.
        let now = now + Duration::from_secs(10);
        rivals.note(Duration::from_secs(1), now);
        assert!(rivals.is_alone_at(now + Duration::from_millis(149)));
        assert!(!rivals.is_alone_at(now + Duration::from_millis(150)));
    }

    #[test]
    fn a_rival_that_stays_is_looked_for_less_often() {
        let mut rivals = Rivals::default();
        let (lost, mut now) = (Duration::from_millis(3), Instant::now());
        for alone in [96, 192, 384, 768, 1000, 1000].map(Duration::from_millis) {
            rivals.note(lost, now);
            assert!(rivals.is_alone_at(now + alone - Duration::from_millis(1)));
            assert!(!rivals.is_alone_at(now + alone));
            now += alone + 2 * lost;
        }
    }

    #[test]
    fn a_worker_that_works_or_sleeps_is_not_a_loss() {
        let delays = Delays::default();
        let mut wait = Wait::start(&delays);
        wait.look();
        assert_eq!(wait.lost(), None, "a short wait");
        std::thread::sleep(SHORT_WAIT * 2);
        wait.look();
        assert!(wait.before.is_some());
        assert_eq!(wait.lost(), None, "nobody was kept from running");
    }

    #[test]
    fn delays_are_read_where_the_system_has_them() {
        assert_eq!(delay("12345 678 9\n"), Some(678));
        assert_eq!(delay(""), None);
        let delays = Delays::default();
        delays.add_this_thread();
        let counters = delays.counters.lock().unwrap();
        assert_eq!(counters.len(), usize::from(cfg!(target_os = "linux")));
    }
}
