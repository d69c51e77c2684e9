//! Threads that share out the tasks of one operation at a time.
//!
//! Tasks are shared out in equal runs, so that a thread goes through memory in order; who has done
//! its own takes from the others', so a thread whose core is busy elsewhere simply does fewer.
//! Nobody waits for a worker that has not started; a worker enters a job only while it is open, and
//! the caller leaves only after the job is closed and the entered workers are out. That is what
//! lets tasks borrow from the caller's stack.

mod rivals;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::cell::UnsafeCell;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rivals::Rivals;

/// How long an idle worker polls before it sleeps: longer than the gap between two operations of a
/// step.
const SPIN_TIME: Duration = Duration::from_micros(50);
/// Polls between two looks at the clock.
const SPINS_PER_LOOK: u32 = 64;
/// Polls of a waiting caller between two offers of its core to others.
const SPINS_PER_YIELD: u32 = 1024;

/// `state`: the number of workers inside the job, whether it is open, and the number of the job.
const INSIDE_MASK: u64 = 0xffff;
const OPEN: u64 = 1 << 16;
const JOB_UNIT: u64 = 1 << 17;

/// A fixed set of threads. Operations run one at a time; the calling thread takes part.
pub struct Pool {
    shared: Arc<Shared>,
    /// Held while a job runs; who finds it taken runs its tasks inline.
    running: Mutex<Rivals>,
    workers: Vec<JoinHandle<()>>,
    num_regions: AtomicU64,
}

/// A counter on a cache line of its own (two, for adjacent-line prefetchers).
#[repr(align(128))]
#[derive(Default)]
struct Line<T>(T);

#[derive(Default)]
struct Shared {
    state: Line<AtomicU64>,
    /// Of each thread, how many of its own tasks were taken.
    taken: Box<[Line<AtomicUsize>]>,
    job: UnsafeCell<Option<Job>>,
    /// Workers above this one rest: they enter no job.
    last_worker: AtomicUsize,
    /// Workers asleep that do not rest.
    num_sleeping: AtomicUsize,
    stop: AtomicBool,
    sleep: Mutex<()>,
    wake: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written only by the caller that holds `Pool::running`, while the job is closed
// and empty, and read only by workers that entered it (acquire on `state`); every other field is
// `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is used only between entering and leaving an open job.
unsafe impl Send for Shared {}

/// The tasks of one `run`. The lifetime is erased; `Shared` says why that is sound.
#[derive(Clone, Copy)]
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    num_tasks: usize,
}

impl Pool {
    /// A pool of `threads` threads: the caller and `threads - 1` workers. A worker that cannot be
    /// started is left out.
    pub fn new(threads: NonZeroUsize) -> Self {
        let num_workers = (threads.get() - 1).min(INSIDE_MASK as usize);
        let taken = (0..=num_workers).map(|_| Line::default()).collect();
        let last_worker = AtomicUsize::new(num_workers);
        let shared = Arc::new(Shared { taken, last_worker, ..Shared::default() });
        let start = |i: usize| {
            let shared = Arc::clone(&shared);
            let name = format!("kernels-{i}");
            std::thread::Builder::new().name(name).spawn(move || shared.work(i)).ok()
        };
        let workers = (1..=num_workers).map_while(start).collect();
        Self { shared, running: Mutex::default(), workers, num_regions: AtomicU64::new(0) }
    }

    /// Threads that take part in an operation, the caller included.
    pub fn num_threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Parallel regions so far, each of which ends with a barrier.
    pub fn num_regions(&self) -> u64 {
        self.num_regions.load(Ordering::Relaxed)
    }

    /// Runs `task(0)` to `task(num_tasks - 1)`, in any order and on any thread, and returns when
    /// all are done.
    ///
    /// Runs inline if there is one task or one thread, inside another `run`, or while another
    /// thread runs. As many workers take part as other processes leave cores. A panic of a task is
    /// carried to the caller once the other threads are out.
    pub fn run(&self, num_tasks: usize, task: impl Fn(usize) + Sync) {
        let inline = || (0..num_tasks).for_each(&task);
        if num_tasks <= 1 || self.workers.is_empty() {
            return inline();
        }
        self.num_regions.fetch_add(1, Ordering::Relaxed);
        let mut rivals: MutexGuard<'_, Rivals> = match self.running.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return inline(),
        };
        let last_worker = self.workers.len().min(rivals.num_free_cores() - 1);
        self.shared.let_rest_above(last_worker);
        if last_worker == 0 {
            return inline();
        }
        self.shared.run(num_tasks, &task);
    }

    /// Runs `task(i, &mut items[i])` for every item, each on one thread.
    pub fn for_each<T: Send>(&self, items: &mut [T], task: impl Fn(usize, &mut T) + Sync) {
        let items = Items { first: items.as_mut_ptr(), len: items.len() };
        // SAFETY: `run` calls each index once, so no two tasks hold the same item, and returns
        // before the borrow ends.
        self.run(items.len, |i| task(i, unsafe { items.get(i) }));
    }
}

/// The items of one `for_each`.
struct Items<T> {
    first: *mut T,
    len: usize,
}

// SAFETY: tasks on other threads get `&mut T` to distinct items, which `T: Send` permits.
unsafe impl<T: Send> Sync for Items<T> {}

impl<T> Items<T> {
    /// # Safety
    /// No other reference to item `i` may exist, and the slice must outlive the result.
    #[expect(clippy::mut_from_ref, reason = "the caller hands each item to one task")]
    unsafe fn get(&self, i: usize) -> &mut T {
        assert!(i < self.len, "item {i} of {}", self.len);
        // SAFETY: in bounds by the assertion; exclusive by this function's contract.
        unsafe { &mut *self.first.add(i) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(lock(&self.shared.sleep));
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of tasks, so it ends well.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Workers 1 to `last_worker` take part from now on.
    fn let_rest_above(&self, last_worker: usize) {
        let before = self.last_worker.load(Ordering::Relaxed);
        if last_worker != before {
            self.last_worker.store(last_worker, Ordering::SeqCst);
        }
        if last_worker > before {
            drop(lock(&self.sleep));
            self.wake.notify_all();
        }
    }

    /// The caller's side of one job.
    fn run(&self, num_tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime changes. The job is closed and empty before this function
        // returns.
        let task: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(task) };
        let job = Job { task, num_tasks };
        // SAFETY: the last job is closed and empty, so no worker reads; `Pool::running` excludes
        // other callers.
        unsafe { *self.job.get() = Some(job) };
        self.taken.iter().for_each(|taken| taken.0.store(0, Ordering::Relaxed));
        let number = self.state.0.load(Ordering::Relaxed) & !(JOB_UNIT - 1);
        self.state.0.store(number.wrapping_add(JOB_UNIT) | OPEN, Ordering::SeqCst);
        if self.num_sleeping.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.sleep));
            self.wake.notify_all();
        }
        self.take_tasks(job, 0);
        self.state.0.fetch_and(!OPEN, Ordering::AcqRel);
        self.wait_for_workers();
        let panic = lock(&self.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Waits until no worker is inside the closed job.
    fn wait_for_workers(&self) {
        let mut spins = 0u32;
        while self.state.0.load(Ordering::Acquire) & INSIDE_MASK != 0 {
            spins = spins.wrapping_add(1);
            if spins.is_multiple_of(SPINS_PER_YIELD) {
                // After a while the core is offered to others.
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }

    /// The life of worker `i`.
    fn work(&self, i: usize) {
        let mut last = 0;
        while let Some(seen) = self.next_job(i, last) {
            last = seen & !(JOB_UNIT - 1);
            let entered =
                self.state.0.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Relaxed);
            if entered.is_err() {
                // Another worker entered first, or the job is closed: look again.
                last = last.wrapping_sub(JOB_UNIT);
                continue;
            }
            // SAFETY: this worker is inside an open job, so the caller has written it and waits.
            let job = unsafe { *self.job.get() }.expect("an open job is set");
            self.take_tasks(job, i);
            self.state.0.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The state of an open job other than number `last` for worker `i`, or `None` when the pool
    /// ends.
    fn next_job(&self, i: usize, last: u64) -> Option<u64> {
        let rests = || i > self.last_worker.load(Ordering::SeqCst);
        let is_new = |state: u64| state & OPEN != 0 && state & !(JOB_UNIT - 1) != last && !rests();
        let start = Instant::now();
        loop {
            for _ in 0..SPINS_PER_LOOK {
                let state = self.state.0.load(Ordering::Acquire);
                if is_new(state) {
                    return Some(state);
                }
                std::hint::spin_loop();
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if start.elapsed() > SPIN_TIME {
                break;
            }
        }
        let mut guard = lock(&self.sleep);
        loop {
            // Who rests is not to be woken by every job.
            let counts = usize::from(!rests());
            self.num_sleeping.fetch_add(counts, Ordering::SeqCst);
            let state = self.state.0.load(Ordering::SeqCst);
            let (found, stop) = (is_new(state), self.stop.load(Ordering::SeqCst));
            if !found && !stop {
                guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            self.num_sleeping.fetch_sub(counts, Ordering::SeqCst);
            if found || stop {
                return found.then_some(state);
            }
        }
    }

    /// Runs tasks until none is left, those of `thread` first. A panic is kept for the caller and
    /// cancels the tasks not yet taken.
    fn take_tasks(&self, job: Job, thread: usize) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let threads = self.taken.len();
            for owner in (thread..threads).chain(0..thread) {
                let (start, end) =
                    (job.num_tasks * owner / threads, job.num_tasks * (owner + 1) / threads);
                loop {
                    let i =
                        start.saturating_add(self.taken[owner].0.fetch_add(1, Ordering::Relaxed));
                    if i >= end {
                        break;
                    }
                    // SAFETY: the caller of `run` keeps the closure alive until this thread has
                    // left the job.
                    unsafe { (*job.task)(i) };
                }
            }
        }));
        if let Err(panic) = outcome {
            self.taken.iter().for_each(|t| t.0.store(job.num_tasks, Ordering::Relaxed));
            lock(&self.panic).get_or_insert(panic);
        }
    }
}

/// No data of this module can be left half-written by a panic, so poison means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
