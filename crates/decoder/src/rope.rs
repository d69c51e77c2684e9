//! Rotary position embeddings and their scaling. Source: Su et al.,
//! <https://arxiv.org/abs/2104.09864>.
//!
//! The scaling rules are those of mlx-lm's `rope_utils.py`, which `tests/architectures/rope.rs`
//! checks against recorded outputs.

use std::f64::consts::PI;

use crate::Position;

/// A rotary embedding with everything that does not depend on the position computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Dimensions of each head that rotate: the first `dims`.
    pub dims: usize,
    /// Which dimensions rotate together.
    pub pairing: RopePairing,
    /// Radians per position of each pair, `dims / 2`.
    inv_freqs: Vec<f64>,
    /// Multiplies the rotated dimensions (yarn's and longrope's attention factor).
    magnitude: f64,
    /// Rescales the base with the length of the sequence.
    dynamic: Option<DynamicNtk>,
}

/// Which two dimensions rotate together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopePairing {
    /// `i` and `i + dims/2`.
    Halves,
    /// `2i` and `2i + 1`.
    Interleaved,
}

/// How the frequencies follow from the base.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// As published.
    None,
    /// Positions divided by `factor`.
    Linear {
        /// Stretch of the context.
        factor: f64,
    },
    /// Llama 3's three bands by wavelength.
    Llama3 {
        /// Divides low frequencies.
        factor: f64,
        /// Wavelengths above `original_len / low_freq_factor` are divided wholly.
        low_freq_factor: f64,
        /// Wavelengths below `original_len / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context the model was trained at.
        original_len: f64,
    },
    /// YaRN. Source: Peng et al., <https://arxiv.org/abs/2309.00071>.
    Yarn(Yarn),
    /// NTK-aware base that grows with the sequence.
    Dynamic(DynamicNtk),
    /// LongRoPE with its long factors at every length. Source: Ding et al.,
    /// <https://arxiv.org/abs/2402.13753>.
    LongRope {
        /// Divides each pair's frequency.
        long_factors: Vec<f64>,
        /// Context the model was made for.
        max_len: f64,
        /// Context the model was trained at.
        original_len: f64,
    },
}

/// YaRN's parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yarn {
    /// Stretch of the context.
    pub factor: f64,
    /// Context the model was trained at.
    pub original_len: f64,
    /// Rotations above which a pair is kept.
    pub beta_fast: f64,
    /// Rotations below which a pair is interpolated.
    pub beta_slow: f64,
    /// Numerator of the magnitude.
    pub mscale: f64,
    /// Denominator of the magnitude.
    pub mscale_all_dim: f64,
}

/// Dynamic NTK scaling: beyond `max_len` the base grows with the length so far.
///
/// A row at position `p` uses the base of a sequence of `p + 1` tokens, so that its result does not
/// depend on how the prompt was cut into chunks; mlx-lm uses the length at the end of the chunk,
/// which agrees in decode and below `max_len`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DynamicNtk {
    /// The published base.
    pub base: f64,
    /// Stretch of the context.
    pub factor: f64,
    /// Context up to which the base is as published.
    pub max_len: f64,
}

impl Rope {
    /// A rotary embedding over the first `dims` dimensions of each head.
    pub fn new(dims: usize, base: f64, pairing: RopePairing, scaling: &RopeScaling) -> Self {
        let plain = plain_periods(dims, base);
        let (periods, magnitude, dynamic) = match scaling {
            RopeScaling::None => (plain, 1.0, None),
            RopeScaling::Linear { factor } => (scaled(plain, *factor), 1.0, None),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_len } => {
                let bands = Bands {
                    factor: *factor,
                    low: *low_freq_factor,
                    high: *high_freq_factor,
                    original_len: *original_len,
                };
                (plain.into_iter().map(|p| bands.period(p)).collect(), 1.0, None)
            }
            RopeScaling::Yarn(yarn) => (yarn.periods(&plain, dims, base), yarn.magnitude(), None),
            RopeScaling::Dynamic(dynamic) => (plain, 1.0, Some(*dynamic)),
            RopeScaling::LongRope { long_factors, max_len, original_len } => {
                let periods = plain.iter().zip(long_factors).map(|(p, f)| p * f).collect();
                (periods, longrope_magnitude(*max_len, *original_len), None)
            }
        };
        let inv_freqs = periods.iter().map(|p| 1.0 / p).collect();
        Self { dims, pairing, inv_freqs, magnitude, dynamic }
    }

    /// Divides each pair's frequency, as GGUF's `rope_freqs` tensor asks. `factors.len()` is
    /// `dims / 2`.
    pub fn divide_frequencies(&mut self, factors: &[f32]) {
        for (freq, factor) in self.inv_freqs.iter_mut().zip(factors) {
            *freq /= f64::from(*factor);
        }
    }

    /// Cosines and sines of every row, `[positions.len(), dims / 2]` each.
    pub fn table(&self, positions: &[Position]) -> RopeTable {
        let mut table = RopeTable::default();
        for position in positions {
            let at = f64::from(position.time);
            for (pair, inv_freq) in self.inv_freqs.iter().enumerate() {
                let freq = self.dynamic.map_or(*inv_freq, |d| d.inv_freq(at, pair, self.dims));
                let (sin, cos) = (at * freq).sin_cos();
                table.cos.push((cos * self.magnitude) as f32);
                table.sin.push((sin * self.magnitude) as f32);
            }
        }
        table
    }
}

/// Cosines and sines of a step's rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RopeTable {
    /// `[rows, dims / 2]`
    pub cos: Vec<f32>,
    /// `[rows, dims / 2]`
    pub sin: Vec<f32>,
}

/// `base^(2i/dims)`: positions per radian of each pair.
fn plain_periods(dims: usize, base: f64) -> Vec<f64> {
    (0..dims / 2).map(|i| base.powf(2.0 * i as f64 / dims as f64)).collect()
}

fn scaled(periods: Vec<f64>, factor: f64) -> Vec<f64> {
    periods.into_iter().map(|p| p * factor).collect()
}

fn longrope_magnitude(max_len: f64, original_len: f64) -> f64 {
    let factor = max_len / original_len;
    if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / original_len.ln()).sqrt() }
}

/// Llama 3's bands.
struct Bands {
    factor: f64,
    low: f64,
    high: f64,
    original_len: f64,
}

impl Bands {
    fn period(&self, period: f64) -> f64 {
        let wavelength = 2.0 * PI * period;
        if wavelength > self.original_len / self.low {
            period * self.factor
        } else if wavelength > self.original_len / self.high {
            let smooth = (self.original_len / wavelength - self.low) / (self.high - self.low);
            period / ((1.0 - smooth) / self.factor + smooth)
        } else {
            period
        }
    }
}

impl Yarn {
    fn periods(&self, plain: &[f64], dims: usize, base: f64) -> Vec<f64> {
        let low = self.correction_dim(self.beta_fast, dims, base).floor().max(0.0);
        let high = self.correction_dim(self.beta_slow, dims, base).ceil().min(dims as f64 - 1.0);
        // Equal ends would divide by zero.
        let high = if low == high { high + 0.001 } else { high };
        let blend = |(i, &extra): (usize, &f64)| {
            let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            let (inter, keep) = (self.factor * extra, 1.0 - ramp);
            inter * extra / (inter * keep + extra * ramp)
        };
        plain.iter().enumerate().map(blend).collect()
    }

    /// The pair that turns `rotations` times over the original context.
    fn correction_dim(&self, rotations: f64, dims: usize, base: f64) -> f64 {
        dims as f64 * (self.original_len / (rotations * 2.0 * PI)).ln() / (2.0 * base.ln())
    }

    fn magnitude(&self) -> f64 {
        let scale = |mscale: f64| match self.factor {
            f if f <= 1.0 => 1.0,
            f => 0.1 * mscale * f.ln() + 1.0,
        };
        scale(self.mscale) / scale(self.mscale_all_dim)
    }
}

impl DynamicNtk {
    fn inv_freq(&self, at: f64, pair: usize, dims: usize) -> f64 {
        let len = (at + 1.0).max(self.max_len);
        let dims = dims as f64;
        let growth = self.factor * len / self.max_len - (self.factor - 1.0);
        let base = self.base * growth.powf(dims / (dims - 2.0));
        base.powf(-2.0 * pair as f64 / dims)
    }
}
