//! Log-probabilities of one position.

use russet_decoder::TokenId;

use crate::TokenLogprobs;

/// The log-softmax of a row of logits, as far as it can be asked for.
#[derive(Debug)]
pub(crate) struct Logprobs {
    logits: Vec<f32>,
    log_sum: f64,
    top: Vec<usize>,
}

/// `logits` as log-probabilities, with the `num_top` most likely tokens.
pub(crate) fn logprobs(logits: &[f32], num_top: usize) -> Logprobs {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from((logit - max).exp())).sum();
    let log_sum = f64::from(max) + sum.ln();
    Logprobs { logits: logits.to_vec(), log_sum, top: largest(logits, num_top) }
}

impl Logprobs {
    /// The report for a chosen token.
    pub(crate) fn of(&self, chosen: TokenId) -> TokenLogprobs {
        let logprob = |id: usize| (f64::from(self.logits[id]) - self.log_sum) as f32;
        let chosen = usize::try_from(chosen.0).expect("a usize has at least 32 bits");
        let token = |id: usize| TokenId(u32::try_from(id).expect("ids have 32 bits"));
        let top = self.top.iter().map(|&id| (token(id), logprob(id))).collect();
        TokenLogprobs { chosen: logprob(chosen), top }
    }
}

/// The indices of the `num` largest values, largest first, smaller indices first among equals.
fn largest(values: &[f32], num: usize) -> Vec<usize> {
    let mut top: Vec<usize> = Vec::with_capacity(num.min(values.len()) + 1);
    for (index, value) in values.iter().enumerate() {
        let full = top.len() == num;
        if full && top.last().is_none_or(|&last| *value <= values[last]) {
            continue;
        }
        let at = top.partition_point(|&other| values[other] >= *value);
        top.insert(at, index);
        top.truncate(num);
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_ties_by_index() {
        let values = [1.0, 3.0, 2.0, 3.0, -1.0, 2.0];
        assert_eq!(largest(&values, 0), Vec::<usize>::new());
        assert_eq!(largest(&values, 1), [1]);
        assert_eq!(largest(&values, 4), [1, 3, 2, 5]);
        assert_eq!(largest(&values, 9), [1, 3, 2, 5, 0, 4]);
    }

    #[test]
    fn logprobs_are_the_log_softmax() {
        let logits = [0.5_f32, -1.25, 3.0, f32::NEG_INFINITY];
        let report = logprobs(&logits, 2).of(TokenId(1));
        let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        assert!((f64::from(report.chosen) - (-1.25 - sum.ln())).abs() < 1e-6);
        assert_eq!(report.top[0].0, TokenId(2));
        assert!((f64::from(report.top[1].1) - (0.5 - sum.ln())).abs() < 1e-6);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let report = logprobs(&[1e30, 1e30], 1).of(TokenId(1));
        assert!((f64::from(report.chosen) - 0.5_f64.ln()).abs() < 1e-6 || report.chosen == 0.0);
        assert!(report.chosen.is_finite());
    }
}
