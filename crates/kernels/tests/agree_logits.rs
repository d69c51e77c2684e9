//! Operations on logits against their plain definitions, and every ISA bit for bit against scalar.

use std::ops::Range;

use russet_kernels::{Isa, Largest, LogitKernels, Share, available};

/// Short ones, some around the blocks that sums and maxima are made in, and a large vocabulary.
fn lens() -> impl Iterator<Item = usize> {
    (0..=100).chain([255, 256, 257, 1023, 1024, 1025, 2100, 151_936])
}

fn all() -> Vec<(Isa, LogitKernels)> {
    available().into_iter().map(|kernels| (kernels.isa(), LogitKernels::new(kernels))).collect()
}

/// Floats in -16..16, some of them equal, the same for each seed.
fn floats(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 52) as f32 / (1_u64 << 11) as f32 - 1.0) * 16.0
    };
    (0..len).map(|_| next()).collect()
}

/// Some places of a slice: all of a short one.
fn places(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by((len / 100).max(1)).chain(len.checked_sub(1))
}

#[test]
fn argmax_finds_the_first_of_the_largest() {
    for (isa, kernels) in all() {
        for len in lens() {
            let mut x = floats(len, 1);
            for at in places(len) {
                let before = x[at];
                x[at] = 17.0;
                let expected = Largest { index: at, value: 17.0, has_nan: false };
                assert_eq!(kernels.argmax(&x), expected, "{isa} of {len}");
                let last = std::mem::replace(&mut x[len - 1], 17.0);
                assert_eq!(kernels.argmax(&x), expected, "{isa} of {len} with an equal");
                x[len - 1] = last;
                x[at] = before;
            }
        }
    }
}

#[test]
fn argmax_tells_of_nan_wherever_it_is() {
    for (isa, kernels) in all() {
        for len in lens().skip(2) {
            let mut x = floats(len, 2);
            x[len / 2] = 17.0;
            for at in places(len).filter(|at| *at != len / 2) {
                // Negative, as x86 makes it.
                let before = std::mem::replace(&mut x[at], -f32::NAN);
                let expected = Largest { index: len / 2, value: 17.0, has_nan: true };
                assert_eq!(kernels.argmax(&x), expected, "{isa} of {len}, NaN at {at}");
                x[at] = before;
            }
        }
    }
}

#[test]
fn argmax_of_what_is_not_finite() {
    let none = Largest { index: 0, value: f32::NEG_INFINITY, has_nan: false };
    for (isa, kernels) in all() {
        assert_eq!(kernels.argmax(&[]), none, "{isa}");
        assert_eq!(kernels.argmax(&[f32::NEG_INFINITY; 40]), none, "{isa}");
        assert_eq!(kernels.argmax(&[f32::NAN; 40]), Largest { has_nan: true, ..none }, "{isa}");
        let mut x = [3.0; 40];
        x[33] = f32::INFINITY;
        let infinite = Largest { index: 33, value: f32::INFINITY, has_nan: false };
        assert_eq!(kernels.argmax(&x), infinite, "{isa}");
    }
}

#[test]
fn weights_are_exponentials() {
    for len in lens() {
        let mut x = floats(len, 3);
        x.iter_mut().step_by(7).for_each(|x| *x = f32::NEG_INFINITY);
        for factor in [1.0, 0.25, 2.5, f32::MAX] {
            let weigh = |kernels: LogitKernels| {
                let mut out = vec![f32::NAN; len];
                kernels.weigh(&x, 16.0, factor, &mut out);
                out
            };
            let results: Vec<_> = all().into_iter().map(|(isa, k)| (isa, weigh(k))).collect();
            let (_, scalar) = results.last().unwrap();
            for (weight, &x) in scalar.iter().zip(&x) {
                let exact = ((f64::from(x) - 16.0) * f64::from(factor)).exp();
                let error = (f64::from(*weight) - exact).abs();
                assert!(error <= 2e-5 * exact + 1.2e-38, "{weight}, not {exact}");
            }
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            for (isa, result) in &results {
                assert_eq!(bits(result), bits(scalar), "{isa} of {len}, {factor}");
            }
        }
    }
}

#[test]
fn the_largest_has_weight_one_however_large_the_factor() {
    for (isa, kernels) in all() {
        let mut out = [0.0; 20];
        kernels.weigh(&[-3.5; 20], -3.5, f32::MAX, &mut out);
        assert_eq!(out, [1.0; 20], "{isa}");
    }
}

#[test]
fn shares_agree() {
    for len in lens() {
        let x: Vec<f32> = floats(len, 4).iter().map(|x| x.abs().exp2()).collect();
        let mut narrower = Share::default();
        for least in [f32::INFINITY, 60_000.0, 1000.0, 30.0, 1.5, 0.0] {
            let exact: Vec<f64> = x.iter().filter(|x| **x >= least).map(|&x| x.into()).collect();
            let sum: f64 = exact.iter().sum();
            let (_, scalar) = all().pop().expect("scalar is always there");
            let share = scalar.share(&x, least);
            assert_eq!(share.num, exact.len(), "{len} from {least}");
            assert!((share.sum - sum).abs() <= 1e-6 * sum, "{share:?}, not {sum}");
            assert!(share.sum >= narrower.sum, "{len} from {least}");
            narrower = share;
            for (isa, kernels) in all() {
                let found = kernels.share(&x, least);
                assert_eq!(found.num, share.num, "{isa} of {len} from {least}");
                assert_eq!(found.sum.to_bits(), share.sum.to_bits(), "{isa} of {len}");
            }
        }
    }
}

#[test]
fn indices_are_those_in_the_range() {
    for (isa, kernels) in all() {
        for len in lens() {
            let x = floats(len, 5);
            let bound = x.get(len / 2).copied().unwrap_or(1.0);
            let inf = f32::INFINITY;
            for range in [bound..inf, -inf..bound, 15.9..inf, -1.0..1.0, -17.0..17.0, 2.0..2.0] {
                let mut out = vec![u32::MAX; len];
                let num = kernels.indices_in(&x, &range, &mut out);
                let expected: Vec<u32> = plain_indices(&x, &range);
                assert_eq!(out[..num], expected, "{isa} of {len} in {range:?}");
            }
        }
    }
}

fn plain_indices(x: &[f32], range: &Range<f32>) -> Vec<u32> {
    (0..x.len() as u32).filter(|&i| range.contains(&x[i as usize])).collect()
}

#[test]
fn the_first_above_is_found() {
    for (isa, kernels) in all() {
        for len in lens() {
            let mut x = floats(len, 6);
            assert_eq!(kernels.position_above(&x, 16.0), None, "{isa} of {len}");
            for floor in [-20.0, 0.0, 12.0, 15.0] {
                let expected = x.iter().position(|&x| x > floor);
                assert_eq!(kernels.position_above(&x, floor), expected, "{isa} of {len}");
            }
            for at in places(len) {
                let before = std::mem::replace(&mut x[at], 18.0);
                assert_eq!(kernels.position_above(&x, 17.0), Some(at), "{isa} of {len}");
                x[at] = before;
            }
        }
    }
}
