//! `POST /v1/completions`.

use axum::extract::State;
use axum::response::Response;
use russet_protocol::CompletionRequest;

use crate::admit::admit;
use crate::body::JsonText;
use crate::error::ApiError;
use crate::relay::relay;
use crate::shape::CompletionShape;
use crate::stream::respond;
use crate::{ServedBy, ServerState};

pub(super) async fn completions(
    State(state): State<ServerState>,
    text: JsonText,
) -> Result<Response, ApiError> {
    let found = state.find(text.model()?.as_deref())?;
    let ServedBy::Engine(model) = &found.by else {
        return relay(&state, &found, "completions", text.as_str()).await;
    };
    let admitted = admit(&state, model, text.parse::<CompletionRequest>()?).await?;
    let shape = CompletionShape::new(&state, found.name, &admitted);
    respond(&state, model, admitted, shape).await
}
