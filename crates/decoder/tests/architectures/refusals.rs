//! Fixtures, changed: what a configuration promises must be there, and nothing else is taken.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use russet_decoder::{Activation, Ffn, LoadOptions, Mixer, ModelSpec, Reach};
use russet_device_cpu::{CpuDevice, CpuOptions, KvType, Precision};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use crate::golden::fixtures;

/// A fixture with these configuration keys, without some tensors and with others, all zeros.
struct Changed<'a> {
    fixture: &'a str,
    keys: Value,
    without: &'a [&'a str],
    with: &'a [(&'a str, usize)],
}

/// A fixture with these configuration keys.
fn keys(fixture: &str, keys: Value) -> Changed<'_> {
    Changed { fixture, keys, without: &[], with: &[] }
}

impl Changed<'_> {
    /// Writes the folder, to be used by one test only.
    fn write(&self, test: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refusals").join(test);
        std::fs::create_dir_all(&folder).unwrap();
        let from = fixtures().join(self.fixture);
        let config = std::fs::read(from.join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        let keys = self.keys.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(keys);
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let bytes = std::fs::read(from.join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut tensors: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
        for name in self.without {
            tensors.remove(*name).unwrap();
        }
        let zeros = vec![0; 4096];
        for &(name, len) in self.with {
            let view = TensorView::new(Dtype::F32, vec![len], &zeros[..len * 4]).unwrap();
            tensors.insert(name.to_owned(), view);
        }
        safetensors::serialize_to_file(tensors, None, &folder.join("model.safetensors")).unwrap();
        folder
    }

    fn spec(&self, test: &str) -> Result<ModelSpec, String> {
        let checkpoint = russet_decoder::open(&self.write(test)).map_err(|e| e.to_string())?;
        russet_decoder::spec(&checkpoint).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(&self, test: &str, message: &str) {
        let found = loaded(&self.write(test), None).unwrap_err();
        assert!(found.contains(message), "{found}");
    }
}

fn loaded(path: &Path, layers: Option<std::ops::Range<usize>>) -> Result<(), String> {
    let options = CpuOptions {
        threads: NonZeroUsize::MIN,
        isa: None,
        precision: Precision::Exact,
        kv_type: KvType::F32,
    };
    let checkpoint = russet_decoder::open(path).map_err(|error| error.to_string())?;
    let device = CpuDevice::new(options).unwrap();
    let options = LoadOptions { block_len: 4, layers };
    let loaded = russet_decoder::load(&checkpoint, device, &options);
    loaded.map(drop).map_err(|error| error.to_string())
}

fn reaches(spec: &ModelSpec) -> Vec<Reach> {
    let reach = |layer: &russet_decoder::LayerSpec| {
        let Mixer::Attention(attention) = &layer.mixer;
        attention.reach
    };
    spec.layers.iter().map(reach).collect()
}

#[test]
fn a_missing_bias_is_named() {
    for name in ["q", "k", "v"] {
        let name = format!("model.layers.1.self_attn.{name}_proj.bias");
        let change = Changed { without: &[&name], ..keys("qwen2", json!({})) };
        change.refused("missing-qwen2", &format!("tensor {name}: blk.1.attn_"));
    }
    for name in ["self_attn.o_proj", "self_attn.q_proj", "mlp.up_proj", "mlp.down_proj"] {
        let name = format!("model.layers.0.{name}.bias");
        let change = Changed { without: &[&name], ..keys("llama-bias", json!({})) };
        change.refused("missing-llama", &format!("tensor {name}: "));
    }
    let promised = json!({"attention_bias": true});
    let first = "model.layers.0.self_attn.q_proj.bias: blk.0.attn_q.bias is missing";
    for fixture in ["llama", "qwen3", "gemma3"] {
        keys(fixture, promised.clone()).refused(&format!("promised-{fixture}"), first);
    }
}

#[test]
fn a_bias_that_nothing_promises_is_refused() {
    for key in ["attention_bias", "mlp_bias"] {
        let none = keys("llama-bias", json!({key: false}));
        none.refused(key, "_proj.bias: the architecture has no such tensor");
    }
    let name = "model.layers.0.self_attn.o_proj.bias";
    let change = Changed { with: &[(name, 64)], ..keys("qwen2", json!({})) };
    let folder = change.write("extra");
    for layers in [None, Some(0..1)] {
        let found = loaded(&folder, layers).unwrap_err();
        assert_eq!(found, format!("tensor {name}: the architecture has no such tensor"));
    }
    // The stage of the other layer has nothing to do with it.
    loaded(&folder, Some(1..2)).unwrap();
}

#[test]
fn a_bias_missing_in_a_gguf_file_is_named() {
    let bytes = std::fs::read(fixtures().join("gguf/qwen2.gguf")).unwrap();
    let name = b"blk.1.attn_k.bias";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    let mut changed = bytes;
    changed[at + name.len() - 1] = b'x';
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("missing-bias.gguf");
    std::fs::write(&path, changed).unwrap();
    let found = loaded(&path, None).unwrap_err();
    assert!(found.contains("blk.1.attn_k.bias is missing"), "{found}");
}

#[test]
fn what_is_not_understood_is_named() {
    let llama = |change: Value, message: &str| keys("llama", change).refused("unknown", message);
    llama(json!({"model_type": "gpt5"}), "architecture `gpt5` is not supported; accepted: llama");
    let scaling = |kind: &str| json!({"rope_scaling": {"rope_type": kind, "factor": 2.0}});
    llama(scaling("ntk"), "rope_scaling.rope_type: \"ntk\" is not supported; accepted: default");
    let mut odd = scaling("linear");
    odd["rope_scaling"]["odd"] = json!(1);
    llama(odd, "configuration keys rope_scaling.odd");
    llama(json!({"logit_scale": 0.5}), "configuration keys logit_scale");
    llama(json!({"hidden_size": 65}), "shape");
    llama(json!({"layer_types": ["full_attention"]}), "one type for each of the");
    llama(
        json!({"layer_types": ["full_attention", "linear_attention"]}),
        "accepted: full_attention",
    );
    llama(json!({"rms_norm_eps": null}), "rms_norm_eps is missing");
    let with = &[("model.layers.0.self_attn.q_norm.weight", 16)];
    let extra = Changed { with, ..keys("llama", json!({})) };
    extra.refused("unknown-tensor", "tensors model.layers.0.self_attn.q_norm.weight");
    let without = &["model.layers.0.mlp.up_proj.weight"];
    let lacks = Changed { without, ..keys("llama", json!({})) };
    lacks.refused("missing-tensor", "tensor model.layers.0.mlp.up_proj.weight: blk.0.ffn_up");
}

#[test]
fn sizes_are_bounded_before_anything_is_allocated() {
    for (key, number) in [
        ("num_hidden_layers", 1u64 << 40),
        ("num_hidden_layers", u64::MAX),
        ("head_dim", 1 << 40),
        ("num_attention_heads", 1 << 62),
        ("vocab_size", u64::MAX),
        ("intermediate_size", u64::MAX),
    ] {
        let change = keys("llama", json!({key: number, "num_key_value_heads": 1}));
        let found = loaded(&change.write("sizes"), None).unwrap_err();
        let shape = found.contains("shape") && ["vocab_size", "intermediate_size"].contains(&key);
        let named = found.contains(key) && found.contains(&number.to_string());
        assert!(shape || named, "{key}: {found}");
    }
}

#[test]
fn rotary_numbers_are_above_zero() {
    for theta in [json!(0), json!(-1.0), json!({"__float__": "NaN"})] {
        keys("llama", json!({"rope_theta": theta})).refused("theta", "rope_theta");
    }
    for factor in [json!(0.0), json!(-2), json!({"__float__": "NaN"})] {
        let scaling = json!({"rope_type": "linear", "factor": factor});
        let change = keys("llama", json!({"rope_scaling": scaling}));
        change.refused("factor", "rope_scaling.factor");
    }
}

#[test]
fn the_activation_is_the_one_configured() {
    let activation = |keys: Value| {
        let spec = crate::refusals::keys("llama", keys).spec("activation")?;
        let Ffn::Gated(ffn) = &spec.layers[0].ffn;
        Ok::<_, String>(ffn.activation)
    };
    assert_eq!(activation(json!({})), Ok(Activation::Silu));
    assert_eq!(activation(json!({"hidden_act": "silu"})), Ok(Activation::Silu));
    let tanh = activation(json!({"hidden_act": "gelu_pytorch_tanh"}));
    assert_eq!(tanh, Ok(Activation::GeluTanh));
    assert!(activation(json!({"hidden_act": "relu"})).unwrap_err().contains("\"relu\""));
}

/// As transformers' Qwen2Config and Qwen3Config: no window unless `use_sliding_window` says so, and
/// then from layer 28 on.
#[test]
fn qwen_slides_only_when_told_to() {
    for fixture in ["qwen2", "qwen3"] {
        let reaches = |change: Value| {
            reaches(&keys(fixture, change).spec(&format!("slides-{fixture}")).unwrap())
        };
        assert_eq!(reaches(json!({"sliding_window": 16})), [Reach::All; 2]);
        let on = json!({"sliding_window": 16, "use_sliding_window": true});
        assert_eq!(reaches(on), [Reach::All; 2]);
        let from_one =
            json!({"sliding_window": 16, "use_sliding_window": true, "max_window_layers": 1});
        assert_eq!(reaches(from_one), [Reach::All, Reach::Window(16)]);
    }
    let mistral = keys("mistral", json!({"sliding_window": 16})).spec("slides").unwrap();
    assert!(reaches(&mistral).iter().all(|reach| *reach == Reach::Window(16)));
}

#[test]
fn gemma_3_checks_its_own_keys() {
    keys("gemma3", json!({"sliding_window": 0})).refused("gemma-window", "sliding_window: 0");
    let both_ways = |flag: bool| keys("gemma3", json!({"use_bidirectional_attention": flag}));
    loaded(&both_ways(false).write("gemma-causal"), None).unwrap();
    both_ways(true).refused("gemma-both-ways", "use_bidirectional_attention: true");
}
