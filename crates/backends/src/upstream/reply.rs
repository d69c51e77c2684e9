//! What an upstream answers.

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName};

use super::{Events, Fault, Limits, http};

/// Bytes of an answer that is read as a whole.
const MAX_WHOLE_BYTES: usize = 256 << 20;

/// Headers, by the beginnings of their names, that are about the answer and not about a
/// connection.
const PASSED: [&str; 4] = ["retry-after", "x-request-id", "x-ratelimit-", "openai-"];

/// What a server answered, its body still to be read.
#[derive(Debug)]
pub struct Reply {
    response: Response,
    limits: Limits,
    secret: Option<(String, String)>,
}

impl Reply {
    pub(super) fn new(
        response: Response,
        limits: Limits,
        secret: Option<(String, String)>,
    ) -> Self {
        Self { response, limits, secret }
    }

    /// Its status code.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Whether it is sent event by event.
    pub fn is_event_stream(&self) -> bool {
        let kind = self.response.headers().get(CONTENT_TYPE);
        let text = kind.map(|value| value.as_bytes().to_ascii_lowercase());
        text.is_some_and(|text| text.starts_with(b"text/event-stream"))
    }

    /// The headers that are for the client.
    pub fn headers(&self) -> HeaderMap {
        let headers = self.response.headers().iter();
        let passed = headers.filter(|(name, _)| is_passed(name));
        passed.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// What passes its events on to a client that calls the model `model`.
    pub fn events(&self, model: &str) -> Events {
        Events::new(model, self.secret.as_ref().map(|(path, _)| path.as_str()))
    }

    /// The next bytes of the body, as they come; none at its end.
    ///
    /// # Errors
    /// The connection broke, or nothing came for too long.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        self.response.chunk().await.map_err(|error| http::fault(error, self.limits))
    }

    /// All of the body.
    ///
    /// # Errors
    /// As [`Reply::chunk`], or the body is too long.
    pub async fn whole(&mut self) -> Result<Vec<u8>, Fault> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            if whole.len() + bytes.len() > MAX_WHOLE_BYTES {
                let why = format!("it has more than {MAX_WHOLE_BYTES} bytes");
                return Err(Fault::Malformed { why });
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    /// The text without the path of a local model, which is nobody's business.
    pub fn without_path(&self, text: &str) -> String {
        match &self.secret {
            Some((path, alias)) => text.replace(path.as_str(), alias),
            None => text.to_owned(),
        }
    }
}

fn is_passed(name: &HeaderName) -> bool {
    PASSED.iter().any(|start| name.as_str().starts_with(start))
}
