//! The rows of the comparison and the ratio each has to reach, in one table.

use std::fmt;

use super::model::Name;
use super::probe::Quantity;

/// One line of the comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) quantity: Quantity,
    pub(super) against: Against,
    starter: Option<Bound>,
    synth: Option<Bound>,
}

/// What Russet's figure is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// The fastest peer with any 4-bit type and any switches.
    BestPeer,
    /// llama.cpp on the same numbers as Russet's.
    LlamaCppQ4_1,
    /// mlx-lm on the same folder.
    MlxLm,
    /// Plain reading of memory, measured by Russet beside its decoding.
    ReadBandwidth,
    /// The time of a step is divided by that of a step with one sequence.
    StepOfOne,
    /// Russet beside a busy process divided by Russet alone with one thread, each at its slowest.
    OwnOneThread,
}

/// What a ratio has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Ratios at least as high, for the starter and for synth-1b.
const fn row(quantity: Quantity, against: Against, starter: f64, synth: f64) -> Row {
    let (starter, synth) = (Some(Bound::AtLeast(starter)), Some(Bound::AtLeast(synth)));
    Row { quantity, against, starter, synth }
}

/// A bound on synth-1b, where memory decides.
const fn synth_row(quantity: Quantity, against: Against, bound: Bound) -> Row {
    Row { quantity, against, starter: None, synth: Some(bound) }
}

/// Every row with its targets.
pub(super) const ROWS: [Row; 14] = [
    row(Quantity::Decode, Against::BestPeer, 1.5, 1.1),
    synth_row(Quantity::Decode, Against::ReadBandwidth, Bound::AtLeast(0.9)),
    row(Quantity::DecodeDeep, Against::BestPeer, 2.0, 1.5),
    row(Quantity::Batch(4), Against::BestPeer, 1.7, 1.5),
    row(Quantity::Batch(8), Against::BestPeer, 1.7, 1.35),
    row(Quantity::Batch(16), Against::BestPeer, 1.7, 1.2),
    synth_row(Quantity::Batch(4), Against::StepOfOne, Bound::AtMost(1.3)),
    row(Quantity::Prefill, Against::BestPeer, 1.35, 1.3),
    row(Quantity::PrefillLong, Against::BestPeer, 1.2, 1.2),
    row(Quantity::Decode, Against::OwnOneThread, 1.0, 1.0),
    row(Quantity::Prefill, Against::OwnOneThread, 1.0, 1.0),
    row(Quantity::Decode, Against::LlamaCppQ4_1, 3.0, 3.0),
    row(Quantity::Prefill, Against::LlamaCppQ4_1, 7.0, 7.0),
    row(Quantity::Decode, Against::MlxLm, 50.0, 50.0),
];

impl Row {
    pub(super) fn bound(&self, model: Name) -> Option<Bound> {
        match model {
            Name::Starter => self.starter,
            Name::Synth => self.synth,
        }
    }
}

impl Bound {
    pub(super) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantity = self.quantity;
        match self.against {
            Against::BestPeer => write!(f, "{quantity}"),
            Against::LlamaCppQ4_1 => write!(f, "{quantity}, against llama.cpp Q4_1"),
            Against::MlxLm => write!(f, "{quantity}, against mlx-lm"),
            Against::ReadBandwidth => write!(f, "{quantity}, bytes read of bandwidth"),
            Against::StepOfOne => write!(f, "{quantity}, step time of batch 1"),
            Against::OwnOneThread => write!(f, "{quantity}, one core busy, against 1 thread"),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}
