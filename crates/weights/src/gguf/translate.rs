//! GGUF metadata as a configuration with Hugging Face's keys.

use serde_json::{Map, Value as Json, json};

use super::metadata::{Metadata, Value};
use crate::generation::GenerationConfig;
use crate::tensors::TensorTable;
use crate::{GgufError, Role, RoleAt};

type Object = Map<String, Json>;

/// Keys under the architecture's name, and the keys of `config.json` that mean the same.
const KEYS: &[(&str, &str)] = &[
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_epsilon", "layer_norm_eps"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.scale", "attention_multiplier"),
    ("attention.sliding_window", "sliding_window"),
    ("attention.sliding_window_pattern", "sliding_window_pattern"),
    ("attention.value_length", "v_head_dim"),
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("block_count", "num_hidden_layers"),
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("embedding_scale", "embedding_multiplier"),
    ("feed_forward_length", "intermediate_size"),
    ("final_logit_softcapping", "final_logit_softcapping"),
    ("logit_scale", "logit_scale"),
    ("residual_scale", "residual_multiplier"),
    ("rope.dimension_count", "rope_dim"),
    ("rope.freq_base", "rope_theta"),
    ("rope.freq_base_swa", "rope_local_base_freq"),
    ("vocab_size", "vocab_size"),
];

/// The same for the object `rope_scaling`.
const ROPE_SCALING_KEYS: &[(&str, &str)] = &[
    ("rope.scale_linear", "factor"),
    ("rope.scaling.attn_factor", "attention_factor"),
    ("rope.scaling.factor", "factor"),
    ("rope.scaling.original_context_length", "original_max_position_embeddings"),
    ("rope.scaling.type", "rope_type"),
    ("rope.scaling.yarn_beta_fast", "beta_fast"),
    ("rope.scaling.yarn_beta_slow", "beta_slow"),
];

/// Keys that only say how the model was made.
const IGNORED: &[&str] = &["rope.scaling.finetuned"];

/// Ids that `config.json` has, too.
const TOKEN_IDS: &[(&str, &str)] = &[
    ("tokenizer.ggml.bos_token_id", "bos_token_id"),
    ("tokenizer.ggml.eos_token_id", "eos_token_id"),
    ("tokenizer.ggml.padding_token_id", "pad_token_id"),
];

const ARCHITECTURE_KEY: &str = "general.architecture";

/// The configuration. Keys under the architecture's name that have no translation stay as they are,
/// unread.
pub(super) fn config(
    metadata: &Metadata,
    bytes: &[u8],
    tensors: &TensorTable,
) -> Result<Object, GgufError> {
    let missing = || GgufError::MissingKey { key: ARCHITECTURE_KEY.into() };
    let architecture = metadata.text(ARCHITECTURE_KEY)?.ok_or_else(missing)?;
    let (mut config, scaling) = architecture_keys(metadata, bytes, architecture)?;
    config.insert("model_type".into(), architecture.into());
    for (key, hf_key) in TOKEN_IDS {
        if let Some(id) = metadata.id(key)? {
            config.insert((*hf_key).into(), id.into());
        }
    }
    let has = |role: Role| tensors.get(&format!("{}.weight", RoleAt::from(role))).is_some();
    if let Some(scaling) = rope_scaling(scaling, has(Role::RopeFactorsLong)) {
        config.insert("rope_scaling".into(), scaling);
    }
    config.insert("tie_word_embeddings".into(), json!(!has(Role::Output)));
    settle_vocabulary(&mut config, metadata, tensors);
    settle_head_size(&mut config);
    settle_windows(&mut config);
    Ok(config)
}

/// The values under the architecture's name: those of the configuration and those of its object
/// `rope_scaling`.
fn architecture_keys(
    metadata: &Metadata,
    bytes: &[u8],
    architecture: &str,
) -> Result<(Object, Object), GgufError> {
    let (mut config, mut scaling) = (Map::new(), Map::new());
    for (full_key, value) in metadata.iter() {
        let Some(key) = full_key.strip_prefix(architecture).and_then(|k| k.strip_prefix('.'))
        else {
            continue;
        };
        let value = to_json(full_key, value, bytes)?;
        if let Some(hf_key) = translated(KEYS, key) {
            config.insert(hf_key.into(), value);
        } else if let Some(hf_key) = translated(ROPE_SCALING_KEYS, key) {
            scaling.insert(hf_key.into(), value);
        } else if !IGNORED.contains(&key) {
            config.insert(full_key.into(), value);
        }
    }
    Ok((config, scaling))
}

fn translated(table: &[(&str, &'static str)], key: &str) -> Option<&'static str> {
    table.iter().find(|row| row.0 == key).map(|row| row.1)
}

/// The rope scaling, unless it is none. Without a type, files with factor tensors mean longrope and
/// others linear.
fn rope_scaling(mut scaling: Object, has_factors: bool) -> Option<Json> {
    if scaling.is_empty() && !has_factors || scaling.get("rope_type") == Some(&json!("none")) {
        return None;
    }
    let default = if has_factors { "longrope" } else { "linear" };
    scaling.entry("rope_type").or_insert_with(|| default.into());
    Some(scaling.into())
}

/// The embedding decides how many tokens there are; without one, the tokenizer does.
fn settle_vocabulary(config: &mut Object, metadata: &Metadata, tensors: &TensorTable) {
    let embedding = tensors.get(&format!("{}.weight", RoleAt::from(Role::TokenEmbd)));
    let rows = embedding.and_then(|tensor| tensor.shape.first().copied());
    let tokens = match metadata.get("tokenizer.ggml.tokens") {
        Some(Value::Array(array)) => Some(array.len),
        _ => None,
    };
    if let Some(size) = rows.or(tokens) {
        config.insert("vocab_size".into(), size.into());
    }
}

/// `head_dim` alone says it, unless values have another size than keys.
fn settle_head_size(config: &mut Object) {
    if config.get("v_head_dim") == config.get("head_dim") {
        config.remove("v_head_dim");
    }
}

/// A truth value a layer becomes `layer_types`.
fn settle_windows(config: &mut Object) {
    let Some(Json::Array(layers)) = config.get("sliding_window_pattern") else { return };
    let name = |layer: &Json| match layer.as_bool() {
        Some(true) => json!("sliding_attention"),
        Some(false) => json!("full_attention"),
        None => layer.clone(),
    };
    let types: Vec<Json> = layers.iter().map(name).collect();
    config.remove("sliding_window_pattern");
    config.insert("layer_types".into(), types.into());
}

/// Most values of an array in the configuration: one a layer, and some to spare.
const MAX_ARRAY_LEN: usize = 4096;

fn to_json(key: &str, value: &Value, bytes: &[u8]) -> Result<Json, GgufError> {
    Ok(match value {
        Value::Uint(number) => json!(number),
        Value::Int(number) => json!(number),
        Value::F32(number) => float(f64::from(*number), shortest(*number)),
        Value::F64(number) => float(*number, *number),
        Value::Bool(flag) => json!(flag),
        Value::Text(text) => json!(text),
        Value::Array(array) if array.len > MAX_ARRAY_LEN => {
            let (what, found) = (format!("the length of {key}"), array.len as u64);
            let accepted = format!("at most {MAX_ARRAY_LEN}");
            return Err(GgufError::OutOfRange { what, found, accepted });
        }
        Value::Array(array) => {
            let values = array.values(bytes).map(|value| to_json(key, &value, bytes));
            Json::Array(values.collect::<Result<_, _>>()?)
        }
    })
}

/// The number that was meant: 1e-5 and not the nearest f32, widened.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| number.into())
}

fn float(exact: f64, finite: f64) -> Json {
    if exact.is_nan() {
        json!({"__float__": "NaN"})
    } else if exact.is_infinite() {
        json!({"__float__": if exact > 0.0 { "Infinity" } else { "-Infinity" }})
    } else {
        json!(finite)
    }
}

/// Defaults for generation.
pub(super) fn generation(metadata: &Metadata) -> Result<GenerationConfig, GgufError> {
    let mut eos_token_ids = Vec::new();
    for name in ["eos", "eot", "eom"] {
        let id = metadata.id(&format!("tokenizer.ggml.{name}_token_id"))?;
        eos_token_ids.extend(id.filter(|id| !eos_token_ids.contains(id)));
    }
    Ok(GenerationConfig {
        eos_token_ids,
        bos_token_id: metadata.id("tokenizer.ggml.bos_token_id")?,
        do_sample: None,
        temperature: metadata.float("general.sampling.temp")?,
        top_p: metadata.float("general.sampling.top_p")?,
        top_k: metadata.id("general.sampling.top_k")?,
        min_p: metadata.float("general.sampling.min_p")?,
        repetition_penalty: metadata.float("general.sampling.penalty_repeat")?,
    })
}
