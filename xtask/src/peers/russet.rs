//! Russet's own `russet bench model`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::contender::{Contender, Engine, Invocation, Output};
use super::execute::Failure;
use super::model::{Format, Model};
use super::probe::{
    BATCH_PROMPT, BATCH_TOKENS, BATCHES, Kind, LONG_PROMPT, LONG_TOKENS, PROMPT, Probe, Sample,
    TOKENS,
};

/// The MLX folder, then each GGUF file, with the precision asked for, else Russet's default.
pub(super) fn contenders(program: &Path, precision: Option<&str>, model: &Model) -> Vec<Contender> {
    let mlx = (Format::Mlx, &model.mlx, &model.encoding);
    let ggufs = model.ggufs.iter().map(|gguf| (Format::Gguf, &gguf.path, &gguf.encoding));
    std::iter::once(mlx).chain(ggufs).map(|file| contender(program, precision, file)).collect()
}

fn contender(
    program: &Path,
    precision: Option<&str>,
    (format, path, encoding): (Format, &PathBuf, &String),
) -> Contender {
    let (program, path) = (program.to_owned(), path.clone());
    let switches = precision.map_or_else(String::new, |name| format!("--precision {name}"));
    let shared = switches.clone();
    Contender {
        engine: Engine::Russet,
        format,
        encoding: encoding.clone(),
        switches,
        commands: Box::new(move |probe, threads| {
            let rows = rows(probe).into_iter();
            rows.map(|row| command(&program, &path, &format!("{row} -t {threads} {shared}")))
                .collect()
        }),
    }
}

fn command(program: &Path, path: &Path, arguments: &str) -> Invocation {
    let arguments = format!("--json -r 1 {arguments}");
    let mut command = Invocation::new(program, &arguments, parse);
    let model = path.display().to_string();
    command.arguments.splice(0..0, ["bench".to_owned(), "model".to_owned(), model]);
    command
}

/// The rows of a probe, each list a process.
fn rows(probe: Probe) -> Vec<String> {
    match probe {
        Probe::Short => vec![format!("-p {PROMPT} -n {TOKENS} -d 0 -b 1")],
        Probe::Batches => {
            let batches = BATCHES.map(|batch| batch.to_string()).join(",");
            vec![format!("-p 0 -n {BATCH_TOKENS} -d {BATCH_PROMPT} -b {batches}")]
        }
        Probe::Long => vec![
            format!("-p {LONG_PROMPT} -n 0 -d 0 -b 1"),
            format!("-p 0 -n {LONG_TOKENS} -d {LONG_PROMPT} -b 1"),
        ],
    }
}

/// What `russet bench model --json` prints, as far as it is needed.
#[derive(Deserialize)]
struct Report {
    #[serde(rename = "russet")]
    version: Option<String>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    kind: Kind,
    batch: usize,
    tokens_per_s: Spread,
    bandwidth_gb_s: Option<Bandwidth>,
}

#[derive(Deserialize)]
struct Spread {
    median: f64,
}

#[derive(Deserialize)]
struct Bandwidth {
    fraction: f64,
}

fn parse(text: &str, probe: Probe) -> Result<Output, Failure> {
    let report: Report = serde_json::from_str(text)?;
    let sample = |row: Row| {
        let sample = probe.sample(row.kind, row.batch, row.tokens_per_s.median)?;
        let bandwidth_share = row.bandwidth_gb_s.map(|bandwidth| bandwidth.fraction);
        Some(Sample { bandwidth_share, ..sample })
    };
    let samples = report.rows.into_iter().filter_map(sample).collect();
    Ok(Output { version: report.version, samples })
}

#[cfg(test)]
mod tests {
    use super::super::model::{Gguf, Name};
    use super::super::probe::Quantity;
    use super::*;

    /// As `russet bench model --json` printed it.
    const REPORT: &str = include_str!("samples/russet.json");

    #[test]
    fn its_report_is_read() {
        let output = parse(REPORT, Probe::Short).unwrap();
        assert_eq!(output.version.as_deref(), Some("0.1.0"));
        let [prefill, decode] = &output.samples[..] else { panic!("not two samples") };
        assert_eq!((prefill.quantity, prefill.bandwidth_share), (Quantity::Prefill, None));
        assert_eq!(prefill.tokens_per_s.round(), 119.0);
        assert_eq!((decode.quantity, decode.tokens_per_s.round()), (Quantity::Decode, 48.0));
        assert_eq!(decode.bandwidth_share.map(f64::round), Some(2.0));
    }

    #[test]
    fn commands_are_those_of_the_command_line() {
        let (mlx, encoding) = ("a b".into(), "MLX 4-bit".to_owned());
        let gguf = Gguf { path: "a model.Q4_0.gguf".into(), encoding: "Q4_0".to_owned() };
        let model = Model { name: Name::Starter, mlx, encoding, ggufs: vec![gguf] };
        let [folder, file] = &contenders("russet".as_ref(), Some("fast"), &model)[..] else {
            panic!("not two contenders");
        };
        assert_eq!((folder.format, file.format), (Format::Mlx, Format::Gguf));
        assert_eq!(file.to_string(), "Russet Q4_0 --precision fast");
        assert_eq!((file.commands)(Probe::Short, 2)[0].arguments[2], "a model.Q4_0.gguf");
        let lines = |probe| -> Vec<String> {
            let commands = (folder.commands)(probe, 2);
            commands.iter().map(|command| command.arguments.join(" ")).collect()
        };
        let start = "bench model a b --json -r 1";
        let end = "-t 2 --precision fast";
        assert_eq!(lines(Probe::Short), [format!("{start} -p 512 -n 128 -d 0 -b 1 {end}")]);
        let batches = format!("{start} -p 0 -n 64 -d 16 -b 1,4,8,16 {end}");
        assert_eq!(lines(Probe::Batches), [batches]);
        let long = ["-p 8000 -n 0 -d 0 -b 1", "-p 0 -n 64 -d 8000 -b 1"];
        assert_eq!(lines(Probe::Long), long.map(|rows| format!("{start} {rows} {end}")));
    }
}
