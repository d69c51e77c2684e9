//! Norms, rotations, activations and sums beside a plain copy of as many bytes.
//!
//! `cargo bench -p russet-kernels --bench elementwise` prints, for each ISA, number of threads and
//! shape, the median microseconds of each kernel, the bytes it reads and writes a second, and in
//! brackets their share of what copying reaches in the same run.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Instant;

use russet_kernels::{
    Activation, Activations, Executor, PackedMatrix, Precision, RopePairing, RopeTable, add_scaled,
    available, gated, rms_norm, rope,
};
use russet_tensor::{GgmlType, MatrixData, MatrixView, RowMap};

const ROUNDS: usize = 51;
const WIDTH: usize = 2048;
const HEAD_DIM: usize = 64;

fn main() {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    for kernels in available() {
        for threads in [NonZeroUsize::MIN, cores] {
            let exec = Executor::new(kernels, threads);
            for rows in [1, 512] {
                println!("{} {threads} threads, {rows} rows of {WIDTH}:", exec.isa());
                Rows::new(rows).run(&exec);
            }
        }
    }
}

/// Some rows and what is computed with them.
struct Rows {
    rows: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    out: Vec<f32>,
    angles: Vec<f32>,
}

impl Rows {
    fn new(rows: usize) -> Self {
        let values = |factor: usize, len: usize| {
            (0..len).map(|i| (i * factor % 251) as f32 / 251.0 - 0.5).collect::<Vec<f32>>()
        };
        let len = rows * WIDTH;
        let angles = values(7, rows * HEAD_DIM / 2);
        Self { rows, x: values(31, len), y: values(17, len), out: vec![0.0; len], angles }
    }

    fn run(mut self, exec: &Executor) {
        let len = self.x.len();
        let (x, y, out) = (&self.x, &self.y, &mut self.out);
        let copy = median(|| copy(exec, x, out)) / (2 * len) as f64;
        let report = |name: &str, vectors: usize, seconds: f64| {
            let bytes = (vectors * len * size_of::<f32>()) as f64;
            let share = 100.0 * copy * (vectors * len) as f64 / seconds;
            println!(
                "  {name:<10} {:8.1} us, {:6.1} GB/s ({share:.0} %)",
                seconds * 1e6,
                bytes / seconds / 1e9
            );
        };
        report("copy", 2, copy * (2 * len) as f64);
        let weight = &y[..WIDTH];
        report("rms_norm", 2, median(|| rms_norm(exec, x, Some(weight), 1e-5, WIDTH, out)));
        for (name, activation) in [("silu", Activation::Silu), ("gelu_tanh", Activation::GeluTanh)]
        {
            report(name, 3, median(|| gated(exec, x, y, activation, out)));
        }
        report("add_scaled", 3, median(|| add_scaled(exec, out, y, 1e-3)));
        let table = RopeTable { cos: &self.angles, sin: &self.angles, half: HEAD_DIM / 2 };
        let (heads, pairing) = (WIDTH / HEAD_DIM, RopePairing::Halves);
        report("rope", 2, median(|| rope(exec, out, heads, HEAD_DIM, &table, pairing)));
        let bytes = vec![0x24; GgmlType::Q4_0.row_bytes(WIDTH)];
        let data = MatrixData::Ggml { ty: GgmlType::Q4_0, bytes: &bytes };
        let view = MatrixView::new(1, WIDTH, data).expect("parts that fit");
        let matrix = PackedMatrix::pack(exec, &view, RowMap::Identity).expect("enough memory");
        let mut activations = Activations::new();
        let mut prepare = || activations.prepare(exec, x, WIDTH, &[&matrix], Precision::Balanced);
        // A quarter of a vector is written.
        report("int8 codes", 1, median(&mut prepare));
        assert_eq!(activations.rows(), self.rows);
    }
}

/// Copies on all threads.
fn copy(exec: &Executor, from: &[f32], to: &mut [f32]) {
    let chunk_len = from.len().div_ceil(4 * exec.num_threads());
    let mut chunks: Vec<(&[f32], &mut [f32])> =
        from.chunks(chunk_len).zip(to.chunks_mut(chunk_len)).collect();
    exec.pool().for_each(&mut chunks, |_, (from, to)| to.copy_from_slice(from));
}

/// Seconds; small work is repeated.
fn median<T>(mut work: impl FnMut() -> T) -> f64 {
    const REPEATS: usize = 16;
    let mut time = || {
        let start = Instant::now();
        for _ in 0..REPEATS {
            black_box(work());
        }
        start.elapsed().as_secs_f64() / REPEATS as f64
    };
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| time()).collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
