//! `GET /v1/models` and `/v1/models/{id}`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use russet_backends::upstream::Fault;
use russet_protocol::{Model, ModelList};
use serde_json::Value;

use crate::error::ApiError;
use crate::{Catalog, ServedBy, ServedModel, ServerState};

pub(super) async fn list(
    State(state): State<ServerState>,
) -> Result<Json<ModelList<Value>>, ApiError> {
    Ok(Json(ModelList { object: "list", data: all(&state).await? }))
}

pub(super) async fn one(
    State(state): State<ServerState>,
    uri: Uri,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    // An id that is not UTF-8 is none of ours.
    let Path(id) = id.map_err(|_| ApiError::UnknownRoute { path: uri.path().to_owned() })?;
    let models = &state.catalog().models;
    if let Some(known) = models.iter().find(|model| model.has_name(&id)) {
        return Ok(Json(model(known, &id)));
    }
    let all = all(&state).await?;
    let name = |model: &Value| model["id"].as_str().unwrap_or_default().to_owned();
    let served = || all.iter().map(name).collect();
    let found = all.iter().find(|model| model["id"] == id.as_str());
    found.cloned().map(Json).ok_or_else(|| ApiError::UnknownModel { served: served(), found: id })
}

/// The models of the catalog, then those of the server that takes every other name.
async fn all(state: &ServerState) -> Result<Vec<Value>, ApiError> {
    let Catalog { models, rest } = state.catalog();
    let mut all: Vec<Value> = models.iter().map(|known| model(known, &known.id)).collect();
    if let Some(rest) = rest {
        let mut reply = rest.models().await?;
        let body: Value = serde_json::from_slice(&reply.whole().await?).unwrap_or_default();
        let Some(data) = body["data"].as_array() else {
            let why = format!("its list of models has the status {}", reply.status());
            return Err(Fault::Malformed { why }.into());
        };
        all.extend(data.iter().cloned());
    }
    Ok(all)
}

fn model(model: &ServedModel, id: &str) -> Value {
    let max_model_len = match &model.by {
        ServedBy::Engine(engine) => Some(engine.handle.limits().context_len),
        ServedBy::Upstream { .. } => None,
    };
    let model = Model {
        id: id.to_owned(),
        object: "model",
        created: model.created,
        owned_by: "russet",
        max_model_len,
    };
    serde_json::to_value(model).expect("a model has string keys only")
}
