//! Passing every request on to a server somewhere else.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use russet_backends::{Backend, Upstream};
use russet_server::{Catalog, ServedBy};
use serde_json::json;

use super::{Served, served_model};
use crate::settings::{RemoteModel, ServeSettings};

/// Makes the client; connects to nothing yet.
pub(super) fn serve(settings: &ServeSettings) -> Result<Served> {
    let remote = settings.remote.remote()?;
    let remote = remote.context("the remote backend needs --remote-url")?;
    let base_url = remote.base_url.clone();
    let upstream = Arc::new(Upstream::remote(&remote)?);
    let mut map = settings.remote.remote_model.clone();
    if let Some(typed) = &settings.model
        && !map.iter().any(|model| model.alias == *typed)
    {
        map.insert(0, RemoteModel { alias: typed.clone(), name: typed.clone() });
    }
    let aliases = settings.listen.alias.clone();
    if !aliases.is_empty() && map.len() != 1 {
        bail!(
            "--alias names one model, and there are {}; take --remote-model NAME=MODEL",
            map.len()
        );
    }
    let model = |RemoteModel { alias, name }: RemoteModel| {
        let by = ServedBy::Upstream { upstream: upstream.clone(), name };
        served_model(&alias, aliases.clone(), by)
    };
    let info = json!({
        "backend": Backend::Remote.name(),
        "url": base_url,
        "models": map.iter().map(|model| &model.alias).collect::<Vec<_>>(),
    });
    let rest = map.is_empty().then(|| upstream.clone());
    let names = match &map[..] {
        [] => "all models".to_owned(),
        models => models.iter().map(|m| m.alias.as_str()).collect::<Vec<_>>().join(", "),
    };
    let summary = format!("{names} of {base_url}");
    let catalog = Catalog { models: map.into_iter().map(model).collect(), rest };
    Ok(Served { catalog, engine: None, summary, info })
}
