//! Attention against an exact softmax, and bit for bit against itself: every ISA, every batching.

use std::num::NonZeroUsize;
use std::ops::Range;

use half::bf16;
use russet_kernels::{
    AttentionArgs, AttentionRow, Executor, KvLayout, KvPool, KvType, attention, available,
};

/// SplitMix64, as floats in -1..1.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
    }
}

/// Rows of some sequences over one pool.
struct Case {
    pool: KvPool,
    num_heads: usize,
    q: Vec<f32>,
    softcap: Option<f32>,
    sinks: Option<Vec<f32>>,
    tables: Vec<Vec<u32>>,
    /// The sequence and the visible ranges of each row.
    rows: Vec<(usize, Vec<Range<u32>>)>,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    num_kv_heads: usize,
    group: usize,
    k_dim: usize,
    v_dim: usize,
    block_len: usize,
    dtype: KvType,
}

impl Case {
    /// Fills the slots `0..lens[i]` of each sequence; the blocks are in a shuffled order, and every
    /// slot that is not written holds NaN.
    fn new(shape: Shape, lens: &[usize], rows: Vec<(usize, Vec<Range<u32>>)>) -> Self {
        let Shape { num_kv_heads, group, k_dim, v_dim, block_len, dtype } = shape;
        let mut random = Random(7 + lens.iter().sum::<usize>() as u64 * 31 + k_dim as u64);
        let layout = KvLayout { dtype, block_len, num_kv_heads, k_dim, v_dim };
        let num_blocks: usize = lens.iter().map(|len| len.div_ceil(block_len)).sum();
        let mut pool = KvPool::new(layout, num_blocks + 1).expect("memory");
        let mut blocks: Vec<u32> = (0..=num_blocks as u32).collect();
        for i in (1..blocks.len()).rev() {
            blocks.swap(i, random.below(i + 1));
        }
        for &block in &blocks {
            pool.block_mut(block).fill(0xff);
        }
        let mut tables = Vec::new();
        for &len in lens {
            let table: Vec<u32> = blocks.drain(..len.div_ceil(block_len)).collect();
            for slot in 0..len {
                let k = random.floats(num_kv_heads * k_dim);
                let v = random.floats(num_kv_heads * v_dim);
                pool.write(table[slot / block_len], slot % block_len, &k, &v);
            }
            tables.push(table);
        }
        let num_heads = num_kv_heads * group;
        let q = random.floats(rows.len() * num_heads * k_dim).iter().map(|x| x * 4.0).collect();
        Self { pool, num_heads, q, softcap: None, sinks: None, tables, rows }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.pool.layout().k_dim as f32).sqrt()
    }

    /// Runs rows `range` in one call.
    fn run(&self, exec: &Executor, range: Range<usize>) -> Vec<f32> {
        let layout = *self.pool.layout();
        let rows: Vec<AttentionRow<'_>> = self.rows[range.clone()]
            .iter()
            .map(|(sequence, visible)| AttentionRow { table: &self.tables[*sequence], visible })
            .collect();
        let q_len = self.num_heads * layout.k_dim;
        let args = AttentionArgs {
            q: &self.q[range.start * q_len..range.end * q_len],
            num_heads: self.num_heads,
            scale: self.scale(),
            softcap: self.softcap,
            sinks: self.sinks.as_deref(),
            rows: &rows,
        };
        let mut out = vec![f32::NAN; rows.len() * self.num_heads * layout.v_dim];
        attention(exec, &self.pool, &args, &mut out);
        out
    }

    /// The exact result of one line, in f64.
    fn exact(&self, row: usize, head: usize) -> Vec<f64> {
        let KvLayout { block_len, num_kv_heads, k_dim, v_dim, .. } = *self.pool.layout();
        let kv_head = head / (self.num_heads / num_kv_heads);
        let q = &self.q[(row * self.num_heads + head) * k_dim..][..k_dim];
        let (sequence, visible) = &self.rows[row];
        let (mut k, mut v) = (vec![0.0; num_kv_heads * k_dim], vec![0.0; num_kv_heads * v_dim]);
        let (mut logits, mut values) = (Vec::new(), Vec::new());
        for slot in visible.iter().flat_map(|range| range.clone()) {
            let slot = slot as usize;
            let block = self.tables[*sequence][slot / block_len];
            self.pool.read(block, slot % block_len, &mut k, &mut v);
            let pairs = q.iter().zip(&k[kv_head * k_dim..]);
            let dot: f64 = pairs.map(|(q, k)| f64::from(self.factor(*q)) * f64::from(*k)).sum();
            let scaled = dot * f64::from(self.scale());
            let cap = self.softcap.map(f64::from);
            logits.push(cap.map_or(scaled, |cap| cap * (scaled / cap).tanh()));
            values.push(v[kv_head * v_dim..][..v_dim].to_vec());
        }
        let sink = self.sinks.as_ref().map(|sinks| f64::from(sinks[head]));
        let max = logits.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logits.iter().map(|logit| (logit - max).exp()).collect();
        let sum = weights.iter().sum::<f64>() + sink.map_or(0.0, |sink| (sink - max).exp());
        let mut out = vec![0.0; v_dim];
        for (weight, value) in weights.iter().zip(&values) {
            for (out, v) in out.iter_mut().zip(value) {
                *out += weight / sum * f64::from(*v);
            }
        }
        out
    }

    /// A query element as it is multiplied: with bf16 keys it is rounded too.
    fn factor(&self, q: f32) -> f32 {
        match self.pool.layout().dtype {
            KvType::BF16 => bf16::from_f32(q).to_f32(),
            KvType::F32 | KvType::F16 => q,
        }
    }

    /// Values are below 1, scores below 4·√k_dim, so 1e-5 is some tens of ulp. Weights that are
    /// rounded to bf16 are off by 2^-9 at most, and so is their average of values.
    fn tolerance(&self) -> f64 {
        match self.pool.layout().dtype {
            KvType::BF16 => 1.0 / 512.0,
            KvType::F32 | KvType::F16 => 1e-5,
        }
    }

    /// Compares every ISA with the exact result, and with scalar bit for bit.
    fn check(&self, what: &str) {
        let v_dim = self.pool.layout().v_dim;
        let results: Vec<(String, Vec<f32>)> = available()
            .into_iter()
            .map(|kernels| {
                let exec = Executor::new(kernels, NonZeroUsize::MIN);
                (exec.isa().to_string(), self.run(&exec, 0..self.rows.len()))
            })
            .collect();
        let (_, scalar) = results.last().expect("scalar is always there");
        for line in 0..self.rows.len() * self.num_heads {
            let exact = self.exact(line / self.num_heads, line % self.num_heads);
            for (found, exact) in scalar[line * v_dim..][..v_dim].iter().zip(&exact) {
                let error = (f64::from(*found) - exact).abs();
                let is_close = error < self.tolerance();
                assert!(is_close, "{what}: line {line}: {found} instead of {exact}");
            }
        }
        for (isa, result) in &results {
            assert_eq!(bits(result), bits(scalar), "{what}: {isa} differs from scalar");
        }
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// A single range.
fn one(range: Range<u32>) -> Vec<Range<u32>> {
    Vec::from([range])
}

/// Row `i` of a prompt at `start`: it sees itself and all before.
fn causal(sequence: usize, start: usize, num_rows: usize) -> Vec<(usize, Vec<Range<u32>>)> {
    (start..start + num_rows).map(|at| (sequence, one(0..at as u32 + 1))).collect()
}

fn executors() -> Vec<Executor> {
    let threads = [1, 2, 5].map(|n| NonZeroUsize::new(n).expect("not zero"));
    let kernels = available().into_iter();
    kernels.flat_map(|k| threads.map(|threads| Executor::new(k, threads))).collect()
}

const PLAIN: Shape =
    Shape { num_kv_heads: 2, group: 3, k_dim: 64, v_dim: 64, block_len: 32, dtype: KvType::F16 };

/// The 16-bit types, which are computed in different ways.
const HALVES: [KvType; 2] = [KvType::F16, KvType::BF16];

#[test]
fn head_shapes_agree() {
    for dim in [8, 16, 64, 80, 128, 256] {
        for group in [1, 3, 4, 8] {
            for dtype in [KvType::F32, KvType::F16, KvType::BF16] {
                let shape = Shape { group, k_dim: dim, v_dim: dim, dtype, ..PLAIN };
                Case::new(shape, &[70], causal(0, 66, 4)).check(&format!("{shape:?}"));
                Case::new(shape, &[40], causal(0, 39, 1)).check(&format!("one row, {shape:?}"));
            }
        }
    }
}

#[test]
fn block_lengths_and_unequal_dimensions_agree() {
    let lens = [1, 5, 16, 24, 48, 64, 256, 300].map(|len| (len, KvType::F16));
    let lens_of_bf16 = [16, 48, 64, 256].map(|len| (len, KvType::BF16));
    for (block_len, dtype) in lens.into_iter().chain(lens_of_bf16) {
        for (k_dim, v_dim) in [(24, 20), (7, 3), (96, 64), (64, 130)] {
            let shape = Shape { block_len, k_dim, v_dim, dtype, ..PLAIN };
            Case::new(shape, &[310], causal(0, 290, 20)).check(&format!("{shape:?}"));
            Case::new(shape, &[310], causal(0, 309, 1)).check(&format!("one row, {shape:?}"));
        }
    }
}

#[test]
fn every_number_of_slots_agrees() {
    for dtype in HALVES {
        let shape = Shape { num_kv_heads: 1, k_dim: 16, v_dim: 16, dtype, ..PLAIN };
        for len in 1..=600 {
            let what = format!("{len} slots of {dtype:?}");
            Case::new(shape, &[len], causal(0, len - 1, 1)).check(&what);
        }
    }
}

/// Windows, kept first slots, trees, gaps at and across chunk borders, and nothing at all.
fn patterns() -> Vec<(usize, Vec<Range<u32>>)> {
    let windows = (500..530).map(|at: u32| (0, one(at - 40..at + 1)));
    let kept = (400..420).map(|at: u32| (0, vec![0..4, at - 100..at + 1]));
    let tree = [vec![0..590, 590..591], vec![0..590, 591..592, 593..594], vec![0..590, 592..593]];
    let odd = [
        vec![],
        one(9..9),
        one(0..1),
        one(599..600),
        one(255..257),
        one(256..512),
        vec![3..4, 17..18, 31..33, 64..65, 255..256, 511..513],
        (0..300).map(|i| 2 * i..2 * i + 1).collect(),
    ];
    let single = tree.into_iter().chain(odd).map(|visible| (0, visible));
    windows.chain(kept).chain(single).collect()
}

#[test]
fn visible_patterns_softcap_and_sinks_agree() {
    for (block_len, dtype) in [(32, KvType::F16), (20, KvType::F16), (32, KvType::BF16)] {
        let mut case = Case::new(Shape { block_len, dtype, ..PLAIN }, &[600], patterns());
        case.check("patterns");
        case.softcap = Some(1.5);
        case.check("softcap");
        case.sinks = Some(vec![-30.0, -1.0, 0.0, 1.0, 2.0, 40.0]);
        case.check("sinks and softcap");
    }
}

#[test]
fn a_row_that_sees_nothing_is_zero() {
    let mut case = Case::new(PLAIN, &[40], vec![(0, vec![]), (0, one(0..40))]);
    case.sinks = Some(vec![0.5; 6]);
    for exec in executors() {
        let out = case.run(&exec, 0..2);
        assert!(out[..6 * 64].iter().all(|&x| x == 0.0) && out[6 * 64..].iter().all(|&x| x != 0.0));
    }
}

#[test]
fn batches_threads_and_tiles_give_the_same_bits() {
    HALVES.into_iter().for_each(same_bits_however_computed);
}

fn same_bits_however_computed(dtype: KvType) {
    let mut rows = causal(0, 200, 150);
    rows.extend(causal(1, 700, 1));
    rows.extend(causal(2, 0, 90));
    rows.extend(patterns().into_iter().map(|(_, visible)| (1, visible)));
    let case = Case::new(Shape { dtype, ..PLAIN }, &[350, 701, 90], rows);
    let num_rows = case.rows.len();
    let executors = executors();
    let alone: Vec<f32> = (0..num_rows).flat_map(|i| case.run(&executors[0], i..i + 1)).collect();
    assert!(alone.iter().all(|x| x.is_finite()));
    for exec in &executors {
        assert_eq!(bits(&case.run(exec, 0..num_rows)), bits(&alone), "{} together", exec.isa());
        for step in [1, 7, 64] {
            let starts = (0..num_rows).step_by(step);
            let run = |start: usize| case.run(exec, start..num_rows.min(start + step));
            let parts: Vec<f32> = starts.flat_map(run).collect();
            assert_eq!(bits(&parts), bits(&alone), "{} in steps of {step}", exec.isa());
        }
    }
}

#[test]
fn a_broken_token_reaches_only_rows_that_see_it() {
    HALVES.into_iter().for_each(only_rows_that_see_it_break);
}

fn only_rows_that_see_it_break(dtype: KvType) {
    let shape = Shape { dtype, ..PLAIN };
    let case = Case::new(shape, &[300], causal(0, 250, 50));
    let mut broken = Case::new(shape, &[300], causal(0, 250, 50));
    let (block, slot) = (broken.tables[0][270 / 32], 270 % 32);
    broken.pool.write(block, slot, &[f32::NAN; 128], &[f32::INFINITY; 128]);
    for exec in executors() {
        let (before, after) = (case.run(&exec, 0..50), broken.run(&exec, 0..50));
        let seen_from = 20 * 6 * 64;
        assert_eq!(bits(&before[..seen_from]), bits(&after[..seen_from]), "{}", exec.isa());
        assert!(after[seen_from..].iter().all(|x| x.is_nan()), "{} hides NaN", exec.isa());
    }
}

#[test]
fn extreme_scores_stay_finite() {
    let mut case = Case::new(PLAIN, &[300], causal(0, 280, 20));
    case.q.iter_mut().for_each(|q| *q *= 1e6);
    for exec in executors() {
        assert!(case.run(&exec, 0..20).iter().all(|x| x.is_finite()), "{}", exec.isa());
    }
}

#[test]
#[should_panic(expected = "visible slots are in the table")]
fn a_slot_outside_the_table_is_refused() {
    let case = Case::new(PLAIN, &[33], vec![(0, one(0..65))]);
    case.run(&executors()[0], 0..1);
}
