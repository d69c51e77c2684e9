//! Defaults for generation that come with a model.

use serde_json::{Map, Value};

use crate::{Config, ConfigError};

/// Defaults for generation, from `generation_config.json` and `config.json`, or from GGUF metadata.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationConfig {
    /// Tokens that end a text. The tokenizer may know more.
    pub eos_token_ids: Vec<u32>,
    /// The token that starts a text.
    pub bos_token_id: Option<u32>,
    /// Whether to sample rather than to take the likeliest token.
    pub do_sample: Option<bool>,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Keep the likeliest tokens up to this probability.
    pub top_p: Option<f32>,
    /// Keep this many tokens.
    pub top_k: Option<u32>,
    /// Keep tokens of at least this probability, relative to the likeliest.
    pub min_p: Option<f32>,
    /// Divides the logits of tokens that occurred.
    pub repetition_penalty: Option<f32>,
}

impl GenerationConfig {
    /// Reads the object of a `generation_config.json`; what it lacks comes from the model's
    /// `config`. A token that either calls an end is one.
    pub(crate) fn read(
        generation: Option<Map<String, Value>>,
        config: &Config,
    ) -> Result<Self, ConfigError> {
        let own = Config::from_object(generation.unwrap_or_default());
        let places: Vec<&Config> = [Some(&own), Some(config), config.peek_object("text_config")]
            .into_iter()
            .flatten()
            .collect();
        let mut eos_token_ids = Vec::new();
        for place in &places {
            for id in token_ids(place, "eos_token_id")? {
                if !eos_token_ids.contains(&id) {
                    eos_token_ids.push(id);
                }
            }
        }
        let bos_token_id = places.iter().find_map(|place| place.peek("bos_token_id").transpose());
        Ok(Self {
            eos_token_ids,
            bos_token_id: bos_token_id.transpose()?,
            do_sample: own.get("do_sample")?,
            temperature: own.get("temperature")?,
            top_p: own.get("top_p")?,
            top_k: own.get("top_k")?,
            min_p: own.get("min_p")?,
            repetition_penalty: own.get("repetition_penalty")?,
        })
    }
}

/// One id or a list of ids.
fn token_ids(config: &Config, key: &str) -> Result<Vec<u32>, ConfigError> {
    match config.peek_json(key) {
        Some(Value::Array(_)) => Ok(config.peek(key)?.unwrap_or_default()),
        _ => Ok(config.peek(key)?.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(generation: &str, config: &str) -> Result<GenerationConfig, ConfigError> {
        let generation = crate::json::parse_object("g".as_ref(), generation).unwrap();
        GenerationConfig::read(Some(generation), &Config::parse(config).unwrap())
    }

    #[test]
    fn every_end_counts_and_else_the_file_of_its_own_wins() {
        let both = read(r#"{"eos_token_id": [1, 106], "top_k": 64}"#, r#"{"eos_token_id": 1}"#);
        let both = both.unwrap();
        assert_eq!((both.eos_token_ids, both.top_k), (vec![1, 106], Some(64)));
        let each = read(
            r#"{"eos_token_id": 9, "bos_token_id": 4}"#,
            r#"{"eos_token_id": [7, 9], "bos_token_id": 5, "text_config": {"eos_token_id": 8}}"#,
        );
        let each = each.unwrap();
        assert_eq!((each.eos_token_ids, each.bos_token_id), (vec![9, 7, 8], Some(4)));
        let nested = read(
            r#"{"temperature": 1, "do_sample": true}"#,
            r#"{"text_config": {"eos_token_id": 7, "bos_token_id": 2}}"#,
        );
        let nested = nested.unwrap();
        assert_eq!((nested.eos_token_ids, nested.bos_token_id), (vec![7], Some(2)));
        assert_eq!((nested.temperature, nested.do_sample), (Some(1.0), Some(true)));
        let error = read(r#"{"eos_token_id": ["a"]}"#, "{}").unwrap_err().to_string();
        assert_eq!(
            error,
            r#"config key eos_token_id: an array of unsigned integers expected, found ["a"]"#
        );
    }
}
