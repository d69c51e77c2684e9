//! Read-only memory maps of whole files. The only `unsafe` of this crate.
#![expect(unsafe_code, reason = "a map is sound only while nobody shrinks the file")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::Error;

/// A file mapped read-only.
///
/// If another process truncates the file while it is mapped, reading past its new end kills this
/// process; model folders are written to a temporary name and renamed, so this does not happen to a
/// finished model.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    map: memmap2::Mmap,
}

impl MappedFile {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::io(path, source);
        // Opening a pipe would wait for a writer, so this comes first.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let file = File::open(path).map_err(failed)?;
        // SAFETY: The map is private to this value and only ever read as plain bytes, for which
        // every bit pattern is valid. The remaining hazard, truncation by another process, is
        // described on the type.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(failed)?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Takes the pages of these bytes out of this process. Who reads them again gets them from the
    /// file, or rather from the system's cache of it.
    #[cfg(unix)]
    pub(crate) fn release(&self, bytes: Range<usize>) {
        let advice = memmap2::UncheckedAdvice::DontNeed;
        // SAFETY: What this advice drops are changes to private memory, and a read-only map of a
        // file has none: it reads as before.
        let released = unsafe { self.map.unchecked_advise_range(advice, bytes.start, bytes.len()) };
        // A system that refuses keeps them, which only costs memory.
        drop(released);
    }

    /// Nothing is released where there is no such call.
    #[cfg(not(unix))]
    pub(crate) fn release(&self, _bytes: Range<usize>) {}
}
