//! Whether other processes take the cores of the workers.
//!
//! A caller that waits for a worker whose core another process has, waits for that process. It is
//! then faster without that worker.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Waits below this are not looked at.
const SHORT_WAIT: Duration = Duration::from_micros(300);
/// How long workers rest for each unit of time that was lost: what trying again may cost is then a
/// small part of the whole.
const REST_FACTOR: u32 = 32;
const LONGEST_FIRST: Duration = Duration::from_millis(150);
/// Each time that the rival is found to be there still, twice as long as before, up to this.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// A loss so soon after a rest is due to the same rival, as is one within the length of that rest.
const SOON: Duration = Duration::from_millis(10);

/// How many workers the caller is better off without, and until when.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    num_resting: usize,
    /// The end of the rest.
    until: Option<Instant>,
    /// How long the last rest was, and its end.
    last: Option<(Duration, Instant)>,
}

/// What one wait for workers cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) time: Duration,
    /// Workers that had no core.
    pub(super) num_workers: usize,
}

impl Rivals {
    /// How many workers to leave asleep now.
    pub(super) fn num_resting(&mut self) -> usize {
        if self.until.is_some() { self.num_resting_at(Instant::now()) } else { 0 }
    }

    fn num_resting_at(&mut self, now: Instant) -> usize {
        self.until = self.until.filter(|until| now < *until);
        if self.until.is_none() {
            self.num_resting = 0;
        }
        self.num_resting
    }

    /// Takes note of a loss that ended `now`.
    pub(super) fn note(&mut self, loss: Loss, now: Instant) {
        let same = self.last.filter(|(rest, end)| now < *end + loss.time + SOON.max(*rest));
        let rest = match same {
            Some((rest, _)) => (rest * 2).min(LONGEST_REST),
            None => (loss.time * REST_FACTOR).min(LONGEST_FIRST),
        };
        self.num_resting = self.num_resting_at(now) + loss.num_workers;
        self.until = Some(now + rest);
        self.last = Some((rest, now + rest));
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

    /// The delay of each worker so far.
    fn read(&self) -> Vec<Duration> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |path: &PathBuf| delay(&std::fs::read_to_string(path).ok()?);
        counters.iter().map(|path| Duration::from_nanos(read(path).unwrap_or(0))).collect()
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
    before: Option<Vec<Duration>>,
}

impl<'a> Wait<'a> {
    pub(super) fn start(delays: &'a Delays) -> Self {
        Self { delays, start: Instant::now(), before: None }
    }

    /// To be called now and then while waiting.
    pub(super) fn look(&mut self) {
        if self.before.is_none() && self.start.elapsed() > SHORT_WAIT {
            self.before = Some(self.delays.read());
        }
    }

    /// The loss, if workers were kept from running for at least half of the wait.
    pub(super) fn loss(&self) -> Option<Loss> {
        let before = self.before.as_ref()?;
        let time = self.start.elapsed();
        let after = self.delays.read();
        let kept = before.iter().zip(after).map(|(before, after)| after.saturating_sub(*before));
        let num_workers = kept.filter(|kept| *kept * 2 > time).count();
        (num_workers > 0).then_some(Loss { time, num_workers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(milliseconds: u64, num_workers: usize) -> Loss {
        Loss { time: Duration::from_millis(milliseconds), num_workers }
    }

    #[test]
    fn workers_rest_in_proportion_to_what_was_lost() {
        let mut rivals = Rivals::default();
        let now = Instant::now();
        assert_eq!(rivals.num_resting_at(now), 0);
        rivals.note(loss(2, 1), now);
        assert_eq!(rivals.num_resting_at(now + Duration::from_millis(63)), 1);
        assert_eq!(rivals.num_resting_at(now + Duration::from_millis(64)), 0);
        // Much later.
        let now = now + Duration::from_secs(10);
        rivals.note(loss(1000, 1), now);
        assert_eq!(rivals.num_resting_at(now + Duration::from_millis(149)), 1);
        assert_eq!(rivals.num_resting_at(now + Duration::from_millis(150)), 0);
    }

    #[test]
    fn as_many_workers_rest_as_had_no_core() {
        let mut rivals = Rivals::default();
        let now = Instant::now();
        rivals.note(loss(1, 2), now);
        assert_eq!(rivals.num_resting_at(now), 2);
        let now = now + Duration::from_millis(5);
        rivals.note(loss(1, 1), now);
        assert_eq!(rivals.num_resting_at(now), 3);
        assert_eq!(rivals.num_resting_at(now + LONGEST_REST), 0);
    }

    #[test]
    fn a_rival_that_stays_is_looked_for_less_often() {
        let mut rivals = Rivals::default();
        let mut now = Instant::now();
        for rest in [96, 192, 384, 768, 1000, 1000].map(Duration::from_millis) {
            rivals.note(loss(3, 1), now);
            assert_eq!(rivals.num_resting_at(now + rest - Duration::from_millis(1)), 1);
            assert_eq!(rivals.num_resting_at(now + rest), 0);
            // The work itself pauses for less than the workers rested.
            now += rest + rest / 2;
        }
        now += 2 * LONGEST_REST;
        rivals.note(loss(3, 1), now);
        assert_eq!(rivals.num_resting_at(now + Duration::from_millis(96)), 0);
    }

    #[test]
    fn a_worker_that_works_or_sleeps_is_not_a_loss() {
        let delays = Delays::default();
        let mut wait = Wait::start(&delays);
        wait.look();
        assert_eq!(wait.loss(), None, "a short wait");
        std::thread::sleep(SHORT_WAIT * 2);
        wait.look();
        assert!(wait.before.is_some());
        assert_eq!(wait.loss(), None, "nobody was kept from running");
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
