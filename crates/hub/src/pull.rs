//! Downloading a model from the hub.

use std::fs;
use std::path::Path;

use crate::Hub;
use crate::api::{Content, RemoteFile, file_content, file_url, repo_info};
use crate::cache::RepoCache;
use crate::config::Network;
use crate::disk::{check_room, make_dir, publish, write_small};
use crate::error::Error;
use crate::fetch::fetch;
use crate::file_name::is_safe;
use crate::http::Http;
use crate::link::link;
use crate::lock::FileLock;
use crate::model_ref::{ModelRef, RepoRef};
use crate::part::Expected;
use crate::progress::Progress;
use crate::resolve::{Located, in_snapshot};
use crate::select::select;

/// A file to have, with a checked name and a known content.
struct Wanted {
    name: String,
    content: Content,
}

/// The commit of one pull and what it is downloaded with.
struct Pull<'a> {
    http: &'a Http,
    repo: &'a RepoRef,
    cache: &'a RepoCache,
    commit: String,
}

impl Hub {
    /// Makes a model complete on this machine: asks the hub for the commit behind the revision,
    /// downloads what that commit needs and the cache lacks, and returns where it is.
    ///
    /// An interrupted pull is resumed by the next one. Without [`Network::Allowed`] only what is
    /// already here is returned. A path is returned as it is.
    ///
    /// # Errors
    /// Most of [`Error`]; after any of them the cache holds no corrupt or half-named file.
    pub fn pull(&self, model: &ModelRef, progress: &mut dyn Progress) -> Result<Located, Error> {
        match model {
            ModelRef::Dir(_) | ModelRef::File(_) => self.resolve(model),
            ModelRef::Starter => {
                self.starter_gguf(progress)?;
                self.resolve(model)
            }
            ModelRef::Repo(_) if self.config.network == Network::Offline => {
                self.resolve(model).map_err(|error| match error {
                    Error::NotCached { model, .. } => Error::Offline { model },
                    other => other,
                })
            }
            ModelRef::Repo(repo) => self.pull_repo(repo, progress),
        }
    }

    fn pull_repo(&self, repo: &RepoRef, progress: &mut dyn Progress) -> Result<Located, Error> {
        let http = Http::new(&self.config, self.config.timing)?;
        let cache = RepoCache::new(&self.config.hf_cache, &repo.repo);
        let info = repo_info(&http, &repo.repo, repo.revision())?;
        let pull = Pull { http: &http, repo, cache: &cache, commit: info.commit };
        let wanted = pull.plan(&info.files)?;
        let missing: Vec<_> = wanted.iter().filter(|file| !pull.has(file)).collect();
        if !missing.is_empty() {
            make_dir(&cache.blobs())?;
            let bytes = missing.iter().map(|file| pull.bytes_to_load(file)).sum();
            check_room(cache.root(), bytes, self.config.free_space)?;
            // All contents first: a snapshot then never names a file that is still to come.
            missing.iter().try_for_each(|file| pull.load(file, progress))?;
            missing.iter().try_for_each(|file| pull.link(file))?;
        }
        pull.write_ref()?;
        in_snapshot(&cache, repo, &pull.commit)
    }
}

impl Pull<'_> {
    /// Selects the files, checks their names, and asks for contents that the listing lacks.
    fn plan(&self, files: &[RemoteFile]) -> Result<Vec<Wanted>, Error> {
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        let selection = select(self.repo, &names, self.repo.quant.as_deref())?;
        let is_selected = |file: &&RemoteFile| selection.names().contains(&file.name.as_str());
        files.iter().filter(is_selected).map(|file| self.plan_file(file)).collect()
    }

    fn plan_file(&self, file: &RemoteFile) -> Result<Wanted, Error> {
        let name = file.name.clone();
        if !is_safe(&name) {
            return Err(Error::UnsafeFileName { name });
        }
        let content = match &file.content {
            Some(content) => content.clone(),
            None => file_content(self.http, &self.url(&name), &self.commit)?,
        };
        Ok(Wanted { name, content })
    }

    fn url(&self, name: &str) -> String {
        file_url(self.http, &self.repo.repo, &self.commit, name)
    }

    /// Whether the snapshot has the file already.
    fn has(&self, file: &Wanted) -> bool {
        let path = self.cache.snapshot(&self.commit).join(&file.name);
        has_bytes(&path, file.content.bytes)
    }

    fn bytes_to_load(&self, file: &Wanted) -> u64 {
        let Content { bytes, digest } = &file.content;
        if has_bytes(&self.cache.blob(digest), *bytes) {
            return 0;
        }
        let begun = fs::metadata(self.cache.part(digest)).map_or(0, |part| part.len());
        bytes.saturating_sub(begun)
    }

    /// Downloads one content, unless another process just did or another commit has it.
    fn load(&self, file: &Wanted, progress: &mut dyn Progress) -> Result<(), Error> {
        let Content { bytes, digest } = &file.content;
        let _lock = FileLock::wait(&self.cache.lock(digest), progress)?;
        let blob = self.cache.blob(digest);
        if has_bytes(&blob, *bytes) {
            return Ok(());
        }
        let part = self.cache.part(digest);
        let expected = Expected { name: &file.name, bytes: *bytes, digest };
        fetch(self.http, &self.url(&file.name), &part, expected, progress)?;
        publish(&part, &blob)
    }

    fn link(&self, file: &Wanted) -> Result<(), Error> {
        let snapshot = self.cache.snapshot(&self.commit);
        link(&snapshot, &file.name, &self.cache.blob(&file.content.digest))
    }

    /// Notes which commit the branch or tag has, if the cache does not know.
    fn write_ref(&self) -> Result<(), Error> {
        let revision = self.repo.revision();
        let is_known = self.cache.read_ref(revision).as_ref() == Some(&self.commit);
        if is_known || self.commit.starts_with(revision) {
            return Ok(());
        }
        write_small(&self.cache.refs().join(revision), &self.commit)
    }
}

fn has_bytes(path: &Path, bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == bytes)
}
