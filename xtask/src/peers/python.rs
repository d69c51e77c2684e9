//! Engines that are Python packages: a script that comes with this program times them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use super::contender::{Invocation, Output};
use super::execute::Failure;
use super::probe::{
    BATCH_PROMPT, BATCH_TOKENS, BATCHES, Kind, LONG_PROMPT, LONG_TOKENS, PROMPT, Probe, TOKENS,
};

/// The first of `interpreters` that can import `module`.
pub(super) fn with_module<'a>(interpreters: &'a [PathBuf], module: &str) -> Option<&'a Path> {
    let can_import = |program: &&PathBuf| {
        let mut command = Command::new(program);
        command.args(["-c", &format!("import {module}")]);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    };
    interpreters.iter().find(can_import).map(PathBuf::as_path)
}

/// Runs `script`, whose arguments are `request` and the path of the model.
pub(super) fn invocation(
    interpreter: &Path,
    script: &str,
    request: &Value,
    model: &Path,
) -> Invocation {
    let model = model.display().to_string();
    let arguments = vec!["-c".to_owned(), script.to_owned(), request.to_string(), model];
    Invocation { arguments, ..Invocation::new(interpreter, "", parse) }
}

/// A prompt of `batch` sequences to read, tokens to generate after it, and which rates count.
pub(super) fn test(prompt: usize, tokens: usize, batch: usize, counts: &[Kind]) -> Value {
    json!({"prompt": prompt, "gen": tokens, "batch": batch, "counts": counts})
}

/// The tests of a probe. Nothing can be generated from nothing, so a short prompt has to do.
pub(super) fn tests(probe: Probe) -> Vec<Value> {
    let (prefill, decode) = (Kind::Prefill, Kind::Decode);
    match probe {
        Probe::Short => {
            vec![test(PROMPT, 1, 1, &[prefill]), test(BATCH_PROMPT, TOKENS, 1, &[decode])]
        }
        Probe::Long => vec![test(LONG_PROMPT, LONG_TOKENS, 1, &[prefill, decode])],
        Probe::Batches => {
            BATCHES.map(|batch| test(BATCH_PROMPT, BATCH_TOKENS, batch, &[decode])).into()
        }
    }
}

/// A line of a script's output.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Version { version: String },
    Rates { counts: Vec<Kind>, batch: usize, prefill: f64, decode: f64 },
}

fn parse(text: &str, probe: Probe) -> Result<Output, Failure> {
    let mut output = Output::default();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        match serde_json::from_str(line)? {
            Line::Version { version } => output.version = Some(version),
            Line::Rates { counts, batch, prefill, decode } => {
                let rate = |kind| if kind == Kind::Prefill { prefill } else { decode };
                let samples =
                    counts.into_iter().filter_map(|kind| probe.sample(kind, batch, rate(kind)));
                output.samples.extend(samples);
            }
        }
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::super::probe::Quantity;
    use super::*;

    /// As the scripts printed them.
    const OPENVINO: &str = include_str!("samples/openvino.jsonl");
    const MLX_LM: &str = include_str!("samples/mlx-lm.jsonl");

    #[test]
    fn only_the_rates_that_count_are_read() {
        let rates = |text| -> Vec<(Quantity, f64)> {
            let samples = parse(text, Probe::Short).unwrap().samples.into_iter();
            samples.map(|sample| (sample.quantity, sample.tokens_per_s.round())).collect()
        };
        assert_eq!(rates(OPENVINO), [(Quantity::Prefill, 1091.0), (Quantity::Decode, 71.0)]);
        assert_eq!(rates(MLX_LM), [(Quantity::Prefill, 8.0), (Quantity::Decode, 7.0)]);
        let version = parse(OPENVINO, Probe::Short).unwrap().version;
        assert_eq!(version.as_deref(), Some("2026.4.1.0-3408-ab01d1771e4"));
        assert!(parse("{\"prompt\": 512}", Probe::Short).is_err());
    }

    #[test]
    fn each_probe_asks_for_all_of_its_quantities() {
        let kinds = |probe: Probe| -> Vec<Option<Quantity>> {
            let asked = |test: &Value| -> Vec<Option<Quantity>> {
                let counts: Vec<Kind> = serde_json::from_value(test["counts"].clone()).unwrap();
                let batch = test["batch"].as_u64().unwrap() as usize;
                counts.into_iter().map(|kind| probe.quantity(kind, batch)).collect()
            };
            tests(probe).iter().flat_map(asked).collect()
        };
        let some = |quantities: &[Quantity]| quantities.iter().copied().map(Some).collect();
        let expected: Vec<_> = some(&[Quantity::Prefill, Quantity::Decode]);
        assert_eq!(kinds(Probe::Short), expected);
        let expected: Vec<_> = some(&[Quantity::PrefillLong, Quantity::DecodeDeep]);
        assert_eq!(kinds(Probe::Long), expected);
        assert_eq!(kinds(Probe::Batches), some(&BATCHES.map(Quantity::Batch)));
    }
}
