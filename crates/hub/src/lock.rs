//! One process at a time per file.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use crate::disk::make_dir;
use crate::error::Error;
use crate::progress::Progress;

/// An exclusive lock, held until dropped, and released by the system when the process dies.
///
/// On Unix it is `flock`, as in Hugging Face's tools, which therefore wait for us and we for them.
/// The empty file stays: removing it would let two processes lock two different files.
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits until the lock is free.
    pub(crate) fn wait(path: &Path, progress: &mut dyn Progress) -> Result<Self, Error> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.begin("waiting for another process that downloads the same file", None);
                file.lock().map_err(Error::io("lock", path))?;
                progress.finish();
            }
            // A network file system without locks: the final rename still keeps files whole.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", path)(e)),
        }
        Ok(Self { _file: file })
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process holds it.
    pub(crate) fn now(path: &Path) -> Result<Self, Error> {
        let file = open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::Busy { path: path.to_owned() }),
            _ => Ok(Self { _file: file }),
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    make_dir(path.parent().unwrap_or(Path::new(".")))?;
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    options.open(path).map_err(Error::cache_write(path))
}
