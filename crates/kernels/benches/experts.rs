//! Products of experts with the tokens routed to them, at the shapes of Qwen3-30B-A3B: 128 experts
//! of which each token takes 8, 2048 to 768 columns, affine 4-bit in groups of 64.
//!
//! `cargo bench -p russet-kernels --bench experts` prints, for each ISA and number of threads,
//! bytes a second for one token and operations a second for many, best of several runs, with their
//! share of what was measured beside them.

mod roofline;

use std::time::{Duration, Instant};

use roofline::{Probe, share, thread_counts};
use russet_kernels::{Activations, Executor, PackedMatrix, Precision, available, matmul_gathered};
use russet_tensor::{AffineBits, FloatSlice, FloatType, MatrixData, MatrixView, RowMap};

const NUM_EXPERTS: usize = 128;
const EXPERTS_PER_TOKEN: usize = 8;
const ROWS: usize = 768;
const COLS: usize = 2048;
const GROUP: usize = 64;

/// How long each figure is measured.
const TIME_PER_FIGURE: Duration = Duration::from_millis(1200);

fn pack(exec: &Executor) -> PackedMatrix {
    // 0x24 repeated is an ordinary number and an ordinary code.
    let (codes, scales) = (vec![0x24; ROWS * COLS / 2], vec![0x24; ROWS * COLS / GROUP * 2]);
    let scales = FloatSlice::new(FloatType::F16, &scales);
    let bits = AffineBits::new(4).expect("a width of MLX");
    let data = MatrixData::Affine { bits, group: GROUP, codes: &codes, scales, biases: scales };
    let view = MatrixView::new(ROWS, COLS, data).expect("parts that fit");
    PackedMatrix::pack(exec, &view, RowMap::Identity).expect("enough memory")
}

/// How many tokens each expert gets: low numbers are twice as popular as high ones.
fn route(num_tokens: usize) -> Vec<usize> {
    let mut counts = vec![0; NUM_EXPERTS];
    for i in 0..num_tokens * EXPERTS_PER_TOKEN {
        let place = i * 37 % (3 * NUM_EXPERTS / 2);
        counts[place % NUM_EXPERTS] += 1;
    }
    counts
}

/// Seconds of all experts' products with `num_tokens` tokens, which take other experts each time.
fn best_pass(exec: &Executor, experts: &[PackedMatrix], num_tokens: usize) -> f64 {
    let mut counts = route(num_tokens);
    let most = counts.iter().max().copied().unwrap_or_default();
    let x: Vec<f32> = (0..most * COLS).map(|i| (i % 31) as f32 - 15.0).collect();
    let mut activations: Vec<_> = counts.iter().map(|_| Activations::new()).collect();
    let mut buffers = vec![vec![0.0; most * ROWS]; NUM_EXPERTS];
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed() < TIME_PER_FIGURE {
        counts.rotate_left(5);
        let begin = Instant::now();
        for ((rows, matrix), activations) in counts.iter().zip(experts).zip(&mut activations) {
            let x = &x[..rows * COLS];
            activations.prepare(exec, x, COLS, &[matrix], Precision::Fast);
        }
        let factors: Vec<_> = experts.iter().zip(&activations).collect();
        let outputs = buffers.iter_mut().zip(&counts);
        let mut outputs: Vec<_> = outputs.map(|(out, rows)| &mut out[..rows * ROWS]).collect();
        matmul_gathered(exec, &factors, &mut outputs);
        best = best.min(begin.elapsed().as_secs_f64());
    }
    best
}

fn main() {
    let probe = Probe::new();
    println!("isa threads: GB/s for 1 token; GOPS for 16, 64, 512 tokens");
    for kernels in available().iter().filter(|kernels| kernels.name() != "scalar") {
        for threads in thread_counts() {
            let exec = Executor::new(*kernels, threads);
            let experts: Vec<_> = (0..NUM_EXPERTS).map(|_| pack(&exec)).collect();
            let bytes = EXPERTS_PER_TOKEN * experts[0].num_bytes();
            let pass = || best_pass(&exec, &experts, 1);
            let (seconds, limits) = probe.around(&exec, pass);
            let rate = bytes as f64 / seconds;
            print!("{} {threads}: {:.1} GB/s{};", exec.isa(), rate / 1e9, share(rate, limits.read));
            for tokens in [16, 64, 512] {
                let operations = 2 * tokens * EXPERTS_PER_TOKEN * ROWS * COLS;
                let seconds = best_pass(&exec, &experts, tokens);
                let rate = operations as f64 / seconds;
                print!(" {:.0}{}", rate / 1e9, share(rate, limits.int8));
            }
            println!(" GOPS; {limits}");
        }
    }
}
