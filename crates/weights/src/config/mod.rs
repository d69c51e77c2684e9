//! A model's configuration with Hugging Face's keys, which remembers what was read.

mod ignored;
mod value;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

use crate::{ConfigError, Error};
pub use value::ConfigValue;

/// A model's configuration: a JSON object with the keys of Hugging Face's `config.json`.
///
/// GGUF metadata is translated to the same keys, plus `rope_dim` for the number of rotated elements
/// of a head. Every read is remembered, also in nested objects, so that [`Config::unread`] can tell
/// what nobody understood. A `null` counts as absent.
#[derive(Debug)]
pub struct Config {
    /// Keys of the objects around this one, each followed by a dot.
    prefix: String,
    entries: BTreeMap<String, Entry>,
}

/// Objects in objects that are read as configurations. Each level is one more copy of all it holds;
/// real files have three.
const MAX_DEPTH: usize = 8;

#[derive(Debug)]
struct Entry {
    value: Value,
    read: AtomicBool,
    /// The value as a nested configuration, where it is an object.
    child: Option<Config>,
}

impl Config {
    /// Parses the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Ok(Self::from_object(crate::json::parse_object("config.json".as_ref(), text)?))
    }

    pub(crate) fn from_object(object: Map<String, Value>) -> Self {
        Self::nested(String::new(), object, MAX_DEPTH)
    }

    fn nested(prefix: String, object: Map<String, Value>, depth: usize) -> Self {
        let entry = |(key, value): (String, Value)| {
            let child = match &value {
                Value::Object(inner) if depth > 1 && value::tagged_float(inner).is_none() => {
                    Some(Self::nested(format!("{prefix}{key}."), inner.clone(), depth - 1))
                }
                _ => None,
            };
            (key, Entry { value, read: AtomicBool::new(false), child })
        };
        let entries = object.into_iter().map(entry).collect();
        Self { prefix, entries }
    }

    /// The value of `key`, or `None` if it is absent. A value of another type is an error.
    pub fn get<'a, T: ConfigValue<'a>>(&'a self, key: &str) -> Result<Option<T>, ConfigError> {
        self.ignore(key);
        self.peek(key)
    }

    /// The value of `key`, which must be there.
    pub fn require<'a, T: ConfigValue<'a>>(&'a self, key: &str) -> Result<T, ConfigError> {
        self.get(key)?.ok_or_else(|| ConfigError::Missing { key: self.full(key) })
    }

    /// The value of `key`, or `default` if it is absent.
    pub fn get_or<'a, T: ConfigValue<'a>>(
        &'a self,
        key: &str,
        default: T,
    ) -> Result<T, ConfigError> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    /// The nested object at `key`, or `None` if it is absent. Its own keys count as unread until
    /// they are read.
    pub fn object(&self, key: &str) -> Result<Option<&Config>, ConfigError> {
        self.ignore(key);
        match self.entry(key) {
            None => Ok(None),
            Some(Entry { child: Some(child), .. }) => Ok(Some(child)),
            Some(entry) => Err(self.wrong_type(key, "an object", &entry.value)),
        }
    }

    /// Reads `key` and refuses every value but those in `accepted`, where 1 and 1.0 are the same.
    /// An absent key is accepted.
    pub fn expect(&self, key: &str, accepted: &[Value]) -> Result<(), ConfigError> {
        self.ignore(key);
        match self.entry(key) {
            Some(entry) if !accepted.iter().any(|value| value::same(value, &entry.value)) => {
                Err(ConfigError::Unsupported {
                    key: self.full(key),
                    found: value::shortened(&entry.value),
                    accepted: Value::from(accepted).to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether `key` has a value. Does not count as reading it.
    pub fn contains(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Counts `key` as read, whatever its value: it does not matter to this architecture.
    pub fn ignore(&self, key: &str) {
        if let Some(entry) = self.entries.get(key) {
            entry.read.store(true, Ordering::Relaxed);
        }
    }

    /// The architecture's name: `model_type`, or GGUF's `general.architecture`.
    pub fn model_type(&self) -> Result<&str, ConfigError> {
        self.require("model_type")
    }

    /// An error for a value of `key` that the caller cannot use; `accepted` says what it could.
    pub fn unsupported(&self, key: &str, accepted: &str) -> ConfigError {
        let found = self.entries.get(key).map_or("nothing".into(), |e| value::shortened(&e.value));
        ConfigError::Unsupported { key: self.full(key), found, accepted: accepted.to_owned() }
    }

    /// The keys that nobody read, with those of nested objects written `outer.inner`. Keys that
    /// never matter to inference are left out.
    pub fn unread(&self) -> Vec<String> {
        let mut unread = Vec::new();
        for (key, entry) in &self.entries {
            if entry.value.is_null() || ignored::IGNORED.contains(&key.as_str()) {
                continue;
            }
            match (&entry.child, entry.read.load(Ordering::Relaxed)) {
                (_, false) => unread.push(self.full(key)),
                (Some(child), true) => unread.extend(child.unread()),
                (None, true) => {}
            }
        }
        unread
    }

    /// Like [`Config::get`], without counting as a read.
    pub(crate) fn peek<'a, T: ConfigValue<'a>>(
        &'a self,
        key: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match T::from_json(&entry.value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong_type(key, T::EXPECTED, &entry.value)),
        }
    }

    /// The nested object at `key`, without counting as a read.
    pub(crate) fn peek_object(&self, key: &str) -> Option<&Config> {
        self.entry(key)?.child.as_ref()
    }

    /// The value of `key` as JSON, without counting as a read.
    pub(crate) fn peek_json(&self, key: &str) -> Option<&Value> {
        Some(&self.entry(key)?.value)
    }

    /// Every key and its JSON value.
    pub(crate) fn json_entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), &entry.value))
    }

    /// `key` with the keys of the objects around it.
    pub(crate) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn wrong_type(
        &self,
        key: &str,
        expected: &'static str,
        found: &Value,
    ) -> ConfigError {
        ConfigError::WrongType { key: self.full(key), expected, found: value::shortened(found) }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| !entry.value.is_null())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> Config {
        Config::parse(
            r#"{"model_type": "llama", "hidden_size": 64, "rope_theta": 10000, "big": -1,
                "eps": {"__float__": "Infinity"}, "window": null, "torch_dtype": "float32",
                "layer_types": ["full", "sliding"], "rope_scaling": {"factor": 4.0, "odd": 1}}"#,
        )
        .unwrap()
    }

    #[test]
    fn values_have_their_types_and_reads_are_remembered() {
        let config = config();
        assert_eq!(config.model_type().unwrap(), "llama");
        assert_eq!(config.require::<usize>("hidden_size").unwrap(), 64);
        assert_eq!(config.require::<f64>("rope_theta").unwrap(), 10000.0);
        assert_eq!(config.require::<f64>("eps").unwrap(), f64::INFINITY);
        assert_eq!(config.get::<u64>("window").unwrap(), None);
        assert_eq!(config.get_or("absent", 7u32).unwrap(), 7);
        assert_eq!(config.require::<Vec<&str>>("layer_types").unwrap(), ["full", "sliding"]);
        assert_eq!(config.unread(), ["big", "rope_scaling"]);
        let scaling = config.object("rope_scaling").unwrap().unwrap();
        assert_eq!(scaling.require::<f32>("factor").unwrap(), 4.0);
        assert_eq!(config.unread(), ["big", "rope_scaling.odd"]);
        scaling.ignore("odd");
        config.ignore("big");
        assert!(config.unread().is_empty());
    }

    #[test]
    fn wrong_types_name_key_and_value() {
        let config = config();
        let message = |error: ConfigError| error.to_string();
        assert_eq!(
            message(config.require::<usize>("big").unwrap_err()),
            "config key big: an unsigned integer expected, found -1"
        );
        assert_eq!(
            message(
                config.object("rope_scaling").unwrap().unwrap().get::<bool>("odd").unwrap_err()
            ),
            "config key rope_scaling.odd: true or false expected, found 1"
        );
        assert_eq!(
            message(config.require::<Vec<u64>>("layer_types").unwrap_err()),
            "config key layer_types: an array of unsigned integers expected, \
             found [\"full\",\"sliding\"]"
        );
        assert_eq!(
            message(config.require::<&str>("nope").unwrap_err()),
            "config key nope is missing"
        );
        assert_eq!(
            message(config.expect("hidden_size", &[json!(1), json!(2)]).unwrap_err()),
            "config key hidden_size: 64 is not supported; accepted: [1,2]"
        );
        config.expect("rope_theta", &[json!("x"), json!(10000.0)]).unwrap();
    }

    #[test]
    fn hostile_json_is_refused() {
        for text in ["", "[]", "{", "{\"a\": NaN}", "nul"] {
            assert!(matches!(Config::parse(text), Err(Error::Json { .. })), "{text}");
        }
        // Real configurations nest two or three objects; what lies deeper is never understood.
        let nested = format!("{}1{}", "{\"a\": ".repeat(100), "}".repeat(100));
        let config = Config::parse(&nested).unwrap();
        let mut inner = &config;
        while let Ok(Some(next)) = inner.object("a") {
            inner = next;
        }
        assert_eq!(config.unread().len(), 0);
        let error = inner.object("a").unwrap_err().to_string();
        assert!(error.starts_with("config key a.a.a.a.a.a.a.a: an object expected"), "{error}");
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(5000), "]".repeat(5000));
        assert!(matches!(Config::parse(&deep), Err(Error::Json { .. })));
    }
}
