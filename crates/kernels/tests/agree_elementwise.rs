//! Elementwise operations against f64, and every ISA bit for bit against scalar.

use std::num::NonZeroUsize;

use russet_kernels::{
    Activation, Executor, RopePairing, RopeTable, add_bias, add_scaled, available, gated, rms_norm,
    rms_norm_in_place, rope, scale, softcap,
};

const LENS: std::ops::RangeInclusive<usize> = 0..=257;

/// Floats in about -8..8, the same for each seed.
fn floats(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * 8.0
    };
    (0..len).map(|_| next()).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn executors(threads: usize) -> Vec<Executor> {
    let threads = NonZeroUsize::new(threads).expect("not zero");
    available().into_iter().map(|kernels| Executor::new(kernels, threads)).collect()
}

/// Runs `operation` on every ISA, compares the bits with scalar's, and scalar with `exact` within
/// `tolerance · (1 + |exact|)`.
fn check(what: &str, tolerance: f64, exact: &[f64], operation: impl Fn(&Executor) -> Vec<f32>) {
    let results: Vec<_> = executors(1).iter().map(|e| (e.isa(), operation(e))).collect();
    let (_, scalar) = results.last().expect("scalar is always there");
    assert_eq!(scalar.len(), exact.len(), "{what}");
    for (i, (found, exact)) in scalar.iter().zip(exact).enumerate() {
        let error = (f64::from(*found) - exact).abs();
        assert!(error <= tolerance * (1.0 + exact.abs()), "{what}[{i}]: {found}, not {exact}");
    }
    for (isa, result) in &results {
        assert_eq!(bits(result), bits(scalar), "{what}: {isa} differs from scalar");
    }
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn norms_agree() {
    for width in LENS.skip(1) {
        let (x, weight) = (floats(3 * width, 1), floats(width, 2));
        for weight in [None, Some(&weight[..])] {
            let exact: Vec<f64> = wide(&x)
                .chunks(width)
                .flat_map(|row| {
                    let mean = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
                    let factor = 1.0 / (mean + f64::from(1e-5f32)).sqrt();
                    let w = move |i: usize| weight.map_or(1.0, |w| f64::from(w[i]));
                    row.iter().enumerate().map(move |(i, x)| x * factor * w(i)).collect::<Vec<_>>()
                })
                .collect();
            check(&format!("rms_norm of {width}"), 1e-6, &exact, |exec| {
                let mut out = vec![f32::NAN; x.len()];
                rms_norm(exec, &x, weight, 1e-5, width, &mut out);
                let mut in_place = x.clone();
                rms_norm_in_place(exec, &mut in_place, weight, 1e-5, width);
                assert_eq!(bits(&in_place), bits(&out), "in place, {}", exec.isa());
                out
            });
        }
    }
}

#[test]
fn rope_agrees() {
    for (rows, heads, head_dim, half) in [
        (3, 2, 64, 32),
        (1, 9, 64, 16),
        (5, 1, 80, 40),
        (2, 3, 7, 3),
        (4, 2, 256, 128),
        (2, 1, 8, 0),
    ] {
        let x = floats(rows * heads * head_dim, 3);
        let angles = wide(&floats(rows * half, 4));
        let cos: Vec<f32> = angles.iter().map(|a| a.cos() as f32).collect();
        let sin: Vec<f32> = angles.iter().map(|a| a.sin() as f32).collect();
        for pairing in [RopePairing::Halves, RopePairing::Interleaved] {
            let mut exact = wide(&x);
            for (at, head) in exact.chunks_mut(head_dim).enumerate() {
                for i in 0..half {
                    let (a, b) = match pairing {
                        RopePairing::Halves => (i, i + half),
                        RopePairing::Interleaved => (2 * i, 2 * i + 1),
                    };
                    let (s, c) = angles[at / heads * half + i].sin_cos();
                    (head[a], head[b]) = (head[a] * c - head[b] * s, head[b] * c + head[a] * s);
                }
            }
            check(&format!("{pairing:?} {half} of {head_dim}"), 2e-6, &exact, |exec| {
                let mut x = x.clone();
                let table = RopeTable { cos: &cos, sin: &sin, half };
                rope(exec, &mut x, heads, head_dim, &table, pairing);
                x
            });
        }
    }
}

#[test]
fn gated_activations_agree() {
    for len in LENS {
        let (gate, up) = (floats(len, 5), floats(len, 6));
        for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh] {
            let curve = |x: f64| match activation {
                Activation::Silu => x / (1.0 + (-x).exp()),
                Activation::Gelu => x * normal_distribution(x),
                Activation::GeluTanh => {
                    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                    0.5 * x * (1.0 + inner.tanh())
                }
            };
            let exact: Vec<f64> =
                wide(&gate).iter().zip(wide(&up)).map(|(g, u)| curve(*g) * u).collect();
            check(&format!("{activation:?} of {len}"), 4e-6, &exact, |exec| {
                let mut out = vec![f32::NAN; len];
                gated(exec, &gate, &up, activation, &mut out);
                out
            });
        }
    }
}

/// Φ by the series of Marsaglia, which converges everywhere.
fn normal_distribution(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..300 {
        term *= x * x / f64::from(2 * n + 1);
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[test]
fn sums_and_factors_agree() {
    for len in LENS {
        let (x, y) = (floats(len, 7), floats(len, 8));
        let exact: Vec<f64> =
            wide(&x).iter().zip(wide(&y)).map(|(x, y)| x + y * f64::from(0.3f32)).collect();
        check(&format!("add_scaled of {len}"), 1e-6, &exact, |exec| {
            let mut x = x.clone();
            add_scaled(exec, &mut x, &y, 0.3);
            x
        });
        let exact: Vec<f64> = wide(&x).iter().map(|x| x * f64::from(0.7f32)).collect();
        check(&format!("scale of {len}"), 1e-6, &exact, |exec| {
            let mut x = x.clone();
            scale(exec, &mut x, 0.7);
            x
        });
        let exact: Vec<f64> = wide(&x).iter().map(|x| 3.0 * (x / 3.0).tanh()).collect();
        check(&format!("softcap of {len}"), 1e-6, &exact, |exec| {
            let mut x = x.clone();
            softcap(exec, &mut x, 3.0);
            x
        });
    }
    for width in LENS.skip(1) {
        let (x, bias) = (floats(2 * width, 9), floats(width, 10));
        let biases = bias.iter().cycle();
        let exact: Vec<f64> =
            x.iter().zip(biases).map(|(x, b)| f64::from(*x) + f64::from(*b)).collect();
        check(&format!("add_bias of {width}"), 1e-6, &exact, |exec| {
            let mut x = x.clone();
            add_bias(exec, &mut x, &bias);
            x
        });
    }
}

/// Many rows are shared out among threads; each must come out as it does alone.
#[test]
fn rows_do_not_depend_on_other_rows_or_threads() {
    let (rows, width) = (201, 576);
    let (x, weight) = (floats(rows * width, 12), floats(width, 13));
    let (cos, sin) = (floats(rows * 32, 14), floats(rows * 32, 15));
    let all = |exec: &Executor, from: usize, to: usize| {
        let x = &x[from * width..to * width];
        let angles = from * 32..to * 32;
        let table = RopeTable { cos: &cos[angles.clone()], sin: &sin[angles], half: 32 };
        let mut out = vec![0.0; x.len()];
        rms_norm(exec, x, Some(&weight), 1e-6, width, &mut out);
        rope(exec, &mut out, 9, 64, &table, RopePairing::Halves);
        rms_norm_in_place(exec, &mut out, None, 1e-6, 64);
        add_bias(exec, &mut out, &weight);
        let mut gate = vec![0.0; x.len()];
        gated(exec, x, &out, Activation::Silu, &mut gate);
        add_scaled(exec, &mut gate, x, 0.5);
        softcap(exec, &mut gate, 5.0);
        scale(exec, &mut gate, 1.5);
        gate
    };
    let single = &executors(1)[0];
    let alone: Vec<f32> = (0..rows).flat_map(|row| all(single, row, row + 1)).collect();
    for threads in [1, 2, 3] {
        for exec in executors(threads) {
            let together = all(&exec, 0, rows);
            assert_eq!(bits(&together), bits(&alone), "{} with {threads} threads", exec.isa());
        }
    }
}
