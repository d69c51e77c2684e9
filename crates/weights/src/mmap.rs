//! Read-only memory maps of whole files. The only `unsafe` of this crate.
#![expect(unsafe_code, reason = "a map is sound only while nobody shrinks the file")]

use std::fs::File;
use std::io;
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
}
