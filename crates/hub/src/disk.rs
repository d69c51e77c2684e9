//! Room, durability and folders.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::FreeSpace;
use crate::error::Error;

/// Left free beyond the download itself, for file system structures and other programs.
const MARGIN_BYTES: u64 = 32 << 20;

/// Makes a folder of a cache, with its parents.
pub(crate) fn make_dir(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::cache_write(path))
}

/// Refuses a download of `bytes` more bytes that would not fit beside `path`, which must exist.
pub(crate) fn check_room(path: &Path, bytes: u64, free_space: FreeSpace) -> Result<(), Error> {
    if bytes == 0 {
        return Ok(());
    }
    let available = free_space(path).map_err(Error::io("find the free space of", path))?;
    let needed = bytes.saturating_add(MARGIN_BYTES);
    match needed > available {
        true => Err(Error::NoSpace { path: path.to_owned(), needed, available }),
        false => Ok(()),
    }
}

/// Gives a complete, synced file its final name, durably.
pub(crate) fn publish(part: &Path, target: &Path) -> Result<(), Error> {
    fs::rename(part, target).map_err(Error::cache_write(target))?;
    sync_dir(target.parent().unwrap_or(Path::new(".")))
}

/// Writes a small file so that readers see the old or the new content, never a part.
pub(crate) fn write_small(target: &Path, content: &str) -> Result<(), Error> {
    make_dir(target.parent().unwrap_or(Path::new(".")))?;
    // Not a private temporary file: other users of a shared cache must be able to read it.
    let part = temporary_beside(target);
    let mut file = File::create(&part).map_err(Error::cache_write(&part))?;
    let written = file.write_all(content.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(Error::io("write", &part))?;
    publish(&part, target)
}

/// A name in the same folder that no other thread or process uses.
pub(crate) fn temporary_beside(target: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}-{count}", std::process::id()))
}

/// Deletes a file, which need not exist.
pub(crate) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Size of the regular files below a folder; links are not followed.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => 0,
    };
    entries.map(size).sum()
}

/// A rename is durable only once its folder is synced; other systems than Unix cannot ask for it.
fn sync_dir(path: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        File::open(path).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", path))?;
    }
    Ok(())
}
