//! Whether other processes take the cores of the pool's threads.
//!
//! A thread whose core another process has keeps all the others waiting, for milliseconds. They are
//! then faster with one thread less, which leaves every thread a core.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// How often the delays of up to eight threads are looked at: reading one takes some microseconds.
const PERIOD: Duration = Duration::from_millis(5);
const THREADS_PER_PERIOD: usize = 8;
/// Threads that wait for a core, on average, below which nothing is amiss: waking up takes a while,
/// too.
const FEW_WAITING: f64 = 0.1;
/// How long workers rest for each unit of time that was lost: what trying again may cost is then a
/// small part of the whole.
const REST_FACTOR: u32 = 32;
const LONGEST_FIRST: Duration = Duration::from_millis(150);
/// Each time that the rival is found to be there still, twice as long as before, up to this.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// A loss so soon after a rest is due to the same rival, as is one within the length of that rest.
const SOON: Duration = Duration::from_millis(20);

/// How many workers the caller is better off without, and until when.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    num_resting: usize,
    /// The end of the rest.
    until: Option<Instant>,
    /// How long the last rest was, and its end.
    last_rest: Option<(Duration, Instant)>,
    last_look: Option<Look>,
}

/// What threads had waited for cores in all at one time.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    caller: ThreadId,
    delay: Duration,
}

/// What was lost because threads waited for cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) time: Duration,
    /// Threads that are too many.
    pub(super) num_threads: usize,
}

impl Rivals {
    /// How many workers to leave asleep now.
    pub(super) fn num_resting(&mut self) -> usize {
        if self.until.is_some() { self.num_resting_at(Instant::now()) } else { 0 }
    }

    fn num_resting_at(&mut self, now: Instant) -> usize {
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
            self.num_resting = 0;
            // Nothing is known of a time when fewer threads ran.
            self.last_look = None;
        }
        self.num_resting
    }

    /// To be called by the caller of jobs after each.
    pub(super) fn look(&mut self, delays: &Delays) {
        let now = Instant::now();
        if self.last_look.is_some_and(|look| now < look.at + delays.period()) {
            return;
        }
        let look = Look { at: now, caller: std::thread::current().id(), delay: delays.total() };
        let before = self.last_look.replace(look).filter(|before| before.caller == look.caller);
        if let Some(loss) = before.and_then(|before| look.loss_since(before)) {
            self.note(loss, now);
        }
    }

    /// Takes note of a loss that ended `now`.
    pub(super) fn note(&mut self, loss: Loss, now: Instant) {
        let same = self.last_rest.filter(|(rest, end)| now < *end + loss.time + SOON.max(*rest));
        let rest = match same {
            Some((rest, _)) => (rest * 2).min(LONGEST_REST),
            None => (loss.time * REST_FACTOR).min(LONGEST_FIRST),
        };
        self.num_resting = self.num_resting_at(now) + loss.num_threads;
        self.until = Some(now + rest);
        self.last_rest = Some((rest, now + rest));
    }
}

impl Look {
    fn loss_since(&self, before: Self) -> Option<Loss> {
        let time = self.delay.saturating_sub(before.delay);
        let span = self.at.saturating_duration_since(before.at);
        let num_waiting = time.as_secs_f64() / span.as_secs_f64().max(1e-9);
        let num_threads = (num_waiting - FEW_WAITING).ceil().max(0.0) as usize;
        (num_threads > 0).then_some(Loss { time, num_threads })
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

    /// The delays of all workers and of the calling thread so far.
    fn total(&self) -> Duration {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |path: &Path| delay(&std::fs::read_to_string(path).ok()?);
        let workers = counters.iter().filter_map(|path| read(path)).sum::<u64>();
        let own = read(Path::new("/proc/thread-self/schedstat")).unwrap_or(0);
        Duration::from_nanos(workers + own)
    }

    fn period(&self) -> Duration {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        PERIOD * (1 + counters.len() / THREADS_PER_PERIOD) as u32
    }
}

/// The second of the three numbers of a `schedstat`: nanoseconds of waiting for a core.
fn delay(stat: &str) -> Option<u64> {
    stat.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(milliseconds: u64, num_threads: usize) -> Loss {
        Loss { time: Duration::from_millis(milliseconds), num_threads }
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
    fn as_many_workers_rest_as_threads_were_too_many() {
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
    fn threads_that_wait_are_counted_on_average() {
        let (at, caller) = (Instant::now(), std::thread::current().id());
        let before = Look { at, caller, delay: Duration::from_secs(7) };
        let after = |delay_ms| {
            let delay = before.delay + Duration::from_millis(delay_ms);
            Look { at: at + Duration::from_millis(10), delay, ..before }.loss_since(before)
        };
        assert_eq!(after(0), None);
        assert_eq!(after(1), None, "threads wake up");
        assert_eq!(after(5), Some(loss(5, 1)), "two share a core");
        assert_eq!(after(10), Some(loss(10, 1)));
        assert_eq!(after(21), Some(loss(21, 2)), "four share two cores");
        assert_eq!(before.loss_since(before), None);
    }

    #[test]
    fn delays_are_read_where_the_system_has_them() {
        assert_eq!(delay("12345 678 9\n"), Some(678));
        assert_eq!(delay(""), None);
        let delays = Delays::default();
        assert_eq!(delays.period(), PERIOD);
        (0..THREADS_PER_PERIOD).for_each(|_| delays.add_this_thread());
        let is_linux = cfg!(target_os = "linux");
        let num_counters = delays.counters.lock().unwrap().len();
        assert_eq!(num_counters, if is_linux { THREADS_PER_PERIOD } else { 0 });
        assert_eq!(delays.period(), PERIOD * if is_linux { 2 } else { 1 });
    }
}
