//! Freeing cache space.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::Hub;
use crate::cache::{RepoCache, file_names};
use crate::disk::{bytes_below, remove_file};
use crate::error::Error;
use crate::lock::FileLock;
use crate::model_ref::{ModelRef, RepoRef};
use crate::select::select;

impl Hub {
    /// Removes a cached model and returns the bytes this freed.
    ///
    /// `org/repo` removes every commit of it and unfinished downloads; with `@revision` only that
    /// commit, with `:QUANT` only that GGUF. Contents that another commit still uses stay.
    ///
    /// # Errors
    /// [`Error::NotCached`]; [`Error::NotOurs`] for a path; [`Error::Busy`] while another process
    /// downloads the model.
    pub fn remove(&self, model: &ModelRef) -> Result<u64, Error> {
        match model {
            ModelRef::Dir(path) | ModelRef::File(path) => {
                Err(Error::NotOurs { path: path.clone() })
            }
            ModelRef::Starter => self.remove_starter(),
            ModelRef::Repo(repo) => self.remove_repo(repo),
        }
    }

    fn remove_starter(&self) -> Result<u64, Error> {
        let path = self.starter_path();
        // Before the lock, which would make the folder.
        let Ok(metadata) = fs::metadata(&path) else {
            let looked_in = path.parent().unwrap_or(&path).to_owned();
            return Err(Error::NotCached { model: ModelRef::Starter.to_string(), looked_in });
        };
        let _lock = FileLock::now(&self.starter_lock())?;
        remove_file(&path).map(|()| metadata.len())
    }

    fn remove_repo(&self, repo: &RepoRef) -> Result<u64, Error> {
        let cache = RepoCache::new(&self.config.hf_cache, &repo.repo);
        if !cache.root().is_dir() {
            let looked_in = cache.root().to_owned();
            return Err(Error::NotCached { model: repo.to_string(), looked_in });
        }
        let _locks = lock_all(&cache)?;
        let before = bytes_below(cache.root());
        if repo.revision.is_none() && repo.quant.is_none() {
            let root = cache.root();
            fs::remove_dir_all(root).map_err(Error::io("remove", root))?;
        } else {
            remove_part(&cache, repo)?;
        }
        Ok(before.saturating_sub(bytes_below(cache.root())))
    }
}

/// Takes every lock of the repository, so that nothing is removed under a running download.
fn lock_all(cache: &RepoCache) -> Result<Vec<FileLock>, Error> {
    let entries = fs::read_dir(cache.locks()).into_iter().flatten().flatten();
    entries.map(|entry| FileLock::now(&entry.path())).collect()
}

/// Removes one commit, or one GGUF of it, and the blobs that nothing else uses.
fn remove_part(cache: &RepoCache, repo: &RepoRef) -> Result<(), Error> {
    let commits = cache.commits_of(repo.revision());
    let [commit] = commits.as_slice() else {
        let model = repo.to_string();
        return Err(match commits.is_empty() {
            true => Error::NotCached { model, looked_in: cache.root().to_owned() },
            false => Error::AmbiguousRevision { model, commits },
        });
    };
    let snapshot = cache.snapshot(commit);
    let names = file_names(&snapshot)?;
    let mut doomed: Vec<_> = names.iter().map(String::as_str).collect();
    if repo.quant.is_some() {
        doomed = select(repo, &doomed, repo.quant.as_deref())?.names().to_vec();
    }
    let blobs: BTreeSet<_> = doomed.iter().filter_map(|n| blob_of(&snapshot.join(n))).collect();
    for name in &doomed {
        remove_file(&snapshot.join(name))?;
    }
    if file_names(&snapshot)?.is_empty() {
        remove_commit(cache, commit)?;
    }
    let used = used_blobs(cache)?;
    blobs.difference(&used).try_for_each(|blob| remove_file(&cache.blobs().join(blob)))
}

/// Removes a snapshot and the refs that name it.
fn remove_commit(cache: &RepoCache, commit: &str) -> Result<(), Error> {
    let snapshot = cache.snapshot(commit);
    match fs::remove_dir_all(&snapshot) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("remove", &snapshot)(e)),
        _ => {}
    }
    for name in file_names(&cache.refs())? {
        if cache.read_ref(&name).as_deref() == Some(commit) {
            remove_file(&cache.refs().join(name))?;
        }
    }
    Ok(())
}

fn used_blobs(cache: &RepoCache) -> Result<BTreeSet<OsString>, Error> {
    let mut used = BTreeSet::new();
    for commit in cache.commits() {
        let snapshot = cache.snapshot(&commit);
        let names = file_names(&snapshot)?;
        used.extend(names.iter().filter_map(|name| blob_of(&snapshot.join(name))));
    }
    Ok(used)
}

/// The name of the blob that a snapshot's link points to. Only that name is used, below `blobs/`,
/// so a link that points elsewhere cannot lead to a removal there.
fn blob_of(link: &Path) -> Option<OsString> {
    fs::read_link(link).ok()?.file_name().map(OsString::from)
}
