//! Passes over the logits of one position.
//!
//! `cargo bench -p russet-kernels --bench logits` prints, for each ISA and vocabulary, the median
//! microseconds of each kernel, and in brackets how many times as long as copying the logits it
//! takes.

use std::hint::black_box;
use std::time::Instant;

use russet_kernels::{LogitKernels, available};

const ROUNDS: usize = 201;

fn main() {
    for kernels in available() {
        for len in [49_152, 151_936] {
            let isa = kernels.isa();
            println!("{isa}, {len} tokens, us: {}", times(LogitKernels::new(kernels), len));
        }
    }
}

fn times(kernels: LogitKernels, len: usize) -> String {
    // Multiples of a prime number, in 0..20 and in no order.
    let logits: Vec<f32> = (0..len).map(|i| (i * 7919 % len) as f32 / len as f32 * 20.0).collect();
    let (mut weights, mut places) = (vec![0.0; len], vec![0; len]);
    let copy = median(|| weights.copy_from_slice(&logits));
    let argmax = median(|| kernels.argmax(&logits));
    let weigh = median(|| kernels.weigh(&logits, 20.0, 1.0, &mut weights));
    let share = median(|| kernels.share(&weights, 1e-3));
    let mut indices_from =
        |least: f32| median(|| kernels.indices_in(&weights, &(least..2.0), &mut places));
    let (few, all) = (indices_from(0.99), indices_from(0.0));
    let above = median(|| kernels.position_above(&logits, 20.0));
    let times = [
        ("argmax", argmax),
        ("weigh", weigh),
        ("share", share),
        ("few indices", few),
        ("all indices", all),
        ("position_above", above),
    ];
    let times = times.map(|(name, us)| format!("{name} {us:.1} ({:.1})", us / copy));
    format!("copy {copy:.1}, {}", times.join(", "))
}

fn median<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut time = || {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64() * 1e6
    };
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| time()).collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
