//! Reading a JSON body: its type, size, time, encoding and shape.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ServerState;
use crate::error::ApiError;

/// A body that says of itself that it is JSON, and is text.
#[derive(Debug)]
pub(crate) struct JsonText(String);

impl JsonText {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The model that it names.
    pub(crate) fn model(&self) -> Result<Option<String>, ApiError> {
        #[derive(Deserialize)]
        struct Named {
            model: Option<String>,
        }
        Ok(self.parse::<Named>()?.model)
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let mut json = serde_json::Deserializer::from_str(&self.0);
        let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            ApiError::Json { param: (path != ".").then_some(path), source: error.into_inner() }
        })?;
        json.end().map_err(|source| ApiError::Json { param: None, source })?;
        Ok(parsed)
    }
}

impl FromRequest<ServerState> for JsonText {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ServerState) -> Result<Self, ApiError> {
        check_content_type(request.headers())?;
        let settings = state.settings();
        let limit_bytes = settings.max_body_bytes;
        let read = read(request.into_body(), limit_bytes);
        let body = tokio::time::timeout(settings.body_timeout, read)
            .await
            .map_err(|_| ApiError::BodyTimeout { limit_ms: settings.body_timeout.as_millis() })??;
        let text = String::from_utf8(body.into())
            .map_err(|error| ApiError::NotUtf8 { offset: error.utf8_error().valid_up_to() })?;
        Ok(Self(text))
    }
}

/// Only JSON: a page of another origin can send other types, or none, without asking first.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err(ApiError::ContentType { found: "absent".to_owned() });
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" {
        return Ok(());
    }
    Err(ApiError::ContentType { found: format!("`{essence}`") })
}

async fn read(mut body: Body, limit_bytes: usize) -> Result<Bytes, ApiError> {
    match Limited::new(&mut body, limit_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            // A client that is still sending when the connection ends never sees the answer.
            while let Some(Ok(_)) = body.frame().await {}
            Err(ApiError::BodyTooLarge { limit_bytes })
        }
        Err(_) => Err(ApiError::BodyRead),
    }
}
