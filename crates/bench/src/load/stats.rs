//! The figures of a level.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::LevelRun;
use super::record::{Outcome, Record};

/// The figures of a level. What is `None` no answer showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests with an outcome.
    pub num_requests: usize,
    /// Those whose answer came to its end; all figures but the failures are theirs.
    pub num_done: usize,
    /// How many failed, by [`Fault::kind`](super::Fault::kind).
    pub failures: BTreeMap<String, usize>,
    /// How many of the warm-up failed, by the same.
    pub warm_up_failures: BTreeMap<String, usize>,
    /// Completed requests whose tokens the server did not count.
    pub num_uncounted: usize,
    /// Completed requests with fewer tokens than the exact length asked for.
    pub num_short: usize,
    /// Time to the first chunk with text.
    pub ttft_ms: Option<Summary>,
    /// Mean time between two tokens of a request.
    pub inter_token_ms: Option<Summary>,
    /// Time to the end of the answer.
    pub total_ms: Option<Summary>,
    /// Tokens per second of a request, from its first chunk to its last.
    pub decode_tok_s: Option<Summary>,
    /// Tokens per second of a request, from when it was due to its end.
    pub overall_tok_s: Option<Summary>,
    /// Tokens of all completed requests per second, run by run; runs in which some were not counted
    /// have no such figure.
    pub batch_tok_s: Option<Summary>,
    /// Tokens of a prompt.
    pub prompt_tokens: Option<Summary>,
    /// Tokens of a prompt that came from a cache, of the requests for which the server says so.
    pub cached_tokens: Option<Summary>,
    /// Tokens of an answer.
    pub completion_tokens: Option<Summary>,
    /// What the load generator itself was late by.
    pub lag_ms: Option<Summary>,
}

/// Some values in short. Percentiles are values that occurred (nearest rank).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// The smallest that at least half of all do not exceed.
    pub p50: f64,
    /// The smallest that at least 95 % do not exceed.
    pub p95: f64,
    /// The smallest that at least 99 % do not exceed.
    pub p99: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl Stats {
    /// Of what was measured in one run of a level.
    pub fn of(run: &LevelRun) -> Self {
        Self::of_runs(std::slice::from_ref(run))
    }

    /// Of what was measured in some runs of a level.
    pub fn of_runs(runs: &[LevelRun]) -> Self {
        let all = || runs.iter().flat_map(|run| &run.measured);
        let outcomes = || all().map(|measured| &measured.outcome);
        let done: Vec<&Record> = outcomes().filter_map(Outcome::record).collect();
        let each = |value: &dyn Fn(&Record) -> Option<f64>| {
            Summary::of(done.iter().filter_map(|record| value(record)).collect())
        };
        let count = |value: &dyn Fn(&Record) -> Option<u64>| {
            each(&|record| value(record).map(|count| count as f64))
        };
        let warm_up = runs.iter().flat_map(|run| &run.warm_up).map(|measured| &measured.outcome);
        Self {
            num_requests: all().count(),
            num_done: done.len(),
            failures: failures(outcomes()),
            warm_up_failures: failures(warm_up),
            num_uncounted: done.iter().filter(|record| record.tokens().is_none()).count(),
            num_short: done.iter().filter(|record| record.is_short).count(),
            ttft_ms: each(&|record| record.ttft().map(ms)),
            inter_token_ms: each(&|record| record.inter_token().map(ms)),
            total_ms: each(&|record| Some(ms(record.total))),
            decode_tok_s: each(&Record::decode_tok_s),
            overall_tok_s: each(&Record::overall_tok_s),
            batch_tok_s: Summary::of(runs.iter().filter_map(batch_tok_s).collect()),
            prompt_tokens: count(&|record| record.usage?.prompt_tokens),
            cached_tokens: count(&|record| record.usage?.cached_tokens),
            completion_tokens: count(&Record::tokens),
            lag_ms: each(&|record| Some(ms(record.lag))),
        }
    }
}

impl Summary {
    /// `None` of no values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let percentile = |percent: usize| values[(values.len() * percent).div_ceil(100) - 1];
        Some(Self {
            n: values.len(),
            mean: values.iter().sum::<f64>() / values.len() as f64,
            p50: percentile(50),
            p95: percentile(95),
            p99: percentile(99),
            min,
            max,
        })
    }
}

/// `None` if nothing was completed, or something that was not counted.
fn batch_tok_s(run: &LevelRun) -> Option<f64> {
    let done = || run.measured.iter().filter_map(|measured| measured.outcome.record());
    let tokens: u64 = done().map(Record::tokens).sum::<Option<u64>>()?;
    let seconds = run.wall.as_secs_f64();
    (done().next().is_some() && seconds > 0.0).then_some(tokens as f64 / seconds)
}

fn failures<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for failure in outcomes.filter_map(Outcome::failure) {
        *counts.entry(failure.fault.kind().to_owned()).or_default() += 1;
    }
    counts
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::super::{Ended, Failure, Fault, Measured, Usage};
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_nearest_rank() {
        let summary = Summary::of((1..=200).rev().map(f64::from).collect()).unwrap();
        assert_eq!((summary.p50, summary.p95, summary.p99), (100.0, 190.0, 198.0));
        assert_eq!((summary.n, summary.min, summary.max, summary.mean), (200, 1.0, 200.0, 100.5));
        let few = Summary::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((few.p50, few.p95, few.p99), (2.0, 3.0, 3.0));
        let one = Summary::of(vec![7.0]).unwrap();
        assert_eq!((one.p50, one.p99, one.mean, one.n), (7.0, 7.0, 7.0, 1));
        assert_eq!(Summary::of(vec![]), None);
    }

    fn done(chunks_ms: &[u64], total_ms: u64, usage: Option<Usage>) -> Outcome {
        Outcome::Done(Record {
            lag: Duration::from_millis(1),
            chunks: chunks_ms.iter().map(|&ms| Duration::from_millis(ms)).collect(),
            total: Duration::from_millis(total_ms),
            finish_reason: None,
            fingerprint: None,
            usage,
            is_short: usage.is_some_and(|usage| usage.completion_tokens < Some(11)),
            text: String::new(),
            reasoning: String::new(),
            tool_calls: String::new(),
        })
    }

    fn failed(fault: Fault) -> Outcome {
        Outcome::Failed(Failure { fault, after: Duration::from_secs(9), num_chunks: 1 })
    }

    fn tokens(completion: u64, cached: Option<u64>) -> Option<Usage> {
        let (prompt_tokens, completion_tokens) = (Some(5), Some(completion));
        Some(Usage { prompt_tokens, completion_tokens, cached_tokens: cached })
    }

    fn run(outcomes: Vec<Outcome>) -> LevelRun {
        let measured = |(request, outcome)| {
            let due = Duration::ZERO;
            Measured { request, due, outcome, input_sha256: None }
        };
        LevelRun {
            warm_up: Vec::new(),
            measured: outcomes.into_iter().enumerate().map(measured).collect(),
            wall: Duration::from_secs(2),
            ended: Ended::Complete,
            inputs_sha256: String::new(),
        }
    }

    #[test]
    fn figures_are_those_of_completed_requests_and_failures_are_counted() {
        let refused = || failed(Fault::Status { code: 503, message: "busy".to_owned() });
        let mut run = run(vec![
            done(&[100, 600], 1000, tokens(11, Some(4))),
            refused(),
            done(&[300, 400], 500, tokens(3, None)),
            failed(Fault::Unfinished),
            refused(),
        ]);
        run.warm_up = vec![run.measured[3].clone()];
        let stats = Stats::of(&run);
        assert_eq!((stats.num_requests, stats.num_done, stats.num_short), (5, 2, 1));
        let counts = |counts: &[(&str, usize)]| -> BTreeMap<String, usize> {
            counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
        };
        assert_eq!(stats.failures, counts(&[("status", 2), ("unfinished", 1)]));
        assert_eq!(stats.warm_up_failures, counts(&[("unfinished", 1)]));
        let mean = |summary: Option<Summary>| summary.unwrap().mean;
        assert_eq!((mean(stats.ttft_ms), mean(stats.total_ms)), (200.0, 750.0));
        assert_eq!(mean(stats.inter_token_ms), 50.0);
        assert_eq!((mean(stats.decode_tok_s), mean(stats.overall_tok_s)), (20.0, 8.5));
        assert_eq!(mean(stats.batch_tok_s), 7.0);
        assert_eq!((mean(stats.prompt_tokens), mean(stats.completion_tokens)), (5.0, 7.0));
        assert_eq!((mean(stats.cached_tokens), stats.cached_tokens.unwrap().n), (4.0, 1));
        assert_eq!((mean(stats.lag_ms), stats.num_uncounted), (1.0, 0));
    }

    #[test]
    fn several_runs_are_summed_up_as_one_and_batches_run_by_run() {
        let one = |ms| run(vec![done(&[ms, 2 * ms], 3 * ms, tokens(10, None)); 2]);
        let fast = LevelRun { wall: Duration::from_secs(1), ..one(200) };
        let stats = Stats::of_runs(&[one(100), fast]);
        assert_eq!((stats.num_requests, stats.num_done), (4, 4));
        assert_eq!(stats.ttft_ms.unwrap().mean, 150.0);
        let batch = stats.batch_tok_s.unwrap();
        assert_eq!((batch.n, batch.min, batch.max), (2, 10.0, 20.0));
        let uncounted = run(vec![done(&[1, 2], 3, None)]);
        assert_eq!(Stats::of_runs(&[one(100), uncounted]).batch_tok_s.unwrap().n, 1);
    }

    #[test]
    fn tokens_that_were_not_counted_are_not_taken_for_none() {
        let both = [done(&[1, 2], 3, tokens(11, None)), done(&[1, 2], 3, None)];
        let stats = Stats::of(&run(both.to_vec()));
        assert_eq!((stats.num_uncounted, stats.batch_tok_s), (1, None));
        assert_eq!(stats.decode_tok_s.unwrap().n, 1);
        assert_eq!(stats.ttft_ms.unwrap().n, 2);
        let nothing = Stats::of(&run(vec![failed(Fault::Unfinished)]));
        assert_eq!((nothing.batch_tok_s, nothing.ttft_ms), (None, None));
    }
}
