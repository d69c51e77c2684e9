//! The programs `llama-bench` and `llama-batched-bench` of llama.cpp and its forks.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::contender::{Contender, Engine, Invocation, Output, Stream};
use super::execute::Failure;
use super::model::{Format, Gguf};
use super::probe::{
    BATCH_PROMPT, BATCH_TOKENS, BATCHES, Kind, LONG_PROMPT, LONG_TOKENS, PROMPT, Probe, TOKENS,
};

/// The programs of one build.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    bench: PathBuf,
    /// Rows with several sequences or a long prompt need it.
    batched: Option<PathBuf>,
}

impl Tools {
    /// The programs of the build in `folder`, else those on the search path.
    pub(super) fn find(folder: Option<&Path>) -> Option<Self> {
        let folders: Vec<PathBuf> = match folder {
            Some(folder) => ["", "bin", "build/bin"].map(|part| folder.join(part)).into(),
            None => std::env::split_paths(&std::env::var_os("PATH")?).collect(),
        };
        let find = |name| folders.iter().map(|dir| dir.join(name)).find(|path| path.is_file());
        Some(Self { bench: find("llama-bench")?, batched: find("llama-batched-bench") })
    }
}

/// One setting of the switches that may make a difference, as each program spells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switches {
    pub(super) name: &'static str,
    pub(super) bench: &'static str,
    pub(super) batched: &'static str,
    pub(super) environment: &'static [(&'static str, &'static str)],
}

/// What a fork does differently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    pub(super) engine: Engine,
    /// For `llama-batched-bench` when it generates several sequences.
    pub(super) batches: &'static str,
    /// Added whenever `llama-batched-bench` runs.
    pub(super) batched: &'static str,
    pub(super) batched_prints_to: Stream,
    pub(super) parse_batched: fn(&str, Probe) -> Result<Output, Failure>,
}

/// `gguf` with one setting of the switches.
pub(super) fn contender(
    dialect: Dialect,
    tools: &Tools,
    gguf: &Gguf,
    switches: Switches,
) -> Contender {
    let (tools, path) = (tools.clone(), gguf.path.clone());
    let commands = move |probe, threads| {
        let command = match probe {
            Probe::Short => Some(bench(&tools, switches, threads)),
            _ => batched(dialect, &tools, switches, (probe, threads)),
        };
        let with_model = |mut command: Invocation| {
            command.environment.extend(switches.environment);
            command.with_path("-m", &path)
        };
        command.map(with_model).into_iter().collect()
    };
    Contender {
        engine: dialect.engine,
        format: Format::Gguf,
        encoding: gguf.encoding.clone(),
        switches: switches.name.to_owned(),
        commands: Box::new(commands),
    }
}

fn bench(tools: &Tools, switches: Switches, threads: usize) -> Invocation {
    let fixed = format!("-t {threads} -p {PROMPT} -n {TOKENS} -r 1 -fa 1 -o json");
    Invocation::new(&tools.bench, &format!("{fixed} {}", switches.bench), parse_bench)
}

fn batched(
    dialect: Dialect,
    tools: &Tools,
    switches: Switches,
    (probe, threads): (Probe, usize),
) -> Option<Invocation> {
    let size = if probe == Probe::Long {
        // One token of the context is kept free.
        let context = (LONG_PROMPT + LONG_TOKENS + 1).next_multiple_of(256);
        format!("-c {context} -npp {LONG_PROMPT} -ntg {LONG_TOKENS} -npl 1")
    } else {
        let most = BATCHES.iter().max().expect("there are batches");
        let context = (most * (BATCH_PROMPT + BATCH_TOKENS) + 1).next_multiple_of(256);
        let list = BATCHES.map(|batch| batch.to_string()).join(",");
        let sizes = format!("-npp {BATCH_PROMPT} -ntg {BATCH_TOKENS} -npl {list}");
        format!("-c {context} {sizes} {}", dialect.batches)
    };
    let fixed = format!("-t {threads} -fa on {} {size}", dialect.batched);
    let arguments = format!("{fixed} {}", switches.batched);
    let program = tools.batched.as_ref()?;
    let command = Invocation::new(program, &arguments, dialect.parse_batched);
    Some(Invocation { prints_to: dialect.batched_prints_to, ..command })
}

/// One result of `llama-bench -o json`.
#[derive(Deserialize)]
struct Entry {
    build_commit: String,
    n_gen: usize,
    avg_ts: f64,
}

fn parse_bench(text: &str, probe: Probe) -> Result<Output, Failure> {
    let entries: Vec<Entry> = serde_json::from_str(text)?;
    let version = entries.first().map(|entry| entry.build_commit.clone());
    let kind = |entry: &Entry| if entry.n_gen == 0 { Kind::Prefill } else { Kind::Decode };
    let samples = entries.iter().filter_map(|entry| probe.sample(kind(entry), 1, entry.avg_ts));
    Ok(Output { version, samples: samples.collect() })
}

/// One result of `llama-batched-bench`.
#[derive(Deserialize)]
pub(super) struct BatchedEntry {
    /// Sequences.
    pub(super) pl: usize,
    pub(super) speed_pp: f64,
    pub(super) speed_tg: f64,
}

/// The samples of `llama-batched-bench`; its output names no version.
pub(super) fn batched_output(entries: &[BatchedEntry], probe: Probe) -> Output {
    let samples = entries.iter().flat_map(|entry| {
        let rates = [(Kind::Prefill, entry.speed_pp), (Kind::Decode, entry.speed_tg)];
        rates.into_iter().filter_map(move |(kind, rate)| probe.sample(kind, entry.pl, rate))
    });
    Output { version: None, samples: samples.collect() }
}

#[cfg(test)]
mod tests {
    use super::super::probe::Quantity;
    use super::*;

    /// As llama-bench printed it.
    const BENCH: &str = include_str!("samples/llama-bench.json");

    #[test]
    fn llama_bench_is_read() {
        let output = parse_bench(BENCH, Probe::Short).unwrap();
        assert_eq!(output.version.as_deref(), Some("0c1e57098"));
        let rates: Vec<_> = output.samples.iter().map(|s| (s.quantity, s.tokens_per_s)).collect();
        assert_eq!(rates, [(Quantity::Prefill, 120.076894), (Quantity::Decode, 32.56846)]);
        assert!(parse_bench("main: error: failed to load model", Probe::Short).is_err());
    }

    #[test]
    fn every_command_names_the_model_and_what_is_measured() {
        let tools = Tools { bench: "llama-bench".into(), batched: Some("batched".into()) };
        let gguf = Gguf { path: "a model.Q4_0.gguf".into(), encoding: "Q4_0".to_owned() };
        let dialect = Dialect {
            engine: Engine::Ik,
            batches: "-pps",
            batched: "",
            batched_prints_to: Stream::Stderr,
            parse_batched: parse_bench,
        };
        let environment = &[("KEY", "0")];
        let switches = Switches { name: "-rtr 1", bench: "-rtr 1", batched: "-rtr", environment };
        let contender = contender(dialect, &tools, &gguf, switches);
        assert_eq!(contender.to_string(), "ik_llama.cpp Q4_0 -rtr 1");
        let command = |probe| {
            let [command] = &(contender.commands)(probe, 2)[..] else { panic!("not one command") };
            assert_eq!(command.environment, [("KEY", "0")]);
            command.arguments.join(" ")
        };
        let short = "-t 2 -p 512 -n 128 -r 1 -fa 1 -o json -rtr 1 -m a model.Q4_0.gguf";
        assert_eq!(command(Probe::Short), short);
        let batches = "-t 2 -fa on -c 1536 -npp 16 -ntg 64 -npl 1,4,8,16 -pps -rtr";
        assert_eq!(command(Probe::Batches), format!("{batches} -m a model.Q4_0.gguf"));
        let long = "-t 2 -fa on -c 8192 -npp 8000 -ntg 64 -npl 1 -rtr -m a model.Q4_0.gguf";
        assert_eq!(command(Probe::Long), long);
    }
}
