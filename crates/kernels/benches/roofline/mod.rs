//! What this machine can do, measured beside the kernels: reading memory, and arithmetic with
//! everything in registers.

mod arithmetic;

use std::fmt;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use russet_kernels::{AlignedBytes, Arena, Executor};

/// How long each limit is measured.
const TIME: Duration = Duration::from_millis(60);
/// Memory that is read, several times the caches of today's CPUs.
const PROBE_BYTES: usize = 256 << 20;
/// Bytes between two looks at the clock.
const PIECE_BYTES: usize = 1 << 20;

/// Bytes or operations a second, of all threads together. `None` where it is not known how to
/// measure them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Roofline {
    pub(crate) read: f64,
    pub(crate) int8: Option<f64>,
    pub(crate) bf16: Option<f64>,
    pub(crate) f32: Option<f64>,
}

impl Roofline {
    /// The higher of two measurements of each: neighbours can only lower them.
    fn or_higher(self, other: Self) -> Self {
        let higher = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.max(b));
        Self {
            read: self.read.max(other.read),
            int8: higher(self.int8, other.int8),
            bf16: higher(self.bf16, other.bf16),
            f32: higher(self.f32, other.f32),
        }
    }
}

impl fmt::Display for Roofline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {:.1} GB/s", self.read / 1e9)?;
        for (name, peak) in [("int8", self.int8), ("bf16", self.bf16), ("f32", self.f32)] {
            if let Some(peak) = peak {
                write!(f, ", {name} {:.0} GOPS", peak / 1e9)?;
            }
        }
        Ok(())
    }
}

/// What measures limits.
pub(crate) struct Probe {
    /// In huge pages where the system has them, as weights are.
    memory: AlignedBytes,
}

impl Probe {
    pub(crate) fn new() -> Self {
        let mut memory = Arena::new().alloc(PROBE_BYTES).expect("enough memory");
        // Pages that were never written are all the same one.
        memory.fill(1);
        Self { memory }
    }

    /// What `work` gives, and the limits of the threads and the instruction set of `exec` beside
    /// it: neighbours change them.
    pub(crate) fn around<T>(&self, exec: &Executor, work: impl FnOnce() -> T) -> (T, Roofline) {
        let before = self.measure(exec);
        let result = work();
        (result, before.or_higher(self.measure(exec)))
    }

    fn measure(&self, exec: &Executor) -> Roofline {
        let threads = exec.num_threads();
        let part_len = self.memory.len() / threads;
        let read = |i: usize| read_for(TIME, &self.memory[i * part_len..][..part_len]);
        let peak = |peak: Option<arithmetic::Peak>| {
            peak.map(|peak| on_threads(threads, |_| peak.measure(TIME)))
        };
        Roofline {
            read: on_threads(threads, read),
            int8: peak(arithmetic::int8(exec.isa())),
            bf16: peak(arithmetic::bf16(exec.isa())),
            f32: peak(arithmetic::f32(exec.isa())),
        }
    }
}

/// The sum of what `measure(i)` gives on as many threads at a time.
fn on_threads(threads: usize, measure: impl Fn(usize) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let start = |i| {
            let (barrier, measure) = (&barrier, &measure);
            scope.spawn(move || {
                barrier.wait();
                measure(i)
            })
        };
        let threads: Vec<_> = (0..threads).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("nothing panics")).sum()
    })
}

/// Bytes a second of reading `part` over and over.
fn read_for(time: Duration, part: &[u8]) -> f64 {
    let start = Instant::now();
    let mut bytes = 0;
    for piece in part.chunks(PIECE_BYTES).cycle() {
        black_box(sum(piece));
        bytes += piece.len();
        if start.elapsed() >= time {
            break;
        }
    }
    bytes as f64 / start.elapsed().as_secs_f64()
}

/// Not inlined, as the clock beside it would get in the way.
#[inline(never)]
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.as_chunks().0.iter();
    words.fold(0, |sum, &word| sum.wrapping_add(u64::from_ne_bytes(word)))
}

/// ` (67 %)` of a limit, or nothing where it is not known.
pub(crate) fn share(rate: f64, limit: impl Into<Option<f64>>) -> String {
    limit.into().map_or_else(String::new, |limit| format!(" ({:.0} %)", 100.0 * rate / limit))
}

/// 1 and the number of cores.
pub(crate) fn thread_counts() -> [NonZeroUsize; 2] {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    [NonZeroUsize::MIN, cores]
}
