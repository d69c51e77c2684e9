//! A file on its way: written piece by piece, hashed as it grows, verified before it counts.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::digest::{Digest, Hasher};
use crate::disk::remove_file;
use crate::error::Error;

/// What a file must turn out to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// Its name in messages.
    pub(crate) name: &'a str,
    pub(crate) bytes: u64,
    pub(crate) digest: &'a Digest,
}

/// An incomplete file. Dropping it leaves its bytes on disk, to be resumed later.
pub(crate) struct PartFile<'a> {
    file: File,
    path: &'a Path,
    expected: Expected<'a>,
    hasher: Hasher,
    len: u64,
}

impl<'a> PartFile<'a> {
    /// Opens or creates `path` and hashes what an earlier attempt left in it. A longer file than
    /// expected cannot be a part, so it starts over.
    pub(crate) fn open(path: &'a Path, expected: Expected<'a>) -> Result<Self, Error> {
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        let file = options.open(path).map_err(Error::cache_write(path))?;
        let hasher = expected.digest.hasher(expected.bytes);
        let mut part = Self { file, path, expected, hasher, len: 0 };
        let on_disk = part.file.metadata().map_err(Error::io("read", path))?.len();
        match on_disk > expected.bytes {
            true => part.restart()?,
            false => part.hash_existing()?,
        }
        Ok(part)
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn expected(&self) -> Expected<'a> {
        self.expected
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == self.expected.bytes
    }

    /// Forgets everything written so far.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(Error::io("empty", self.path))?;
        self.hasher = self.expected.digest.hasher(self.expected.bytes);
        self.len = 0;
        Ok(())
    }

    /// Adds bytes at the end. More than expected are an error, and then the file is removed.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let len = self.len + bytes.len() as u64;
        if len > self.expected.bytes {
            remove_file(self.path)?;
            return Err(self.expected.wrong_length(len));
        }
        self.file.write_all(bytes).map_err(Error::io("write", self.path))?;
        self.hasher.update(bytes);
        self.len = len;
        Ok(())
    }

    /// Checks length and digest and makes the bytes durable. A corrupt file is removed.
    pub(crate) fn verify(self) -> Result<(), Error> {
        if !self.is_full() {
            return Err(self.expected.wrong_length(self.len));
        }
        let found = self.hasher.finish();
        if found != *self.expected.digest {
            remove_file(self.path)?;
            return Err(Error::Corrupt {
                file: self.expected.name.to_owned(),
                expected: self.expected.digest.to_string(),
                found: found.to_string(),
            });
        }
        self.file.sync_all().map_err(Error::io("sync", self.path))
    }

    fn hash_existing(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = self.file.read(&mut buffer).map_err(Error::io("read", self.path))?;
            if read == 0 || self.len + read as u64 > self.expected.bytes {
                break;
            }
            self.hasher.update(&buffer[..read]);
            self.len += read as u64;
        }
        self.file.seek(SeekFrom::Start(self.len)).map_err(Error::io("read", self.path))?;
        Ok(())
    }
}

impl Expected<'_> {
    pub(crate) fn wrong_length(&self, found: u64) -> Error {
        Error::WrongLength { file: self.name.to_owned(), expected: self.bytes, found }
    }
}
