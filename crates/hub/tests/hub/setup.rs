//! A hub, empty caches and a model of a few files.

use std::path::PathBuf;
use std::time::Duration;

use russet_hub::{Error, Hub, HubConfig, Located, ModelRef, Progress};
use tempfile::TempDir;

use crate::fake_hub::FakeHub;

pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const GGUF: &str = "x-Q4_K_M.gguf";

pub(crate) struct Setup {
    pub(crate) server: FakeHub,
    pub(crate) hub: Hub,
    pub(crate) dir: TempDir,
}

/// A megabyte that does not repeat within any range a test looks at.
pub(crate) fn weights() -> Vec<u8> {
    (0..1_000_003_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut HubConfig)) -> Self {
        let weights = weights();
        let gguf = [b"GGUF", &weights[5..]].concat();
        let server = FakeHub::start(&[
            ("README.md", b"read me"),
            ("config.json", b"{\"model_type\": \"llama\"}"),
            (WEIGHTS, &weights),
            ("sub/vocab.txt", b"a\nb\n"),
            ("tokenizer.json", b"{}"),
            (GGUF, &weights[..500_000]),
            ("x-Q8_0.gguf", &gguf),
        ]);
        let dir = TempDir::new().unwrap();
        let mut config = config(&dir, &server);
        change(&mut config);
        Self { server, hub: Hub::new(config), dir }
    }

    pub(crate) fn pull(&self, model: &str) -> Result<Located, Error> {
        self.hub.pull(&parse(model), &mut ())
    }

    pub(crate) fn repo_dir(&self) -> PathBuf {
        self.hub.config().hf_cache.join("models--org--repo")
    }

    /// The names in the blobs folder, sorted.
    pub(crate) fn blobs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.repo_dir().join("blobs")).into_iter().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Settings that point into `dir` and at `server`, with short waits.
pub(crate) fn config(dir: &TempDir, server: &FakeHub) -> HubConfig {
    let mut config = HubConfig::new(dir.path().join("russet"), dir.path().join("hf"));
    config.endpoint = server.url.clone();
    config.timing.retry_delay = Duration::from_millis(1);
    config.timing.max_attempts = 3;
    config
}

pub(crate) fn parse(model: &str) -> ModelRef {
    model.parse().unwrap()
}

/// Keeps what it is told.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) begun: Vec<(String, Option<u64>)>,
    /// Bytes since the last `begin`.
    pub(crate) bytes: u64,
    pub(crate) finished: usize,
}

impl Progress for Recorder {
    fn begin(&mut self, what: &str, total_bytes: Option<u64>) {
        self.begun.push((what.to_owned(), total_bytes));
        self.bytes = 0;
    }

    fn advance(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    fn finish(&mut self) {
        self.finished += 1;
    }
}
