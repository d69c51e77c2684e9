//! Finding a model on this machine, without a connection.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Hub;
use crate::cache::{RepoCache, file_names, top_file_names};
use crate::error::Error;
use crate::format::{self, Format};
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
    /// [`Error::AmbiguousRevision`], [`Error::AmbiguousQuant`], or what a directory lacks or has
    /// too many of.
    pub fn resolve(&self, model: &ModelRef) -> Result<Located, Error> {
        match model {
            ModelRef::Starter => self.resolve_starter(),
            ModelRef::Dir(path) => in_own_folder(model, path),
            ModelRef::File(path) => of_file(model, path),
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
    let names = file_names(&path)?;
    let located = in_folder(repo, &path, &names, repo.quant.as_deref()).map_err(|error| {
        let incomplete =
            |missing| Error::Incomplete { model: repo.to_string(), path: path.clone(), missing };
        match error {
            Error::NoSuchQuant { model, .. } => Error::NotCached { model, looked_in: path.clone() },
            Error::NoWeights { model, found } if found.is_empty() => {
                Error::NotCached { model, looked_in: path.clone() }
            }
            Error::NoWeights { .. } => {
                incomplete("config.json or every model*.safetensors".to_owned())
            }
            Error::MissingFile { missing, .. } => incomplete(missing),
            Error::MissingShards { file, expected, found, .. } => {
                incomplete(format!("a part of {file} ({found} of {expected} are there)"))
            }
            other => other,
        }
    })?;
    Ok(Located { commit: Some(commit.to_owned()), ..located })
}

/// Finds the model in a folder of the user's. Folders below it are not searched: there may be any
/// number of them.
fn in_own_folder(model: &ModelRef, folder: &Path) -> Result<Located, Error> {
    let names = top_file_names(folder)?;
    in_folder(model, folder, &names, None).map_err(|error| match error {
        Error::AmbiguousQuant { available, .. } => {
            Error::SeveralGguf { path: folder.to_owned(), found: available }
        }
        other => other,
    })
}

fn in_folder(
    model: &dyn ToString,
    folder: &Path,
    names: &[String],
    quant: Option<&str>,
) -> Result<Located, Error> {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    match select(model, &names, quant)? {
        Selection::Gguf(shards) => Ok(file(folder.join(shards[0]))),
        Selection::Directory(names) => {
            if let Some(missing) = missing_weights(folder, &names) {
                return Err(Error::MissingFile { path: folder.to_owned(), missing });
            }
            let weights = names.iter().copied().find(|name| name.ends_with(".safetensors"));
            let format = Format::of_dir(folder, weights);
            Ok(Located { path: folder.to_owned(), format, commit: None })
        }
    }
}

/// A GGUF by its first bytes, wherever it lies; any other file stands for the model of its folder.
fn of_file(model: &ModelRef, path: &Path) -> Result<Located, Error> {
    let start = format::start(path);
    if format::is_gguf(&start) {
        return Ok(file(path.to_owned()));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let start = format!("\"{}\"", start.escape_ascii());
    match in_own_folder(model, folder) {
        Ok(located) if located.path == folder => Ok(located),
        // A file beside a GGUF is not a part of it.
        Ok(other) => {
            let found = vec![other.path.display().to_string()];
            let folder = Box::new(Error::NoWeights { model: folder.display().to_string(), found });
            Err(Error::NotAModelFile { path: path.to_owned(), start, folder })
        }
        Err(error) => {
            Err(Error::NotAModelFile { path: path.to_owned(), start, folder: Box::new(error) })
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
