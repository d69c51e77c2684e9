//! What is run, in which order, and who takes part in the later rounds.

use std::time::Duration;

use serde::Serialize;

use super::contender::Engine;
use super::probe::{LONG_PROMPT, Probe, Quantity, Sample};

/// What else runs on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Neighbour {
    Nobody,
    /// One process that never waits, on one core.
    Busy,
}

/// One situation in which all contenders are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Case {
    pub(super) probe: Probe,
    pub(super) threads: usize,
    pub(super) neighbour: Neighbour,
}

/// The parts of the comparison, as the command line chooses among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// A prompt of 512 and 128 tokens from nothing
    Short,
    /// 1, 4, 8 and 16 sequences
    Batches,
    /// A prompt of 8000 and 64 tokens after it
    Long,
    /// The short part beside a busy process, and with one thread
    Busy,
}

/// The situations of the `parts` in the order of [`Part`]. What a contender did in the short one
/// decides whether the long one would end in time.
pub(super) fn cases(parts: &[Part], threads: usize) -> Vec<Case> {
    let case = |probe, threads, neighbour| Case { probe, threads, neighbour };
    let mut cases = Vec::new();
    for (part, probe) in
        [(Part::Short, Probe::Short), (Part::Batches, Probe::Batches), (Part::Long, Probe::Long)]
    {
        if parts.contains(&part) {
            cases.push(case(probe, threads, Neighbour::Nobody));
        }
    }
    // One thread has a whole core left.
    if parts.contains(&Part::Busy) && threads > 1 {
        cases.push(case(Probe::Short, threads, Neighbour::Busy));
        cases.push(case(Probe::Short, 1, Neighbour::Nobody));
    }
    cases
}

/// A contender further behind the best of its engine than this is not run again.
const KEPT: f64 = 0.85;

/// How a contender did in the first round.
#[derive(Clone, Debug)]
pub(super) struct First {
    pub(super) engine: Engine,
    /// Empty if it failed.
    pub(super) samples: Vec<Sample>,
    /// Whether others used so much of the machine that its figures mean little.
    pub(super) disturbed: bool,
}

/// Which contenders take part after the first round, by their places in it: those that are the best
/// of their engine in any quantity, or nearly so. One that was disturbed gets another chance, one
/// that failed does not. Russet is compared with each of its files.
pub(super) fn survivors(first: &[First]) -> Vec<bool> {
    let best = |engine: Engine, quantity: Quantity| {
        let same = first.iter().filter(|entry| entry.engine == engine);
        let samples = same.flat_map(|entry| &entry.samples);
        let rates = samples.filter(|sample| sample.quantity == quantity).map(|s| s.tokens_per_s);
        rates.fold(0.0, f64::max)
    };
    let survives = |entry: &First| {
        entry.samples.iter().any(|sample| {
            let bar = KEPT * best(entry.engine, sample.quantity);
            entry.engine == Engine::Russet || entry.disturbed || sample.tokens_per_s >= bar
        })
    };
    first.iter().map(survives).collect()
}

/// Whether a contender that reads `PROMPT` tokens at `prefill_rate` can read a long prompt within
/// `limit`. Long prompts are slower, so this only spares runs that are sure to be stopped.
pub(super) fn may_fit(prefill_rate: f64, limit: Duration) -> bool {
    LONG_PROMPT as f64 / prefill_rate < limit.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::super::probe::Kind;
    use super::*;

    fn samples(prefill: f64, decode: f64) -> Vec<Sample> {
        let both = [(Kind::Prefill, prefill), (Kind::Decode, decode)];
        both.iter().filter_map(|&(kind, rate)| Probe::Short.sample(kind, 1, rate)).collect()
    }

    #[test]
    fn the_short_part_comes_before_what_depends_on_it() {
        let order = |parts: &[Part], threads| -> Vec<String> {
            let name =
                |case: &Case| format!("{} {} {:?}", case.probe, case.threads, case.neighbour);
            cases(parts, threads).iter().map(name).collect()
        };
        let all = [Part::Busy, Part::Long, Part::Batches, Part::Short];
        let expected = [
            "short 2 Nobody",
            "batches 2 Nobody",
            "long 2 Nobody",
            "short 2 Busy",
            "short 1 Nobody",
        ];
        assert_eq!(order(&all, 2), expected);
        assert_eq!(order(&all, 1), ["short 1 Nobody", "batches 1 Nobody", "long 1 Nobody"]);
        assert_eq!(order(&[Part::Long], 2), ["long 2 Nobody"]);
    }

    #[test]
    fn each_engine_keeps_its_best_at_anything() {
        let first = |engine, samples, disturbed| First { engine, samples, disturbed };
        let round = [
            first(Engine::LlamaCpp, samples(100.0, 50.0), false),
            first(Engine::LlamaCpp, samples(80.0, 60.0), false),
            first(Engine::LlamaCpp, samples(80.0, 40.0), false),
            first(Engine::LlamaCpp, samples(10.0, 4.0), true),
            first(Engine::LlamaCpp, Vec::new(), false),
            // Slow, but the best of its kind.
            first(Engine::MlxLm, samples(1.0, 1.0), false),
            first(Engine::Russet, samples(90.0, 90.0), false),
            first(Engine::Russet, samples(40.0, 40.0), false),
            first(Engine::Russet, Vec::new(), false),
        ];
        let expected = [true, true, false, true, false, true, true, true, false];
        assert_eq!(survivors(&round), expected);
    }

    #[test]
    fn a_hopeless_run_is_spared() {
        let limit = Duration::from_secs(100);
        assert!(may_fit(81.0, limit));
        assert!(!may_fit(79.0, limit));
    }
}
