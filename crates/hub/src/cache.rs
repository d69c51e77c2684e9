//! Hugging Face's cache layout, one repository of it.
//!
//! ```text
//! models--org--name/blobs/<digest>               contents, named by what they hash to
//! models--org--name/refs/<branch or tag>         a commit
//! models--org--name/snapshots/<commit>/<file>    links to blobs
//! .locks/models--org--name/<digest>.lock         held while a blob is written
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, is_hex};
use crate::error::Error;
use crate::model_ref::valid_revision;
use crate::repo_id::RepoId;

/// Folders of a repository are not deeper than this; deeper ones are not looked at.
const MAX_DEPTH: usize = 8;

/// The paths of one repository. Making one touches nothing.
pub(crate) struct RepoCache {
    root: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    pub(crate) fn new(hf_cache: &Path, repo: &RepoId) -> Self {
        let folder = repo.folder();
        Self { root: hf_cache.join(&folder), locks: hf_cache.join(".locks").join(&folder) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// The incomplete blob, under the name that Hugging Face's tools resume from too.
    pub(crate) fn part(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(format!("{}.incomplete", digest.hex()))
    }

    pub(crate) fn locks(&self) -> &Path {
        &self.locks
    }

    pub(crate) fn lock(&self, digest: &Digest) -> PathBuf {
        self.locks.join(format!("{}.lock", digest.hex()))
    }

    pub(crate) fn refs(&self) -> PathBuf {
        self.root.join("refs")
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The cached commits that `revision` may mean: the one its ref names, or else those whose
    /// digits start with it.
    pub(crate) fn commits_of(&self, revision: &str) -> Vec<String> {
        if let Some(commit) = self.read_ref(revision) {
            return vec![commit];
        }
        let is_commit = revision.len() >= 7 && is_hex(revision);
        let fits = |commit: &String| is_commit && commit.starts_with(revision);
        self.commits().into_iter().filter(fits).collect()
    }

    /// The commit that a branch or tag had when it was last downloaded.
    pub(crate) fn read_ref(&self, revision: &str) -> Option<String> {
        if !valid_revision(revision) {
            return None;
        }
        let commit = fs::read_to_string(self.refs().join(revision)).ok()?.trim().to_owned();
        (commit.len() == 40 && is_hex(&commit)).then_some(commit)
    }

    /// All commits that have a snapshot, sorted.
    pub(crate) fn commits(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root.join("snapshots")) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut commits: Vec<_> = names.filter(|name| name.len() == 40 && is_hex(name)).collect();
        commits.sort_unstable();
        commits
    }
}

/// The files below `folder` whose contents are there (a link to a missing blob is not), relative
/// and with `/`, sorted. A folder that does not exist has none.
pub(crate) fn file_names(folder: &Path) -> Result<Vec<String>, Error> {
    names_to_depth(folder, 0)
}

/// As [`file_names`], without those in folders below.
pub(crate) fn top_file_names(folder: &Path) -> Result<Vec<String>, Error> {
    names_to_depth(folder, MAX_DEPTH)
}

fn names_to_depth(folder: &Path, depth: usize) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    walk(folder, "", depth, &mut names)?;
    names.sort_unstable();
    Ok(names)
}

fn walk(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("read", folder))?,
    };
    for entry in entries.flatten() {
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{file_name}");
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && depth < MAX_DEPTH {
            walk(&entry.path(), &format!("{name}/"), depth + 1, names)?;
        } else if fs::metadata(entry.path()).is_ok_and(|target| target.is_file()) {
            names.push(name);
        }
    }
    Ok(())
}
