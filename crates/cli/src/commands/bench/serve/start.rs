//! Engines that run for the time of a benchmark: started one by one, never started again.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use russet_backends::Launcher as Program;
use russet_backends::process::{Guard, Process, Spec, State, Timing, WhenEnded};
use russet_bench::load::{Arm, Cancel, Client, ComparedLevel, ExactField};
use russet_bench::servers::{ArmReport, Launcher, Meter, version};

use super::resolve::Resolved;
use crate::settings::BenchServeSettings;

/// How often engines that start are looked at: the error of their time to start.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_millis(20);

/// A server that can be asked.
pub(super) struct Engine {
    pub(super) client: Client,
    /// None for a server that ran already.
    process: Option<Process>,
    /// What is known of it so far.
    report: ArmReport,
}

impl Engine {
    /// Starts what is to be started and waits until it is ready.
    pub(super) async fn start(
        arm: Resolved,
        settings: &BenchServeSettings,
        cancel: &Cancel,
    ) -> Result<Self> {
        let name = arm.spec.name.clone();
        let mut report = ArmReport {
            name: name.clone(),
            launcher: arm.spec.launcher.name().to_owned(),
            model_id: arm.id.to_string(),
            family: arm.id.family(),
            quantisation: arm.id.quantisation.clone(),
            model_path: arm.path.as_ref().map(|path| path.display().to_string()),
            ..ArmReport::default()
        };
        let process = match &arm.spec.url {
            Some(url) => {
                report.base_url.clone_from(url);
                None
            }
            None => {
                let started = run(&arm, settings, cancel, &mut report).await;
                Some(started.with_context(|| format!("the arm `{name}` did not start"))?)
            }
        };
        let limits = settings.limits();
        report.request_model = arm.model_in_requests(&report.base_url, limits).await?;
        let mut asked = Arm::new(&name, &report.base_url, &report.request_model);
        asked.limits = limits;
        if arm.spec.launcher != Launcher::MlxLm {
            asked.exact_fields = vec![ExactField::IgnoreEos];
        }
        Ok(Self { client: Client::new(asked)?, process, report })
    }

    pub(super) fn name(&self) -> &str {
        &self.report.name
    }

    /// The process group of the engine while it runs.
    pub(super) fn group(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::group)
    }

    /// What is known of it after the measurement, before it is stopped.
    pub(super) fn report(&self, levels: &[ComparedLevel]) -> ArmReport {
        let runs =
            levels.iter().flat_map(|level| &level.arms).filter(|arm| arm.name == self.name());
        let died = self.process.as_ref().and_then(|process| match process.state() {
            State::Failed(failure) => Some(failure.to_string()),
            _ => None,
        });
        ArmReport {
            version: runs.map(version).find_map(|version| version),
            peak_bytes: self.group().and_then(Meter::peak_since_start),
            died,
            ..self.report.clone()
        }
    }
}

/// Stops all at once and waits for their ends.
pub(super) fn stop_all(engines: Vec<Engine>) {
    let processes: Vec<Process> = engines.into_iter().filter_map(|engine| engine.process).collect();
    processes.iter().for_each(Process::request_stop);
}

/// Starts the engine; notes in `report` how.
async fn run(
    arm: &Resolved,
    settings: &BenchServeSettings,
    cancel: &Cancel,
    report: &mut ArmReport,
) -> Result<Process> {
    let port = match arm.spec.port {
        Some(port) => port,
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
    };
    let Some((program, arguments)) = arm.command(port) else { bail!("there is nothing to start") };
    let words = arguments.iter().map(|word| word.to_string_lossy().into_owned());
    report.command = words_of(&program).into_iter().chain(words).collect();
    let env = arm.env(port);
    let (health, ready_when) = arm.health();
    report.ready_when = ready_when;
    report.base_url = format!("http://127.0.0.1:{port}/v1");
    let mut spec = Spec::new(Guard::of_this_program()?, program, move |_| arguments.clone());
    spec.env = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    report.env = env.into_iter().collect();
    spec.port = Some(port);
    spec.health = health;
    spec.when_ended = WhenEnded::GiveUp;
    spec.timing = Timing {
        start_timeout: settings.startup_timeout(),
        poll_first: LOOK_FIRST,
        poll_max: LOOK_MAX,
        ..Timing::default()
    };
    let begin = Instant::now();
    let process = Process::spawn(spec)?;
    tokio::select! {
        ready = process.ready() => ready?,
        () = cancel.cancelled() => bail!("it was stopped before it was ready"),
    };
    report.startup_s = Some(begin.elapsed().as_secs_f64());
    Ok(process)
}

fn words_of(program: &Program) -> Vec<String> {
    let first = program.program.display().to_string();
    std::iter::once(first).chain(program.arguments.iter().cloned()).collect()
}
