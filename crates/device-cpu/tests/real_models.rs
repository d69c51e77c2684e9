//! Real models in exact mode against greedy tokens of an independent implementation.
//!
//! The goldens and stories260K are in the test data (`RUSSET_TEST_DATA`, default `../shared/data`);
//! the larger models are looked for in `RUSSET_TEST_MODELS` (`cargo xtask goldens` fetches them).
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use russet_decoder::{
    Batch, BlockId, Input, LoadOptions, Mask, Model, Position, Row, SequenceId, SequenceRows,
    TokenId,
};
use russet_device_cpu::{CpuDevice, CpuOptions, KvType, Precision};
use serde_json::Value;

#[test]
fn stories_from_gguf() {
    check(data().join("stories260K/stories260K-f32.gguf"), "stories260K/golden.json");
}

#[test]
fn stories_from_safetensors() {
    check(data().join("stories260K/hf"), "stories260K/golden.json");
}

#[test]
fn smollm2_from_gguf() {
    check(models().join("SmolLM2-135M-Instruct.Q4_1.gguf"), "golden/smol.json");
}

#[test]
fn gemma3_from_gguf() {
    check(models().join("gemma-3-270m-q4_k_m.gguf"), "golden/gemma.json");
}

fn data() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    std::env::var_os("RUSSET_TEST_DATA").map_or_else(|| default.into(), PathBuf::from)
}

fn models() -> PathBuf {
    std::env::var_os("RUSSET_TEST_MODELS").map_or_else(|| "no-test-models".into(), PathBuf::from)
}

fn check(path: PathBuf, golden: &str) {
    let golden = data().join(golden);
    for needed in [&path, &golden] {
        if !needed.exists() {
            println!("skipped: no test data at {}", needed.display());
            return;
        }
    }
    let model = &mut load(&path);
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let (prompt, expected) = (ids(&case["prompt_ids"]), ids(&case["greedy_ids"]));
        let found = greedy(model, &prompt, expected.len());
        assert_eq!(found, expected, "{}: {}", path.display(), case["prompt"]);
    }
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn load(path: &Path) -> Box<dyn Model> {
    let options = CpuOptions {
        threads: NonZeroUsize::new(2).unwrap(),
        isa: None,
        precision: Precision::Exact,
        kv_type: KvType::F32,
    };
    let checkpoint = russet_decoder::open(path).unwrap();
    let device = CpuDevice::new(options).unwrap();
    let mut model = russet_decoder::load(&checkpoint, device, &LoadOptions::default()).unwrap();
    model.allocate_cache(&vec![16; model.info().cache_groups.len()]).unwrap();
    Box::new(model)
}

/// The greedy continuation of `prompt`.
fn greedy(model: &mut Box<dyn Model>, prompt: &[u32], len: usize) -> Vec<u32> {
    let (mut found, mut rows, mut cached_len) = (Vec::new(), prompt.to_vec(), 0);
    for _ in 0..len {
        let logits = step(model, cached_len, &rows);
        cached_len += rows.len();
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        rows = vec![best as u32];
        found.push(best as u32);
    }
    found
}

fn step(model: &mut Box<dyn Model>, cached_len: usize, ids: &[u32]) -> Vec<f32> {
    let row = |(i, &id): (usize, &u32)| Row {
        input: Input::Token(TokenId(id)),
        position: Position::text((cached_len + i) as u32),
    };
    let table: Vec<BlockId> = (0..16).map(BlockId).collect();
    let sequence = SequenceRows {
        id: SequenceId(0),
        rows: 0..ids.len(),
        cached_len,
        tables: vec![table; model.info().cache_groups.len()],
        mask: Mask::Causal,
    };
    let batch = Batch {
        rows: ids.iter().enumerate().map(row).collect(),
        sequences: vec![sequence],
        logits_rows: vec![ids.len() - 1],
        ..Batch::default()
    };
    model.forward(&batch).unwrap().logits
}
