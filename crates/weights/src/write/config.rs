//! `config.json` and `generation_config.json` of a converted model.

use serde_json::{Map, Value, json};

use super::ARCHITECTURE;
use super::encode::GROUP;
use super::plan::{Plan, not_exact};
use crate::Error;
use crate::gguf::GgufFile;

/// The text of `config.json`.
pub(super) fn config_json(source: &GgufFile, plan: &Plan<'_>) -> Result<String, Error> {
    let translated = &source.config;
    let prefix = format!("{ARCHITECTURE}.");
    let keys = translated.json_entries().map(|(key, _)| key);
    let unused: Vec<String> = keys.filter(|key| key.starts_with(&prefix)).map(Into::into).collect();
    if !unused.is_empty() {
        return Err(Error::Unused { tensors: Vec::new(), keys: unused });
    }
    let mut config = Map::new();
    config.insert("architectures".into(), json!(["LlamaForCausalLM"]));
    for (key, value) in translated.json_entries().filter(|(key, _)| *key != "rope_dim") {
        config.insert(key.into(), value.clone());
    }
    config.insert("head_dim".into(), head_dim(source)?.into());
    config.insert("hidden_act".into(), "silu".into());
    config.insert("attention_bias".into(), bias_flag(plan, ATTENTION)?.into());
    config.insert("mlp_bias".into(), bias_flag(plan, MLP)?.into());
    if let Some(quantization) = quantization(plan) {
        config.insert("quantization".into(), quantization.clone());
        config.insert("quantization_config".into(), quantization);
    }
    Ok(format!("{:#}\n", Value::Object(config)))
}

/// The projections that each flag for biases stands for.
const ATTENTION: [&str; 4] =
    [".self_attn.q_proj", ".self_attn.k_proj", ".self_attn.v_proj", ".self_attn.o_proj"];
const MLP: [&str; 3] = [".mlp.gate_proj", ".mlp.up_proj", ".mlp.down_proj"];

/// Whether all `projections` have a bias in every layer. Some alone cannot be written.
fn bias_flag<const N: usize>(plan: &Plan<'_>, projections: [&str; N]) -> Result<bool, Error> {
    let with = |part: &'static str| {
        plan.outputs.iter().filter(move |output| {
            let path = output.name.strip_suffix(part);
            path.is_some_and(|path| projections.iter().any(|end| path.ends_with(end)))
        })
    };
    let Some(first) = with(".bias").next() else { return Ok(false) };
    if with(".bias").count() == with(".weight").count() {
        return Ok(true);
    }
    let reason = "llama's projections have biases all together or not at all";
    Err(not_exact(&first.name, first.source, reason))
}

/// The size of a head, all of which must be rotated: llama in MLX knows no other way.
fn head_dim(source: &GgufFile) -> Result<usize, Error> {
    let config = &source.config;
    let hidden: usize = config.require("hidden_size")?;
    let heads: usize = config.require("num_attention_heads")?;
    let head_dim = config.get_or("head_dim", hidden.checked_div(heads).unwrap_or_default())?;
    if config.get_or("rope_dim", head_dim)? != head_dim {
        return Err(config.unsupported("rope_dim", &format!("{head_dim}, the head size")).into());
    }
    Ok(head_dim)
}

/// The `quantization` object: the commonest width as default, the others listed.
fn quantization(plan: &Plan<'_>) -> Option<Value> {
    let count = |bits: usize| plan.bits.values().filter(|&&other| other == bits).count();
    let default = plan.bits.values().copied().max_by_key(|&bits| count(bits))?;
    let scheme = |bits: usize| json!({"group_size": GROUP, "bits": bits, "mode": "affine"});
    let mut object = scheme(default);
    for (path, &bits) in plan.bits.iter().filter(|(_, bits)| **bits != default) {
        object[path] = scheme(bits);
    }
    Some(object)
}

/// The text of `generation_config.json`.
pub(super) fn generation_json(source: &GgufFile) -> String {
    let generation = &source.generation;
    let mut object = Map::new();
    let mut insert = |key: &str, value: Value| {
        if !value.is_null() {
            object.insert(key.into(), value);
        }
    };
    insert("bos_token_id", json!(generation.bos_token_id));
    match &generation.eos_token_ids[..] {
        [] => {}
        [one] => insert("eos_token_id", json!(one)),
        many => insert("eos_token_id", json!(many)),
    }
    insert("temperature", json!(generation.temperature));
    insert("top_p", json!(generation.top_p));
    insert("top_k", json!(generation.top_k));
    insert("min_p", json!(generation.min_p));
    insert("repetition_penalty", json!(generation.repetition_penalty));
    format!("{:#}\n", Value::Object(object))
}
