//! How fast memory can be read right now: on shared hosts that changes within seconds.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use memmap2::MmapMut;

use crate::error::Error;

/// Memory for each thread, much larger than the caches.
const BYTES: usize = 256 << 20;
/// Bytes between two looks at the clock.
const PIECE: usize = 1 << 20;
const TIME: Duration = Duration::from_millis(200);

/// Memory to read.
pub(super) struct Bandwidth {
    parts: Vec<MmapMut>,
}

impl Bandwidth {
    /// Memory for `threads` threads.
    pub(super) fn new(threads: usize) -> Result<Self, Error> {
        let part = || -> Result<MmapMut, Error> {
            let mut part = MmapMut::map_anon(BYTES).map_err(Error::Memory)?;
            // Small pages would be read more slowly; where there are no others, they have to do.
            #[cfg(target_os = "linux")]
            let _ = part.advise(memmap2::Advice::HugePage);
            // Pages that were never written are all the same one.
            part.fill(1);
            Ok(part)
        };
        Ok(Self { parts: (0..threads).map(|_| part()).collect::<Result<_, _>>()? })
    }

    /// 10⁹ bytes per second that all threads read together.
    pub(super) fn measure(&self) -> f64 {
        let barrier = Barrier::new(self.parts.len());
        let rate = |part: &[u8]| {
            barrier.wait();
            let (start, mut bytes) = (Instant::now(), 0);
            for piece in part.chunks(PIECE).cycle().take_while(|_| start.elapsed() < TIME) {
                black_box(sum(piece));
                bytes += piece.len();
            }
            bytes as f64 / start.elapsed().as_secs_f64()
        };
        let rate = &rate;
        thread::scope(|scope| {
            let threads: Vec<_> =
                self.parts.iter().map(|part| scope.spawn(move || rate(part))).collect();
            let rates = threads.into_iter().map(|thread| thread.join().expect("sums cannot fail"));
            rates.sum::<f64>() / 1e9
        })
    }
}

/// The sum of all words, in lanes that become vector registers.
fn sum(bytes: &[u8]) -> u64 {
    const LANES: usize = 16;
    let mut lanes = [0u64; LANES];
    for words in bytes.as_chunks::<8>().0.as_chunks::<LANES>().0 {
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = lane.wrapping_add(u64::from_ne_bytes(*word));
        }
    }
    lanes.into_iter().fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read() {
        let words: Vec<u8> = (1..=256u64).flat_map(u64::to_ne_bytes).collect();
        assert_eq!(sum(&words), 256 * 257 / 2);
    }
}
