//! `POST /v1/chat/completions`.

use axum::extract::State;
use axum::response::Response;
use russet_protocol::ChatRequest;

use crate::admit::admit;
use crate::body::JsonText;
use crate::error::ApiError;
use crate::relay::relay;
use crate::shape::ChatShape;
use crate::stream::respond;
use crate::{ServedBy, ServerState};

pub(super) async fn chat_completions(
    State(state): State<ServerState>,
    text: JsonText,
) -> Result<Response, ApiError> {
    let found = state.find(text.model()?.as_deref())?;
    let ServedBy::Engine(model) = &found.by else {
        return relay(&state, &found, "chat/completions", text.as_str()).await;
    };
    let admitted = admit(&state, model, text.parse::<ChatRequest>()?).await?;
    let shape = ChatShape::new(&state, found.name, &admitted);
    respond(&state, model, admitted, shape).await
}
