//! Finding a model on this machine, without a connection.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Hub;
use crate::cache::{RepoCache, file_names};
use crate::error::Error;
use crate::format::Format;
use crate::model_ref::{ModelRef, RepoRef};
use crate::select::{Selection, select};

/// A model on this machine, complete as far as names tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// A directory, or a file: a `.gguf` (the first of its shards) or a `.safetensors`.
    pub path: PathBuf,
    /// A guess at how it is stored.
    pub format: Format,
    /// The commit of the hub's repository it belongs to, 40 hexadecimal digits.
    pub commit: Option<String>,
}

impl Hub {
    /// Finds a model on this machine. Opens no connection and writes nothing.
    ///
    /// # Errors
    /// [`Error::NotCached`], [`Error::Incomplete`] (an interrupted download),
    /// [`Error::AmbiguousRevision`], [`Error::AmbiguousQuant`], or what a directory lacks.
    pub fn resolve(&self, model: &ModelRef) -> Result<Located, Error> {
        match model {
            ModelRef::Starter => self.resolve_starter(),
            ModelRef::Dir(path) => in_folder(model, path, None),
            ModelRef::File(path) => Ok(file(path.clone())),
            ModelRef::Repo(repo) => self.resolve_repo(repo),
        }
    }

    fn resolve_starter(&self) -> Result<Located, Error> {
        let path = self.starter_path();
        match self.has_starter() {
            true => Ok(file(path)),
            false => {
                let looked_in = path.parent().unwrap_or(&path).to_owned();
                Err(Error::NotCached { model: ModelRef::Starter.to_string(), looked_in })
            }
        }
    }

    fn resolve_repo(&self, repo: &RepoRef) -> Result<Located, Error> {
        let cache = RepoCache::new(&self.config.hf_cache, &repo.repo);
        let not_cached =
            || Error::NotCached { model: repo.to_string(), looked_in: cache.root().to_owned() };
        let mut commits = cache.commits_of(repo.revision());
        match commits.len() {
            1 => in_snapshot(&cache, repo, &commits.remove(0)),
            0 => Err(not_cached()),
            _ => Err(Error::AmbiguousRevision { model: repo.to_string(), commits }),
        }
    }
}

/// Finds the model in the snapshot of one commit.
pub(crate) fn in_snapshot(
    cache: &RepoCache,
    repo: &RepoRef,
    commit: &str,
) -> Result<Located, Error> {
    let path = cache.snapshot(commit);
    let located = in_folder(repo, &path, repo.quant.as_deref()).map_err(|error| match error {
        Error::NoSuchQuant { model, .. } => Error::NotCached { model, looked_in: path },
        Error::NoWeights { model, found } if found.is_empty() => {
            Error::NotCached { model, looked_in: path }
        }
        Error::NoWeights { model, .. } => {
            let missing = "config.json or every model*.safetensors".to_owned();
            Error::Incomplete { model, path, missing }
        }
        other => other,
    })?;
    Ok(Located { commit: Some(commit.to_owned()), ..located })
}

fn in_folder(model: &dyn ToString, folder: &Path, quant: Option<&str>) -> Result<Located, Error> {
    let names = file_names(folder)?;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    match select(model, &names, quant)? {
        Selection::Gguf(shards) => Ok(file(folder.join(shards[0]))),
        Selection::Directory(names) => {
            if let Some(missing) = missing_weights(folder, &names) {
                let (model, path) = (model.to_string(), folder.to_owned());
                return Err(Error::Incomplete { model, path, missing });
            }
            let weights = names.iter().copied().find(|name| name.ends_with(".safetensors"));
            let format = Format::of_dir(folder, weights);
            Ok(Located { path: folder.to_owned(), format, commit: None })
        }
    }
}

fn file(path: PathBuf) -> Located {
    Located { format: Format::of_file(&path), path, commit: None }
}

/// The first weights file that the index lists and the folder lacks. An index that cannot be read
/// is left to the loader, which says more about it.
fn missing_weights(folder: &Path, names: &[&str]) -> Option<String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::HashMap<String, String>,
    }
    let text = fs::read(folder.join("model.safetensors.index.json")).ok()?;
    let index: Index = serde_json::from_slice(&text).ok()?;
    let listed: BTreeSet<_> = index.weight_map.into_values().collect();
    listed.into_iter().find(|name| !names.contains(&name.as_str()))
}
