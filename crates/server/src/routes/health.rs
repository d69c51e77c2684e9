//! `GET /`, `/health` and `/info`.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use russet_engine::SubmitError;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::state::Phase;
use crate::{ServedBy, ServerState};

/// What this is, for whoever opens it in a browser.
pub(super) async fn about(State(state): State<ServerState>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let ids: Vec<&str> = state.catalog().models.iter().map(|model| model.id.as_str()).collect();
    let served = if ids.is_empty() { "another server".to_owned() } else { ids.join(", ") };
    format!("Russet {version} serves {served}: an OpenAI-compatible API at /v1.\n")
}

/// Whether new requests are taken, and what there is to do.
pub(super) async fn health(State(state): State<ServerState>) -> Result<Json<Value>, ApiError> {
    if *state.phase().borrow() != Phase::Accepting {
        return Err(SubmitError::Draining.into());
    }
    let (mut num_running, mut num_waiting) = (state.num_relayed(), 0);
    for engine in state.engines() {
        engine.handle.check_accepting()?;
        let load = engine.handle.load();
        num_running += load.num_running;
        num_waiting += load.num_waiting;
    }
    for model in &state.catalog().models {
        if let ServedBy::Upstream { upstream, .. } = &model.by {
            upstream.check_ready()?;
        }
    }
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
