//! How fast this process reads memory, which bounds how fast it can decode.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use memmap2::MmapMut;

use crate::Error;

/// Bytes between two looks at the clock.
const PIECE: usize = 1 << 20;

/// Memory to read, much larger than the caches.
pub(crate) struct ReadProbe {
    memory: MmapMut,
    threads: NonZeroUsize,
}

impl ReadProbe {
    /// Fills `bytes` of memory, at least a piece for each of `threads`.
    pub(crate) fn new(bytes: usize, threads: NonZeroUsize) -> Result<Self, Error> {
        let bytes = bytes.max(PIECE * threads.get());
        let map = MmapMut::map_anon(bytes);
        let mut memory = map.map_err(|source| Error::Probe { bytes, source })?;
        // Weights lie in huge pages too. Where the system has none, small ones do.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        // Pages that were never written are all the same one.
        memory.fill(1);
        Ok(Self { memory, threads })
    }

    /// Bytes per second that the threads read together over about `time`.
    pub(crate) fn measure(&self, time: Duration) -> f64 {
        let barrier = Barrier::new(self.threads.get());
        let part_len = self.memory.len() / self.threads;
        let parts = self.memory.chunks_exact(part_len).take(self.threads.get());
        std::thread::scope(|scope| {
            let read = |part| {
                barrier.wait();
                read_for(time, part)
            };
            let threads: Vec<_> = parts.map(|part| scope.spawn(move || read(part))).collect();
            let speeds = threads.into_iter().map(|thread| thread.join().expect("sums cannot fail"));
            speeds.sum()
        })
    }
}

/// Reads `part` over and over; bytes per second.
fn read_for(time: Duration, part: &[u8]) -> f64 {
    let start = Instant::now();
    let mut bytes = 0;
    for piece in part.chunks(PIECE).cycle() {
        black_box(sum(piece));
        bytes += piece.len();
        if start.elapsed() >= time {
            break;
        }
    }
    bytes as f64 / start.elapsed().as_secs_f64()
}

/// The sum of all whole words: a loop so plain that it waits for memory even where the compiler
/// makes no vectors of it. Not inlined, as the clock beside it would get in the way.
#[inline(never)]
fn sum(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks();
    words.iter().fold(0, |sum, &word| sum.wrapping_add(u64::from_ne_bytes(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_read() {
        for at in 0..1000 {
            let mut bytes = vec![0; 1000];
            bytes[at] = 7;
            assert_eq!(sum(&bytes).count_ones(), 3, "{at}");
        }
        assert_eq!(sum(&[1; 1000]), u64::from_ne_bytes([125; 8]));
    }

    #[test]
    fn threads_share_the_memory() {
        let threads = NonZeroUsize::new(3).expect("not zero");
        let probe = ReadProbe::new(10, threads).expect("3 MB");
        assert_eq!(probe.memory.len(), 3 * PIECE);
        // Any memory reads more than 1 MB and less than 1000 TB a second.
        let speed = probe.measure(Duration::from_millis(5));
        assert!((1e6..1e15).contains(&speed), "{speed}");
    }
}
