//! `POST /v1/completions`.

use axum::extract::State;
use axum::response::Response;
use russet_protocol::CompletionRequest;

use crate::ServerState;
use crate::admit::admit;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::shape::CompletionShape;
use crate::stream::respond;

pub(super) async fn completions(
    State(state): State<ServerState>,
    JsonBody(request): JsonBody<CompletionRequest>,
) -> Result<Response, ApiError> {
    let model = state.model_name(request.model.as_deref())?;
    let admitted = admit(&state, request).await?;
    let shape = CompletionShape::new(&state, model, &admitted);
    respond(&state, admitted, shape).await
}
