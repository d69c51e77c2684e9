//! A folder that appears under its name only when it is complete and on disk.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::{Error, WriteError};

/// Names to try for a folder being written.
const MAX_ATTEMPTS: usize = 100;

/// A folder being written under another name. Dropping it unfinished removes it.
pub(super) struct NewFolder {
    partial: PathBuf,
    target: PathBuf,
}

impl NewFolder {
    pub(super) fn create(target: &Path) -> Result<Self, Error> {
        if target.symlink_metadata().is_ok() {
            return Err(WriteError::Exists { path: target.to_owned() }.into());
        }
        let name = target.file_name().unwrap_or_default();
        let id = std::process::id();
        // In containers, a process that was killed or is elsewhere may have had the same number.
        let mut attempt = 0;
        loop {
            let mut name = name.to_owned();
            name.push(format!(".partial-{id}-{attempt}"));
            let partial = target.with_file_name(name);
            match fs::create_dir(&partial) {
                Ok(()) => return Ok(Self { partial, target: target.to_owned() }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists && attempt < MAX_ATTEMPTS => {
                    attempt += 1;
                }
                Err(source) => return Err(Error::io(&partial, source)),
            }
        }
    }

    pub(super) fn write_text(&self, name: &str, text: &str) -> Result<(), Error> {
        self.write(name, |(mut file, path)| {
            file.write_all(text.as_bytes()).map_err(|source| Error::io(path, source))
        })
    }

    /// Creates the file `name`, lets `write` fill it and waits until it is on disk.
    pub(super) fn write(
        &self,
        name: &str,
        write: impl FnOnce((&File, &Path)) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let path = self.partial.join(name);
        let failed = |source| Error::io(&path, source);
        let file = File::create_new(&path).map_err(failed)?;
        write((&file, &path))?;
        file.sync_all().map_err(failed)
    }

    /// Gives the folder its name.
    pub(super) fn finish(self) -> Result<(), Error> {
        sync_folder(&self.partial)?;
        fs::rename(&self.partial, &self.target)
            .map_err(|source| Error::io(&self.target, source))?;
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // After `finish` there is nothing under this name; while failing, the first error is the
        // one to report.
        let _ = fs::remove_dir_all(&self.partial);
    }
}

/// Makes the names in a folder durable. Only Unix can open a folder for that.
fn sync_folder(path: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        let synced = File::open(path).and_then(|folder| folder.sync_all());
        synced.map_err(|source| Error::io(path, source))?;
    }
    Ok(())
}
