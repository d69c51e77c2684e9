//! A model in memory, with its engine running and everything a conversation needs.

use std::panic::resume_unwind;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use russet_decoder::{Model, ModelInfo};
use russet_engine::{Engine, EngineSettings, SamplingParams, TokenId};
use russet_hub::Hub;
use russet_tokenizer::{ChatTemplate, Tokenizer};
use russet_weights::GenerationConfig;
use serde_json::json;

use crate::opened::Opened;
use crate::settings::ComputeSettings;
use crate::{machine, opened};

/// A model in memory.
pub(crate) struct Loaded {
    /// Its name in the API.
    pub(crate) name: String,
    pub(crate) tokenizer: Arc<Tokenizer>,
    /// `None`: the model completes text only.
    pub(crate) template: Option<ChatTemplate>,
    /// What the model's authors recommend.
    pub(crate) generation: GenerationConfig,
    /// Tokens that end an answer.
    pub(crate) stop_tokens: Vec<TokenId>,
    pub(crate) engine: Engine,
    /// Effective values, for people and for `GET /info`.
    pub(crate) facts: serde_json::Value,
}

/// Finds, opens and loads the model, and starts its engine.
pub(crate) fn load(
    hub: &Hub,
    model: &str,
    compute: &ComputeSettings,
    max_waiting: usize,
) -> Result<Loaded> {
    let opened = opened::open(hub, model)?;
    // The tokenizer is read by one thread, the weights by all others.
    let (texts, decoder) = std::thread::scope(|scope| {
        let texts = scope.spawn(|| texts(&opened));
        let decoder = opened.load(compute);
        (texts.join().unwrap_or_else(|panic| resume_unwind(panic)), decoder)
    });
    let ((tokenizer, template), decoder) = (texts?, decoder?);
    let info = decoder.info().clone();
    if tokenizer.vocab_len() > info.vocab_len {
        tracing::info!(tokens = tokenizer.vocab_len(), rows = info.vocab_len, "unembedded tokens");
    }
    let cache_tokens = cache_tokens(compute, &info)?;
    let settings = EngineSettings {
        max_waiting,
        prefill_chunk: compute.kernels.prefill_chunk().get(),
        cache_tokens,
    };
    let facts = facts(&opened.name, compute, &info, cache_tokens)?;
    let mut generation = opened.checkpoint.generation().clone();
    generation.temperature = generation.temperature.or(opened.temperature);
    Ok(Loaded {
        name: opened.name.clone(),
        template,
        stop_tokens: stop_tokens(&generation, &tokenizer),
        tokenizer: Arc::new(tokenizer),
        generation,
        engine: Engine::start(Box::new(decoder), settings)?,
        facts,
    })
}

impl Loaded {
    /// What a request leaves out: the model's recommendation, else `temperature`.
    pub(crate) fn sampling(&self, temperature: f32) -> SamplingParams {
        let config = &self.generation;
        let greedy = config.do_sample == Some(false) && config.temperature.is_none();
        let default = SamplingParams::default();
        SamplingParams {
            temperature: match greedy {
                true => 0.0,
                false => config.temperature.unwrap_or(temperature),
            },
            top_k: config.top_k.map_or(default.top_k, |k| k as usize),
            top_p: config.top_p.unwrap_or(default.top_p),
            min_p: config.min_p.unwrap_or(default.min_p),
            repetition_penalty: config.repetition_penalty.unwrap_or(default.repetition_penalty),
            ..default
        }
    }
}

/// What turns conversations into tokens.
fn texts(opened: &Opened) -> Result<(Tokenizer, Option<ChatTemplate>)> {
    let tokenizer = opened.tokenizer()?;
    let template = template(&tokenizer)?;
    Ok((tokenizer, template))
}

/// The default template. One that does not compile is an error: another would change what the model
/// sees.
fn template(tokenizer: &Tokenizer) -> Result<Option<ChatTemplate>> {
    let templates = tokenizer.chat_templates();
    if !templates.names().any(|name| name == "default") {
        return Ok(None);
    }
    let source = templates.source("default")?;
    Ok(Some(ChatTemplate::new(source).context("the model's chat template")?))
}

fn stop_tokens(generation: &GenerationConfig, tokenizer: &Tokenizer) -> Vec<TokenId> {
    let mut ids: Vec<u32> = generation.eos_token_ids.clone();
    ids.extend(tokenizer.eos_ids());
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(TokenId).collect()
}

/// Tokens that the KV cache is made for: what was asked for, else the model's context as far as
/// half of the free memory reaches.
fn cache_tokens(compute: &ComputeSettings, info: &ModelInfo) -> Result<usize> {
    if let Some(asked) = compute.kernels.context {
        if asked.get() > info.context_len {
            bail!(
                "--context is {asked}; the model was made for {} tokens at most",
                info.context_len
            );
        }
        return Ok(asked.get());
    }
    let Some(free) = machine::available_memory() else { return Ok(info.context_len) };
    let fitting = free as usize / 2 / info.kv_bytes_per_token().max(1);
    match fitting {
        0..256 => bail!(
            "{} MB of memory are free, too little for the KV cache ({} bytes a token); \
             set --context to try all the same",
            free >> 20,
            info.kv_bytes_per_token()
        ),
        _ => Ok(info.context_len.min(fitting)),
    }
}

fn facts(
    name: &str,
    compute: &ComputeSettings,
    info: &ModelInfo,
    cache_tokens: usize,
) -> Result<serde_json::Value> {
    Ok(json!({
        "model": name,
        "architecture": info.architecture,
        "isa": russet_kernels::select(compute.kernels.isa)?.name(),
        "threads": compute.num_threads(),
        "context_tokens": cache_tokens,
        "weights_bytes": info.weights_bytes,
        "kv_bytes_per_token": info.kv_bytes_per_token(),
        "settings": compute.effective(),
    }))
}
