//! The body of every answer that is not a success.

use std::borrow::Cow;

use serde::Serialize;

/// An error.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorDetail,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorDetail {
    /// For people.
    pub message: String,
    /// The kind: `invalid_request_error`, `server_error` …
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The field of the request that is wrong.
    pub param: Option<String>,
    /// For programs.
    pub code: Option<Cow<'static, str>>,
}
