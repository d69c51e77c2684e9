//! What every request handler sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use russet_backends::Upstream;
use russet_engine::{Handle, SamplingParams, TokenId};
use russet_tokenizer::{ChatTemplate, Tokenizer};
use tokio::sync::watch;

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
    /// What computes it.
    pub by: ServedBy,
}

/// What computes a model.
#[derive(Debug, Clone)]
pub enum ServedBy {
    /// An engine in this process.
    Engine(Arc<EngineModel>),
    /// Another server, which knows the model by `name`.
    Upstream {
        /// The server.
        upstream: Arc<Upstream>,
        /// The model's name there.
        name: String,
    },
}

/// A model in this process, with its engine.
#[derive(Debug)]
pub struct EngineModel {
    /// Takes requests.
    pub handle: Handle,
    /// Its vocabulary.
    pub tokenizer: Arc<Tokenizer>,
    /// Its chat template; without one, chat requests are refused.
    pub template: Option<ChatTemplate>,
    /// What a request leaves out.
    pub defaults: SamplingParams,
    /// Tokens that end a generation.
    pub stop_tokens: Vec<TokenId>,
}

/// Everything that can be asked for.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The first one answers requests that name none.
    pub models: Vec<ServedModel>,
    /// A server that takes every other name, by that name.
    pub rest: Option<Arc<Upstream>>,
}

/// The models and the limits. Cloning shares them.
#[derive(Debug, Clone)]
pub struct ServerState {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    catalog: Catalog,
    settings: ServerSettings,
    phase: watch::Sender<Phase>,
    /// Requests that other servers are answering.
    num_relayed: AtomicUsize,
    /// Makes ids unique across restarts.
    id_base: u64,
    num_ids: AtomicU64,
}

/// How far the shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Accepting,
    /// Running requests may finish.
    Draining,
    /// Running requests break off.
    Aborting,
}

/// A model that a request asked for.
#[derive(Debug)]
pub(crate) struct Found {
    /// The name under which the answer comes: as it was asked for.
    pub(crate) name: String,
    pub(crate) by: ServedBy,
}

impl ServerState {
    /// Puts together what the server needs.
    pub fn new(catalog: Catalog, settings: ServerSettings) -> Self {
        let shared = Shared {
            catalog,
            settings,
            phase: watch::Sender::new(Phase::Accepting),
            num_relayed: AtomicUsize::new(0),
            id_base: getrandom::u64().expect("the operating system gives random numbers"),
            num_ids: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    pub(crate) fn settings(&self) -> &ServerSettings {
        &self.shared.settings
    }

    /// The engines in this process.
    pub(crate) fn engines(&self) -> impl Iterator<Item = &EngineModel> {
        self.catalog().models.iter().filter_map(|model| match &model.by {
            ServedBy::Engine(engine) => Some(&**engine),
            ServedBy::Upstream { .. } => None,
        })
    }

    /// Answers that one request may have: more than the engine takes at once would be refused
    /// however often they are asked for.
    pub(crate) fn max_choices(&self, model: &EngineModel) -> usize {
        let limits = model.handle.limits();
        self.settings().max_choices.min(limits.max_running + limits.max_waiting)
    }

    /// A new id that begins with `prefix`.
    pub(crate) fn fresh_id(&self, prefix: &str) -> String {
        let num = self.shared.num_ids.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-{:016x}{num:08x}", self.shared.id_base)
    }

    /// The model of a request.
    pub(crate) fn find(&self, asked: Option<&str>) -> Result<Found, ApiError> {
        let Catalog { models, rest } = self.catalog();
        let found = |name: &str, by: &ServedBy| Found { name: name.to_owned(), by: by.clone() };
        let Some(asked) = asked else {
            let first = models.first().ok_or(ApiError::NoModelNamed)?;
            return Ok(found(&first.id, &first.by));
        };
        if let Some(model) = models.iter().find(|model| model.has_name(asked)) {
            return Ok(found(asked, &model.by));
        }
        let by = rest.clone().map(|upstream| ServedBy::Upstream { upstream, name: asked.into() });
        by.map(|by| found(asked, &by)).ok_or_else(|| ApiError::UnknownModel {
            found: asked.to_owned(),
            served: models.iter().map(|model| model.id.clone()).collect(),
        })
    }

    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.shared.phase.subscribe()
    }

    /// Refuses new requests.
    pub(crate) fn drain(&self) {
        self.shared.phase.send_replace(Phase::Draining);
        self.engines().for_each(|engine| engine.handle.drain());
    }

    /// Breaks off running requests.
    pub(crate) fn abort_all(&self) {
        self.shared.phase.send_replace(Phase::Aborting);
        self.engines().for_each(|engine| engine.handle.abort_all());
    }

    /// Counts a relayed request until the return value is dropped.
    pub(crate) fn count_relayed(&self) -> Relayed {
        self.shared.num_relayed.fetch_add(1, Ordering::Relaxed);
        Relayed { state: self.clone() }
    }

    pub(crate) fn num_relayed(&self) -> usize {
        self.shared.num_relayed.load(Ordering::Relaxed)
    }
}

impl ServedModel {
    pub(crate) fn has_name(&self, name: &str) -> bool {
        name == self.id || self.aliases.iter().any(|alias| alias == name)
    }
}

/// A request that another server is answering.
#[derive(Debug)]
pub(crate) struct Relayed {
    pub(crate) state: ServerState,
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.state.shared.num_relayed.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Now, in seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
