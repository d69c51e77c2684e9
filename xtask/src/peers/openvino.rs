//! OpenVINO GenAI, which reads GGUF files.

use std::path::PathBuf;

use serde_json::json;

use super::contender::{Absent, Contender, Engine};
use super::model::{Format, Gguf, Model};
use super::python;

const HOW: &str = "pip install openvino-genai; then --python INTERPRETER";
const SCRIPT: &str = include_str!("time_openvino.py");
const PIPELINES: [&str; 2] = ["single", "batched"];

/// Every GGUF file of `model` with each of its pipelines. What its reader refuses, the run says.
pub(super) fn contenders(
    interpreters: &[PathBuf],
    model: &Model,
) -> Result<Vec<Contender>, Absent> {
    let found = python::with_module(interpreters, "openvino_genai");
    let interpreter = found.ok_or(Absent { engine: Engine::OpenVino, how: HOW })?.to_owned();
    let settings =
        model.ggufs.iter().flat_map(|gguf| PIPELINES.map(|pipeline| (gguf.clone(), pipeline)));
    let contender = |(gguf, pipeline): (Gguf, &'static str)| {
        let interpreter = interpreter.clone();
        Contender {
            engine: Engine::OpenVino,
            format: Format::Gguf,
            encoding: gguf.encoding,
            switches: format!("{pipeline} pipeline"),
            commands: Box::new(move |probe, threads| {
                let tests = python::tests(probe);
                let request = json!({"threads": threads, "pipeline": pipeline, "tests": tests});
                vec![python::invocation(&interpreter, SCRIPT, &request, &gguf.path)]
            }),
        }
    };
    Ok(settings.map(contender).collect())
}
