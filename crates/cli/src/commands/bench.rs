//! `bench`: how fast a model computes on this machine, and servers on any.

#[cfg(unix)]
pub(crate) mod serve;

use std::num::NonZeroUsize;

use anyhow::Result;
use clap::ValueEnum;
use indicatif::{BinaryBytes, HumanCount};
use russet_bench::{Bench, Row, Settings, Stage, Table, Test};
use russet_decoder::{Decoder, Model};
use russet_device_cpu::CpuDevice;
use russet_hub::{Hub, Progress};
use serde::Serialize;

use crate::opened::{self, Opened};
use crate::progress::Bar;
use crate::settings::{BenchModelSettings, ComputeSettings, KvChoice, PrecisionChoice};
use crate::{console, machine, matrices};

/// Prints tokens per second of prefill and decode, row by row or as JSON.
pub(crate) fn model(hub: &Hub, settings: &BenchModelSettings) -> Result<()> {
    let opened = opened::open(hub, &settings.model)?;
    let tests = settings.grid().tests();
    let table = (!settings.json).then(|| Table::new(&tests));
    let mut report: Option<Report> = None;
    for compute in settings.computes() {
        let mut decoder = opened.load(&compute)?;
        let report = match &mut report {
            Some(report) => report,
            none => none.insert(Report::begin(&opened, &decoder, settings, table.as_ref())?),
        };
        let measured = measured(&opened, &decoder, settings, &compute)?;
        measure(Bench::new(&mut decoder, &tests, measured)?, &tests, table.as_ref(), report)?;
    }
    if settings.json {
        console::line(format_args!("{}", serde_json::to_string_pretty(&report)?))?;
    }
    Ok(())
}

/// Runs `tests` and prints each as it is done.
fn measure(
    mut bench: Bench<'_>,
    tests: &[Test],
    table: Option<&Table>,
    report: &mut Report,
) -> Result<()> {
    let mut bar = Bar::default();
    for test in tests {
        let row = bench.run(test, &mut |stage| show(&mut bar, test, stage))?;
        bar.finish();
        if let Some(table) = table {
            console::line(format_args!("{}", table.row(&row)))?;
        }
        report.rows.push(row);
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    russet: &'static str,
    model: String,
    path: String,
    weights_bytes: usize,
    parameters: u64,
    cpu: Option<String>,
    isa: &'static str,
    precision: PrecisionChoice,
    kv_type: KvChoice,
    prefill_chunk: NonZeroUsize,
    rows: Vec<Row>,
}

impl Report {
    /// Of no rows yet; prints what stands above `table`.
    fn begin(
        opened: &Opened,
        decoder: &Decoder<CpuDevice>,
        settings: &BenchModelSettings,
        table: Option<&Table>,
    ) -> Result<Self> {
        let kernels = &settings.kernels;
        let report = Self {
            russet: env!("CARGO_PKG_VERSION"),
            model: opened.name.clone(),
            path: opened.path.display().to_string(),
            weights_bytes: decoder.info().weights_bytes,
            parameters: opened.checkpoint.num_parameters(),
            cpu: machine::cpu_name(),
            isa: russet_kernels::select(kernels.isa)?.name(),
            precision: kernels.precision(),
            kv_type: kernels.kv_type(),
            prefill_chunk: kernels.prefill_chunk(),
            rows: Vec::new(),
        };
        if let Some(table) = table {
            report.print_facts()?;
            console::line(format_args!("{}", table.heading()))?;
        }
        Ok(report)
    }

    /// What the table does not say.
    fn print_facts(&self) -> Result<()> {
        let parameters = HumanCount(self.parameters);
        let weights = BinaryBytes(self.weights_bytes as u64);
        let cpu = self.cpu.as_deref().unwrap_or(std::env::consts::ARCH);
        let (precision, kv_type) = (word(&self.precision), word(&self.kv_type));
        console::line(format_args!("{}: {parameters} parameters, {weights}", self.model))?;
        let isa = self.isa;
        console::line(format_args!("{cpu}, {isa}; precision {precision}, KV cache {kv_type}\n"))?;
        Ok(())
    }
}

/// A choice as the command line spells it.
fn word(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// How the rows are measured.
fn measured(
    opened: &Opened,
    decoder: &Decoder<CpuDevice>,
    settings: &BenchModelSettings,
    compute: &ComputeSettings,
) -> Result<Settings> {
    let longest = compute.kernels.context.map_or(usize::MAX, NonZeroUsize::get);
    Ok(Settings {
        prefill_chunk: compute.kernels.prefill_chunk(),
        repetitions: NonZeroUsize::try_from(usize::from(settings.repetitions))?,
        context_len: decoder.info().context_len.min(longest),
        threads: opened::cpu_options(compute).threads,
        free_bytes: machine::available_memory().map(usize::try_from).transpose()?,
        costs: matrices::costs(&opened.checkpoint, decoder.spec())?,
    })
}

fn show(bar: &mut Bar, test: &Test, stage: Stage) {
    let stage = match stage {
        Stage::Context => "filling the cache".to_owned(),
        Stage::WarmUp => "warming up".to_owned(),
        Stage::Repetition(i) => format!("repetition {}", i + 1),
    };
    bar.begin(&format!("{test}: {stage}"), None);
}
