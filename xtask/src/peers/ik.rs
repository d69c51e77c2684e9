//! ik_llama.cpp, a fork with its own kernels.

use std::path::Path;

use super::contender::{Absent, Contender, Engine, Output, Stream};
use super::execute::Failure;
use super::llama_bench::{BatchedEntry, Dialect, Switches, Tools, batched_output, contender};
use super::model::Model;
use super::probe::Probe;

const HOW: &str = "pip download --no-binary ik-llama-cpp-python --no-deps --no-build-isolation \
    ik-llama-cpp-python; unpack; write common/build-info.cpp (docs/benchmarks.md); cmake \
    -DGGML_NATIVE=ON on vendor/ik_llama.cpp; make llama-bench llama-batched-bench; then --ik \
    BUILD_FOLDER";

const DIALECT: Dialect = Dialect {
    engine: Engine::Ik,
    // Its attention aborts on a prompt of several sequences, so they share theirs.
    batches: "-pps",
    batched: "",
    batched_prints_to: Stream::Stderr,
    parse_batched,
};

/// Rows interleaved while loading, or not.
const SWITCHES: [Switches; 2] = [
    Switches { name: "-rtr 0", bench: "-rtr 0", batched: "", environment: &[] },
    Switches { name: "-rtr 1", bench: "-rtr 1", batched: "-rtr", environment: &[] },
];

/// Every GGUF file of `model` with every setting. Its programs have llama.cpp's names, so it is
/// never looked for on the search path.
pub(super) fn contenders(folder: Option<&Path>, model: &Model) -> Result<Vec<Contender>, Absent> {
    let tools = folder.and_then(|folder| Tools::find(Some(folder)));
    let tools = tools.ok_or(Absent { engine: Engine::Ik, how: HOW })?;
    let settings = model.ggufs.iter().flat_map(|gguf| SWITCHES.map(|setting| (gguf, setting)));
    Ok(settings.map(|(gguf, setting)| contender(DIALECT, &tools, gguf, setting)).collect())
}

/// Its `llama-batched-bench` prints a table only.
fn parse_batched(text: &str, probe: Probe) -> Result<Output, Failure> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        // PP, TG, B, N_KV, T_PP, S_PP, T_TG, S_TG, T, S
        let [_, _, batch, _, _, prefill, _, decode, _, _] = cells[..] else { return None };
        // The heading is not made of numbers.
        Some(BatchedEntry {
            pl: batch.parse().ok()?,
            speed_pp: prefill.parse().ok()?,
            speed_tg: decode.parse().ok()?,
        })
    });
    Ok(batched_output(&rows.collect::<Vec<_>>(), probe))
}

#[cfg(test)]
mod tests {
    use super::super::probe::Quantity;
    use super::*;

    /// As its llama-batched-bench printed it.
    const TABLE: &str = include_str!("samples/ik-batched-bench.txt");

    #[test]
    fn the_table_is_read() {
        let rates = |text, probe| {
            let output = parse_batched(text, probe).unwrap();
            let rates = output.samples.iter().map(|s| (s.quantity, s.tokens_per_s));
            rates.collect::<Vec<_>>()
        };
        let batches = [(Quantity::Batch(1), 18.46), (Quantity::Batch(4), 39.55)];
        assert_eq!(rates(TABLE, Probe::Batches), batches);
        let long = [(Quantity::PrefillLong, 129.16), (Quantity::DecodeDeep, 18.46)];
        assert_eq!(rates(TABLE, Probe::Long)[..2], long);
        assert_eq!(rates("error: unable to load model", Probe::Long), []);
    }
}
