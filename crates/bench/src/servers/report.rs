//! Everything that a benchmark of servers found. Its serialised form is the JSON report.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, LevelReport};
use crate::load::{Load, OutputLen};

/// Everything that a benchmark of servers found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of Russet that measured.
    pub russet: String,
    /// When it began, in UTC.
    pub begun: String,
    /// Whether everything was run; otherwise somebody stopped it.
    pub is_complete: bool,
    /// Where.
    pub machine: Machine,
    /// What was asked, and how.
    pub plan: Plan,
    /// Who was asked, in the order of the turns; the first is what the others are held against.
    pub arms: Vec<ArmReport>,
    /// What was measured.
    pub levels: Vec<LevelReport>,
    /// What a reader has to know before believing the figures, as was known beforehand.
    pub notes: Vec<String>,
}

/// Facts of the machine. What is `None` the system does not tell.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: Option<String>,
    /// Its physical cores.
    pub cores: usize,
    /// What the system schedules on, hyperthreads among them.
    pub logical_cores: usize,
    /// Memory in all.
    pub memory_bytes: Option<u64>,
    /// The operating system and, where it says so, its version.
    pub os: String,
    /// The instruction set.
    pub arch: String,
    /// Load average of the last minute, when nothing was started yet.
    pub load_average: Option<f64>,
}

/// What was asked, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The prompts in words.
    pub prompts: String,
    /// Digest of what decides them.
    pub prompts_sha256: String,
    /// What prompts have in common, and so what a prefix cache could do.
    pub reuse: String,
    /// How long answers shall be.
    pub output: OutputLen,
    /// How often each level is run on each arm, in turn.
    pub rounds: usize,
    /// The levels.
    pub loads: Vec<Load>,
}

/// One of the servers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ArmReport {
    /// What it is called here.
    pub name: String,
    /// How it was launched.
    pub launcher: String,
    /// What its model is called.
    pub model_id: String,
    /// The model without its form: what makes a comparison one.
    pub family: String,
    /// How its weights are stored, if its name says so.
    pub quantisation: Option<String>,
    /// Where its model is.
    pub model_path: Option<String>,
    /// The model's name in requests.
    pub request_model: String,
    /// The command line; empty for a server that ran already.
    pub command: Vec<String>,
    /// Environment variables that were set for it.
    pub env: BTreeMap<String, String>,
    /// The address that was asked.
    pub base_url: String,
    /// What it says of its version.
    pub version: Option<String>,
    /// From its start until it was ready.
    pub startup_s: Option<f64>,
    /// What counted as ready.
    pub ready_when: String,
    /// The most memory it ever had resident, loading included.
    pub peak_bytes: Option<u64>,
    /// How it ended, if it did so before it was stopped.
    pub died: Option<String>,
}

impl Report {
    /// Reads a JSON report.
    ///
    /// # Errors
    /// [`Error::Report`]
    pub fn read(path: &Path) -> Result<Self, Error> {
        let failed = |problem: String| Error::Report { path: path.to_owned(), problem };
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
    }

    /// Requests that failed, and all.
    pub fn num_failed(&self) -> (usize, usize) {
        let rows = self.levels.iter().flat_map(|level| &level.rows);
        rows.fold((0, 0), |(failed, all), row| {
            let stats = &row.stats;
            (failed + stats.num_requests - stats.num_done, all + stats.num_requests)
        })
    }

    /// Whether all servers gave the same answers, as far as they were asked to.
    pub fn parity_holds(&self) -> bool {
        let rows = self.levels.iter().flat_map(|level| &level.rows);
        rows.filter_map(|row| row.parity.as_ref()).all(crate::load::Parity::holds)
    }
}

impl Plan {
    /// How long answers are, in words.
    pub fn output_text(&self) -> String {
        match self.output {
            OutputLen::Exact(len) => format!("{len} tokens each, whatever the model would like"),
            OutputLen::AtMost(len) => format!("as the model likes, {len} tokens at most"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_report_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let report = sample::report();
        fs::write(&path, serde_json::to_string_pretty(&report).unwrap()).unwrap();
        let read = Report::read(&path).unwrap();
        assert_eq!((&read.arms, &read.plan), (&report.arms, &report.plan));
        assert_eq!((&read.machine, &read.notes), (&report.machine, &report.notes));
        assert_eq!((&read.russet, read.is_complete), (&report.russet, report.is_complete));
        // The last digit of long fractions may differ, so what has such is compared as text.
        assert_eq!(read.text(), report.text());
        let requests = |report: &Report| report.levels[0].rows[1].requests.clone();
        assert_eq!(requests(&read), requests(&report));
        fs::write(&path, "{}").unwrap();
        let error = Report::read(&path).unwrap_err().to_string();
        assert!(error.contains("report.json") && error.contains("russet"), "{error}");
        assert!(Report::read(&folder.path().join("none")).is_err());
    }

    #[test]
    fn failures_and_parity_are_those_of_all_rows() {
        let report = sample::report();
        assert_eq!(report.num_failed(), (1, 8));
        assert!(!report.parity_holds());
    }
}
