//! Attention: bytes of keys and values read by decode, and arithmetic of prefill.
//!
//! `cargo bench --bench attention [ISA] [THREADS] [f16|bf16]`; every ISA, one thread and all cores,
//! and both types if not given. In brackets: the share of what memory is read with, or of what the
//! multiplying instruction reaches, measured in the same run.

mod roofline;

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Instant;

use roofline::{Probe, share, thread_counts};
use russet_kernels::{
    AttentionArgs, AttentionRow, Executor, Isa, KvLayout, KvPool, KvType, attention, available,
};

/// As many layers as SmolLM2-135M has, so that caches hold what they hold in use.
const NUM_LAYERS: usize = 30;
const NUM_KV_HEADS: usize = 3;
const NUM_HEADS: usize = 9;
const HEAD_DIM: usize = 64;
const BLOCK_LEN: usize = 32;
const ROUNDS: usize = 15;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let isa: Option<Isa> = arguments.first().and_then(|name| name.parse().ok());
    let asked: Option<NonZeroUsize> = arguments.get(1).and_then(|n| n.parse().ok());
    let threads = asked.map_or(thread_counts().to_vec(), |n| vec![n]);
    let probe = Probe::new();
    for kernels in available().into_iter().filter(|k| isa.is_none_or(|isa| k.isa() == isa)) {
        for &threads in &threads {
            let exec = Executor::new(kernels, threads);
            for dtype in [KvType::F16, KvType::BF16] {
                if arguments
                    .get(2)
                    .is_some_and(|name| !name.eq_ignore_ascii_case(&format!("{dtype:?}")))
                {
                    continue;
                }
                println!("{} with {threads} thread(s), 9:3 heads of 64, {dtype:?}:", exec.isa());
                for depth in [128, 1024, 8192] {
                    decode(&exec, &probe, dtype, depth);
                }
                for (start, num_rows) in [(0, 128), (0, 512), (3584, 512)] {
                    prefill(&exec, &probe, dtype, (start, num_rows));
                }
            }
        }
    }
}

/// One row at the end of `depth` slots, in every layer.
fn decode(exec: &Executor, probe: &Probe, dtype: KvType, depth: usize) {
    let layers = Layers::new(dtype, depth);
    let bytes = NUM_LAYERS * depth * NUM_KV_HEADS * 2 * HEAD_DIM * dtype.bytes();
    print!("  decode at {depth:5}: ");
    let (times, limits) = probe.around(exec, || layers.time(exec, depth - 1, 1));
    times.print(bytes as f64, "GB/s", Some(limits.read));
}

/// `num_rows` rows of a prompt after `start` slots, in every layer.
fn prefill(exec: &Executor, probe: &Probe, dtype: KvType, (start, num_rows): (usize, usize)) {
    let layers = Layers::new(dtype, start + num_rows);
    let pairs: usize = (start..start + num_rows).map(|at| at + 1).sum();
    let flops = (NUM_LAYERS * pairs * NUM_HEADS * HEAD_DIM * 4) as f64;
    print!("  prefill {num_rows} after {start:4}: ");
    let (times, limits) = probe.around(exec, || layers.time(exec, start, num_rows));
    let peak = match dtype {
        KvType::BF16 => limits.bf16.or(limits.f32),
        KvType::F32 | KvType::F16 => limits.f32,
    };
    times.print(flops, "GFLOPS", peak);
}

/// Milliseconds of all layers.
struct Times {
    best: f64,
    median: f64,
}

impl Times {
    fn print(&self, work: f64, unit: &str, limit: Option<f64>) {
        let rate = |ms: f64| work / ms / 1e6;
        let Self { best, median } = *self;
        println!(
            "median {median:8.3} ms, {:6.1} {unit}{}; best {best:8.3} ms, {:6.1} {unit}",
            rate(median),
            share(1e9 * rate(median), limit),
            rate(best)
        );
    }
}

struct Layers {
    pools: Vec<KvPool>,
    table: Vec<u32>,
}

impl Layers {
    fn new(dtype: KvType, len: usize) -> Self {
        let layout = KvLayout {
            dtype,
            block_len: BLOCK_LEN,
            num_kv_heads: NUM_KV_HEADS,
            k_dim: HEAD_DIM,
            v_dim: HEAD_DIM,
        };
        let num_blocks = len.div_ceil(BLOCK_LEN);
        // 7 has no factor in common with a power of two, so this is a shuffled order.
        let table = (0..num_blocks).map(|i| (i * 7 % num_blocks) as u32).collect();
        let token: Vec<f32> = (0..NUM_KV_HEADS * HEAD_DIM).map(|i| (i as f32).sin()).collect();
        let pools = (0..NUM_LAYERS).map(|_| {
            let mut pool = KvPool::new(layout, num_blocks).expect("memory for a benchmark");
            for slot in 0..num_blocks * BLOCK_LEN {
                pool.write((slot / BLOCK_LEN) as u32, slot % BLOCK_LEN, &token, &token);
            }
            pool
        });
        Self { pools: pools.collect(), table }
    }

    fn time(&self, exec: &Executor, start: usize, num_rows: usize) -> Times {
        let visible: Vec<Range<u32>> =
            (start..start + num_rows).map(|at| 0..at as u32 + 1).collect();
        let row = |visible| AttentionRow { table: &self.table, visible };
        let rows: Vec<AttentionRow<'_>> =
            visible.iter().map(|range| row(std::slice::from_ref(range))).collect();
        let q: Vec<f32> = (0..num_rows * NUM_HEADS * HEAD_DIM).map(|i| (i as f32).cos()).collect();
        let args = AttentionArgs {
            q: &q,
            num_heads: NUM_HEADS,
            scale: 0.125,
            softcap: None,
            sinks: None,
            rows: &rows,
        };
        let mut out = vec![0.0; q.len()];
        let mut round = || {
            let begin = Instant::now();
            for pool in &self.pools {
                attention(exec, pool, &args, black_box(&mut out));
            }
            begin.elapsed().as_secs_f64() * 1e3
        };
        let mut times: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
        times.sort_by(f64::total_cmp);
        Times { best: times[0], median: times[ROUNDS / 2] }
    }
}
