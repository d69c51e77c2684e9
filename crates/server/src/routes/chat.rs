//! `POST /v1/chat/completions`.

use axum::extract::State;
use axum::response::Response;
use russet_protocol::ChatRequest;

use crate::ServerState;
use crate::admit::admit;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::shape::ChatShape;
use crate::stream::respond;

pub(super) async fn chat_completions(
    State(state): State<ServerState>,
    JsonBody(request): JsonBody<ChatRequest>,
) -> Result<Response, ApiError> {
    let model = state.model_name(request.model.as_deref())?;
    let admitted = admit(&state, request).await?;
    let shape = ChatShape::new(&state, model, &admitted);
    respond(&state, admitted, shape).await
}
