//! How many parallel regions, each with a barrier at its end, a layer takes.
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;

use russet_decoder::{
    Batch, BlockId, Decoder, Input, LoadOptions, Mask, Model, Position, Row, SequenceId,
    SequenceRows, TokenId,
};
use russet_device_cpu::{CpuDevice, CpuOptions, KvType, Precision};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

const LAYERS: usize = 2;
const VOCAB: usize = 512;
const HIDDEN: usize = 512;
const KV: usize = 128;
const INNER: usize = 1536;
const BLOCK_LEN: usize = 32;
/// Blocks of one sequence.
const BLOCKS: usize = 16;

#[test]
fn a_layer_takes_at_most_six_regions() {
    let folder = std::env::temp_dir().join(format!("russet-regions-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    write_model(&folder);
    let mut model = load(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    for (num_sequences, cached_len) in [(1, 0), (1, 500), (4, 300), (12, 300)] {
        let before = model.device().num_regions();
        decode(&mut model, num_sequences, cached_len);
        let regions = model.device().num_regions() - before;
        let (least, most) = (4 * LAYERS as u64, 6 * LAYERS as u64 + 1);
        let case = format!("{num_sequences} sequences at {cached_len}");
        assert!((least..=most).contains(&regions), "{case}: {regions} regions");
    }
}

/// One row of each sequence.
fn decode(model: &mut Decoder<CpuDevice>, num_sequences: usize, cached_len: usize) {
    let sequence = |i: usize| SequenceRows {
        id: SequenceId(i as u64),
        rows: i..i + 1,
        cached_len,
        tables: vec![(0..BLOCKS).map(|block| BlockId((i * BLOCKS + block) as u32)).collect()],
        mask: Mask::Causal,
    };
    let row = |i: usize| Row {
        input: Input::Token(TokenId(i as u32)),
        position: Position::text(cached_len as u32),
    };
    let batch = Batch {
        rows: (0..num_sequences).map(row).collect(),
        sequences: (0..num_sequences).map(sequence).collect(),
        logits_rows: (0..num_sequences).collect(),
        ..Batch::default()
    };
    assert_eq!(model.forward(&batch).unwrap().logits.len(), num_sequences * VOCAB);
}

fn load(folder: &Path) -> Decoder<CpuDevice> {
    let options = CpuOptions {
        threads: NonZeroUsize::new(2).unwrap(),
        isa: None,
        precision: Precision::Balanced,
        kv_type: KvType::BF16,
    };
    let checkpoint = russet_decoder::open(folder).unwrap();
    let device = CpuDevice::new(options).unwrap();
    let load = LoadOptions { block_len: BLOCK_LEN, ..LoadOptions::default() };
    let mut model = russet_decoder::load(&checkpoint, device, &load).unwrap();
    model.allocate_cache(&[12 * BLOCKS]).unwrap();
    model
}

/// A llama of zeros: what is counted does not depend on values.
fn write_model(folder: &Path) {
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCAB, HIDDEN]),
        ("model.norm.weight".to_owned(), vec![HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: &[usize]| {
            shapes.push((format!("model.layers.{layer}.{name}.weight"), shape.to_vec()));
        };
        add("input_layernorm", &[HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
        add("self_attn.q_proj", &[HIDDEN, HIDDEN]);
        add("self_attn.k_proj", &[KV, HIDDEN]);
        add("self_attn.v_proj", &[KV, HIDDEN]);
        add("self_attn.o_proj", &[HIDDEN, HIDDEN]);
        add("mlp.gate_proj", &[INNER, HIDDEN]);
        add("mlp.up_proj", &[INNER, HIDDEN]);
        add("mlp.down_proj", &[HIDDEN, INNER]);
    }
    let zeros = vec![0; VOCAB.max(INNER) * INNER * 2];
    let tensors: HashMap<String, TensorView<'_>> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let len = 2 * shape.iter().product::<usize>();
            (name, TensorView::new(Dtype::BF16, shape, &zeros[..len]).unwrap())
        })
        .collect();
    safetensors::serialize_to_file(&tensors, None, &folder.join("model.safetensors")).unwrap();
    let config = serde_json::json!({
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HIDDEN / 64,
        "num_key_value_heads": KV / 64,
        "vocab_size": VOCAB,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": true,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}
