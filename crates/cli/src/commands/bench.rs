//! `bench`: how fast a model computes on this machine.

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
    let mut decoder = opened.load(&settings.compute)?;
    let mut report = Report::new(&opened, &decoder, &settings.compute)?;
    let tests = settings.grid().tests();
    let measured = measured(&opened, &decoder, settings)?;
    let mut bench = Bench::new(&mut decoder, &tests, measured)?;
    let table = (!settings.json).then(|| Table::new(&tests, report.threads));
    if let Some(table) = &table {
        report.print_facts()?;
        console::line(format_args!("{}", table.heading()))?;
    }
    let mut bar = Bar::default();
    for test in &tests {
        let row = bench.run(test, &mut |stage| show(&mut bar, test, stage))?;
        bar.finish();
        if let Some(table) = &table {
            console::line(format_args!("{}", table.row(&row)))?;
        }
        report.rows.push(row);
    }
    if settings.json {
        console::line(format_args!("{}", serde_json::to_string_pretty(&report)?))?;
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
    threads: NonZeroUsize,
    precision: PrecisionChoice,
    kv_type: KvChoice,
    prefill_chunk: NonZeroUsize,
    rows: Vec<Row>,
}

impl Report {
    fn new(
        opened: &Opened,
        decoder: &Decoder<CpuDevice>,
        compute: &ComputeSettings,
    ) -> Result<Self> {
        Ok(Self {
            russet: env!("CARGO_PKG_VERSION"),
            model: opened.name.clone(),
            path: opened.path.display().to_string(),
            weights_bytes: decoder.info().weights_bytes,
            parameters: opened.checkpoint.num_parameters(),
            cpu: machine::cpu_name(),
            isa: russet_kernels::select(compute.isa)?.name(),
            threads: opened::cpu_options(compute).threads,
            precision: compute.precision,
            kv_type: opened::kv_choice(compute),
            prefill_chunk: compute.prefill_chunk,
            rows: Vec::new(),
        })
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
) -> Result<Settings> {
    let compute = &settings.compute;
    let longest = compute.context.map_or(usize::MAX, NonZeroUsize::get);
    Ok(Settings {
        prefill_chunk: compute.prefill_chunk,
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
