//! Settings of the comparison of servers.

mod prompts;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;
use russet_bench::load::{Limits, Load, OutputLen, Prompts};
use russet_bench::servers::{ArmSpec, Baseline, Plan};

use super::super::ProgramSettings;
use prompts::PromptSettings;

/// Concurrency where nothing else is said.
const CLIENTS: [usize; 3] = [1, 4, 8];
/// Requests of a round at a rate.
const REQUESTS_AT_A_RATE: usize = 16;
/// Part of a figure that it may be worse by, in percent.
const TOLERANCE_PERCENT: f64 = 10.0;

/// Settings of `bench serve`.
#[derive(Debug, Args)]
pub(crate) struct BenchServeSettings {
    /// A server: [NAME:]native|llama|mlx-lm=MODEL or [NAME:]url=http://host:port/v1 (repeatable)
    #[arg(long = "arm", value_name = "ARM")]
    arms: Vec<ArmSpec>,
    /// A JSON file with a list of servers, see docs/benchmarks.md
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Threads that engines compute with [default: each engine's own]
    #[arg(short, long, env = "RUSSET_THREADS", value_name = "N", hide_env_values = true)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Compare different models, and start engines that may not fit into memory together
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    load: LoadSettings,
    #[command(flatten)]
    prompts: PromptSettings,
    #[command(flatten)]
    pub(crate) output: ReportSettings,
    #[command(flatten)]
    pub(crate) programs: ProgramSettings,
}

/// How much is asked, and for how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
struct LoadSettings {
    /// Clients at once, each level by itself [default: 1,4,8]
    #[arg(short, long, value_name = "N,..", value_delimiter = ',')]
    concurrency: Vec<NonZeroUsize>,
    /// Requests per second that arrive at random (Poisson), each level by itself
    #[arg(long, value_name = "R,..", value_delimiter = ',')]
    rate: Vec<f64>,
    /// Conversations of a round: for each client, or in all at a rate [default: 1, at a rate 16]
    #[arg(long, value_name = "N")]
    requests: Option<NonZeroUsize>,
    /// Rounds of each level; servers take turns
    #[arg(short, long, visible_alias = "iterations", value_name = "N", default_value = "3")]
    rounds: NonZeroUsize,
    /// Conversations before each round that do not count, as --requests
    #[arg(long, value_name = "N", default_value = "1")]
    warm_up: usize,
    /// Tokens of each answer
    #[arg(short = 'n', long, value_name = "TOKENS", default_value = "64")]
    max_tokens: NonZeroU32,
    /// Let answers end where the model likes
    #[arg(long)]
    natural: bool,
    /// Seconds that an engine may take to start
    #[arg(long, value_name = "SECONDS", default_value = "240")]
    startup_timeout: NonZeroU32,
    /// Seconds that an answer may take
    #[arg(long, value_name = "SECONDS", default_value = "240")]
    request_timeout: NonZeroU32,
}

/// What becomes of the figures.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub(crate) struct ReportSettings {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write report.json, report.csv, report.md and report.html into this folder
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// A report.json of before; what has become worse is an error
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// How much worse than the baseline is still as good [default: 10]
    #[arg(long, value_name = "PERCENT", requires = "baseline")]
    tolerance: Option<f64>,
    /// Fail if the servers' answers are not all the same
    #[arg(long)]
    pub(crate) require_parity: bool,
}

/// What is run, and its description.
pub(crate) struct Planned {
    pub(crate) prompts: Prompts,
    /// Conversations of a round that are measured and that warm up, for each load of the plan.
    pub(crate) conversations: Vec<(NonZeroUsize, usize)>,
    pub(crate) rounds: NonZeroUsize,
    pub(crate) plan: Plan,
}

impl BenchServeSettings {
    /// Everything that was asked for, in that order: the file's after the command line's.
    pub(crate) fn arms(&self) -> Result<Vec<ArmSpec>> {
        let mut arms = self.arms.clone();
        if let Some(path) = &self.spec {
            arms.extend(ArmSpec::read(path)?);
        }
        let num = arms.len();
        ensure!(
            num >= 2,
            "{num} servers were given; a comparison needs at least 2: --arm native=MODEL --arm \
             llama=MODEL, or --spec FILE"
        );
        for (at, arm) in arms.iter().enumerate() {
            let name = &arm.name;
            ensure!(
                arms[..at].iter().all(|other| other.name != *name),
                "two servers are named `{name}`; give them names: --arm NAME:KIND=MODEL"
            );
        }
        Ok(arms)
    }

    /// What is run.
    pub(crate) fn planned(&self) -> Result<Planned> {
        let (prompts, words, reuse) = self.prompts.prompts()?;
        let loads = self.load.loads(self.prompts.seed)?;
        let plan = Plan {
            prompts: words,
            prompts_sha256: prompts.sha256(),
            reuse,
            output: self.load.output(),
            rounds: self.load.rounds.get(),
            loads: loads.clone(),
        };
        let conversations = loads.iter().map(|load| self.load.conversations(load)).collect();
        Ok(Planned { prompts, conversations, rounds: self.load.rounds, plan })
    }

    /// The report of before, read before anything runs.
    pub(crate) fn baseline(&self) -> Result<Option<Baseline>> {
        let tolerance = self.output.tolerance.unwrap_or(TOLERANCE_PERCENT);
        ensure!(
            (0.0..=100.0).contains(&tolerance),
            "--tolerance is {tolerance}; accepted: 0 to 100 percent"
        );
        let read = |path: &PathBuf| Baseline::read(path, tolerance);
        Ok(self.output.baseline.as_ref().map(read).transpose()?)
    }

    /// How long an engine may take to start.
    pub(crate) fn startup_timeout(&self) -> Duration {
        Duration::from_secs(self.load.startup_timeout.get().into())
    }

    /// How long an answer may take.
    pub(crate) fn limits(&self) -> Limits {
        let request_timeout = Duration::from_secs(self.load.request_timeout.get().into());
        Limits { request_timeout, ..Limits::default() }
    }
}

impl LoadSettings {
    fn loads(&self, seed: u64) -> Result<Vec<Load>> {
        let default = || CLIENTS.into_iter().filter_map(NonZeroUsize::new).collect();
        let clients: Vec<NonZeroUsize> = match self.rate.is_empty() {
            true if self.concurrency.is_empty() => default(),
            _ => self.concurrency.clone(),
        };
        if let Some(rate) = self.rate.iter().find(|rate| !(rate.is_finite() && **rate > 0.0)) {
            bail!("--rate is {rate}; accepted: numbers above 0, in requests per second");
        }
        let clients = clients.into_iter().map(Load::Clients);
        let rates = self.rate.iter().map(|&per_s| Load::Rate { per_s, seed });
        let mut loads: Vec<Load> = Vec::new();
        for load in clients.chain(rates) {
            if !loads.contains(&load) {
                loads.push(load);
            }
        }
        Ok(loads)
    }

    /// Measured and for warm-up.
    fn conversations(&self, load: &Load) -> (NonZeroUsize, usize) {
        let one = NonZeroUsize::MIN;
        match load {
            Load::Clients(clients) => {
                let each = self.requests.unwrap_or(one);
                (clients.saturating_mul(each), clients.get().saturating_mul(self.warm_up))
            }
            Load::Rate { .. } => {
                let default = NonZeroUsize::new(REQUESTS_AT_A_RATE).unwrap_or(one);
                (self.requests.unwrap_or(default), self.warm_up)
            }
        }
    }

    fn output(&self) -> OutputLen {
        match self.natural {
            true => OutputLen::AtMost(self.max_tokens),
            false => OutputLen::Exact(self.max_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: BenchServeSettings,
    }

    fn settings(arguments: &[&str]) -> BenchServeSettings {
        Line::parse_from(std::iter::once(&"bench").chain(arguments)).settings
    }

    fn planned(arguments: &[&str]) -> Planned {
        settings(arguments).planned().unwrap()
    }

    fn refused(arguments: &[&str]) -> String {
        settings(arguments).planned().map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_three_levels_and_three_rounds() {
        let planned = planned(&[]);
        let clients = CLIENTS.map(|clients| Load::Clients(NonZeroUsize::new(clients).unwrap()));
        assert_eq!(planned.plan.loads, clients);
        assert_eq!((planned.plan.rounds, planned.conversations[1].0.get()), (3, 4));
        assert_eq!(planned.conversations[2].1, 8);
        assert_eq!(planned.plan.output, OutputLen::Exact(64.try_into().unwrap()));
        assert!(planned.plan.prompts.contains("sky"), "{}", planned.plan.prompts);
    }

    #[test]
    fn rates_take_the_place_of_clients_and_join_those_that_were_asked_for() {
        let rate = |per_s| Load::Rate { per_s, seed: 5 };
        let only = planned(&["--rate", "0.5,2", "--seed", "5"]);
        assert_eq!(only.plan.loads, [rate(0.5), rate(2.0)]);
        assert_eq!(only.conversations[0].0.get(), REQUESTS_AT_A_RATE);
        let both = planned(&["--rate", "2", "-c", "3,3", "--seed", "5", "--requests", "7"]);
        assert_eq!(both.plan.loads.len(), 2);
        assert_eq!((both.conversations[0].0.get(), both.conversations[1].0.get()), (21, 7));
        for wrong in ["0", "inf", "NaN"] {
            assert!(refused(&["--rate", wrong]).contains("above 0"));
        }
    }

    #[test]
    fn what_has_no_effect_on_prompts_is_refused() {
        for (arguments, accepted) in [
            (&["--words", "5"][..], "shared-prefix or multi-turn"),
            (&["--prompts", "fixed", "--turns", "2"][..], "multi-turn"),
            (&["--prompts", "multi-turn", "--prompt", "x"][..], "unique or fixed"),
            (&["--prompt-file", "f", "--prefix-words", "2"][..], "shared-prefix"),
            (&["--prompt-file", "f", "--prompts", "fixed"][..], "exclude"),
        ] {
            let error = refused(arguments);
            assert!(error.contains(accepted), "{arguments:?}: {error}");
        }
        let turns = planned(&["--prompts", "multi-turn", "--turns", "2", "--words", "9"]);
        assert_eq!(turns.prompts.num_turns().get(), 2);
        let natural = planned(&["--natural", "-n", "5"]);
        assert_eq!(natural.plan.output, OutputLen::AtMost(5.try_into().unwrap()));
    }

    #[test]
    fn servers_need_company_and_names_of_their_own() {
        let error = |arguments: &[&str]| settings(arguments).arms().unwrap_err().to_string();
        assert!(error(&["--arm", "native=a"]).contains("at least 2"));
        assert!(error(&["--arm", "native=a", "--arm", "native=b"]).contains("NAME:KIND=MODEL"));
        let arms = settings(&["--arm", "native=a", "--arm", "b:native=a"]).arms().unwrap();
        assert_eq!((arms[0].name.as_str(), arms[1].name.as_str()), ("native", "b"));
    }
}
