//! `GET /v1/models` and `/v1/models/{id}`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use russet_protocol::{Model, ModelList};

use crate::ServerState;
use crate::error::ApiError;

pub(super) async fn list(State(state): State<ServerState>) -> Json<ModelList> {
    let data = vec![model(&state, state.model().id.clone())];
    Json(ModelList { object: "list", data })
}

pub(super) async fn one(
    State(state): State<ServerState>,
    uri: Uri,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, ApiError> {
    // An id that is not UTF-8 is none of ours.
    let Path(id) = id.map_err(|_| ApiError::UnknownRoute { path: uri.path().to_owned() })?;
    let id = state.model_name(Some(&id))?;
    Ok(Json(model(&state, id)))
}

fn model(state: &ServerState, id: String) -> Model {
    Model {
        id,
        object: "model",
        created: state.model().created,
        owned_by: "russet",
        max_model_len: state.handle().limits().context_len,
    }
}
