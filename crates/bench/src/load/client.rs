//! Sends one request to one server and times its answer.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Response, Url};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::answer::{Answer, Progress, error_text};
use super::record::{Failure, Fault, Outcome, OutputLen, Record};
use super::{Arm, Error, ExactField, sse};

/// Bytes of one event, far above any chunk.
const MAX_EVENT_BYTES: usize = 4 << 20;
/// Bytes that are read of an answer that is an error.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Bytes of a list of models that are read, and how long it may take to come.
const MAX_MODELS_BYTES: usize = 1 << 20;
const MODELS_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the end of the body may come after `[DONE]`. Without it the connection is not used
/// again.
const END_OF_BODY: Duration = Duration::from_millis(100);

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The conversation, in the API's shape.
    pub messages: Vec<Value>,
    /// How long the answer shall be.
    pub output: OutputLen,
}

/// When a request is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// As soon as its body is written.
    Now,
    /// Not before; what it is late by counts as latency.
    At(Instant),
}

/// What became of a request, and since when it counts.
#[derive(Debug)]
pub struct Sent {
    /// When it was due.
    pub due: Instant,
    /// What became of it.
    pub outcome: Outcome,
}

/// Asks one server. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    arm: Arc<Arm>,
    http: reqwest::Client,
    url: Url,
}

impl Client {
    /// Errors if the address, the key or an extra field cannot be used. Connects to nothing yet.
    pub fn new(arm: Arm) -> Result<Self, Error> {
        let url = arm.url(&["chat", "completions"])?;
        arm.check_extra_body()?;
        let builder = reqwest::Client::builder()
            .default_headers(headers(&arm)?)
            .connect_timeout(arm.limits.connect_timeout)
            // A request that is sent again, elsewhere or by way of a proxy is another measurement.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .tls_backend_preconfigured(tls());
        let http =
            builder.build().map_err(|source| Error::Client { arm: arm.name.clone(), source })?;
        Ok(Self { arm: Arc::new(arm), http, url })
    }

    /// The server that is asked.
    pub fn arm(&self) -> &Arm {
        &self.arm
    }

    /// The names of the models that the server lists, in its order.
    ///
    /// # Errors
    /// [`Error::Models`] if it does not answer with such a list.
    pub async fn models(&self) -> Result<Vec<String>, Error> {
        let url = self.arm.url(&["models"])?;
        let listed = timeout(MODELS_TIMEOUT, self.list(url.clone())).await;
        let listed = listed.unwrap_or_else(|_| Err("it took too long".to_owned()));
        let arm = self.arm.name.clone();
        listed.map_err(|problem| Error::Models { arm, url: url.to_string(), problem })
    }

    async fn list(&self, url: Url) -> Result<Vec<String>, String> {
        let sent = self.http.get(url).send().await;
        let mut response = sent.map_err(|error| causes(&error.without_url()))?;
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|error| causes(&error))? {
            body.extend_from_slice(&bytes);
            if body.len() > MAX_MODELS_BYTES {
                return Err(format!("the list has more than {MAX_MODELS_BYTES} bytes"));
            }
        }
        if !response.status().is_success() {
            return Err(format!("status {}: {}", response.status().as_u16(), error_text(&body)));
        }
        let list: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        let models = list["data"].as_array().ok_or("there is no array `data`")?;
        Ok(models.iter().filter_map(|model| model["id"].as_str()).map(str::to_owned).collect())
    }

    /// Sends one request when it is due and reads its answer to the end.
    pub async fn send(&self, ask: &Ask, due: Due) -> Sent {
        let body = self.body(ask);
        // Waiting for a moment that has passed may cost a millisecond, the step of timers.
        if let Due::At(due) = due
            && due > Instant::now()
        {
            sleep_until(due).await;
        }
        let sent = Instant::now();
        let due = match due {
            Due::Now => sent,
            Due::At(due) => due,
        };
        let mut answer = Answer::default();
        let limit = self.arm.limits.request_timeout;
        let ended = timeout(limit, self.exchange(body, &mut answer)).await;
        let ended = ended.unwrap_or(Err(Fault::Timeout { limit_ms: limit.as_millis() }));
        let outcome = match ended {
            Ok(end) => Outcome::Done(record(answer, ask.output, Times { due, sent, end })),
            Err(fault) => {
                let num_chunks = answer.chunks.len();
                Outcome::Failed(Failure { fault, after: due.elapsed(), num_chunks })
            }
        };
        Sent { due, outcome }
    }

    fn body(&self, ask: &Ask) -> Vec<u8> {
        let max_tokens = ask.output.limit();
        let mut body = Map::new();
        body.insert("model".to_owned(), json!(self.arm.model));
        body.insert("messages".to_owned(), json!(ask.messages));
        body.insert("stream".to_owned(), json!(true));
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        body.insert("max_tokens".to_owned(), json!(max_tokens));
        body.insert("temperature".to_owned(), json!(0));
        if matches!(ask.output, OutputLen::Exact(_)) {
            body.extend(self.arm.exact_fields.iter().map(|field| match field {
                ExactField::IgnoreEos => ("ignore_eos".to_owned(), json!(true)),
                ExactField::MinTokens => ("min_tokens".to_owned(), json!(max_tokens)),
            }));
        }
        body.extend(self.arm.extra_body.clone());
        serde_json::to_vec(&body).expect("JSON values can be written")
    }

    /// When the answer ended.
    async fn exchange(&self, body: Vec<u8>, answer: &mut Answer) -> Result<Instant, Fault> {
        let mut response = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await
            .map_err(unsent)?;
        check(&mut response).await?;
        let mut events = sse::Parser::new(MAX_EVENT_BYTES);
        while let Some(bytes) = response.chunk().await.map_err(|e| Fault::Broken(causes(&e)))? {
            let at = Instant::now();
            let too_long = |sse::TooLong { limit_bytes }| {
                Fault::Malformed(format!("it has more than {limit_bytes} bytes"))
            };
            for event in events.push(&bytes).map_err(too_long)? {
                if answer.take(&event, at)? == Progress::Ended {
                    // What comes now is of no interest, and neither is whether it comes.
                    let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
                    let _ = timeout(END_OF_BODY, rest).await;
                    return Ok(at);
                }
            }
        }
        if answer.finish_reason.is_none() {
            return Err(Fault::Unfinished);
        }
        Ok(Instant::now())
    }
}

struct Times {
    due: Instant,
    sent: Instant,
    end: Instant,
}

fn record(answer: Answer, output: OutputLen, times: Times) -> Record {
    let since_due = |at: Instant| at.duration_since(times.due);
    let tokens = answer.usage.and_then(|usage| usage.completion_tokens);
    let is_short = match output {
        OutputLen::Exact(len) => tokens.is_some_and(|tokens| tokens < u64::from(len.get())),
        OutputLen::AtMost(_) => false,
    };
    Record {
        lag: since_due(times.sent),
        chunks: answer.chunks.into_iter().map(since_due).collect(),
        total: since_due(times.end),
        finish_reason: answer.finish_reason,
        fingerprint: answer.fingerprint,
        usage: answer.usage,
        is_short,
        text: answer.text,
        reasoning: answer.reasoning,
        tool_calls: answer.tool_calls,
    }
}

/// Only a successful event stream is an answer.
async fn check(response: &mut Response) -> Result<(), Fault> {
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.map_or("none", |value| value.to_str().unwrap_or("unreadable"));
    let content_type = content_type.to_owned();
    if status.is_success() && content_type.starts_with("text/event-stream") {
        return Ok(());
    }
    let mut body = Vec::new();
    while body.len() < MAX_ERROR_BYTES
        && let Ok(Some(bytes)) = response.chunk().await
    {
        body.extend_from_slice(&bytes);
    }
    let text = error_text(&body);
    Err(if status.is_success() {
        Fault::NotAStream { content_type, beginning: text }
    } else {
        Fault::Status { code: status.as_u16(), message: text }
    })
}

fn unsent(error: reqwest::Error) -> Fault {
    let is_connect = error.is_connect();
    let text = causes(&error.without_url());
    if is_connect { Fault::Connect(text) } else { Fault::Broken(text) }
}

/// What an error says, with all its causes: the outermost says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

fn headers(arm: &Arm) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &arm.api_key {
        let value = HeaderValue::try_from(format!("Bearer {}", key.reveal()));
        let mut value = value.map_err(|_| Error::ApiKey { arm: arm.name.clone() })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// The roots and the cryptography that downloads use; nothing of the system is read.
fn tls() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has ciphers for the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
