//! Where models come from: references, caches on disk, and downloads.
//!
//! Besides the load generator, this crate is the only one that opens connections to other machines,
//! and it blocks: call it from a thread of its own. It reads no environment variable; [`HubConfig`]
//! carries every setting.
//!
//! Start reading at [`ModelRef`] (what a user types), then `pull.rs` (one download from the hub's
//! answer to a linked snapshot) and `fetch.rs` (one file: resume, verify, publish). The starter
//! model has its own sources in `starter.rs`.
//!
//! Two caches are used. Models of the hub live in Hugging Face's own layout, so files that its
//! tools downloaded are found here and the other way round (layout:
//! <https://huggingface.co/docs/huggingface_hub/guides/manage-cache>). The starter model lives in
//! Russet's own home.

#![forbid(unsafe_code)]

mod api;
mod cache;
mod config;
mod digest;
mod disk;
mod error;
mod fetch;
mod file_name;
mod format;
mod http;
mod link;
mod list;
mod lock;
mod model_ref;
mod part;
mod progress;
mod pull;
mod remove;
mod repo_id;
mod resolve;
mod select;
mod starter;

pub use config::{FreeSpace, HubConfig, Network, StarterPin, Timing, Token};
pub use error::Error;
pub use format::Format;
pub use list::CachedModel;
pub use model_ref::{ModelRef, RefProblem, RepoRef};
pub use progress::Progress;
pub use repo_id::RepoId;
pub use resolve::Located;
pub use starter::Attempt;

/// Finds, downloads, lists and removes models.
///
/// Cheap to make and without state of its own: the caches on disk are the state, and several
/// processes may use them at once.
#[derive(Debug, Clone)]
pub struct Hub {
    config: HubConfig,
}

impl Hub {
    /// A hub over the caches and the endpoint of `config`. Touches neither disk nor network.
    #[must_use]
    pub fn new(config: HubConfig) -> Self {
        Self { config }
    }

    /// Asks the endpoint for anything at all; a few seconds are given to reach it.
    ///
    /// # Errors
    /// No connection, or an answer that says the endpoint is not well.
    pub fn ping(&self) -> Result<(), Error> {
        let http = http::Http::new(&self.config, self.config.timing.optional_source())?;
        let (url, redirects) = (http.endpoint(), http::Redirects::Follow);
        http.send(&http::Ask { method: ureq::http::Method::HEAD, url, from_byte: 0, redirects })?;
        Ok(())
    }

    /// The settings in use.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.config
    }
}
