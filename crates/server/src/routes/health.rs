//! `GET /`, `/health` and `/info`.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde_json::{Value, json};

use crate::ServerState;
use crate::error::ApiError;

/// What this is, for whoever opens it in a browser.
pub(super) async fn about(State(state): State<ServerState>) -> String {
    let (version, id) = (env!("CARGO_PKG_VERSION"), &state.model().id);
    format!("Russet {version} serves {id}: an OpenAI-compatible API at /v1.\n")
}

/// Whether new requests are taken, and what there is to do.
pub(super) async fn health(State(state): State<ServerState>) -> Result<Json<Value>, ApiError> {
    state.handle().check_accepting()?;
    let load = state.handle().load();
    let (num_running, num_waiting) = (load.num_running, load.num_waiting);
    Ok(Json(json!({ "status": "ok", "num_running": num_running, "num_waiting": num_waiting })))
}

/// The effective settings, if the program gave them.
pub(super) async fn info(
    State(state): State<ServerState>,
    uri: Uri,
) -> Result<Json<Value>, ApiError> {
    let info = state.settings().info.clone();
    info.map(Json).ok_or_else(|| ApiError::UnknownRoute { path: uri.path().to_owned() })
}
