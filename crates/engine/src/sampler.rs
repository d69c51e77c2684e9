//! Choosing a token from the logits of one position.

mod cut;
mod draw;
mod logprobs;
mod penalties;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use russet_decoder::TokenId;
use russet_kernels::{Largest, LogitKernels};

use self::draw::Candidates;
use self::logprobs::logprobs;
use self::penalties::Penalties;
use crate::{BadLogits, Request, SamplingParams, StopRule, SubmitError, TokenLogprobs};

/// Chooses the tokens of one sequence.
#[derive(Debug)]
pub(crate) struct Sampler {
    params: SamplingParams,
    stop: Vec<TokenId>,
    min_tokens: usize,
    num_top_logprobs: Option<usize>,
    penalties: Penalties,
}

/// What sampling works with; sequences share it.
#[derive(Debug)]
pub(crate) struct Scratch {
    kernels: LogitKernels,
    candidates: Candidates,
    /// The logits as the model gave them, where log-probabilities are asked for.
    raw: Vec<f32>,
}

/// A chosen token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: TokenId,
    /// Whether it ends the sequence.
    pub(crate) is_stop: bool,
    pub(crate) logprobs: Option<TokenLogprobs>,
}

impl Sampler {
    pub(crate) fn new(request: &Request) -> Self {
        let (stop, min_tokens) = match &request.stop {
            StopRule::Tokens { stop, min_tokens } => (stop.clone(), *min_tokens),
            StopRule::Never => (Vec::new(), 0),
        };
        Self {
            penalties: Penalties::new(&request.sampling, &request.prompt),
            params: request.sampling.clone(),
            stop,
            min_tokens,
            num_top_logprobs: request.logprobs,
        }
    }

    /// Chooses token `index` of the output, from 0. `logits`, one per token of the vocabulary, are
    /// changed in place.
    pub(crate) fn sample(
        &mut self,
        logits: &mut [f32],
        index: usize,
        scratch: &mut Scratch,
    ) -> Result<Choice, BadLogits> {
        let report = self.num_top_logprobs.map(|num_top| logprobs(logits, num_top, scratch));
        let report = report.transpose()?;
        for &(token, bias) in &self.params.logit_bias {
            add(logits, token, bias);
        }
        self.penalties.apply(logits);
        if index < self.min_tokens {
            self.stop.iter().for_each(|&token| add(logits, token, f32::NEG_INFINITY));
        }
        let best = most_likely(scratch.kernels, logits)?;
        let token = TokenId(if self.params.temperature == 0.0 {
            u32::try_from(best.index).expect("a vocabulary has fewer than 2^32 tokens")
        } else {
            let uniform = uniform(self.params.seed, index);
            scratch.candidates.draw(logits, best.value, &self.params, uniform)
        });
        self.penalties.count(token);
        let is_stop = self.stop.contains(&token);
        Ok(Choice { token, is_stop, logprobs: report.map(|report| report.of(token, scratch)) })
    }
}

impl Default for Scratch {
    fn default() -> Self {
        let kernels = LogitKernels::best();
        Self { kernels, candidates: Candidates::new(kernels), raw: Vec::new() }
    }
}

impl SamplingParams {
    /// Refuses parameters outside their ranges.
    pub(crate) fn check(&self) -> Result<(), SubmitError> {
        let refuse = |name, value, accepted| Err(SubmitError::Sampling { name, value, accepted });
        let share = |value: f32| (0.0..=1.0).contains(&value);
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refuse("temperature", self.temperature, "a finite number of 0 or more");
        }
        if !share(self.top_p) {
            return refuse("top_p", self.top_p, "between 0 and 1");
        }
        if !share(self.min_p) {
            return refuse("min_p", self.min_p, "between 0 and 1");
        }
        // Beyond this range logits overflow, which would look like a fault of the model.
        if !(0.001..=1000.0).contains(&self.repetition_penalty) {
            return refuse("repetition_penalty", self.repetition_penalty, "between 0.001 and 1000");
        }
        let finite = [
            ("presence_penalty", self.presence_penalty),
            ("frequency_penalty", self.frequency_penalty),
        ];
        let biases = self.logit_bias.iter().map(|(_, bias)| ("logit_bias", *bias));
        match finite.into_iter().chain(biases).find(|(_, value)| !value.is_finite()) {
            Some((name, value)) => refuse(name, value, "a finite number"),
            None => Ok(()),
        }
    }
}

/// A number in `0 .. 1` that depends on the seed and the index only.
fn uniform(seed: Option<u64>, index: usize) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed.unwrap_or_default());
    random.set_stream(u64::try_from(index).expect("a usize has at most 64 bits"));
    // The 53 high bits, which an f64 holds exactly.
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn add(logits: &mut [f32], token: TokenId, value: f32) {
    let logit = usize::try_from(token.0).ok().and_then(|id| logits.get_mut(id));
    if let Some(logit) = logit {
        *logit += value;
    }
}

/// The first of the largest logits.
fn most_likely(kernels: LogitKernels, logits: &[f32]) -> Result<Largest, BadLogits> {
    match kernels.argmax(logits) {
        Largest { has_nan: true, .. } => Err(BadLogits::Nan),
        Largest { value: f32::INFINITY, .. } => Err(BadLogits::Infinite),
        Largest { value: f32::NEG_INFINITY, .. } => Err(BadLogits::Empty),
        largest => Ok(largest),
    }
}

#[cfg(test)]
#[path = "sampler/tests.rs"]
mod tests;
