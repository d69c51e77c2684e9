//! `GET /v1/models`.

use serde::Serialize;

/// The models that are served.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelList<M> {
    /// `list`
    pub object: &'static str,
    /// The models.
    pub data: Vec<M>,
}

/// A model that is served.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// The name that requests use.
    pub id: String,
    /// `model`
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// `russet`
    pub owned_by: &'static str,
    /// Tokens of prompt and answer together, if known (vLLM's name, which routers read).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_model_len: Option<usize>,
}
