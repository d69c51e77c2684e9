//! Runs the contenders in alternation and writes down what happens around each run.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::bandwidth::Bandwidth;
use super::contender::{Contender, Engine, Invocation, Output};
use super::execute::{self, BusyProcess, Failure};
use super::machine::Ticks;
use super::model::Name;
use super::probe::{Probe, Quantity, Sample};
use super::record::{DISTURBED, Omission, Run};
use super::schedule::{self, Case, First, Neighbour};

/// How often a run is repeated that others disturbed.
const ATTEMPTS: usize = 3;

/// How long others must have done nothing.
const QUIET: Duration = Duration::from_secs(1);

/// A comparison in progress.
pub(super) struct Session {
    pub(super) bandwidth: Bandwidth,
    pub(super) limit: Duration,
    /// How long to wait before a run for others to have done.
    pub(super) patience: Duration,
    pub(super) rounds: usize,
    pub(super) runs: Vec<Run>,
    pub(super) omissions: Vec<Omission>,
    pub(super) versions: BTreeMap<Engine, String>,
}

impl Session {
    /// All rounds of the cases on one model.
    pub(super) fn run_model(&mut self, model: Name, contenders: &[Contender], cases: &[Case]) {
        let mut good: Vec<&Contender> = contenders.iter().collect();
        for &case in cases {
            let is_first = case.probe == Probe::Short && case == cases[0];
            // How an engine does with several sequences is another question.
            let taking_part = match case.probe {
                Probe::Batches => contenders.iter().collect(),
                _ => good.clone(),
            };
            let survivors = self.run_case(model, taking_part, case);
            if is_first {
                good = survivors;
            }
        }
    }

    /// All rounds of one case: A B C, A B C, ... with those that are worth it from the second on,
    /// which are returned.
    fn run_case<'a>(
        &mut self,
        model: Name,
        mut taking_part: Vec<&'a Contender>,
        case: Case,
    ) -> Vec<&'a Contender> {
        taking_part.retain(|contender| self.may_finish(model, contender, case));
        for round in 1..=self.rounds {
            let run = |contender: &&Contender| self.run_one(model, contender, (case, round));
            let results: Vec<First> = taking_part.iter().map(run).collect();
            if round == 1 {
                let mut survive = schedule::survivors(&results).into_iter();
                taking_part.retain(|_| survive.next().unwrap_or(false));
            }
        }
        taking_part
    }

    /// Keeps the least disturbed of some attempts.
    fn run_one(
        &mut self,
        model: Name,
        contender: &Contender,
        (case, round): (Case, usize),
    ) -> First {
        let label = label(model, contender, case);
        let mut best: Option<Run> = None;
        for _ in 0..ATTEMPTS {
            eprint!("{round}/{} {label}: ", self.rounds);
            match self.attempt(model, contender, (case, round)) {
                Ok(run) => {
                    eprintln!("{}", progress(&run));
                    if best.as_ref().is_none_or(|best| run.disturbance() < best.disturbance()) {
                        best = Some(run);
                    }
                }
                Err(failure) => {
                    eprintln!("{failure}");
                    self.omit(label.clone(), failure.to_string());
                    break;
                }
            }
            if best.as_ref().is_some_and(|best| !best.is_disturbed()) {
                break;
            }
        }
        let first = First {
            engine: contender.engine,
            samples: best.as_ref().map(|run| run.samples.clone()).unwrap_or_default(),
            disturbed: best.as_ref().is_some_and(Run::is_disturbed),
        };
        self.runs.extend(best);
        first
    }

    fn attempt(
        &mut self,
        model: Name,
        contender: &Contender,
        (case, round): (Case, usize),
    ) -> Result<Run, Failure> {
        let commands = (contender.commands)(case.probe, case.threads);
        wait_for_quiet(self.patience);
        let before = self.bandwidth.measure();
        let (ticks, start) = (Ticks::now(), Instant::now());
        let output = self.figures(&commands, case);
        let seconds = start.elapsed().as_secs_f64();
        let foreign = Ticks::now().zip(ticks).and_then(|(now, then)| now.foreign_since(then));
        let after = self.bandwidth.measure();
        let Output { version, samples } = output?;
        if let Some(version) = version {
            self.versions.entry(contender.engine).or_insert(version);
        }
        Ok(Run {
            model,
            case,
            round,
            engine: contender.engine,
            format: contender.format,
            encoding: contender.encoding.clone(),
            contender: contender.to_string(),
            commands: commands.iter().map(Invocation::shown).collect(),
            samples,
            seconds,
            bandwidth_gb_s: [before, after],
            foreign,
        })
    }

    /// What the processes of one run print, put together.
    fn figures(&self, commands: &[Invocation], case: Case) -> Result<Output, Failure> {
        let _busy = match case.neighbour {
            Neighbour::Nobody => None,
            Neighbour::Busy => Some(BusyProcess::start()?),
        };
        let mut all = Output::default();
        for command in commands {
            let output = execute::run(command, case.probe, self.limit)?;
            all.version = all.version.or(output.version);
            all.samples.extend(output.samples);
        }
        Ok(all)
    }

    /// Whether the contender can do this at all, and can be expected to do it in time.
    fn may_finish(&mut self, model: Name, contender: &Contender, case: Case) -> bool {
        let why = if (contender.commands)(case.probe, case.threads).is_empty() {
            "it takes no part in this, or its program for it is missing".to_owned()
        } else if case.probe == Probe::Long && !self.may_fit(model, contender) {
            format!("from the short part, it would take over {} s", self.limit.as_secs())
        } else {
            return true;
        };
        self.omit(label(model, contender, case), why);
        false
    }

    fn may_fit(&self, model: Name, contender: &Contender) -> bool {
        let name = contender.to_string();
        let own = self.runs.iter().filter(|run| run.model == model && run.contender == name);
        let rates = own.filter_map(|run| run.sample(Quantity::Prefill)).map(|s| s.tokens_per_s);
        rates.reduce(f64::max).is_none_or(|rate| schedule::may_fit(rate, self.limit))
    }

    fn omit(&mut self, what: String, why: String) {
        self.omissions.push(Omission { what, why });
    }
}

/// Waits until others use hardly any processor time, at most `patience`.
fn wait_for_quiet(patience: Duration) {
    let start = Instant::now();
    while start.elapsed() < patience {
        let before = Ticks::now();
        thread::sleep(QUIET);
        let foreign = Ticks::now().zip(before).and_then(|(now, then)| now.foreign_since(then));
        if foreign.is_none_or(|foreign| foreign.busy <= DISTURBED) {
            return;
        }
    }
}

fn label(model: Name, contender: &Contender, case: Case) -> String {
    let Case { probe, threads, neighbour } = case;
    let beside = if neighbour == Neighbour::Busy { ", one core busy" } else { "" };
    format!("{model}, {probe}, -t {threads}{beside}, {contender}")
}

fn progress(run: &Run) -> String {
    let rate = |sample: &Sample| format!("{} {:.1}", sample.quantity, sample.tokens_per_s);
    let rates: Vec<String> = run.samples.iter().map(rate).collect();
    let [before, after] = run.bandwidth_gb_s;
    let around = format!("{before:.0} and {after:.0} GB/s");
    let others = 100.0 * run.disturbance();
    format!("{} ({:.1} s; {around}, others {others:.0} %)", rates.join(", "), run.seconds)
}
