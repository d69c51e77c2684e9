//! What chat and legacy completions have in common: limits, sampling and delivery.

use std::collections::BTreeMap;

use russet_engine::{SamplingParams, TokenId};
use russet_protocol::{OneOrMany, StreamOptions};

use super::{Delivery, StreamUsage};
use crate::error::ApiError;

/// Strings that may end an answer.
const MAX_STOP_STRINGS: usize = 16;
/// Most likely tokens that may be reported.
const MAX_TOP_LOGPROBS: usize = 20;

/// Checked settings of a generation.
#[derive(Debug)]
pub(super) struct Controls {
    pub(super) max_tokens: MaxTokens,
    pub(super) min_tokens: usize,
    pub(super) stop: Vec<String>,
    pub(super) ignore_eos: bool,
    pub(super) num_choices: usize,
    pub(super) sampling: SamplingParams,
    pub(super) logprobs: Option<usize>,
    pub(super) delivery: Delivery,
}

/// How many tokens to generate, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MaxTokens {
    /// What the request says; it is refused if they do not fit.
    Asked(usize),
    /// The request does not say: what fits, up to this.
    Default(usize),
}

/// The same settings as they came.
#[derive(Debug)]
pub(super) struct RawControls {
    pub(super) max_tokens: MaxTokens,
    pub(super) min_tokens: Option<usize>,
    pub(super) stop: Option<OneOrMany>,
    pub(super) ignore_eos: Option<bool>,
    pub(super) n: Option<usize>,
    pub(super) temperature: Option<f32>,
    pub(super) top_p: Option<f32>,
    pub(super) top_k: Option<i64>,
    pub(super) min_p: Option<f32>,
    pub(super) seed: Option<i64>,
    pub(super) presence_penalty: Option<f32>,
    pub(super) frequency_penalty: Option<f32>,
    pub(super) repetition_penalty: Option<f32>,
    pub(super) logit_bias: Option<BTreeMap<String, f32>>,
    pub(super) logprobs: Option<usize>,
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
}

/// Moves the fields that both kinds of request have into a [`RawControls`].
macro_rules! raw_controls {
    ($request:ident, max_tokens: $max_tokens:expr, logprobs: $logprobs:expr) => {
        $crate::admit::controls::RawControls {
            max_tokens: $max_tokens,
            min_tokens: $request.min_tokens,
            stop: $request.stop,
            ignore_eos: $request.ignore_eos,
            n: $request.n,
            temperature: $request.temperature,
            top_p: $request.top_p,
            top_k: $request.top_k,
            min_p: $request.min_p,
            seed: $request.seed,
            presence_penalty: $request.presence_penalty,
            frequency_penalty: $request.frequency_penalty,
            repetition_penalty: $request.repetition_penalty,
            logit_bias: $request.logit_bias,
            logprobs: $logprobs,
            stream: $request.stream,
            stream_options: $request.stream_options,
        }
    };
}
pub(super) use raw_controls;

impl RawControls {
    /// Checks everything that does not need the prompt.
    pub(super) fn check(self, defaults: &SamplingParams) -> Result<Controls, ApiError> {
        let num_choices = self.n.unwrap_or(1);
        if num_choices == 0 {
            return Err(value("n", 0, "at least 1"));
        }
        Ok(Controls {
            sampling: self.sampling(defaults)?,
            delivery: self.delivery()?,
            max_tokens: self.max_tokens,
            min_tokens: self.min_tokens.unwrap_or(0),
            stop: stop_strings(self.stop)?,
            ignore_eos: self.ignore_eos.unwrap_or(false),
            num_choices,
            logprobs: self.logprobs,
        })
    }

    /// The request's sampling over the model's defaults. The engine checks the ranges that have a
    /// meaning; here are those that OpenAI's API sets.
    fn sampling(&self, defaults: &SamplingParams) -> Result<SamplingParams, ApiError> {
        let penalties = [
            ("presence_penalty", self.presence_penalty),
            ("frequency_penalty", self.frequency_penalty),
        ];
        for (param, penalty) in penalties {
            if let Some(found) = penalty.filter(|penalty| !(-2.0..=2.0).contains(penalty)) {
                return Err(value(param, found, "between -2 and 2"));
            }
        }
        let top_k = match self.top_k {
            None => defaults.top_k,
            Some(-1) => 0,
            Some(top_k) => usize::try_from(top_k)
                .map_err(|_| value("top_k", top_k, "at least 1, or 0 or -1 for no limit"))?,
        };
        let logit_bias = self.logit_bias.as_ref().map(logit_bias).transpose()?;
        Ok(SamplingParams {
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_k,
            top_p: self.top_p.unwrap_or(defaults.top_p),
            min_p: self.min_p.unwrap_or(defaults.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(defaults.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(defaults.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(defaults.frequency_penalty),
            logit_bias: logit_bias.unwrap_or_else(|| defaults.logit_bias.clone()),
            seed: self.seed.map(i64::cast_unsigned).or(defaults.seed),
        })
    }

    fn delivery(&self) -> Result<Delivery, ApiError> {
        if !self.stream.unwrap_or(false) {
            return match self.stream_options {
                None => Ok(Delivery::Whole),
                Some(_) => Err(ApiError::Needs { param: "stream_options", needed: "stream" }),
            };
        }
        let include = self.stream_options.and_then(|options| options.include_usage);
        let usage =
            if include == Some(true) { StreamUsage::LastChunk } else { StreamUsage::Absent };
        Ok(Delivery::Stream { usage })
    }
}

impl Controls {
    /// Tokens to generate after a prompt, at most.
    pub(super) fn max_tokens(
        &self,
        prompt_len: usize,
        context_len: usize,
    ) -> Result<usize, ApiError> {
        if prompt_len >= context_len {
            return Err(ApiError::PromptTooLong { prompt_len, context_len });
        }
        let max_tokens = match self.max_tokens {
            MaxTokens::Asked(num) => num,
            MaxTokens::Default(num) => num.min(context_len - prompt_len),
        };
        if self.min_tokens > max_tokens {
            let accepted = format!("at most `max_tokens`, which is {max_tokens}");
            return Err(value("min_tokens", self.min_tokens, accepted));
        }
        Ok(max_tokens)
    }

    /// Refuses more answers than the server gives to one request.
    pub(super) fn check_num_answers(
        &self,
        num_prompts: usize,
        max_choices: usize,
    ) -> Result<(), ApiError> {
        let num = self.num_choices.saturating_mul(num_prompts);
        if num <= max_choices {
            return Ok(());
        }
        if self.num_choices == 1 {
            let found = format!("{num_prompts} texts");
            return Err(value("prompt", found, format!("at most {max_choices}")));
        }
        let accepted = format!("at most {max_choices} over all prompts");
        Err(value("n", self.num_choices, accepted))
    }
}

/// Refuses to report more tokens than anybody reads.
pub(super) fn check_num_top(param: &'static str, num: Option<usize>) -> Result<(), ApiError> {
    match num.filter(|num| *num > MAX_TOP_LOGPROBS) {
        Some(num) => Err(value(param, num, format!("at most {MAX_TOP_LOGPROBS}"))),
        None => Ok(()),
    }
}

/// A refusal of a value.
pub(super) fn value(
    param: &'static str,
    found: impl ToString,
    accepted: impl Into<String>,
) -> ApiError {
    ApiError::Value { param, found: found.to_string(), accepted: accepted.into() }
}

fn stop_strings(stop: Option<OneOrMany>) -> Result<Vec<String>, ApiError> {
    let stop = stop.map(OneOrMany::into_vec).unwrap_or_default();
    if stop.len() > MAX_STOP_STRINGS {
        let found = format!("{} strings", stop.len());
        return Err(value("stop", found, format!("at most {MAX_STOP_STRINGS}")));
    }
    if stop.iter().any(String::is_empty) {
        return Err(value("stop", "an empty string", "strings with at least one character"));
    }
    Ok(stop)
}

fn logit_bias(biases: &BTreeMap<String, f32>) -> Result<Vec<(TokenId, f32)>, ApiError> {
    let parse = |(id, &bias): (&String, &f32)| {
        let token: u32 = id
            .parse()
            .map_err(|_| value("logit_bias", format!("a map with the key {id:?}"), KEYS))?;
        if !(-100.0..=100.0).contains(&bias) {
            return Err(value("logit_bias", bias, "between -100 and 100 for each token"));
        }
        Ok((TokenId(token), bias))
    };
    biases.iter().map(parse).collect()
}

const KEYS: &str = "a map from token ids to numbers";

#[cfg(test)]
mod tests {
    use russet_protocol::CompletionRequest;

    use super::*;

    fn check(fields: &str, defaults: &SamplingParams) -> Controls {
        let json = format!(r#"{{"prompt": "a"{fields}}}"#);
        let request: CompletionRequest = serde_json::from_str(&json).unwrap();
        let max_tokens = MaxTokens::Default(9);
        let logprobs = request.logprobs;
        raw_controls!(request, max_tokens: max_tokens, logprobs: logprobs).check(defaults).unwrap()
    }

    fn defaults() -> SamplingParams {
        SamplingParams {
            temperature: 0.1,
            top_k: 2,
            top_p: 0.3,
            min_p: 0.4,
            repetition_penalty: 1.5,
            presence_penalty: 0.6,
            frequency_penalty: 0.7,
            logit_bias: vec![(TokenId(8), 0.9)],
            seed: Some(10),
        }
    }

    #[test]
    fn a_request_that_says_nothing_has_the_defaults_of_the_model() {
        let controls = check("", &defaults());
        assert_eq!(controls.sampling, defaults());
        assert_eq!((controls.num_choices, controls.min_tokens), (1, 0));
        assert_eq!((controls.ignore_eos, controls.delivery), (false, Delivery::Whole));
    }

    #[test]
    fn every_field_goes_to_its_place() {
        let fields = r#", "temperature": 1.1, "top_k": 12, "top_p": 0.13, "min_p": 0.14,
            "repetition_penalty": 1.15, "presence_penalty": 1.6, "frequency_penalty": -1.7,
            "logit_bias": {"18": 19, "20": -100}, "seed": -1, "n": 2, "min_tokens": 3,
            "stop": ["a", "b"], "ignore_eos": true, "logprobs": 4, "stream": true"#;
        let controls = check(fields, &defaults());
        let expected = SamplingParams {
            temperature: 1.1,
            top_k: 12,
            top_p: 0.13,
            min_p: 0.14,
            repetition_penalty: 1.15,
            presence_penalty: 1.6,
            frequency_penalty: -1.7,
            logit_bias: vec![(TokenId(18), 19.0), (TokenId(20), -100.0)],
            seed: Some(u64::MAX),
        };
        assert_eq!(controls.sampling, expected);
        assert_eq!((controls.num_choices, controls.min_tokens), (2, 3));
        assert_eq!((controls.stop, controls.ignore_eos), (vec!["a".into(), "b".into()], true));
        assert_eq!(controls.logprobs, Some(4));
        assert_eq!(controls.delivery, Delivery::Stream { usage: StreamUsage::Absent });
        for unlimited in [0, -1] {
            let top_k = check(&format!(r#", "top_k": {unlimited}"#), &defaults()).sampling.top_k;
            assert_eq!(top_k, 0);
        }
    }
}
