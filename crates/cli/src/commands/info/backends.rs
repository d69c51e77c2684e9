//! `info --backends`: which backends can serve a model, and why the others cannot.

use std::path::Path;

use anyhow::Result;
use russet_backends::{
    Backend, Candidate, Election, Fit, Installed, Model, Refusal, TooBig, elect,
};
use russet_hub::{Hub, Located};
use russet_weights::{Checkpoint, Format};
use serde::Serialize;

use super::{kv_bytes, packed_bytes};
use crate::opened::{self, Opened};
use crate::settings::{InfoSettings, model_ref};
use crate::{console, machine};

/// The shortest context that is of use; longer ones are chosen as memory allows.
const LEAST_CONTEXT: usize = 256;

#[derive(Serialize)]
struct Row {
    backend: &'static str,
    verdict: &'static str,
    /// Its program.
    program: Option<String>,
    reasons: Vec<String>,
}

/// Prints a row for each backend, the most wanted first.
pub(super) fn show(hub: &Hub, settings: &InfoSettings) -> Result<()> {
    let located = opened::locate(hub, &model_ref(&settings.model)?)?;
    let installed = settings.backend.programs().find();
    let model = describe(hub, settings, &located);
    let election = elect(&model, &[], &installed, settings.backend.backend);
    let rows: Vec<Row> =
        election.candidates.iter().map(|candidate| row(&election, candidate, &installed)).collect();
    if settings.json {
        console::line(format_args!("{}", serde_json::to_string_pretty(&rows)?))?;
        return Ok(());
    }
    print(&rows)?;
    match (election.elected(), election.forced) {
        (Some(_), _) => {}
        (None, Some(forced)) => console::note(format_args!("{forced} cannot serve this model")),
        (None, None) => console::note(format_args!("no backend can serve this model")),
    }
    Ok(())
}

fn row(election: &Election, candidate: &Candidate, installed: &Installed) -> Row {
    let backend = candidate.backend;
    let program = match backend {
        Backend::Llama => installed.llama_server.as_ref().ok(),
        Backend::MlxLm => installed.mlx_server.as_ref().ok(),
        Backend::Native | Backend::Remote => None,
    };
    let verdict = match election.elected() == Some(backend) {
        true => "elected",
        false if candidate.refusals.is_empty() => "possible",
        false => "no",
    };
    let program = program.map(ToString::to_string);
    Row { backend: backend.name(), verdict, program, reasons: candidate.reasons() }
}

fn print(rows: &[Row]) -> std::io::Result<()> {
    for row in rows {
        let mut remarks = row.reasons.clone();
        if row.reasons.is_empty() {
            remarks.extend(row.program.clone());
        }
        let (backend, verdict) = (row.backend, row.verdict);
        let first = remarks.first().map_or("", String::as_str);
        let line = format!("{backend:<8} {verdict:<9} {first}");
        console::line(format_args!("{}", line.trim_end()))?;
        for remark in remarks.iter().skip(1) {
            console::line(format_args!("{:18} {remark}", ""))?;
        }
    }
    Ok(())
}

fn describe(hub: &Hub, settings: &InfoSettings, located: &Located) -> Model {
    let opened = opened::open(hub, &settings.model);
    // What only the native backend cannot read is measured all the same.
    let checkpoint = Checkpoint::open(&located.path).ok();
    let files =
        checkpoint.as_ref().map_or_else(|| bytes_of(&located.path), Checkpoint::num_tensor_bytes);
    Model {
        format: match located.format {
            russet_hub::Format::Gguf => Format::Gguf,
            russet_hub::Format::Mlx => Format::Mlx,
            russet_hub::Format::HuggingFace => Format::HuggingFace,
        },
        native: opened
            .and_then(|opened| native_fit(&opened))
            .map_err(|error| Refusal::Native(crate::message(&error)))
            .and_then(|fit| fit.map_err(Refusal::TooBig)),
        fit: fit(files, 0).check(),
        has_tokenizer: has_tokenizer(located),
    }
}

/// An error if the native backend cannot read the model, else whether it fits once packed.
fn native_fit(opened: &Opened) -> Result<Result<(), TooBig>> {
    let spec = russet_decoder::spec(&opened.checkpoint)?;
    opened.tokenizer()?;
    let packed = packed_bytes(&opened.checkpoint, &spec)?;
    Ok(fit(packed, kv_bytes(&spec, LEAST_CONTEXT) / LEAST_CONTEXT as u64).check())
}

fn fit(weights: u64, kv_per_token: u64) -> Fit {
    let free = machine::available_memory();
    Fit { weights, kv_per_token, context: LEAST_CONTEXT, slots: 1, free }
}

/// Whether there is a tokenizer of any kind. A GGUF is one file with everything.
fn has_tokenizer(located: &Located) -> bool {
    let names = ["tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json"];
    located.format == russet_hub::Format::Gguf
        || names.iter().any(|name| located.path.join(name).is_file())
}

/// Bytes of a file, or of the weights in a folder.
fn bytes_of(path: &Path) -> u64 {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    if !path.is_dir() {
        return length(path);
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path());
    let weights = files.filter(|file| file.extension().is_some_and(|end| end == "safetensors"));
    weights.map(|file| length(&file)).sum()
}
