//! The figures that servers are compared by: the one list of them.

use crate::load::{Stats, Summary};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Times.
    Lower,
    /// Speeds.
    Higher,
}

/// One figure.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name in files.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Where it is found.
    pub of: fn(&Stats) -> Option<Summary>,
}

impl Metric {
    /// The figure that stands for the others: half are not above it.
    pub fn median(&self, stats: &Stats) -> Option<f64> {
        (self.of)(stats).map(|summary| summary.p50)
    }

    /// Its unit.
    pub fn unit(&self) -> &'static str {
        match self.better {
            Better::Lower => "ms",
            Better::Higher => "tok/s",
        }
    }
}

const fn metric(
    name: &'static str,
    title: &'static str,
    better: Better,
    of: fn(&Stats) -> Option<Summary>,
) -> Metric {
    Metric { name, title, better, of }
}

/// All figures. Units end their names.
pub const METRICS: [Metric; 6] = [
    metric("ttft_ms", "time to first token", Better::Lower, |stats| stats.ttft_ms),
    metric("inter_token_ms", "time between tokens", Better::Lower, |stats| stats.inter_token_ms),
    metric("total_ms", "whole request", Better::Lower, |stats| stats.total_ms),
    metric("decode_tok_s", "decode speed of a request", Better::Higher, |stats| stats.decode_tok_s),
    metric("overall_tok_s", "overall speed of a request", Better::Higher, |stats| {
        stats.overall_tok_s
    }),
    metric("batch_tok_s", "speed of all requests together", Better::Higher, |stats| {
        stats.batch_tok_s
    }),
];
