//! Everything that is answered with an error, and the only mapping to status codes.

mod refusal;

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use russet_backends::upstream::{Fault, RequestError};
use russet_engine::{SequenceError, SubmitError};
use russet_protocol::{ErrorBody, ErrorDetail};
use russet_tokenizer::TemplateError;

pub(crate) use refusal::Refusal;

/// Why a request has no answer, or why its answer breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("there is nothing at {path}")]
    UnknownRoute { path: String },
    #[error("{path} does not answer {method}")]
    WrongMethod { method: Method, path: String },
    #[error("the host `{found}` is not one this server is known by; add it to the allowed hosts")]
    Host { found: String },
    #[error("the content type is {found}; it must be `application/json`")]
    ContentType { found: String },
    #[error("the body has more than {limit_bytes} bytes, which is the limit")]
    BodyTooLarge { limit_bytes: usize },
    #[error("the body did not arrive within {limit_ms} ms")]
    BodyTimeout { limit_ms: u128 },
    #[error("the body could not be read to its end")]
    BodyRead,
    #[error("the body is not UTF-8: byte {offset} begins no character")]
    NotUtf8 { offset: usize },
    #[error("the body is not a valid request: {source}")]
    Json { param: Option<String>, source: serde_json::Error },

    #[error("the model `{found}` does not exist here; this server has {}", quoted(served))]
    UnknownModel { found: String, served: Vec<String> },
    #[error("`model` is missing; this server passes it on to another one")]
    NoModelNamed,
    #[error("`{found}` is not a field of this request; it has OpenAI's fields and {extensions}")]
    UnknownField { found: String, extensions: &'static str },
    #[error("`{param}` is not supported yet")]
    Unsupported { param: &'static str },
    #[error("`{param}` is {found}; it must be {accepted}")]
    Value { param: &'static str, found: String, accepted: String },
    #[error("`{param}` is set, but `{needed}` is not, without which it has no meaning")]
    Needs { param: &'static str, needed: &'static str },
    #[error("this model reads text only; a content part has the type `{kind}`, not `text`")]
    Media { kind: String },
    #[error("a content part of the type `text` has no `text`")]
    PartWithoutText,
    #[error("a message with the role `{role}` has no content")]
    NoContent { role: &'static str },
    #[error("this model has no chat template; use /v1/completions")]
    NoTemplate,
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Tokenizer(#[from] russet_tokenizer::Error),
    #[error(
        "the prompt has {prompt_len} tokens; the context has room for {context_len}, \
         the answer included"
    )]
    PromptTooLong { prompt_len: usize, context_len: usize },

    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    #[error("the server failed while preparing the request")]
    Internal,

    #[error("{0}")]
    Refused(Box<Refusal>),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("{error}")]
    RefusedMember { param: &'static str, error: RequestError },
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Json(source) => Self::Json { param: None, source },
            RequestError::Member(param) => Self::RefusedMember { param, error },
        }
    }
}

/// `a`, `b`
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// `type` of faults of the request.
const INVALID: &str = "invalid_request_error";
/// `type` of faults of ours.
const SERVER: &str = "server_error";
/// Seconds after which a refused client may try again.
const RETRY_AFTER_SECONDS: u32 = 1;

impl ApiError {
    /// The body, also for an error inside a stream.
    pub(crate) fn body(&self) -> ErrorBody {
        if let Self::Refused(refusal) = self {
            return ErrorBody { error: refusal.detail().clone() };
        }
        let (kind, param) = (kind_of(self.status()).into(), self.param());
        let code = self.code().map(Into::into);
        ErrorBody { error: ErrorDetail { message: self.to_string(), kind, param, code } }
    }

    /// The body as the data of an event.
    pub(crate) fn event_data(&self) -> String {
        serde_json::to_string(&self.body()).expect("an error body has string keys only")
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownRoute { .. } | Self::UnknownModel { .. } => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host { .. } => StatusCode::FORBIDDEN,
            Self::ContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BodyRead
            | Self::NotUtf8 { .. }
            | Self::Json { .. }
            | Self::UnknownField { .. }
            | Self::Unsupported { .. }
            | Self::Value { .. }
            | Self::Needs { .. }
            | Self::Media { .. }
            | Self::PartWithoutText
            | Self::NoContent { .. }
            | Self::NoTemplate
            | Self::Template(_)
            | Self::Tokenizer(_)
            | Self::NoModelNamed
            | Self::RefusedMember { .. }
            | Self::PromptTooLong { .. } => StatusCode::BAD_REQUEST,
            Self::Refused(refusal) => refusal.status(),
            Self::Fault(fault) => fault_status(fault),
            Self::Submit(error) => submit_status(error),
            Self::Sequence(SequenceError::Aborted) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Sequence(_) | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn param(&self) -> Option<String> {
        let param = match self {
            Self::Json { param, .. } => return param.clone(),
            Self::UnknownModel { .. } | Self::NoModelNamed => "model",
            Self::RefusedMember { param, .. } => param,
            Self::UnknownField { found, .. } => found,
            Self::Unsupported { param } | Self::Value { param, .. } | Self::Needs { param, .. } => {
                param
            }
            Self::Media { .. }
            | Self::PartWithoutText
            | Self::NoContent { .. }
            | Self::Template(_) => "messages",
            Self::Submit(SubmitError::Sampling { name, .. }) => name,
            Self::Submit(SubmitError::NoTokensWanted) => "max_tokens",
            Self::Submit(SubmitError::UnknownToken { list, .. }) => list,
            Self::Submit(SubmitError::EmptyPrompt) => "prompt",
            _ => return None,
        };
        Some(param.to_owned())
    }

    fn code(&self) -> Option<&'static str> {
        match self {
            Self::UnknownModel { .. } => Some("model_not_found"),
            Self::PromptTooLong { .. } | Self::Submit(SubmitError::TooLong { .. }) => {
                Some("context_length_exceeded")
            }
            Self::Submit(SubmitError::QueueFull { .. }) => Some("queue_full"),
            Self::Submit(SubmitError::Draining) | Self::Sequence(SequenceError::Aborted) => {
                Some("shutting_down")
            }
            Self::UnknownField { .. } => Some("unknown_parameter"),
            Self::Fault(_) => Some("backend_failed"),
            Self::Unsupported { .. } => Some("unsupported_parameter"),
            _ => None,
        }
    }
}

/// The `type` of an error.
fn kind_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => SERVER,
        _ => INVALID,
    }
}

fn fault_status(fault: &Fault) -> StatusCode {
    match fault {
        Fault::NotReady { .. } | Fault::Gone { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Silent { .. } => StatusCode::GATEWAY_TIMEOUT,
        Fault::Unreachable { .. } | Fault::Broken { .. } | Fault::Malformed { .. } => {
            StatusCode::BAD_GATEWAY
        }
    }
}

fn submit_status(error: &SubmitError) -> StatusCode {
    match error {
        SubmitError::EmptyPrompt
        | SubmitError::NoTokensWanted
        | SubmitError::TooLong { .. }
        | SubmitError::UnknownToken { .. }
        | SubmitError::Sampling { .. } => StatusCode::BAD_REQUEST,
        SubmitError::QueueFull { .. } => StatusCode::TOO_MANY_REQUESTS,
        SubmitError::Draining => StatusCode::SERVICE_UNAVAILABLE,
        SubmitError::Stopped => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(%status, error = %self, "request failed");
        }
        let mut response = (status, Json(self.body())).into_response();
        let retry = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        if let Self::Refused(refusal) = &self {
            response.headers_mut().extend(refusal.headers().clone());
        } else if retry.contains(&status) {
            let after = HeaderValue::from(RETRY_AFTER_SECONDS);
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
        response
    }
}
