//! Errors of other servers, in the one shape that clients get.

use std::fmt;

use axum::http::{HeaderMap, StatusCode};
use russet_protocol::ErrorDetail;
use serde_json::Value;

use super::kind_of;

/// Characters of a text that is no JSON.
const MAX_TEXT_CHARS: usize = 500;

/// An error that another server answered with.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    detail: ErrorDetail,
    headers: HeaderMap,
}

impl Refusal {
    /// The error in an answer of this status with the body `text`.
    pub(crate) fn new(status: StatusCode, text: &str, headers: HeaderMap) -> Self {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let error = body.get("error").unwrap_or(&body);
        let field = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        // mlx-lm has the text itself as `error`; FastAPI calls it `detail`.
        let said = error.as_str().map(str::to_owned).or_else(|| field("message"));
        let said = said.or_else(|| field("detail"));
        let said = said.unwrap_or_else(|| text.chars().take(MAX_TEXT_CHARS).collect());
        let (status, message) = meaning(status, said);
        let kind = field("type").map_or_else(|| kind_of(status).into(), Into::into);
        let (param, code) = (field("param"), field("code").map(Into::into));
        Self { status, detail: ErrorDetail { message, kind, param, code }, headers }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn detail(&self) -> &ErrorDetail {
        &self.detail
    }

    /// Such as when to try again.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// What the status and the text mean to somebody who knows this server only.
fn meaning(status: StatusCode, said: String) -> (StatusCode, String) {
    match status {
        // The key in question is this server's, not the client's.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let message = format!("the backend does not accept the key of this server: {said}");
            (StatusCode::BAD_GATEWAY, message)
        }
        status if status.is_client_error() || status.is_server_error() => (status, said),
        status => (StatusCode::BAD_GATEWAY, format!("the backend answered with {status}: {said}")),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, text: &str) -> (u16, ErrorDetail) {
        let status = StatusCode::from_u16(status).unwrap();
        let refusal = Refusal::new(status, text, HeaderMap::new());
        (refusal.status().as_u16(), refusal.detail().clone())
    }

    #[test]
    fn every_server_puts_its_errors_elsewhere() {
        for text in [
            r#"{"error": {"message": "no", "code": 400}}"#,
            r#"{"error": "no"}"#,
            r#"{"message": "no", "object": "error"}"#,
            r#"{"detail": "no"}"#,
            "no",
        ] {
            let (status, detail) = refusal(400, text);
            assert_eq!((status, detail.message.as_str()), (400, "no"), "{text}");
            assert_eq!((&*detail.kind, detail.code), ("invalid_request_error", None));
        }
        let text = r#"{"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}"#;
        let (_, detail) = refusal(422, text);
        let fields = (&*detail.kind, detail.param.as_deref(), detail.code.as_deref());
        assert_eq!(fields, ("t", Some("p"), Some("c")));
    }

    #[test]
    fn statuses_keep_their_meaning_for_the_client() {
        assert_eq!(refusal(429, "{}").0, 429);
        assert_eq!(&*refusal(429, "slower").1.kind, "rate_limit_error");
        assert_eq!(refusal(503, "loading").0, 503);
        let (status, detail) = refusal(401, r#"{"error": "bad key"}"#);
        assert_eq!((status, &*detail.kind), (502, "server_error"));
        assert_eq!(detail.message, "the backend does not accept the key of this server: bad key");
        assert_eq!(refusal(302, "").0, 502);
    }
}
