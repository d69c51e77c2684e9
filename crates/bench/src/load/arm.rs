//! One of the servers that are measured, and how it is asked.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Error;

/// Fields that the measurement depends on.
const RESERVED: &[&str] =
    &["model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n"];

/// One of the servers that are measured, and how it is asked.
#[derive(Debug, Clone)]
pub struct Arm {
    /// What reports call it.
    pub name: String,
    /// The address up to and with `/v1`.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// Sent as a bearer token.
    pub api_key: Option<ApiKey>,
    /// How it is told an exact length; without any, [`OutputLen::Exact`](super::OutputLen) is the
    /// same as a limit, and shorter answers are marked.
    pub exact_fields: Vec<ExactField>,
    /// Added to every request, where it may replace `temperature`, which is 0.
    pub extra_body: Map<String, Value>,
    /// How long it may take.
    pub limits: Limits,
}

impl Arm {
    /// A server with no key, no extra fields and the default limits.
    pub fn new(name: &str, base_url: &str, model: &str) -> Self {
        Self {
            name: name.to_owned(),
            base_url: base_url.to_owned(),
            model: model.to_owned(),
            api_key: None,
            exact_fields: Vec::new(),
            extra_body: Map::new(),
            limits: Limits::default(),
        }
    }

    /// Where requests go: the base URL with this added to its path.
    pub(super) fn url(&self, route: &[&str]) -> Result<reqwest::Url, Error> {
        let refused = |problem: &str| Error::BaseUrl {
            found: self.base_url.clone(),
            problem: problem.to_owned(),
        };
        let mut url =
            reqwest::Url::parse(&self.base_url).map_err(|error| refused(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused(&format!("its scheme is `{}`", url.scheme())));
        }
        let mut path = url.path_segments_mut().map_err(|()| refused("it has no path"))?;
        path.pop_if_empty().extend(route);
        drop(path);
        Ok(url)
    }

    /// Errors if an extra field would change what is measured.
    pub(super) fn check_extra_body(&self) -> Result<(), Error> {
        match self.extra_body.keys().find(|field| RESERVED.contains(&field.as_str())) {
            Some(field) => {
                Err(Error::ReservedField { arm: self.name.clone(), field: field.clone() })
            }
            None => Ok(()),
        }
    }
}

/// A field that makes a server go on to the token limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExactField {
    /// `ignore_eos: true`, which Russet, llama.cpp, vLLM and SGLang know.
    IgnoreEos,
    /// `min_tokens`, which Russet and vLLM know.
    MinTokens,
}

/// A secret. It is printed nowhere.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// The key as the server expects it.
    pub fn new(key: String) -> Self {
        Self(key)
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection.
    pub connect_timeout: Duration,
    /// From sending a request to the end of its answer.
    pub request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), request_timeout: Duration::from_secs(600) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: &str) -> Result<String, Error> {
        Arm::new("a", base, "m").url(&["chat", "completions"]).map(|url| url.to_string())
    }

    #[test]
    fn requests_go_below_the_base_url() {
        let full = "http://localhost:8080/v1/chat/completions";
        for base in ["http://localhost:8080/v1", "http://localhost:8080/v1/"] {
            assert_eq!(url(base).unwrap(), full);
        }
        assert_eq!(url("https://h").unwrap(), "https://h/chat/completions");
        let with_query = url("https://h/a?version=1").unwrap();
        assert_eq!(with_query, "https://h/a/chat/completions?version=1");
    }

    #[test]
    fn other_addresses_are_refused_with_what_is_accepted() {
        for base in ["localhost:8080", "", "ftp://h/v1", "mailto:a@b", "http://"] {
            let text = url(base).unwrap_err().to_string();
            assert!(text.contains(&format!("`{base}`")) && text.contains("accepted"), "{text}");
        }
    }

    #[test]
    fn fields_of_the_measurement_are_not_replaced() {
        let with = |field: &str| {
            let mut arm = Arm::new("vllm", "http://h/v1", "m");
            arm.extra_body.insert(field.to_owned(), Value::Null);
            arm.check_extra_body()
        };
        assert!(with("top_k").is_ok() && with("temperature").is_ok());
        let text = with("stream").unwrap_err().to_string();
        assert!(text.contains("`stream`") && text.contains("`vllm`"), "{text}");
    }

    #[test]
    fn keys_are_not_printed() {
        let mut arm = Arm::new("a", "http://h/v1", "m");
        arm.api_key = Some(ApiKey::new("secret".to_owned()));
        assert!(!format!("{arm:?}").contains("secret"));
    }
}
