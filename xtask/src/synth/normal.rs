//! Normal numbers by position: the same position has the same number, in any order of asking.

/// Quantiles in the table: more than 4-bit codes can tell apart.
const QUANTILES: usize = 1 << 16;
/// Where the density is cut off, in standard deviations.
const TAIL: f64 = 6.0;
/// Steps of the integration over half of the density.
const STEPS: usize = 1 << 20;

/// A seeded source of normal numbers.
pub(super) struct Normal {
    seed: u64,
    quantiles: Vec<f32>,
}

impl Normal {
    /// Mean 0 and standard deviation `sigma`.
    pub(super) fn new(seed: u64, sigma: f32) -> Self {
        let quantiles = quantiles().into_iter().map(|z| z as f32 * sigma).collect();
        Self { seed, quantiles }
    }

    /// The numbers of stream `stream` from position `start`, a multiple of 4, on.
    pub(super) fn fill(&self, stream: usize, start: usize, out: &mut [f32]) {
        let key = mix(self.seed ^ mix(stream as u64));
        for (i, four) in out.chunks_mut(4).enumerate() {
            let bits = mix(key.wrapping_add((start / 4 + i) as u64));
            for (lane, value) in four.iter_mut().enumerate() {
                *value = self.quantiles[(bits >> (16 * lane)) as u16 as usize];
            }
        }
    }
}

/// The output function of splitmix64 after one step from `state`.
/// Source: Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The standard normal distribution's quantiles at `(i + 0.5) / QUANTILES`, by adding up its
/// density: drawing one at random is drawing a normal number.
fn quantiles() -> Vec<f64> {
    let half = QUANTILES / 2;
    let step = TAIL / STEPS as f64;
    let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let (mut above, mut area) = (Vec::with_capacity(half), 0.0);
    for i in 0..STEPS {
        let x = step * i as f64;
        let slice = step * density(x + step / 2.0);
        // The quantiles within this slice, which has the same density everywhere.
        while above.len() < half {
            let wanted = (above.len() as f64 + 0.5) / QUANTILES as f64;
            if wanted > area + slice {
                break;
            }
            above.push(x + step * (wanted - area) / slice);
        }
        area += slice;
    }
    above.iter().rev().map(|z| -z).chain(above.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_known_quantiles() {
        let table = quantiles();
        assert_eq!(table.len(), QUANTILES);
        // Published quantiles of the standard normal distribution, with the tolerance of the grid.
        for (p, z) in [(0.841_344_7, 1.0), (0.975, 1.959_964), (0.001, -3.090_232)] {
            let found = table[(p * QUANTILES as f64) as usize];
            assert!((found - z).abs() < 5e-3, "{p}: {found} instead of {z}");
        }
    }

    #[test]
    fn numbers_have_the_asked_mean_and_deviation() {
        let mut values = vec![0.0; 1 << 18];
        Normal::new(1, 0.02).fill(3, 0, &mut values);
        let len = values.len() as f64;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / len;
        let variance = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / len;
        assert!(mean.abs() < 2e-4, "mean {mean}");
        assert!((variance.sqrt() - 0.02).abs() < 1e-4, "deviation {}", variance.sqrt());
    }

    #[test]
    fn numbers_depend_on_seed_stream_and_position_only() {
        let fill = |seed, stream, start, len| {
            let mut values = vec![0.0; len];
            Normal::new(seed, 1.0).fill(stream, start, &mut values);
            values
        };
        let whole = fill(1, 2, 0, 64);
        assert_eq!(fill(1, 2, 32, 32), whole[32..]);
        assert_ne!(fill(1, 3, 0, 64), whole);
        assert_ne!(fill(2, 2, 0, 64), whole);
    }
}
