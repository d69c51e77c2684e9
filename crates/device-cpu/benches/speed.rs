//! Tokens per second of a model, as llama-bench counts them:
//! `cargo bench -p russet-device-cpu --bench speed -- MODEL [THREADS [PRECISION [ISA]]]`. Prints
//! prefill of 512 tokens and decode of 128 after an empty and a 1024-token context: median of five.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use russet_decoder::{
    Batch, BlockId, Decoder, Input, LoadOptions, Mask, Model, Position, Row, SequenceId,
    SequenceRows, TokenId,
};
use russet_device_cpu::{CpuDevice, CpuOptions, KvType, Precision};

const REPETITIONS: usize = 5;
const MAX_TOKENS: usize = 2048;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(path) = arguments.first() else {
        println!("no model given: `cargo bench -p russet-device-cpu --bench speed -- MODEL`");
        return;
    };
    let threads = arguments.get(1).map_or(2, |n| n.parse().expect("a number of threads"));
    let precision = match arguments.get(2).map_or("fine", String::as_str) {
        "exact" => Precision::Exact,
        "fast" => Precision::Fast,
        _ => Precision::Fine,
    };
    let isa = arguments.get(3).map(|name| name.parse().expect("an instruction set"));
    let start = Instant::now();
    let mut model = load(Path::new(path), (threads, precision, isa));
    println!("load              {:8.3} s", start.elapsed().as_secs_f64());
    println!("packed weights    {:8.1} MB", model.info().weights_bytes as f64 / 1e6);
    for tokens in [512, 128] {
        report(&format!("prefill {tokens}"), tokens, || prefill(&mut model, tokens));
    }
    report("decode 128", 128, || decode(&mut model, 0));
    prefill(&mut model, 1024);
    report("decode 128 @1024", 128, || decode(&mut model, 1024));
}

fn report(name: &str, tokens: usize, mut run: impl FnMut()) {
    run();
    let mut seconds: Vec<f64> = (0..REPETITIONS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let rate = |seconds: f64| tokens as f64 / seconds;
    println!(
        "{name:<17} {:8.1} tok/s  ({:.1} to {:.1})",
        rate(seconds[REPETITIONS / 2]),
        rate(seconds[REPETITIONS - 1]),
        rate(seconds[0]),
    );
}

fn load(
    path: &Path,
    (threads, precision, isa): (usize, Precision, Option<russet_device_cpu::Isa>),
) -> Decoder<CpuDevice> {
    let options = CpuOptions {
        threads: NonZeroUsize::new(threads).expect("at least one thread"),
        isa,
        precision,
        kv_type: KvType::F16,
    };
    let checkpoint = russet_decoder::open(path).expect("a model");
    let device = CpuDevice::new(options).expect("an instruction set of this CPU");
    let mut model = russet_decoder::load(&checkpoint, device, &LoadOptions::default())
        .expect("a supported model");
    let blocks = MAX_TOKENS / model.info().block_len;
    model.allocate_cache(&vec![blocks; model.info().cache_groups.len()]).expect("memory");
    model
}

fn prefill(model: &mut Decoder<CpuDevice>, tokens: usize) {
    for first in (0..tokens).step_by(512) {
        step(model, first, 512.min(tokens - first));
    }
}

fn decode(model: &mut Decoder<CpuDevice>, depth: usize) {
    (0..128).for_each(|i| step(model, depth + i, 1));
}

fn step(model: &mut Decoder<CpuDevice>, cached_len: usize, len: usize) {
    let row = |i: usize| Row {
        input: Input::Token(TokenId((cached_len + i) as u32 * 7919 % 256)),
        position: Position::text((cached_len + i) as u32),
    };
    let table: Vec<BlockId> = (0..(MAX_TOKENS / 32) as u32).map(BlockId).collect();
    let sequence = SequenceRows {
        id: SequenceId(0),
        rows: 0..len,
        cached_len,
        tables: vec![table; model.info().cache_groups.len()],
        mask: Mask::Causal,
    };
    let batch = Batch {
        rows: (0..len).map(row).collect(),
        sequences: vec![sequence],
        logits_rows: vec![len - 1],
        ..Batch::default()
    };
    model.forward(&batch).expect("a step");
}
