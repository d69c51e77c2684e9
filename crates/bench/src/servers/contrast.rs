//! One arm held against the first, and whether what differs is more than noise.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{METRICS, Metric, Row};

/// With two rounds each, one in three comparisons of equal arms would come out as apart.
const LEAST_ROUNDS: usize = 3;

/// One figure of an arm held against the first arm's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// The arm.
    pub arm: String,
    /// The first arm.
    pub reference: String,
    /// The figure's name.
    pub metric: String,
    /// The arm's median as a part of the reference's.
    pub ratio: f64,
    /// Lowest and highest of the arm's rounds.
    pub range: [f64; 2],
    /// Lowest and highest of the reference's rounds.
    pub reference_range: [f64; 2],
    /// What that says.
    pub verdict: Verdict,
}

/// Whether a difference is more than noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every round of the one is above every round of the other.
    Apart,
    /// The rounds overlap.
    WithinNoise,
    /// With fewer than three rounds each there is no telling.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Apart => "apart",
            Self::WithinNoise => "within noise",
            Self::Unknown => "too few rounds to tell",
        })
    }
}

impl fmt::Display for Contrast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.2} ({})", self.metric, self.ratio, self.verdict)
    }
}

impl Contrast {
    /// Every figure that both rows have.
    pub(super) fn all(reference: &Row, row: &Row) -> Vec<Self> {
        METRICS.iter().filter_map(|metric| Self::of(metric, reference, row)).collect()
    }

    fn of(metric: &Metric, reference: &Row, row: &Row) -> Option<Self> {
        let before = metric.median(&reference.stats).filter(|median| *median > 0.0)?;
        let ratio = metric.median(&row.stats)? / before;
        let (theirs, ours) = (rounds(metric, reference), rounds(metric, row));
        let (reference_range, range) = (range(&theirs)?, range(&ours)?);
        let verdict = if theirs.len().min(ours.len()) < LEAST_ROUNDS {
            Verdict::Unknown
        } else if range[0] > reference_range[1] || reference_range[0] > range[1] {
            Verdict::Apart
        } else {
            Verdict::WithinNoise
        };
        Some(Self {
            arm: row.arm.clone(),
            reference: reference.arm.clone(),
            metric: metric.name.to_owned(),
            ratio,
            range,
            reference_range,
            verdict,
        })
    }
}

/// The median of each round that has one.
pub(super) fn rounds(metric: &Metric, row: &Row) -> Vec<f64> {
    row.rounds.iter().filter_map(|stats| metric.median(stats)).collect()
}

/// The lowest and the highest.
pub(super) fn range(values: &[f64]) -> Option<[f64; 2]> {
    let min = values.iter().copied().reduce(f64::min)?;
    Some([min, values.iter().copied().reduce(f64::max)?])
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::load::{Stats, Summary};

    /// A row whose rounds had these times to the first token.
    fn row(arm: &str, ttft_ms: &[f64]) -> Row {
        let of = |values: &[f64]| {
            let ttft_ms = Summary::of(values.to_vec());
            Stats { ttft_ms, ..sample::nothing() }
        };
        let mut row = sample::report().levels.remove(0).rows.remove(0);
        row.arm = arm.to_owned();
        row.stats = of(ttft_ms);
        row.rounds = ttft_ms.iter().map(|ms| of(&[*ms])).collect();
        row
    }

    fn verdict(reference: &[f64], other: &[f64]) -> Verdict {
        let contrasts = Contrast::all(&row("a", reference), &row("b", other));
        let [contrast] = contrasts.as_slice() else { panic!("{contrasts:?}") };
        contrast.verdict
    }

    #[test]
    fn rounds_that_overlap_are_within_noise() {
        assert_eq!(verdict(&[10.0, 12.0, 11.0], &[11.9, 14.0, 13.0]), Verdict::WithinNoise);
        assert_eq!(verdict(&[10.0, 12.0, 11.0], &[12.1, 14.0, 13.0]), Verdict::Apart);
        assert_eq!(verdict(&[10.0, 12.0, 11.0], &[9.0, 8.0, 9.5]), Verdict::Apart);
        assert_eq!(verdict(&[10.0, 20.0, 15.0], &[12.0, 13.0, 12.5]), Verdict::WithinNoise);
        assert_eq!(verdict(&[10.0], &[20.0]), Verdict::Unknown);
        assert_eq!(verdict(&[10.0, 11.0, 12.0], &[20.0, 21.0]), Verdict::Unknown);
    }

    #[test]
    fn a_contrast_says_what_how_much_and_how_sure() {
        let (a, b) = (row("a", &[10.0, 10.0, 20.0]), row("b", &[30.0, 30.0, 40.0]));
        let contrasts = Contrast::all(&a, &b);
        assert_eq!((contrasts[0].ratio, contrasts[0].range), (3.0, [30.0, 40.0]));
        assert_eq!(contrasts[0].to_string(), "ttft_ms 3.00 (apart)");
    }

    #[test]
    fn what_one_side_lacks_is_not_compared() {
        let nothing = Row { stats: sample::nothing(), rounds: Vec::new(), ..row("b", &[1.0]) };
        assert!(Contrast::all(&row("a", &[1.0]), &nothing).is_empty());
        assert!(Contrast::all(&nothing, &row("a", &[1.0])).is_empty());
    }
}
