//! What every request handler sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use russet_engine::{Handle, SamplingParams, TokenId};
use russet_tokenizer::{ChatTemplate, Tokenizer};

use crate::ServerSettings;
use crate::error::ApiError;

/// A model as clients see it.
#[derive(Debug, Clone)]
pub struct ServedModel {
    /// The name that it is listed under.
    pub id: String,
    /// Other names that requests may use.
    pub aliases: Vec<String>,
    /// When it was made or loaded, in seconds since 1970.
    pub created: u64,
    /// Its vocabulary.
    pub tokenizer: Arc<Tokenizer>,
    /// Its chat template; without one, chat requests are refused.
    pub template: Option<ChatTemplate>,
    /// What a request leaves out.
    pub defaults: SamplingParams,
    /// Tokens that end a generation.
    pub stop_tokens: Vec<TokenId>,
}

/// A model, the engine that runs it, and the limits. Cloning shares it.
#[derive(Debug, Clone)]
pub struct ServerState {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    model: ServedModel,
    handle: Handle,
    settings: ServerSettings,
    /// Makes ids unique across restarts.
    id_base: u64,
    num_ids: AtomicU64,
}

impl ServerState {
    /// Puts together what the server needs.
    pub fn new(model: ServedModel, handle: Handle, settings: ServerSettings) -> Self {
        let id_base = getrandom::u64().expect("the operating system gives random numbers");
        let num_ids = AtomicU64::new(0);
        Self { shared: Arc::new(Shared { model, handle, settings, id_base, num_ids }) }
    }

    pub(crate) fn model(&self) -> &ServedModel {
        &self.shared.model
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.shared.handle
    }

    pub(crate) fn settings(&self) -> &ServerSettings {
        &self.shared.settings
    }

    /// Answers that one request may have: more than the engine takes at once would be refused
    /// however often they are asked for.
    pub(crate) fn max_choices(&self) -> usize {
        let limits = self.handle().limits();
        self.settings().max_choices.min(limits.max_running + limits.max_waiting)
    }

    /// A new id that begins with `prefix`.
    pub(crate) fn fresh_id(&self, prefix: &str) -> String {
        let num = self.shared.num_ids.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-{:016x}{num:08x}", self.shared.id_base)
    }

    /// The name under which a request's answer comes: as it was asked for.
    pub(crate) fn model_name(&self, asked: Option<&str>) -> Result<String, ApiError> {
        let model = self.model();
        let Some(asked) = asked else { return Ok(model.id.clone()) };
        if asked == model.id || model.aliases.iter().any(|alias| alias == asked) {
            return Ok(asked.to_owned());
        }
        Err(ApiError::UnknownModel { found: asked.to_owned(), served: model.id.clone() })
    }
}

/// Now, in seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
