//! `exp`, `tanh` and the activation curves as branch-free arithmetic.
//!
//! Every instruction set compiles these same lines, so all of them give the same bits, and loops
//! over them vectorise.

/// Lanes of every sum that is not sequential: element `i` belongs to lane `i % 16`.
pub(crate) const NUM_LANES: usize = 16;

/// Below this, `exp` is less than the smallest normal number and becomes zero.
const EXP_MIN: f32 = -87.336_54;
/// Above this, `exp` stays at its value here, which is finite.
const EXP_MAX: f32 = 88.0;

/// `e^x` within 2 ulp, zero below -87.34 and constant above 88. NaN stays NaN.
///
/// `x = n·ln 2 + r` with `|r| <= ln 2 / 2`, a polynomial for `e^r`, and `n` added to the exponent
/// bits. Source: S. L. Moshier's Cephes library, `expf` (the coefficients).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding this rounds to an integer, which is then in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    let clamped = clamp(x, EXP_MIN, EXP_MAX);
    let rounded = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, clamped));
    let mut p = 1.987_569_1e-4_f32;
    p = p.mul_add(r, 1.398_2e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 0.5);
    p = p.mul_add(r * r, r) + 1.0;
    let power = f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23));
    if x < EXP_MIN { 0.0 } else { power }
}

/// `2^x` within 8e-5 of its value, for `x` up to 127; zero below -125. NaN stays NaN.
///
/// As [`exp`], with a polynomial of degree three: for results that are rounded to bf16.
#[inline(always)]
pub(crate) fn exp2(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let rounded = x + ROUND;
    let r = x - (rounded - ROUND);
    let mut p = 5.517_167e-2_f32;
    p = p.mul_add(r, 2.426_111_1e-1);
    p = p.mul_add(r, 6.932_609_7e-1);
    p = p.mul_add(r, 9.999_280_6e-1);
    let power = f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23));
    if x < -125.0 { 0.0 } else { power }
}

/// `tanh(x)` within 3 ulp. NaN stays NaN.
///
/// Source: S. L. Moshier's Cephes library, `tanhf` (the coefficients).
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let magnitude = x.abs();
    let square = x * x;
    let mut p = -5.704_988_7e-3_f32;
    p = p.mul_add(square, 2.063_909e-2);
    p = p.mul_add(square, -5.373_971_6e-2);
    p = p.mul_add(square, 1.333_144_2e-1);
    p = p.mul_add(square, -3.333_328e-1);
    let near = (p * square).mul_add(x, x);
    let far = (1.0 - 2.0 / (exp(magnitude + magnitude) + 1.0)).copysign(x);
    if magnitude < 0.625 { near } else { far }
}

/// `cap · tanh(x / cap)`, with `inverse_cap = 1 / cap`.
#[inline(always)]
pub(crate) fn softcap(x: f32, cap: f32, inverse_cap: f32) -> f32 {
    cap * tanh(x * inverse_cap)
}

/// `x · sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `x · Φ(x)` with the normal distribution function Φ; the absolute error is below `4e-7·|x|`.
///
/// Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26, as the smaller tail
/// of Φ so that nothing cancels.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let mut p = 1.061_405_4_f32;
    p = p.mul_add(t, -1.453_152);
    p = p.mul_add(t, 1.421_413_8);
    p = p.mul_add(t, -0.284_496_74);
    p = p.mul_add(t, 0.254_829_6);
    let tail = 0.5 * (p * t) * exp(-z * z);
    if x < 0.0 { x * tail } else { (-x).mul_add(tail, x) }
}

/// The tanh form of GELU: `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`, which is `x · sigmoid` of
/// twice that argument.
#[inline(always)]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
    let inner = (x * x).mul_add(0.044_715, 1.0) * x;
    x / (1.0 + exp(-TWICE_SQRT_2_OVER_PI * inner))
}

/// All lanes by `pair`: the upper half to the lower, four times.
///
/// Written with arrays of known lengths, which stay in registers.
#[inline(always)]
pub(crate) fn fold_lanes(lanes: [f32; NUM_LANES], pair: impl Fn(f32, f32) -> f32) -> f32 {
    let (mut eight, mut four) = ([0.0; 8], [0.0; 4]);
    for i in 0..8 {
        eight[i] = pair(lanes[i], lanes[i + 8]);
    }
    for i in 0..4 {
        four[i] = pair(eight[i], eight[i + 4]);
    }
    pair(pair(four[0], four[2]), pair(four[1], four[3]))
}

/// The larger number; `a` if either is NaN.
#[inline(always)]
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// Keeps NaN, unlike `f32::max` and `f32::min`.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let above = if x < low { low } else { x };
    if above > high { high } else { above }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of `f` over `inputs`, in ulp of the exact value.
    fn worst_ulp(inputs: impl Iterator<Item = f32>, f: fn(f32) -> f32, g: fn(f64) -> f64) -> f64 {
        let ulp = |y: f64| {
            let y = (y.abs() as f32).max(f32::MIN_POSITIVE);
            f64::from(f32::from_bits(y.to_bits() + 1)) - f64::from(y)
        };
        let error = |x: f32| {
            let exact = g(f64::from(x));
            (f64::from(f(x)) - exact).abs() / ulp(exact)
        };
        inputs.map(error).fold(0.0, f64::max)
    }

    fn grid(low: f32, high: f32) -> impl Iterator<Item = f32> {
        (0..200_000).map(move |i| low + (high - low) * (i as f32 / 200_000.0))
    }

    #[test]
    fn exp_and_tanh_are_close_to_the_exact_values() {
        assert!(worst_ulp(grid(-87.3, 88.0), exp, f64::exp) < 2.0);
        assert!(worst_ulp(grid(-1.0, 1.0), exp, f64::exp) < 1.5);
        assert!(worst_ulp(grid(-10.0, 10.0), tanh, f64::tanh) < 3.0);
        assert!(worst_ulp(grid(-0.7, 0.7), tanh, f64::tanh) < 3.0);
    }

    #[test]
    fn exp2_is_as_exact_as_said() {
        let error = |x: f32| (f64::from(exp2(x)) / f64::from(x).exp2() - 1.0).abs();
        assert!(grid(-125.0, 127.0).map(error).fold(0.0, f64::max) < 8e-5);
    }

    #[test]
    fn special_values_have_their_limits() {
        assert_eq!((exp2(-125.1), exp2(f32::NEG_INFINITY)), (0.0, 0.0));
        assert!(exp2(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-88.0), 0.0);
        assert!(exp(f32::INFINITY).is_finite());
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!((tanh(100.0), tanh(-100.0), tanh(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((silu(0.0), gelu(0.0), gelu_tanh(0.0)), (0.0, 0.0, 0.0));
        assert!(silu(-200.0).abs() < 1e-30 && gelu(-50.0).abs() < 1e-30);
        assert_eq!((silu(200.0), gelu(200.0), gelu_tanh(200.0)), (200.0, 200.0, 200.0));
    }

    #[test]
    fn activations_are_close_to_their_definitions() {
        // Φ by the series of erf, which converges everywhere: enough terms for |x| <= 6.
        let phi = |x: f64| {
            let mut term = x;
            let mut sum = x;
            for n in 1..200 {
                term *= x * x / f64::from(2 * n + 1);
                sum += term;
            }
            0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
        };
        for x in grid(-6.0, 6.0) {
            let (wide, bound) = (f64::from(x), 4e-7 * f64::from(x.abs()) + 1e-12);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044715 * wide.powi(3));
            let tanh_form = 0.5 * wide * (1.0 + inner.tanh());
            assert!((f64::from(gelu(x)) - wide * phi(wide)).abs() <= bound, "gelu({x})");
            assert!((f64::from(gelu_tanh(x)) - tanh_form).abs() <= bound, "tanh form at {x}");
            let exact = wide / (1.0 + (-wide).exp());
            assert!((f64::from(silu(x)) - exact).abs() <= bound, "silu({x})");
        }
    }
}
