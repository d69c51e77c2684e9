//! llama.cpp.

use std::path::Path;

use super::contender::{Absent, Contender, Engine, Output, Stream};
use super::execute::Failure;
use super::llama_bench::{BatchedEntry, Dialect, Switches, Tools, batched_output, contender};
use super::model::Model;
use super::probe::Probe;

const HOW: &str = "pip download --no-binary llama-cpp-python --no-deps --no-build-isolation \
    llama-cpp-python; unpack; cmake -DGGML_NATIVE=ON on vendor/llama.cpp; make llama-bench \
    llama-batched-bench llama-quantize; then --llama-cpp BUILD_FOLDER";

const DIALECT: Dialect = Dialect {
    engine: Engine::LlamaCpp,
    batches: "",
    batched: "--output-format jsonl",
    batched_prints_to: Stream::Stdout,
    parse_batched,
};

const PLAIN: Switches = Switches { name: "", bench: "", batched: "", environment: &[] };
const REPACK: Switches =
    Switches { name: "--repack 1", bench: "--repack 1", batched: "--repack", environment: &[] };
const NO_REPACK: Switches =
    Switches { name: "--repack 0", bench: "--repack 0", batched: "--no-repack", environment: &[] };
const NO_TILES: Switches = Switches {
    name: "--repack 0, not tiled",
    environment: &[("GGML_CPU_TILED_MM", "0")],
    ..NO_REPACK
};

/// Every GGUF file of `model` with every setting.
pub(super) fn contenders(folder: Option<&Path>, model: &Model) -> Result<Vec<Contender>, Absent> {
    let tools = Tools::find(folder).ok_or(Absent { engine: Engine::LlamaCpp, how: HOW })?;
    let settings = model
        .ggufs
        .iter()
        .flat_map(|gguf| switches(&gguf.encoding).iter().map(move |setting| (gguf, *setting)));
    Ok(settings.map(|(gguf, setting)| contender(DIALECT, &tools, gguf, setting)).collect())
}

/// The settings that make a difference for an encoding on x86.
fn switches(encoding: &str) -> &'static [Switches] {
    match encoding {
        // There are neither interleaved rows nor a tiled product for it.
        "Q4_1" => &[PLAIN],
        "Q4_0" => &[REPACK, NO_REPACK],
        _ => &[REPACK, NO_REPACK, NO_TILES],
    }
}

fn parse_batched(text: &str, probe: Probe) -> Result<Output, Failure> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let entries: Vec<BatchedEntry> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok(batched_output(&entries, probe))
}

#[cfg(test)]
mod tests {
    use super::super::probe::Quantity;
    use super::*;

    /// As llama-batched-bench printed it.
    const BATCHED: &str = include_str!("samples/llama-batched-bench.jsonl");

    #[test]
    fn batches_and_long_prompts_are_read() {
        let rates = |probe| {
            let output = parse_batched(BATCHED, probe).unwrap();
            let rates = output.samples.iter().map(|s| (s.quantity, s.tokens_per_s));
            rates.collect::<Vec<_>>()
        };
        let batches = [(Quantity::Batch(1), 15.026292), (Quantity::Batch(4), 15.354899)];
        assert_eq!(rates(Probe::Batches), batches);
        let long = [(Quantity::PrefillLong, 80.833801), (Quantity::DecodeDeep, 15.026292)];
        assert_eq!(rates(Probe::Long)[..2], long);
    }
}
