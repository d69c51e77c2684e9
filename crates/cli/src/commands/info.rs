//! `info`: what a model is and what it needs.

mod backends;

use anyhow::Result;
use indicatif::{BinaryBytes, HumanCount};
use russet_decoder::{Mixer, ModelSpec, Reach};
use russet_hub::Hub;
use russet_weights::Checkpoint;
use serde::Serialize;

use crate::console;
use crate::described::{kv_bytes, packed_bytes};
use crate::opened::{self, Opened};
use crate::settings::InfoSettings;

/// Prints what the headers tell, without loading the weights.
pub(crate) fn info(hub: &Hub, settings: &InfoSettings) -> Result<()> {
    if settings.backends {
        return backends::show(hub, settings);
    }
    let opened = opened::open(hub, &settings.model)?;
    let spec = russet_decoder::spec(&opened.checkpoint)?;
    let report = Report::new(&opened, &spec)?;
    match settings.json {
        true => console::line(format_args!("{}", serde_json::to_string_pretty(&report)?))?,
        false => report.print()?,
    }
    Ok(())
}

#[derive(Serialize)]
struct Report {
    name: String,
    path: String,
    format: &'static str,
    architecture: String,
    parameters: u64,
    tensor_bytes: u64,
    bits_per_weight: f64,
    /// The matrices in memory, as the kernels read them.
    packed_bytes: u64,
    context_tokens: usize,
    vocabulary_tokens: usize,
    hidden_size: usize,
    layers: usize,
    sliding_layers: usize,
    kv_bytes_per_1k_tokens: u64,
    encodings: Vec<Encoding>,
    isa: String,
}

#[derive(Serialize)]
struct Encoding {
    encoding: String,
    matrices: usize,
    bytes: u64,
}

impl Report {
    fn new(opened: &Opened, spec: &ModelSpec) -> Result<Self> {
        let checkpoint = &opened.checkpoint;
        let (parameters, tensor_bytes) =
            (checkpoint.num_parameters(), checkpoint.num_tensor_bytes());
        let sliding = |layer: &&russet_decoder::LayerSpec| {
            let Mixer::Attention(attention) = &layer.mixer;
            attention.reach != Reach::All
        };
        Ok(Self {
            name: opened.name.clone(),
            path: opened.path.display().to_string(),
            format: checkpoint.format().name(),
            architecture: checkpoint.config().model_type()?.to_owned(),
            parameters,
            tensor_bytes,
            bits_per_weight: tensor_bytes as f64 * 8.0 / parameters.max(1) as f64,
            packed_bytes: packed_bytes(checkpoint, spec)?,
            context_tokens: spec.context_len,
            vocabulary_tokens: spec.vocab_len,
            hidden_size: spec.hidden_len,
            layers: spec.layers.len(),
            sliding_layers: spec.layers.iter().filter(sliding).count(),
            kv_bytes_per_1k_tokens: kv_bytes(spec, 1000),
            encodings: encodings(checkpoint),
            isa: russet_kernels::select(None)?.name().to_owned(),
        })
    }

    fn print(&self) -> std::io::Result<()> {
        let line = |name: &str, value: String| console::line(format_args!("{name:<15} {value}"));
        line("model", self.name.clone())?;
        line("path", self.path.clone())?;
        line("format", self.format.into())?;
        line("architecture", self.architecture.clone())?;
        line("parameters", HumanCount(self.parameters).to_string())?;
        let bits = format!("{:.2} bits per weight", self.bits_per_weight);
        line("weights", format!("{}, {bits}", BinaryBytes(self.tensor_bytes)))?;
        for encoding in &self.encodings {
            let bytes = BinaryBytes(encoding.bytes);
            line("", format!("{} × {}, {bytes}", encoding.matrices, encoding.encoding))?;
        }
        line("in memory", format!("{}, packed for the kernels", BinaryBytes(self.packed_bytes)))?;
        let sliding = match self.sliding_layers {
            0 => String::new(),
            n => format!(" ({n} sliding)"),
        };
        line("layers", format!("{}{sliding}, hidden size {}", self.layers, self.hidden_size))?;
        line("vocabulary", HumanCount(self.vocabulary_tokens as u64).to_string())?;
        line("context", format!("{} tokens", HumanCount(self.context_tokens as u64)))?;
        line("KV cache", format!("{} per 1000 tokens", BinaryBytes(self.kv_bytes_per_1k_tokens)))?;
        line("kernels", self.isa.clone())
    }
}

fn encodings(checkpoint: &Checkpoint) -> Vec<Encoding> {
    let row = |e: russet_weights::EncodingSummary| Encoding {
        encoding: e.encoding,
        matrices: e.num_matrices,
        bytes: e.num_bytes,
    };
    checkpoint.encodings().into_iter().map(row).collect()
}
