//! `pull`, `list` and `rm`.

use std::time::SystemTime;

use anyhow::{Result, bail};
use indicatif::HumanBytes;
use russet_hub::{CachedModel, Hub, ModelRef};
use serde_json::json;

use crate::console;
use crate::progress::Bar;
use crate::settings::{ListSettings, PullSettings, RmSettings, model_ref};
use crate::starter;

/// Fetches a model and says where it is.
pub(crate) fn pull(hub: &Hub, settings: &PullSettings) -> Result<()> {
    let model = model_ref(&settings.model)?;
    match (&settings.from, &model) {
        (Some(file), ModelRef::Starter) => {
            hub.import_starter(file, &mut Bar::default())?;
        }
        (Some(_), _) => bail!("--from is for the starter model; `{model}` comes from the hub"),
        (None, _) => {}
    }
    let path = match model {
        ModelRef::Starter => starter::ensure(hub)?,
        _ => hub.pull(&model, &mut Bar::default())?.path,
    };
    console::line(format_args!("{}", path.display()))?;
    Ok(())
}

/// Prints the models in both caches.
pub(crate) fn list(hub: &Hub, settings: &ListSettings) -> Result<()> {
    let mut models = hub.list()?;
    if let Some(starter) = models.iter_mut().find(|m| m.name == ModelRef::Starter.to_string()) {
        // Fetched as GGUF, served as MLX: both are there.
        starter.bytes += starter::converted_bytes(hub);
    }
    if settings.json {
        let rows: Vec<_> = models.iter().map(as_json).collect();
        console::line(format_args!("{}", serde_json::to_string_pretty(&rows)?))?;
        return Ok(());
    }
    if models.is_empty() {
        let config = hub.config();
        console::note(format_args!(
            "No models yet in {} or {}. `russet pull starter` fetches a small one.",
            config.russet_home.display(),
            config.hf_cache.display()
        ));
        return Ok(());
    }
    let width = models.iter().map(|m| m.name.len()).max().unwrap_or(0).max("MODEL".len());
    console::line(format_args!("{:width$}  {:8}  {:>10}  MODIFIED", "MODEL", "FORMAT", "SIZE"))?;
    for model in &models {
        let (format, bytes) = (model.format.to_string(), HumanBytes(model.bytes).to_string());
        console::line(format_args!(
            "{:width$}  {format:8}  {bytes:>10}  {}",
            model.name,
            age(model.modified)
        ))?;
    }
    Ok(())
}

/// Removes models and says what that freed.
pub(crate) fn rm(hub: &Hub, settings: &RmSettings) -> Result<()> {
    for name in &settings.models {
        let model = model_ref(name)?;
        let freed = match model {
            ModelRef::Starter => starter::remove(hub)?,
            _ => hub.remove(&model)?,
        };
        console::line(format_args!("removed {model}, {} freed", HumanBytes(freed)))?;
    }
    Ok(())
}

fn as_json(model: &CachedModel) -> serde_json::Value {
    let modified = model.modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    json!({
        "name": model.name,
        "format": model.format.to_string(),
        "bytes": model.bytes,
        "path": model.path,
        "modified_unix_s": modified,
    })
}

fn age(modified: SystemTime) -> String {
    let seconds = modified.elapsed().map_or(0, |age| age.as_secs());
    match seconds {
        0..60 => "just now".into(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..172_800 => "1 day ago".into(),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
