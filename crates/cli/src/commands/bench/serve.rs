//! `bench serve`: several servers, asked the same in turn. Arms are resolved, started and asked
//! here; what is measured and reported is `russet_bench`'s.

mod finish;
mod measure;
mod resolve;
mod start;

use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use indicatif::HumanBytes;
use russet_bench::load::{Cancel, OutputLen};
use russet_bench::servers::{Baseline, Launcher, LevelReport, Machine, Report, utc};
use russet_hub::{Hub, Progress};

use crate::commands::serve::one_signal;
use crate::progress::Bar;
use crate::settings::BenchServeSettings;
use crate::{console, machine};
use resolve::Resolved;
use start::Engine;

/// Measures, prints the report, and fails if something is not as it should be.
pub(crate) fn serve(hub: &Hub, settings: &BenchServeSettings) -> Result<()> {
    let planned = settings.planned()?;
    let baseline = settings.baseline()?;
    let arms = settings.arms()?;
    if let Some(baseline) = &baseline {
        let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
        baseline.check(&planned.plan, &names)?;
    }
    if let Some(folder) = &settings.output.out {
        // A report that cannot be kept should not cost the time to measure it.
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let resolved = resolve::all(hub, settings, arms)?;
    // One thread: what sends and times requests should take little from what answers them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = runtime.block_on(benchmark(settings, planned, resolved))?;
    report.notes.extend(baseline.as_ref().map(|baseline| baseline.note(&report)));
    finish::show(&report, &settings.output)?;
    verdict(&report, baseline.as_ref(), settings.output.require_parity)
}

/// Starts what is to be started, asks everybody in turn, and stops what was started.
async fn benchmark(
    settings: &BenchServeSettings,
    planned: crate::settings::Planned,
    mut arms: Vec<Resolved>,
) -> Result<Report> {
    let cancel = Cancel::new();
    tokio::spawn(stop_when_told(cancel.clone()));
    for arm in &mut arms {
        arm.ask_for_the_model(settings.limits()).await?;
    }
    let mut notes = vec![
        "all servers were up at once and were asked in turn: one that waits takes memory, but no \
         processor time unless it waits in a loop"
            .to_owned(),
    ];
    notes.extend(check(&arms, settings.force)?);
    notes.extend(other_notes(&arms, planned.plan.output));
    let (begun, machine) = (utc(SystemTime::now()), facts());
    let engines = start_all(settings, arms, &cancel).await?;
    let measured = measure::all(&engines, &planned, &cancel).await?;
    let level_reports = measured.levels.iter().zip(&measured.footprints);
    let levels = level_reports
        .map(|(level, footprints)| LevelReport::of(level, &planned.plan.reuse, footprints))
        .collect();
    let report = Report {
        russet: env!("CARGO_PKG_VERSION").to_owned(),
        begun,
        is_complete: measured.is_complete,
        machine,
        plan: planned.plan,
        arms: engines.iter().map(|engine| engine.report(&measured.levels)).collect(),
        levels,
        notes,
    };
    start::stop_all(engines);
    Ok(report)
}

/// One after another, so that none slows down the start of another.
async fn start_all(
    settings: &BenchServeSettings,
    arms: Vec<Resolved>,
    cancel: &Cancel,
) -> Result<Vec<Engine>> {
    let mut bar = Bar::default();
    let mut engines = Vec::new();
    for arm in arms {
        bar.begin(&format!("starting {}", arm.spec.name), None);
        let started = Engine::start(arm, settings, cancel).await;
        bar.finish();
        engines.push(started?);
    }
    Ok(engines)
}

/// Refuses what makes no sense, or says what was done by force.
fn check(arms: &[Resolved], force: bool) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let first = &arms[0];
    for arm in arms.iter().skip(1).filter(|arm| !arm.id.is_same_family(&first.id)) {
        let families = format!(
            "`{}` of {} and `{}` of {} are different models, as far as their names tell",
            first.id.family(),
            first.spec.name,
            arm.id.family(),
            arm.spec.name
        );
        if !force {
            bail!("{families}; --force compares them all the same");
        }
        notes.push(format!("{families}; they were compared by force"));
    }
    let needed: u64 = arms.iter().map(|arm| arm.weights_bytes).sum();
    if let Some(free) = machine::available_memory().filter(|free| needed > *free) {
        let (needed, free) = (HumanBytes(needed), HumanBytes(free));
        let sizes = format!("the models of all servers take {needed} together and {free} are free");
        if !force {
            bail!("{sizes}; take smaller ones, or --force starts them all the same");
        }
        notes.push(format!("{sizes}; they were started by force"));
    }
    Ok(notes)
}

/// What is known beforehand of how an arm can be asked.
fn other_notes(arms: &[Resolved], output: OutputLen) -> Vec<String> {
    let mut notes = Vec::new();
    for arm in arms {
        let name = &arm.spec.name;
        match arm.spec.launcher {
            Launcher::MlxLm if matches!(output, OutputLen::Exact(_)) => notes.push(format!(
                "{name} cannot be told an exact length: answers that end sooner are counted"
            )),
            Launcher::Url => notes.push(format!(
                "{name} ran before: it may remember prompts of an earlier run with this --seed, \
                 and what it uses of the machine is not measured"
            )),
            _ => {}
        }
    }
    notes
}

fn facts() -> Machine {
    let logical = std::thread::available_parallelism().map_or(1, Into::into);
    Machine {
        cpu: machine::cpu_name(),
        cores: machine::physical_cores().get(),
        logical_cores: logical,
        memory_bytes: machine::total_memory(),
        os: machine::os_name(),
        arch: std::env::consts::ARCH.to_owned(),
        load_average: machine::load_average(),
    }
}

/// The first signal ends the measurement, the second one everything.
async fn stop_when_told(cancel: Cancel) {
    one_signal().await;
    console::note(format_args!("stopping: what was measured is kept (signal again to end now)"));
    cancel.cancel();
    one_signal().await;
    // The guards of the engines end them.
    std::process::exit(130);
}

/// An error that names everything that is not as it should be.
fn verdict(report: &Report, baseline: Option<&Baseline>, require_parity: bool) -> Result<()> {
    let mut problems = Vec::new();
    let (failed, all) = report.num_failed();
    if failed > 0 {
        problems.push(format!("{failed} of {all} requests failed"));
    }
    let died = report.arms.iter().filter(|arm| arm.died.is_some());
    problems.extend(died.map(|arm| format!("{} ended before it was stopped", arm.name)));
    if require_parity && !report.parity_holds() {
        problems.push("the servers' answers are not all the same".to_owned());
    }
    if !report.is_complete {
        problems.push("it was stopped early".to_owned());
    } else if let Some(baseline) = baseline {
        let regressions = baseline.regressions(report);
        problems.extend(regressions.iter().map(|found| format!("regression: {found}")));
    }
    match problems.is_empty() {
        true => Ok(()),
        false => bail!("{}", problems.join("\n       ")),
    }
}
