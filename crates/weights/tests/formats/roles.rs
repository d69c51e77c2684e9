//! Tensors reach the caller by role, in one convention, and nothing is left over unnoticed.

use russet_tensor::{MatrixData, RowMap};
use russet_weights::{
    ArchLayout, Checkpoint, Error, HfNames, MatrixSource, NormStorage, Part, QkRows, Role,
};
use serde_json::json;
use tempfile::TempDir;

use crate::files::{Gguf, Safetensors, folder, llama_gguf};

const CONFIG: &str = r#"{"model_type": "llama", "hidden_size": 8, "torch_dtype": "float32"}"#;

fn paired() -> ArchLayout {
    ArchLayout { gguf_qk_rows: QkRows::Pairs, ..ArchLayout::default() }
}

/// All rows of a dense matrix in the order that the caller sees.
pub(crate) fn rows(source: &MatrixSource<'_>) -> Vec<Vec<f32>> {
    let MatrixData::Dense(floats) = source.view.data else { panic!("not dense") };
    let (rows, cols) = (source.view.rows, source.view.cols);
    let row = |r: usize| {
        let from = source.row_map.source_row(r, rows) * cols;
        floats.slice(from, from + cols).to_vec()
    };
    (0..rows).map(row).collect()
}

fn open_gguf(file: &Gguf) -> (TempDir, Checkpoint) {
    let folder = TempDir::new().unwrap();
    let path = file.save(&folder);
    let checkpoint = Checkpoint::open(&path).unwrap();
    (folder, checkpoint)
}

#[test]
fn paired_rows_and_biases_of_gguf_are_put_in_order() {
    let values: Vec<f32> = (0..8).map(|v| v as f32).collect();
    let file = llama_gguf()
        .floats("blk.0.attn_q.weight", &[1, 8], &values)
        .floats("blk.0.attn_q.bias", &[8], &values)
        .floats("blk.0.attn_k.weight", &[2, 4], &values)
        .floats("blk.0.attn_v.weight", &[2, 4], &values);
    let (_folder, checkpoint) = open_gguf(&file);
    let checkpoint = checkpoint.with_layout(paired());
    // Two heads of four rows: pairs (0,1) (2,3) become halves (0,2) (1,3).
    let query = checkpoint.matrix(Role::AttnQ.at(0), 8, 1).unwrap();
    assert_eq!(query.row_map, RowMap::HalvesFromPairs { heads: 2 });
    let in_order = [0., 2., 1., 3., 4., 6., 5., 7.];
    assert_eq!(rows(&query).concat(), in_order);
    assert_eq!(checkpoint.vector(Role::AttnQ.at(0), Part::Bias, 8).unwrap(), in_order);
    // One head for keys; values are never paired.
    let key = checkpoint.matrix(Role::AttnK.at(0), 4, 2).unwrap();
    assert_eq!(rows(&key), [[0., 1.], [4., 5.], [2., 3.], [6., 7.]]);
    let value = checkpoint.matrix(Role::AttnV.at(0), 4, 2).unwrap();
    assert_eq!(value.row_map, RowMap::Identity);
    // The layout is the architecture's choice.
    let checkpoint = checkpoint.with_layout(ArchLayout::default());
    assert_eq!(checkpoint.vector(Role::AttnQ.at(0), Part::Bias, 8).unwrap(), values);
    // The keys needed for this count as unread until the architecture reads them.
    assert!(checkpoint.config().unread().contains(&"num_attention_heads".to_owned()));
}

#[test]
fn a_checkpoint_is_shared_by_threads() {
    fn assert_shared<T: Send + Sync>() {}
    assert_shared::<Checkpoint>();
}

#[test]
fn rows_that_are_no_pairs_are_refused() {
    for heads in [0, 2, 6, 1 << 63, u64::MAX] {
        let file = Gguf::new("llama")
            .raw("llama.attention.head_count", 10, &heads.to_le_bytes())
            .floats("blk.0.attn_q.weight", &[1, 6], &[0.0; 6]);
        let (_folder, checkpoint) = open_gguf(&file);
        let error = checkpoint.with_layout(paired()).matrix(Role::AttnQ.at(0), 6, 1).unwrap_err();
        let expected = "tensor blk.0.attn_q.weight: 6 rows are not";
        let expected = format!("{expected} {heads} heads of an even number of rows");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn norms_are_factors_in_every_format() {
    let minus_one =
        || ArchLayout { hf_norms: NormStorage::FactorMinusOne, ..ArchLayout::default() };
    let (_folder, gguf) = open_gguf(&llama_gguf().floats("output_norm.weight", &[2], &[1.5, 1.0]));
    let stored = Safetensors::default().floats("model.norm.weight", &[2], &[0.5, 0.0]).floats(
        "model.layers.0.self_attn.q_proj.bias",
        &[2],
        &[0.5, 0.0],
    );
    let hf = folder(CONFIG, &stored);
    let hf = Checkpoint::open(hf.path()).unwrap();
    assert_eq!(hf.vector(Role::OutputNorm, Part::Weight, 2).unwrap(), [0.5, 0.0]);
    for checkpoint in [hf.with_layout(minus_one()), gguf.with_layout(minus_one())] {
        assert_eq!(checkpoint.vector(Role::OutputNorm, Part::Weight, 2).unwrap(), [1.5, 1.0]);
        if checkpoint.has(Role::AttnQ.at(0), Part::Bias) {
            let bias = checkpoint.vector(Role::AttnQ.at(0), Part::Bias, 2).unwrap();
            assert_eq!(bias, [0.5, 0.0]);
        }
    }
}

#[test]
fn wrong_shapes_name_the_tensor_and_both_shapes() {
    let stored = Safetensors::default().floats("model.norm.weight", &[2], &[0.0; 2]).floats(
        "lm_head.weight",
        &[3, 2],
        &[0.0; 6],
    );
    let folder = folder(CONFIG, &stored);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let message = checkpoint.matrix(Role::Output, 3, 4).unwrap_err().to_string();
    assert_eq!(message, "tensor lm_head.weight: shape [3, 2], [3, 4] expected");
    let message = checkpoint.vector(Role::OutputNorm, Part::Weight, 3).unwrap_err().to_string();
    assert_eq!(message, "tensor model.norm.weight: shape [2], [3] expected");
    let message = checkpoint.matrix(Role::FfnUp.at(1), 3, 4).unwrap_err().to_string();
    assert_eq!(message, "tensor model.layers.1.mlp.up_proj.weight: blk.1.ffn_up.weight is missing");
}

#[test]
fn what_nobody_took_is_refused() {
    let config = r#"{"model_type": "llama", "tie_word_embeddings": true, "clip_qkv": 8,
                     "rope_scaling": {"factor": 2.0}, "vocab_size": null}"#;
    let stored = Safetensors::default()
        .floats("model.norm.weight", &[1], &[0.0])
        .floats("lm_head.weight", &[1, 1], &[0.0])
        .floats("model.layers.0.self_attn.rotary_emb.inv_freq", &[1], &[0.0])
        .floats("vision_tower.a", &[1], &[0.0])
        .floats("model.layers.0.router.weight", &[1, 1], &[0.0]);
    let folder = folder(config, &stored);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let Err(Error::Unused { tensors, keys }) = checkpoint.finish() else { panic!("finished") };
    assert_eq!(tensors, ["model.layers.0.router.weight", "model.norm.weight"]);
    assert_eq!(keys, ["clip_qkv", "model_type", "rope_scaling", "tie_word_embeddings"]);
    let config = checkpoint.config();
    config.model_type().unwrap();
    assert!(config.get::<bool>("tie_word_embeddings").unwrap().unwrap());
    config.expect("clip_qkv", &[json!(8)]).unwrap();
    config.object("rope_scaling").unwrap().unwrap().require::<f32>("factor").unwrap();
    checkpoint.vector(Role::OutputNorm, Part::Weight, 1).unwrap();
    let message = checkpoint.finish().unwrap_err().to_string();
    assert_eq!(
        message,
        "the model has parts that are not understood: tensors model.layers.0.router.weight"
    );
    let names = HfNames::default().ignoring("model.layers.0.router.");
    checkpoint.with_layout(ArchLayout { names, ..ArchLayout::default() }).finish().unwrap();
}

#[test]
fn a_skipped_role_and_an_untied_head_count() {
    let stored = Safetensors::default().floats("lm_head.weight", &[1, 1], &[0.0]).floats(
        "lm_head.bias",
        &[1],
        &[0.0],
    );
    let folder = folder("{}", &stored);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let message = checkpoint.finish().unwrap_err().to_string();
    assert!(message.ends_with("tensors lm_head.bias, lm_head.weight"), "{message}");
    checkpoint.skip(Role::Output);
    checkpoint.finish().unwrap();
}

#[test]
fn names_of_image_models_are_found_behind_their_prefix() {
    let stored = Safetensors::default()
        .floats("language_model.model.embed_tokens.weight", &[1, 1], &[3.0])
        .floats("language_model.model.layers.0.pre_norm.weight", &[1], &[4.0])
        .floats("vision_tower.patch.weight", &[1], &[0.0]);
    let folder = folder("{}", &stored);
    let names = HfNames::default().with(Role::FfnNorm, "model.layers.{}.pre_norm");
    let checkpoint = Checkpoint::open(folder.path())
        .unwrap()
        .with_layout(ArchLayout { names, ..ArchLayout::default() });
    let embedding = checkpoint.matrix(Role::TokenEmbd, 1, 1).unwrap();
    assert_eq!(rows(&embedding), [[3.0]]);
    assert_eq!(checkpoint.vector(Role::FfnNorm.at(0), Part::Weight, 1).unwrap(), [4.0]);
    checkpoint.finish().unwrap();
}

#[test]
fn gguf_metadata_has_the_keys_of_hugging_face() {
    let file = llama_gguf()
        .uint("llama.context_length", 512)
        .uint("llama.attention.key_length", 4)
        .uint("llama.attention.value_length", 4)
        .uint("llama.rope.dimension_count", 2)
        .float("llama.rope.freq_base", 1e6)
        .text("llama.rope.scaling.type", "yarn")
        .float("llama.rope.scaling.factor", 4.0)
        .uint("llama.rope.scaling.original_context_length", 128)
        .flag("llama.rope.scaling.finetuned", true)
        .array("llama.attention.sliding_window_pattern", 7, 2, &[1, 0])
        .uint("llama.expert_count", 8)
        .uint("tokenizer.ggml.eos_token_id", 2)
        .uint("tokenizer.ggml.eot_token_id", 1)
        .float("general.sampling.temp", 0.7)
        .text("general.name", "nobody reads this");
    let (_folder, checkpoint) = open_gguf(&file);
    let config = checkpoint.config();
    assert_eq!(config.model_type().unwrap(), "llama");
    let numbers = [
        ("hidden_size", 8),
        ("num_hidden_layers", 1),
        ("num_attention_heads", 2),
        ("num_key_value_heads", 1),
        ("max_position_embeddings", 512),
        ("head_dim", 4),
        ("rope_dim", 2),
        ("vocab_size", 3),
    ];
    for (key, value) in numbers {
        assert_eq!(config.require::<usize>(key).unwrap(), value, "{key}");
    }
    assert_eq!(config.require::<f64>("rms_norm_eps").unwrap(), 1e-5);
    assert_eq!(config.require::<f64>("rope_theta").unwrap(), 1e6);
    assert!(config.require::<bool>("tie_word_embeddings").unwrap());
    assert_eq!(
        config.require::<Vec<&str>>("layer_types").unwrap(),
        ["sliding_attention", "full_attention"]
    );
    let scaling = config.object("rope_scaling").unwrap().unwrap();
    assert_eq!(scaling.require::<&str>("rope_type").unwrap(), "yarn");
    assert_eq!(scaling.require::<f64>("factor").unwrap(), 4.0);
    assert_eq!(scaling.require::<usize>("original_max_position_embeddings").unwrap(), 128);
    assert_eq!(config.unread(), ["llama.expert_count"]);
    assert_eq!(checkpoint.generation().eos_token_ids, [2, 1]);
    assert_eq!(checkpoint.generation().temperature, Some(0.7));
}

#[test]
fn the_tokenizer_of_a_gguf_file_comes_as_it_stands() {
    let file = llama_gguf()
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", "smollm")
        .texts("tokenizer.ggml.merges", &["a b"])
        .array("tokenizer.ggml.scores", 6, 3, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0])
        .array("tokenizer.ggml.token_type", 5, 3, &[3, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0])
        .array("tokenizer.ggml.precompiled_charsmap", 1, 2, &[0xff, 0x01])
        .uint("tokenizer.ggml.unknown_token_id", 1)
        .flag("tokenizer.ggml.add_space_prefix", false)
        .text("tokenizer.chat_template", "{{ x }}");
    let (_folder, checkpoint) = open_gguf(&file);
    let tokenizer = checkpoint.gguf_tokenizer().unwrap().unwrap();
    assert_eq!((tokenizer.model.as_str(), tokenizer.pre.as_deref()), ("gpt2", Some("smollm")));
    assert_eq!(tokenizer.tokens, ["a", "b", "c"]);
    assert_eq!(tokenizer.merges, ["a b"]);
    assert_eq!(tokenizer.scores, [1.0, 0.0, 0.0]);
    assert_eq!(tokenizer.token_types, [3, 1, 6]);
    assert_eq!(tokenizer.precompiled_charsmap, [0xff, 0x01]);
    assert_eq!(tokenizer.special.unk, Some(1));
    assert_eq!((tokenizer.add_space_prefix, tokenizer.add_bos), (Some(false), None));
    assert_eq!(tokenizer.chat_template.as_deref(), Some("{{ x }}"));
    let hf = folder(CONFIG, &Safetensors::default());
    assert!(Checkpoint::open(hf.path()).unwrap().gguf_tokenizer().unwrap().is_none());
}
