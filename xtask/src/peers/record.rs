//! Everything that was measured, as it is kept.

use std::collections::BTreeMap;

use serde::Serialize;

use super::contender::Engine;
use super::machine::{Foreign, Machine};
use super::model::{Format, Name};
use super::probe::{Quantity, Sample};
use super::schedule::Case;

/// One comparison.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    pub(super) date: String,
    pub(super) machine: Machine,
    /// The checkout that this ran in, as git describes it.
    pub(super) commit: Option<String>,
    /// What each engine says of itself.
    pub(super) versions: BTreeMap<Engine, String>,
    pub(super) threads: usize,
    pub(super) rounds: usize,
    pub(super) runs: Vec<Run>,
    pub(super) omissions: Vec<Omission>,
}

/// One run of one contender.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    pub(super) model: Name,
    #[serde(flatten)]
    pub(super) case: Case,
    /// Counted from 1.
    pub(super) round: usize,
    pub(super) engine: Engine,
    pub(super) format: Format,
    pub(super) encoding: String,
    /// Engine, encoding and switches.
    pub(super) contender: String,
    /// What was run, in order.
    pub(super) commands: Vec<String>,
    pub(super) samples: Vec<Sample>,
    pub(super) seconds: f64,
    /// 10⁹ bytes a second that plain reading reached right before and right after.
    pub(super) bandwidth_gb_s: [f64; 2],
    pub(super) foreign: Option<Foreign>,
}

/// What was not measured, and why.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Omission {
    pub(super) what: String,
    pub(super) why: String,
}

/// The middle and the ends of some rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) len: usize,
}

impl Spread {
    /// `None` of nothing.
    pub(super) fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let len = values.len();
        let median = f64::midpoint(values[(len - 1) / 2], values[len / 2]);
        Some(Self { median, min, max, len })
    }
}

impl Record {
    /// The runs on `model` in `case`.
    pub(super) fn in_case(&self, model: Name, case: Case) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.model == model && run.case == case)
    }
}

/// More processor time of others than this during a run makes its figures doubtful.
pub(super) const DISTURBED: f64 = 0.05;

impl Run {
    /// The share of all processor time that others used; 0 if it is not known.
    pub(super) fn disturbance(&self) -> f64 {
        self.foreign.map_or(0.0, |foreign| foreign.busy)
    }

    pub(super) fn is_russet_mlx(&self) -> bool {
        self.engine == Engine::Russet && self.format == Format::Mlx
    }

    pub(super) fn is_disturbed(&self) -> bool {
        self.disturbance() > DISTURBED
    }

    pub(super) fn sample(&self, quantity: Quantity) -> Option<&Sample> {
        self.samples.iter().find(|sample| sample.quantity == quantity)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record of `runs` with two threads.
    pub(in super::super) fn record(runs: Vec<Run>) -> Record {
        let cpu = "AMD EPYC (family 25, model 17)".to_owned();
        let machine = Machine { cpu, cores: 2, memory_gb: Some(25), kernel: "6.1".to_owned() };
        Record {
            date: "2026-11-21".to_owned(),
            machine,
            commit: Some("abc1234".to_owned()),
            versions: BTreeMap::from([(Engine::Russet, "0.1.0".to_owned())]),
            threads: 2,
            rounds: 3,
            runs,
            omissions: Vec::new(),
        }
    }

    #[test]
    fn an_even_number_of_rates_has_its_median_between_two() {
        assert_eq!(Spread::new(Vec::new()), None);
        let spread = Spread::new(vec![8.0, 1.0, 2.0, 4.0]).unwrap();
        assert_eq!(spread, Spread { median: 3.0, min: 1.0, max: 8.0, len: 4 });
        assert_eq!(Spread::new(vec![8.0, 1.0, 2.0]).unwrap().median, 2.0);
    }
}
