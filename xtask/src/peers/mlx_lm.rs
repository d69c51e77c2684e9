//! mlx-lm on the CPU, which reads the same folder as Russet.

use std::path::PathBuf;

use serde_json::json;

use super::contender::{Absent, Contender, Engine};
use super::model::{Format, Model};
use super::probe::{Kind, Probe};
use super::python;

const HOW: &str = "pip install mlx-lm 'mlx[cpu]'; then --python INTERPRETER";
const SCRIPT: &str = include_str!("time_mlx_lm.py");
/// It computes row by row, so that a short prompt is as fast as a long one, and takes seconds for
/// each: these are enough.
const FEW_PROMPT: usize = 32;
const FEW_TOKENS: usize = 8;

/// The one setting there is. It takes part in the short probe only.
pub(super) fn contenders(
    interpreters: &[PathBuf],
    model: &Model,
) -> Result<Vec<Contender>, Absent> {
    let found = python::with_module(interpreters, "mlx_lm");
    let interpreter = found.ok_or(Absent { engine: Engine::MlxLm, how: HOW })?.to_owned();
    let folder = model.mlx.clone();
    let commands = move |probe, _threads| {
        let counts = [Kind::Prefill, Kind::Decode];
        let tests = match probe {
            Probe::Short => vec![python::test(FEW_PROMPT, FEW_TOKENS, 1, &counts)],
            _ => return Vec::new(),
        };
        vec![python::invocation(&interpreter, SCRIPT, &json!({"tests": tests}), &folder)]
    };
    Ok(vec![Contender {
        engine: Engine::MlxLm,
        format: Format::Mlx,
        encoding: model.encoding.clone(),
        switches: format!("(prompt {FEW_PROMPT}, {FEW_TOKENS} tokens)"),
        commands: Box::new(commands),
    }])
}
