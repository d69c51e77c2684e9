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

/// Which contenders take part after the first round, by their places in it: those that are the best
/// of their engine in any quantity, or nearly so. One that gave no figures is out.
pub(super) fn survivors(first: &[(Engine, Vec<Sample>)]) -> Vec<bool> {
    let best = |engine: Engine, quantity: Quantity| {
        let same = first.iter().filter(|entry| entry.0 == engine).flat_map(|entry| &entry.1);
        let rates = same.filter(|sample| sample.quantity == quantity).map(|s| s.tokens_per_s);
        rates.fold(0.0, f64::max)
    };
    let is_near =
        |engine, sample: &Sample| sample.tokens_per_s >= KEPT * best(engine, sample.quantity);
    let survives =
        |(engine, samples): &(Engine, Vec<Sample>)| samples.iter().any(|s| is_near(*engine, s));
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
        let first = [
            (Engine::LlamaCpp, samples(100.0, 50.0)),
            (Engine::LlamaCpp, samples(80.0, 60.0)),
            (Engine::LlamaCpp, samples(80.0, 40.0)),
            (Engine::LlamaCpp, Vec::new()),
            // Slow, but the best of its kind.
            (Engine::MlxLm, samples(1.0, 1.0)),
        ];
        assert_eq!(survivors(&first), [true, true, false, false, true]);
    }

    #[test]
    fn a_hopeless_run_is_spared() {
        let limit = Duration::from_secs(100);
        assert!(may_fit(81.0, limit));
        assert!(!may_fit(79.0, limit));
    }
}
