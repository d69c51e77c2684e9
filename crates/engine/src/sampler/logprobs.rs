//! Log-probabilities of one position.

use russet_decoder::TokenId;
use russet_kernels::LogitKernels;

use super::{Scratch, most_likely};
use crate::{BadLogits, TokenLogprobs};

/// The log-softmax of a row of logits, as far as it can be asked for.
#[derive(Debug)]
pub(crate) struct Logprobs {
    log_sum: f64,
    top: Vec<usize>,
}

/// `logits` as log-probabilities, with the `num_top` most likely tokens.
///
/// The logits are remembered in `scratch`.
pub(crate) fn logprobs(
    logits: &[f32],
    num_top: usize,
    scratch: &mut Scratch,
) -> Result<Logprobs, BadLogits> {
    let max = most_likely(scratch.kernels, logits)?.value;
    scratch.raw.clear();
    scratch.raw.extend_from_slice(logits);
    scratch.candidates.weigh(logits, max, 1.0);
    let log_sum = f64::from(max) + scratch.candidates.total().ln();
    Ok(Logprobs { log_sum, top: largest(scratch.kernels, logits, num_top) })
}

impl Logprobs {
    /// The report for a chosen token, with the `scratch` that the logits are in.
    pub(crate) fn of(&self, chosen: TokenId, scratch: &Scratch) -> TokenLogprobs {
        let logprob = |id: usize| (f64::from(scratch.raw[id]) - self.log_sum) as f32;
        let chosen = usize::try_from(chosen.0).expect("a usize has at least 32 bits");
        let token = |id: usize| TokenId(u32::try_from(id).expect("ids have 32 bits"));
        let top = self.top.iter().map(|&id| (token(id), logprob(id))).collect();
        TokenLogprobs { chosen: logprob(chosen), top }
    }
}

/// The indices of the `num` largest values, largest first, smaller indices first among equals.
fn largest(kernels: LogitKernels, values: &[f32], num: usize) -> Vec<usize> {
    let mut top: Vec<usize> = Vec::with_capacity(num.min(values.len()) + 1);
    let insert = |top: &mut Vec<usize>, index: usize| {
        let at = top.partition_point(|&other| values[other] >= values[index]);
        top.insert(at, index);
        top.truncate(num);
    };
    let mut seen = num.min(values.len());
    (0..seen).for_each(|index| insert(&mut top, index));
    while let Some(&last) = top.last()
        && let Some(next) = kernels.position_above(&values[seen..], values[last])
    {
        insert(&mut top, seen + next);
        seen += next + 1;
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The report for token 1.
    fn report(logits: &[f32], num_top: usize) -> TokenLogprobs {
        let mut scratch = Scratch::default();
        let logprobs = logprobs(logits, num_top, &mut scratch).unwrap();
        logprobs.of(TokenId(1), &scratch)
    }

    #[test]
    fn the_largest_come_first_and_ties_by_index() {
        let values = [1.0, 3.0, 2.0, 3.0, -1.0, 2.0];
        assert_eq!(largest(LogitKernels::best(), &values, 0), Vec::<usize>::new());
        assert_eq!(largest(LogitKernels::best(), &values, 1), [1]);
        assert_eq!(largest(LogitKernels::best(), &values, 4), [1, 3, 2, 5]);
        assert_eq!(largest(LogitKernels::best(), &values, 9), [1, 3, 2, 5, 0, 4]);
    }

    #[test]
    fn logprobs_are_the_log_softmax() {
        let logits = [0.5_f32, -1.25, 3.0, f32::NEG_INFINITY];
        let report = report(&logits, 2);
        let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        assert!((f64::from(report.chosen) - (-1.25 - sum.ln())).abs() < 1e-6);
        assert_eq!(report.top[0].0, TokenId(2));
        assert!((f64::from(report.top[1].1) - (0.5 - sum.ln())).abs() < 1e-6);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let report = report(&[1e30, 1e30], 1);
        assert!((f64::from(report.chosen) - 0.5_f64.ln()).abs() < 1e-6 || report.chosen == 0.0);
        assert!(report.chosen.is_finite());
    }
}
