//! Serving a model with the engine of this process.

use std::sync::Arc;

use anyhow::Result;
use russet_hub::Hub;
use russet_server::{Catalog, EngineModel, ServedBy};

use super::{Served, aliases, served_model};
use crate::loaded;
use crate::settings::ServeSettings;

/// OpenAI's default.
const DEFAULT_TEMPERATURE: f32 = 1.0;

/// Loads the model.
pub(super) fn serve(hub: &Hub, model: &str, settings: &ServeSettings) -> Result<Served> {
    let loaded = loaded::load(hub, model, &settings.compute, settings.listen.max_waiting)?;
    let fact = |name: &str| loaded.facts[name].to_string();
    let summary = format!(
        "{} ({}) with {} on {} threads, context {} tokens",
        loaded.name,
        fact("architecture").trim_matches('"'),
        fact("isa").trim_matches('"'),
        fact("threads"),
        fact("context_tokens"),
    );
    let by = ServedBy::Engine(Arc::new(EngineModel {
        handle: loaded.engine.handle(),
        tokenizer: loaded.tokenizer.clone(),
        template: loaded.template.clone(),
        defaults: loaded.sampling(DEFAULT_TEMPERATURE),
        stop_tokens: loaded.stop_tokens.clone(),
    }));
    let served = served_model(&loaded.name, aliases(model, &settings.listen), by);
    let catalog = Catalog { models: vec![served], rest: None };
    Ok(Served { catalog, engine: Some(loaded.engine), summary, info: loaded.facts })
}
