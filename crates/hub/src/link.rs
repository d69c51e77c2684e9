//! The files of a snapshot, which share their contents with the blobs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{make_dir, remove_file, temporary_beside};
use crate::error::Error;

/// Makes `snapshot/name` show the content of `blobs/hex`, where both folders are in one repository
/// of the cache. Replaces what is there.
pub(crate) fn link(snapshot: &Path, name: &str, blob: &Path) -> Result<(), Error> {
    let path = snapshot.join(name);
    let folder = path.parent().unwrap_or(snapshot);
    make_dir(folder)?;
    // Made beside the target and renamed, so that another reader never finds it missing.
    let temporary = temporary_beside(&path);
    remove_file(&temporary)?;
    symlink(&relative_blob(name, blob), &temporary)
        .or_else(|_| fs::hard_link(blob, &temporary))
        .or_else(|_| fs::copy(blob, &temporary).map(drop))
        .map_err(Error::cache_write(&path))?;
    fs::rename(&temporary, &path).map_err(Error::cache_write(&path))
}

/// `../../blobs/hex` seen from `snapshots/commit/name`, with one more `..` per folder in `name`.
fn relative_blob(name: &str, blob: &Path) -> PathBuf {
    let ups = 2 + name.matches('/').count();
    let mut target: PathBuf = std::iter::repeat_n("..", ups).collect();
    target.push("blobs");
    target.push(blob.file_name().unwrap_or_default());
    target
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Windows allows links to administrators and in developer mode only; hence the alternatives.
#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
