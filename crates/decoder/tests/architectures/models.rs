//! Every architecture and quantisation against logits that mlx-lm computed (`fixtures/make.py`).

use crate::golden::{CpuModel, Golden, bits, load, relative_error, sequence, step, token_rows};
use russet_decoder::{Batch, BlockId, Input, Model};
use russet_device_cpu::Precision;

/// mlx-lm's float32 sums run in another order than ours; real differences are orders of magnitude
/// larger.
const TOLERANCE: f32 = 1e-4;

/// Each fixture by its name, and the fixture whose logits it shares.
macro_rules! models {
    ($($test:ident: $path:literal like $golden:literal;)*) => {
        $(#[test] fn $test() { check($path, $golden); })*

        /// No fixture is forgotten.
        #[test]
        fn every_fixture_has_a_row() {
            let rows = [$($path),*];
            let listed = std::fs::read(crate::golden::fixtures().join("fixtures.json")).unwrap();
            let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed).unwrap();
            for fixture in listed {
                let path = fixture["path"].as_str().unwrap();
                if ["model", "gguf"].contains(&fixture["kind"].as_str().unwrap()) {
                    assert!(rows.contains(&path), "{path} has no row");
                }
            }
        }
    };
}

models! {
    llama: "llama" like "llama";
    llama_bias: "llama-bias" like "llama-bias";
    llama_tied: "llama-tied" like "llama-tied";
    llama_window: "llama-window" like "llama-window";
    llama_traditional: "llama-traditional" like "llama-traditional";
    mistral: "mistral" like "mistral";
    smollm: "smollm" like "smollm";
    qwen2: "qwen2" like "qwen2";
    qwen3: "qwen3" like "qwen3";
    gemma3: "gemma3" like "gemma3";
    gemma3_scaled: "gemma3-scaled" like "gemma3-scaled";
    rope_linear: "rope-linear" like "rope-linear";
    rope_llama3: "rope-llama3" like "rope-llama3";
    rope_yarn: "rope-yarn" like "rope-yarn";
    rope_longrope: "rope-longrope" like "rope-longrope";
    rope_dynamic: "rope-dynamic" like "rope-dynamic";
    rope_parameters: "rope-parameters" like "rope-parameters";
    affine_2_32: "quant-affine-2-32" like "quant-affine-2-32";
    affine_2_64: "quant-affine-2-64" like "quant-affine-2-64";
    affine_2_128: "quant-affine-2-128" like "quant-affine-2-128";
    affine_3_32: "quant-affine-3-32" like "quant-affine-3-32";
    affine_3_64: "quant-affine-3-64" like "quant-affine-3-64";
    affine_3_128: "quant-affine-3-128" like "quant-affine-3-128";
    affine_4_32: "quant-affine-4-32" like "quant-affine-4-32";
    affine_4_64: "quant-affine-4-64" like "quant-affine-4-64";
    affine_4_128: "quant-affine-4-128" like "quant-affine-4-128";
    affine_5_32: "quant-affine-5-32" like "quant-affine-5-32";
    affine_5_64: "quant-affine-5-64" like "quant-affine-5-64";
    affine_5_128: "quant-affine-5-128" like "quant-affine-5-128";
    affine_6_32: "quant-affine-6-32" like "quant-affine-6-32";
    affine_6_64: "quant-affine-6-64" like "quant-affine-6-64";
    affine_6_128: "quant-affine-6-128" like "quant-affine-6-128";
    affine_8_32: "quant-affine-8-32" like "quant-affine-8-32";
    affine_8_64: "quant-affine-8-64" like "quant-affine-8-64";
    affine_8_128: "quant-affine-8-128" like "quant-affine-8-128";
    affine_f16: "quant-affine-4-64-f16" like "quant-affine-4-64-f16";
    affine_bf16: "quant-affine-4-64-bf16" like "quant-affine-4-64-bf16";
    affine_untied: "quant-affine-4-64-untied" like "quant-affine-4-64-untied";
    mxfp4: "quant-mxfp4" like "quant-mxfp4";
    mxfp8: "quant-mxfp8" like "quant-mxfp8";
    nvfp4: "quant-nvfp4" like "quant-nvfp4";
    nvfp4_untied: "quant-nvfp4-untied" like "quant-nvfp4-untied";
    overrides: "quant-overrides" like "quant-overrides";
    inferred: "quant-inferred" like "quant-inferred";
    inferred_fp: "quant-inferred-fp" like "quant-inferred-fp";
    sharded: "sharded" like "sharded";
    hf_bf16: "hf-bf16" like "hf-bf16";
    hf_f16: "hf-f16" like "hf-f16";
    tagged_float: "tagged-float" like "tagged-float";
    tagged_factor: "tagged-factor" like "tagged-factor";
    gguf_llama: "gguf/llama.gguf" like "llama";
    gguf_qwen2: "gguf/qwen2.gguf" like "qwen2";
    gguf_qwen3: "gguf/qwen3.gguf" like "qwen3";
    gguf_gemma3: "gguf/gemma3.gguf" like "gemma3";
    gguf_rope_linear: "gguf/rope-linear.gguf" like "rope-linear";
    gguf_rope_llama3: "gguf/rope-llama3.gguf" like "rope-llama3";
    gguf_rope_yarn: "gguf/rope-yarn.gguf" like "rope-yarn";
    gguf_v2: "gguf/smollm-v2.gguf" like "smollm";
}

/// Logits equal the recorded ones, and bit for bit each other however the tokens were scheduled.
fn check(path: &str, golden: &str) {
    let golden = Golden::read(golden);
    for precision in [Precision::Exact, Precision::Fine, Precision::Balanced, Precision::Fast] {
        let model = &mut load(path, precision, None);
        let whole = step(model, 0, 0, &golden.input_ids);
        let decoded = decode(model, &golden);
        if matches!(precision, Precision::Exact) {
            let error = relative_error(&whole, &golden.logits);
            assert!(error < TOLERANCE, "{path}: prefill is off by {error:e}");
            let error = relative_error(&decoded, &golden.decode_logits);
            assert!(error < TOLERANCE, "{path}: decode is off by {error:e}");
        }
        assert_eq!(bits(&whole), bits(&in_chunks(model, &golden)), "{path}: chunked");
        assert_eq!(bits(&whole), bits(&beside_another(model, &golden)), "{path}: batched");
        assert_eq!(bits(&decoded), bits(&restored(model, &golden)), "{path}: restored");
        assert_eq!(bits(&whole), bits(&in_stages(path, precision, &golden)), "{path}: stages");
    }
}

/// The logits before each greedy token; the prompt is already cached.
fn decode(model: &mut CpuModel, golden: &Golden) -> Vec<f32> {
    let vocab_len = golden.vocab_len();
    let prompt = step(model, 0, 0, &golden.input_ids);
    let mut logits = prompt[prompt.len() - vocab_len..].to_vec();
    for (i, &token) in golden.greedy[..golden.greedy.len() - 1].iter().enumerate() {
        logits.extend(step(model, 0, golden.input_ids.len() + i, &[token]));
    }
    logits
}

fn in_chunks(model: &mut CpuModel, golden: &Golden) -> Vec<f32> {
    let mut logits = Vec::new();
    let mut rest = golden.input_ids.as_slice();
    for len in [1, 2, 7, 3, usize::MAX] {
        let (chunk, others) = rest.split_at(len.min(rest.len()));
        logits.extend(step(model, 1, golden.input_ids.len() - rest.len(), chunk));
        rest = others;
    }
    logits
}

/// The prompt in one batch with a shorter sequence that is further on.
fn beside_another(model: &mut CpuModel, golden: &Golden) -> Vec<f32> {
    let ids = &golden.input_ids;
    step(model, 1, 0, &ids[..5]);
    let mut rows = token_rows(&ids[5..8], 5);
    rows.extend(token_rows(ids, 0));
    let batch = Batch {
        sequences: vec![sequence(model, 1, 5, 0..3), sequence(model, 0, 0, 3..3 + ids.len())],
        rows,
        logits_rows: (3..3 + ids.len()).collect(),
        ..Batch::default()
    };
    model.forward(&batch).unwrap().logits
}

/// Decode after the prompt's blocks were saved, overwritten and restored; one of them by copying.
fn restored(model: &mut CpuModel, golden: &Golden) -> Vec<f32> {
    let vocab_len = golden.vocab_len();
    let prompt = step(model, 0, 0, &golden.input_ids);
    let mut logits = prompt[prompt.len() - vocab_len..].to_vec();
    let num_blocks = golden.input_ids.len().div_ceil(model.info().block_len) as u32;
    for group in 0..model.info().cache_groups.len() {
        for block in (0..num_blocks).map(BlockId) {
            let saved = model.read_block(group, block);
            assert_eq!(saved.len(), model.info().cache_groups[group].block_bytes);
            model.write_block(group, block, &vec![0x55; saved.len()]).unwrap();
            model.write_block(group, BlockId(40), &saved).unwrap();
            model.copy_block(group, BlockId(40), block);
        }
    }
    for (i, &token) in golden.greedy[..golden.greedy.len() - 1].iter().enumerate() {
        logits.extend(step(model, 0, golden.input_ids.len() + i, &[token]));
    }
    logits
}

/// The first layer in one model and the others in a second that takes its hidden states.
fn in_stages(path: &str, precision: Precision, golden: &Golden) -> Vec<f32> {
    let num_layers = load(path, precision, None).info().num_layers;
    if num_layers == 1 {
        let model = &mut load(path, precision, Some(0..1));
        return step(model, 0, 0, &golden.input_ids);
    }
    let first = &mut load(path, precision, Some(0..1));
    let second = &mut load(path, precision, Some(1..num_layers));
    let len = golden.input_ids.len();
    let mut batch = Batch {
        rows: token_rows(&golden.input_ids, 0),
        sequences: vec![sequence(first, 0, 0, 0..len)],
        hidden_rows: (0..len).collect(),
        ..Batch::default()
    };
    batch.embeddings = first.forward(&batch).unwrap().hidden;
    batch.hidden_rows.clear();
    batch.logits_rows = (0..len).collect();
    batch.sequences = vec![sequence(second, 0, 0, 0..len)];
    for (i, row) in batch.rows.iter_mut().enumerate() {
        row.input = Input::Embedding(i);
    }
    second.forward(&batch).unwrap().logits
}
