//! What was measured of one level of load.

use serde::{Deserialize, Serialize};

use super::request_report::RequestReport;
use super::{Contrast, Footprint};
use crate::load::{ComparedArm, ComparedLevel, Load, Parity, Record, Stats};

/// What was measured of one level of load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelReport {
    /// The load.
    pub load: Load,
    /// Requests of a round that are measured.
    pub requests_per_round: usize,
    /// Requests before them, under the same load.
    pub warm_up_per_round: usize,
    /// One for each arm, in their order.
    pub rows: Vec<Row>,
    /// Each arm but the first held against the first.
    pub contrasts: Vec<Contrast>,
}

/// One arm under one load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The arm's name.
    pub arm: String,
    /// What prompts have in common and how much of them came from a cache, in words.
    pub prefix_cache: String,
    /// The figures of all rounds together.
    pub stats: Stats,
    /// The figures of each round.
    pub rounds: Vec<Stats>,
    /// What the arm's processes used, warm-up included.
    pub footprint: Option<Footprint>,
    /// Its answers beside those of the first arm.
    pub parity: Option<Parity>,
    /// Digest of each round's inputs.
    pub inputs_sha256: Vec<String>,
    /// Every measured request.
    pub requests: Vec<RequestReport>,
}

impl LevelReport {
    /// The figures of a level. `reuse` says what prompts have in common, `footprints` what each arm
    /// used.
    pub fn of(compared: &ComparedLevel, reuse: &str, footprints: &[Option<Footprint>]) -> Self {
        let footprints = footprints.iter().copied().chain(std::iter::repeat(None));
        let rows: Vec<Row> = compared
            .arms
            .iter()
            .zip(footprints)
            .map(|(arm, used)| Row::of(arm, reuse, used))
            .collect();
        let contrasts = rows.iter().skip(1).flat_map(|row| Contrast::all(&rows[0], row)).collect();
        Self {
            load: compared.level.load,
            requests_per_round: compared.level.requests.get(),
            warm_up_per_round: compared.level.warm_up,
            rows,
            contrasts,
        }
    }

    /// The load for people.
    pub fn title(&self) -> String {
        title(&self.load)
    }
}

/// A load for people.
pub(super) fn title(load: &Load) -> String {
    match load {
        Load::Clients(clients) if clients.get() == 1 => "1 client".to_owned(),
        Load::Clients(clients) => format!("{clients} clients"),
        Load::Rate { per_s, .. } => format!("{per_s} requests/s"),
    }
}

impl Row {
    fn of(arm: &ComparedArm, reuse: &str, footprint: Option<Footprint>) -> Self {
        let stats = Stats::of_runs(&arm.runs);
        let rounds = arm.runs.iter().enumerate();
        let requests = rounds.flat_map(|(round, run)| {
            run.measured.iter().map(move |measured| RequestReport::of(round, measured))
        });
        Self {
            arm: arm.name.clone(),
            prefix_cache: format!("{reuse}; {}", cached(&stats)),
            rounds: arm.runs.iter().map(Stats::of).collect(),
            footprint,
            parity: arm.parity.clone(),
            inputs_sha256: arm.runs.iter().map(|run| run.inputs_sha256.clone()).collect(),
            requests: requests.collect(),
            stats,
        }
    }

    /// Measured requests that failed.
    pub fn num_failed(&self) -> usize {
        self.stats.num_requests - self.stats.num_done
    }
}

/// What the server says of its cache.
fn cached(stats: &Stats) -> String {
    match (stats.cached_tokens, stats.prompt_tokens) {
        (Some(cached), Some(prompt)) => {
            format!("{:.0} of {:.0} prompt tokens were cached", cached.mean, prompt.mean)
        }
        _ => "the server does not say what was cached".to_owned(),
    }
}

/// What the server of an arm says of its version.
pub fn version(arm: &ComparedArm) -> Option<String> {
    let mut records = arm.runs.iter().flat_map(|run| &run.measured);
    records.find_map(|measured| measured.outcome.record().and_then(fingerprint))
}

fn fingerprint(record: &Record) -> Option<String> {
    record.fingerprint.clone().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_row_says_what_was_cached_or_that_nobody_says() {
        let report = sample::report();
        let rows = &report.levels[0].rows;
        assert_eq!(
            rows[0].prefix_cache,
            "no prompt comes twice; 3 of 40 prompt tokens were cached"
        );
        let silent = "no prompt comes twice; the server does not say what was cached";
        assert_eq!(rows[1].prefix_cache, silent);
    }

    #[test]
    fn a_level_has_all_rounds_and_requests_failures_among_them() {
        let report = sample::report();
        let level = &report.levels[0];
        assert_eq!((level.title().as_str(), level.rows.len()), ("2 clients", 2));
        let row = &level.rows[1];
        assert_eq!((row.rounds.len(), row.requests.len(), row.num_failed()), (2, 4, 1));
        assert_eq!(row.requests.iter().filter(|request| request.error.is_some()).count(), 1);
        assert_eq!(row.inputs_sha256, level.rows[0].inputs_sha256);
        assert_eq!(row.footprint, None);
        assert_eq!(version(&sample::compared(2).arms[0]).as_deref(), Some("v1"));
        assert_eq!(version(&sample::compared(2).arms[1]), None);
    }

    #[test]
    fn loads_are_named() {
        let rate = Load::Rate { per_s: 2.5, seed: 0 };
        assert_eq!(title(&rate), "2.5 requests/s");
        assert_eq!(title(&Load::Clients(std::num::NonZeroUsize::MIN)), "1 client");
    }
}
