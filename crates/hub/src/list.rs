//! What both caches hold.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::Hub;
use crate::cache::{RepoCache, file_names};
use crate::error::Error;
use crate::format::Format;
use crate::model_ref::ModelRef;
use crate::repo_id::RepoId;

/// One model in a cache: the starter, or one commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    /// A reference that finds it: `starter`, `org/repo`, or `org/repo@commit` for a commit that is
    /// not the repository's `main`.
    pub name: String,
    /// The file or the snapshot folder.
    pub path: PathBuf,
    /// Size of its contents; two commits that share a content both count it.
    pub bytes: u64,
    /// A guess at how it is stored.
    pub format: Format,
    /// When its newest content was written.
    pub modified: SystemTime,
}

impl Hub {
    /// The models in both caches, sorted by name. A cache folder that does not exist is empty.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list(&self) -> Result<Vec<CachedModel>, Error> {
        let mut models = Vec::new();
        if self.has_starter() {
            let path = self.starter_path();
            let (bytes, modified) = size_and_age([path.as_path()].into_iter());
            let (name, format) = (ModelRef::Starter.to_string(), Format::Gguf);
            models.push(CachedModel { name, path, bytes, format, modified });
        }
        let hf_cache = &self.config.hf_cache;
        let entries = match fs::read_dir(hf_cache) {
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            entries => Some(entries.map_err(Error::io("read", hf_cache))?),
        };
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(repo) = name.to_str().and_then(RepoId::from_folder) else { continue };
            models.extend(self.list_repo(&repo)?);
        }
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(models)
    }

    fn list_repo(&self, repo: &RepoId) -> Result<Vec<CachedModel>, Error> {
        let cache = RepoCache::new(&self.config.hf_cache, repo);
        let main = cache.read_ref("main");
        let mut models = Vec::new();
        for commit in cache.commits() {
            let path = cache.snapshot(&commit);
            let names = file_names(&path)?;
            if names.is_empty() {
                continue;
            }
            let name = match main.as_ref() == Some(&commit) {
                true => repo.to_string(),
                false => format!("{repo}@{commit}"),
            };
            let files: Vec<_> = names.iter().map(|name| path.join(name)).collect();
            let (bytes, modified) = size_and_age(files.iter().map(PathBuf::as_path));
            let format = guess(&path, &names);
            models.push(CachedModel { name, path, bytes, format, modified });
        }
        Ok(models)
    }
}

fn guess(folder: &Path, names: &[String]) -> Format {
    let with_end = |end| names.iter().map(String::as_str).find(|name| name.ends_with(end));
    match (with_end(".safetensors"), with_end(".gguf")) {
        (None, Some(_)) => Format::Gguf,
        (weights, _) => Format::of_dir(folder, weights),
    }
}

/// Total size and newest change; two names of one content count once.
fn size_and_age<'a>(files: impl Iterator<Item = &'a Path>) -> (u64, SystemTime) {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut sizes = HashMap::new();
    for file in files {
        let Ok(metadata) = fs::metadata(file) else { continue };
        newest = newest.max(metadata.modified().unwrap_or(newest));
        let content = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        sizes.insert(content, metadata.len());
    }
    (sizes.values().sum(), newest)
}
