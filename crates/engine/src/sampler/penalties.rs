//! Penalties for tokens that were seen already.

use std::collections::HashMap;

use russet_decoder::TokenId;

use crate::SamplingParams;

/// How often each token was seen, and what that costs it.
#[derive(Debug)]
pub(crate) struct Penalties {
    repetition: f32,
    presence: f32,
    frequency: f32,
    /// Times generated, for every token of prompt and output; empty if nothing is penalised.
    counts: HashMap<TokenId, u32>,
}

impl Penalties {
    pub(crate) fn new(params: &SamplingParams, prompt: &[TokenId]) -> Self {
        let penalties = Self {
            repetition: params.repetition_penalty,
            presence: params.presence_penalty,
            frequency: params.frequency_penalty,
            counts: HashMap::new(),
        };
        let counts = if penalties.is_off() {
            HashMap::new()
        } else {
            prompt.iter().map(|&token| (token, 0)).collect()
        };
        Self { counts, ..penalties }
    }

    /// Changes the logits of seen tokens: repetition first, then presence and frequency.
    pub(crate) fn apply(&self, logits: &mut [f32]) {
        for (token, &count) in &self.counts {
            let logit = usize::try_from(token.0).ok().and_then(|id| logits.get_mut(id));
            let Some(logit) = logit else { continue };
            if *logit > 0.0 {
                *logit /= self.repetition;
            } else {
                *logit *= self.repetition;
            }
            if count > 0 {
                *logit -= self.presence + self.frequency * count as f32;
            }
        }
    }

    /// Records a generated token.
    pub(crate) fn count(&mut self, token: TokenId) {
        if !self.is_off() {
            *self.counts.entry(token).or_default() += 1;
        }
    }

    fn is_off(&self) -> bool {
        self.repetition == 1.0 && self.presence == 0.0 && self.frequency == 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn penalised(params: &SamplingParams, prompt: &[u32], output: &[u32]) -> Vec<f32> {
        let prompt: Vec<TokenId> = prompt.iter().copied().map(TokenId).collect();
        let mut penalties = Penalties::new(params, &prompt);
        output.iter().for_each(|&token| penalties.count(TokenId(token)));
        let mut logits = vec![2.0, -2.0, 1.0, 0.0];
        penalties.apply(&mut logits);
        logits
    }

    #[test]
    fn repetition_is_aware_of_the_sign_and_of_the_prompt() {
        let params = SamplingParams { repetition_penalty: 2.0, ..SamplingParams::default() };
        assert_eq!(penalised(&params, &[0, 1], &[]), [1.0, -4.0, 1.0, 0.0]);
        assert_eq!(penalised(&params, &[1], &[2, 2]), [2.0, -4.0, 0.5, 0.0]);
    }

    #[test]
    fn presence_and_frequency_count_the_output_only() {
        let presence = SamplingParams { presence_penalty: 0.5, ..SamplingParams::default() };
        assert_eq!(penalised(&presence, &[0], &[2, 2, 3]), [2.0, -2.0, 0.5, -0.5]);
        let frequency = SamplingParams { frequency_penalty: 0.5, ..SamplingParams::default() };
        assert_eq!(penalised(&frequency, &[0], &[2, 2, 3]), [2.0, -2.0, 0.0, -0.5]);
    }

    #[test]
    fn nothing_is_counted_when_nothing_is_penalised() {
        let mut penalties = Penalties::new(&SamplingParams::default(), &[TokenId(1)]);
        penalties.count(TokenId(2));
        assert!(penalties.counts.is_empty());
    }
}
