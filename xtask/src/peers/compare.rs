//! Russet's figures against those of others, row by row.

use super::contender::Engine;
use super::model::{Format, Name};
use super::probe::{Probe, Quantity};
use super::record::{Record, Run, Spread};
use super::rows::{Against, Bound, ROWS, Row};
use super::schedule::{Case, Neighbour};

/// One row of the comparison on one model.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    pub(super) row: String,
    /// Russet's rate.
    pub(super) ours: Option<f64>,
    /// What it is compared with.
    pub(super) other: Option<Other>,
    pub(super) ratio: Option<f64>,
    pub(super) bound: Bound,
}

/// A rate and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Other {
    pub(super) name: String,
    pub(super) rate: f64,
}

impl Line {
    /// `None` if there is nothing to judge.
    pub(super) fn is_met(&self) -> Option<bool> {
        self.ratio.map(|ratio| self.bound.is_met(ratio))
    }
}

/// The rows that have a target on `model`.
pub(super) fn lines(record: &Record, model: Name) -> Vec<Line> {
    let view = View { record, model };
    ROWS.iter().filter_map(|row| Some(view.line(row, row.bound(model)?))).collect()
}

/// Russet and the fastest peer on one GGUF file, so with the same bits for each weight.
#[derive(Debug, PartialEq)]
pub(super) struct SameFile {
    pub(super) quantity: Quantity,
    pub(super) encoding: String,
    pub(super) ours: f64,
    pub(super) other: Other,
}

/// Every quantity on every file that Russet and a peer read.
pub(super) fn same_file_lines(record: &Record, model: Name) -> Vec<SameFile> {
    let view = View { record, model };
    let rows = ROWS.iter().filter(|row| row.against == Against::BestPeer);
    rows.flat_map(|row| view.same_file(row.quantity)).collect()
}

/// The figures of one model.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) record: &'a Record,
    pub(super) model: Name,
}

/// One contender's rates in one case.
pub(super) struct Figures<'a> {
    pub(super) first: &'a Run,
    /// Of the runs that nobody disturbed, unless all were.
    pub(super) spread: Spread,
    num_runs: usize,
}

impl<'a> Figures<'a> {
    fn new(runs: &[&'a Run], quantity: Quantity) -> Option<Self> {
        let any_quiet = runs.iter().any(|run| !run.is_disturbed());
        let counted = runs.iter().filter(|run| !(any_quiet && run.is_disturbed()));
        let rates = counted.filter_map(|run| run.sample(quantity)).map(|s| s.tokens_per_s);
        let spread = Spread::new(rates.collect())?;
        Some(Self { first: runs[0], spread, num_runs: runs.len() })
    }
}

impl<'a> View<'a> {
    fn line(self, row: &Row, bound: Bound) -> Line {
        let quantity = row.quantity;
        let ours = match row.against {
            Against::OwnOneThread => self.russet(self.beside_busy(), quantity).map(|s| s.min),
            _ => self.russet(self.alone(quantity), quantity).map(|spread| spread.median),
        };
        let other = self.other(row);
        let ratio = match (row.against, quantity) {
            (Against::ReadBandwidth, _) => self.bandwidth_share(),
            // A step makes one token for each sequence.
            (Against::StepOfOne, Quantity::Batch(batch)) => {
                ours.zip(other.as_ref()).map(|(ours, one)| one.rate * batch as f64 / ours)
            }
            _ => ours.zip(other.as_ref()).map(|(ours, other)| ours / other.rate),
        };
        Line { row: row.to_string(), ours, other, ratio, bound }
    }

    fn other(self, row: &Row) -> Option<Other> {
        let own = |name: &str, rate: Option<f64>| {
            rate.map(|rate| Other { name: format!("Russet, {name}"), rate })
        };
        match row.against {
            Against::BestPeer => self.best_peer(row.quantity, |run| run.engine != Engine::Russet),
            Against::LlamaCppQ4_1 => self.best_peer(row.quantity, |run| {
                run.engine == Engine::LlamaCpp && run.encoding == "Q4_1"
            }),
            Against::MlxLm => self.best_peer(row.quantity, |run| run.engine == Engine::MlxLm),
            Against::ReadBandwidth => None,
            Against::StepOfOne => {
                let one = Quantity::Batch(1);
                own("batch 1", self.russet(self.alone(one), one).map(|s| s.median))
            }
            Against::OwnOneThread => {
                let alone = Case { threads: 1, ..self.alone(row.quantity) };
                own("1 thread", self.russet(alone, row.quantity).map(|s| s.min))
            }
        }
    }

    /// Russet's rates with the MLX folder.
    fn russet(self, case: Case, quantity: Quantity) -> Option<Spread> {
        let mut all = self.contenders(case, quantity).into_iter();
        all.find(|figures| figures.first.is_russet_mlx()).map(|figures| figures.spread)
    }

    fn same_file(self, quantity: Quantity) -> Vec<SameFile> {
        let own = self.contenders(self.alone(quantity), quantity).into_iter();
        let own = own.filter(|figures| {
            figures.first.engine == Engine::Russet && figures.first.format == Format::Gguf
        });
        let line = |figures: Figures<'_>| {
            let encoding = &figures.first.encoding;
            let other = self.best_peer(quantity, |run| {
                run.engine != Engine::Russet && run.encoding == *encoding
            })?;
            let ours = figures.spread.median;
            Some(SameFile { quantity, encoding: encoding.clone(), ours, other })
        };
        own.filter_map(line).collect()
    }

    /// The wanted contender with the highest median. One that was not run as often as the others
    /// was far behind, so that its single rate is no match for a median.
    fn best_peer(self, quantity: Quantity, wanted: impl Fn(&Run) -> bool) -> Option<Other> {
        let mut found = self.contenders(self.alone(quantity), quantity);
        found.retain(|figures| wanted(figures.first));
        let most = found.iter().map(|figures| figures.num_runs).max()?;
        found.retain(|figures| 2 * figures.num_runs >= most);
        let by_median =
            |a: &Figures<'_>, b: &Figures<'_>| a.spread.median.total_cmp(&b.spread.median);
        let best = found.into_iter().max_by(by_median)?;
        Some(Other { name: best.first.contender.clone(), rate: best.spread.median })
    }

    /// What Russet's decoding reads, as a share of what plain reading reaches.
    fn bandwidth_share(self) -> Option<f64> {
        let case = self.alone(Quantity::Decode);
        let runs = self.record.in_case(self.model, case);
        let runs = runs.filter(|run| run.is_russet_mlx());
        let shares = runs.filter_map(|run| run.sample(Quantity::Decode)?.bandwidth_share);
        Spread::new(shares.collect()).map(|spread| spread.median)
    }

    /// Every contender, in the order of their first runs.
    pub(super) fn contenders(self, case: Case, quantity: Quantity) -> Vec<Figures<'a>> {
        let mut found: Vec<Vec<&Run>> = Vec::new();
        let runs = self.record.in_case(self.model, case);
        for run in runs.filter(|run| run.sample(quantity).is_some()) {
            match found.iter_mut().find(|runs| runs[0].contender == run.contender) {
                Some(runs) => runs.push(run),
                None => found.push(vec![run]),
            }
        }
        found.iter().filter_map(|runs| Figures::new(runs, quantity)).collect()
    }

    fn alone(self, quantity: Quantity) -> Case {
        let probe = match quantity {
            Quantity::Prefill | Quantity::Decode => Probe::Short,
            Quantity::PrefillLong | Quantity::DecodeDeep => Probe::Long,
            Quantity::Batch(_) => Probe::Batches,
        };
        Case { probe, threads: self.record.threads, neighbour: Neighbour::Nobody }
    }

    fn beside_busy(self) -> Case {
        let threads = self.record.threads;
        Case { probe: Probe::Short, threads, neighbour: Neighbour::Busy }
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::Foreign;
    use super::super::probe::{Kind, Sample};
    use super::super::record::tests::record;
    use super::*;

    const SHORT: Case = Case { probe: Probe::Short, threads: 2, neighbour: Neighbour::Nobody };
    const BATCHES: Case = Case { probe: Probe::Batches, ..SHORT };

    fn run(engine: Engine, encoding: &str, case: Case, rates: &[(Kind, usize, f64)]) -> Run {
        let sample = |&(kind, batch, rate)| case.probe.sample(kind, batch, rate);
        Run {
            model: Name::Synth,
            case,
            round: 1,
            engine,
            format: if encoding == "affine" { Format::Mlx } else { Format::Gguf },
            encoding: encoding.to_owned(),
            contender: format!("{engine} {encoding}"),
            commands: Vec::new(),
            samples: rates.iter().filter_map(sample).collect(),
            seconds: 1.0,
            bandwidth_gb_s: [40.0, 60.0],
            foreign: None,
        }
    }

    fn decode(engine: Engine, encoding: &str, case: Case, rate: f64) -> Run {
        run(engine, encoding, case, &[(Kind::Decode, 1, rate)])
    }

    fn line_of(record: &Record, row: &str) -> Line {
        let found = lines(record, Name::Synth).into_iter().find(|line| line.row == row);
        found.unwrap_or_else(|| panic!("no row {row}"))
    }

    #[test]
    fn medians_are_compared_with_the_best_peer_of_all() {
        let mut runs = Vec::new();
        for (ours, theirs) in [(60.0, 50.0), (66.0, 40.0), (300.0, 60.0)] {
            runs.push(decode(Engine::Russet, "affine", SHORT, ours));
            runs.push(decode(Engine::LlamaCpp, "Q4_1", SHORT, theirs / 2.0));
            runs.push(decode(Engine::LlamaCpp, "Q4_0", SHORT, theirs));
        }
        // A lucky run of a contender that did not get into the later rounds.
        runs.push(decode(Engine::Ik, "Q4_1", SHORT, 500.0));
        let record = record(runs);
        let best = line_of(&record, "decode 128");
        assert_eq!((best.ours, best.ratio), (Some(66.0), Some(66.0 / 50.0)));
        assert_eq!(best.other.as_ref().unwrap().name, "llama.cpp Q4_0");
        assert_eq!(best.is_met(), Some(true));
        let same_type = line_of(&record, "decode 128, against llama.cpp Q4_1");
        assert_eq!((same_type.ratio, same_type.is_met()), (Some(66.0 / 25.0), Some(false)));
        let nobody = line_of(&record, "decode 128, against mlx-lm");
        assert_eq!((nobody.ratio, nobody.is_met()), (None, None));
    }

    #[test]
    fn a_gguf_file_is_compared_with_peers_on_the_same_file() {
        let record = record(vec![
            decode(Engine::Russet, "Q4_0", SHORT, 70.0),
            decode(Engine::Russet, "affine", SHORT, 60.0),
            decode(Engine::Russet, "Q5_K", SHORT, 50.0),
            decode(Engine::Ik, "Q4_0", SHORT, 35.0),
            decode(Engine::LlamaCpp, "Q4_0", SHORT, 30.0),
            decode(Engine::LlamaCpp, "Q4_1", SHORT, 65.0),
        ]);
        let other = Other { name: "ik_llama.cpp Q4_0".to_owned(), rate: 35.0 };
        let encoding = "Q4_0".to_owned();
        let line = SameFile { quantity: Quantity::Decode, encoding, ours: 70.0, other };
        assert_eq!(same_file_lines(&record, Name::Synth), [line]);
        assert_eq!(line_of(&record, "decode 128").ours, Some(60.0), "the MLX folder");
    }

    #[test]
    fn disturbed_runs_count_only_where_there_are_no_others() {
        let run = |rate, busy| {
            let foreign = Some(Foreign { busy, stolen: 0.0 });
            Run { foreign, ..decode(Engine::Russet, "affine", SHORT, rate) }
        };
        let ours = |runs| line_of(&record(runs), "decode 128").ours;
        assert_eq!(ours(vec![run(10.0, 0.5), run(60.0, 0.01), run(11.0, 0.2)]), Some(60.0));
        assert_eq!(ours(vec![run(10.0, 0.5), run(20.0, 0.5)]), Some(15.0));
    }

    #[test]
    fn beside_a_busy_neighbour_the_slowest_runs_are_compared() {
        let busy = Case { neighbour: Neighbour::Busy, ..SHORT };
        let alone = Case { threads: 1, ..SHORT };
        let mut runs: Vec<Run> =
            [30.0, 18.0, 40.0].map(|rate| decode(Engine::Russet, "affine", busy, rate)).into();
        runs.extend([25.0, 20.0, 28.0].map(|rate| decode(Engine::Russet, "affine", alone, rate)));
        runs.push(decode(Engine::Ik, "Q4_0", alone, 90.0));
        let line = line_of(&record(runs), "decode 128, one core busy, against 1 thread");
        assert_eq!((line.ours, line.ratio, line.is_met()), (Some(18.0), Some(0.9), Some(false)));
    }

    #[test]
    fn steps_and_bandwidth_are_compared_with_russet_itself() {
        let rates = [(Kind::Decode, 1, 50.0), (Kind::Decode, 4, 160.0)];
        let batches = run(Engine::Russet, "affine", BATCHES, &rates);
        let mut short = decode(Engine::Russet, "affine", SHORT, 60.0);
        let share = |sample: &mut Sample| sample.bandwidth_share = Some(0.95);
        short.samples.iter_mut().for_each(share);
        let record = record(vec![batches, short]);
        let step = line_of(&record, "decode 64, batch 4, step time of batch 1");
        assert_eq!((step.ratio, step.is_met()), (Some(1.25), Some(true)));
        let bandwidth = line_of(&record, "decode 128, bytes read of bandwidth");
        assert_eq!((bandwidth.ratio, bandwidth.is_met()), (Some(0.95), Some(true)));
    }
}
