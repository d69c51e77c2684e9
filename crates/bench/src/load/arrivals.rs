//! Random times of arrival: a Poisson process.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Far enough, and a clock can still count up to it.
const NEVER: Duration = Duration::from_secs(1 << 32);

/// Times from the start, the same for the same seed. The gaps between them are independent and
/// exponentially distributed.
#[derive(Debug)]
pub(super) struct Arrivals {
    random: ChaCha8Rng,
    mean_gap_s: f64,
    last_s: f64,
}

impl Arrivals {
    /// `stream` chooses among the sequences of a seed.
    pub(super) fn new(rate_per_s: f64, seed: u64, stream: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Self { random, mean_gap_s: 1.0 / rate_per_s, last_s: 0.0 }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // In (0, 1], of which every value has a logarithm.
        let uniform = ((self.random.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        self.last_s -= uniform.ln() * self.mean_gap_s;
        Some(Duration::try_from_secs_f64(self.last_s).unwrap_or(NEVER).min(NEVER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(rate_per_s: f64, num: usize) -> Vec<f64> {
        let times: Vec<f64> =
            Arrivals::new(rate_per_s, 11, 0).take(num).map(|time| time.as_secs_f64()).collect();
        let before = std::iter::once(0.0).chain(times.iter().copied());
        times.iter().zip(before).map(|(time, before)| time - before).collect()
    }

    #[test]
    fn the_gaps_have_the_mean_and_the_spread_of_a_poisson_process() {
        let gaps = gaps(20.0, 20_000);
        let mean = gaps.iter().sum::<f64>() / 20_000.0;
        assert!((mean - 0.05).abs() < 0.001, "{mean}");
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!((variance.sqrt() - 0.05).abs() < 0.002, "{variance}");
        // One in e is longer than the mean.
        let long = gaps.iter().filter(|gap| **gap > 0.05).count() as f64 / 20_000.0;
        assert!((long - (-1.0_f64).exp()).abs() < 0.01, "{long}");
        assert!(gaps.iter().all(|gap| *gap >= 0.0));
    }

    #[test]
    fn a_seed_and_a_stream_name_the_times() {
        let times = |seed, stream| Arrivals::new(5.0, seed, stream).take(10).collect::<Vec<_>>();
        assert_eq!(times(1, 0), times(1, 0));
        assert_ne!(times(1, 0), times(2, 0));
        assert_ne!(times(1, 0), times(1, 1));
    }

    #[test]
    fn rates_next_to_nothing_do_not_panic() {
        assert_eq!(Arrivals::new(1e-300, 1, 0).next(), Some(NEVER));
        assert!(Arrivals::new(1e300, 1, 0).next().unwrap() < Duration::from_secs(1));
    }
}
