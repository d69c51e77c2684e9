//! Settings of the server.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use russet_backends::upstream::{Key, Limits, Remote};
use russet_backends::{Demand, Feature};
use serde::Serialize;

use super::{BackendSettings, ComputeSettings};

/// Settings of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeSettings {
    /// The model [default: starter; with --remote-url those of that server]
    #[arg(short, long, env = "RUSSET_MODEL", hide_env_values = true)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) listen: ListenSettings,
    #[command(flatten)]
    pub(crate) compute: ComputeSettings,
    #[command(flatten)]
    pub(crate) backend: BackendSettings,
    #[command(flatten)]
    pub(crate) split: SplitSettings,
    #[command(flatten)]
    pub(crate) remote: RemoteSettings,
}

/// How the server is reached and how much it takes on.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Server")]
pub(crate) struct ListenSettings {
    /// Address to listen on
    #[arg(long, env = "RUSSET_HOST", default_value = "127.0.0.1", hide_env_values = true)]
    pub(crate) host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(short, long, env = "RUSSET_PORT", default_value = "8080", hide_env_values = true)]
    pub(crate) port: u16,
    /// Name of the model in the API, besides its own (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) alias: Vec<String>,
    /// Host names that requests may carry, besides this machine's own (repeatable)
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// Requests that may wait for their turn; more are refused with 503
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) max_waiting: usize,
    /// Seconds that running requests get to finish after a stop signal
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub(crate) drain_s: u64,
}

/// One model over several machines.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Backends")]
pub(crate) struct SplitSettings {
    /// Serve the model from several machines (llama backend, with --llama-rpc)
    #[arg(long)]
    pub(crate) split: bool,
    /// Workers of llama.cpp (`rpc-server`) to split the model over
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',')]
    pub(crate) llama_rpc: Vec<String>,
}

/// A server somewhere else.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Remote backend (its key: the variable RUSSET_REMOTE_KEY)")]
pub(crate) struct RemoteSettings {
    /// Pass requests on to the OpenAI-compatible server at this URL, such as https://host/v1
    #[arg(long, env = "RUSSET_REMOTE_URL", value_name = "URL", hide_env_values = true)]
    remote_url: Option<String>,
    /// File with the key for it
    #[arg(long, value_name = "FILE", requires = "remote_url")]
    remote_key_file: Option<PathBuf>,
    /// A model there, and its name here (repeatable) [default: all, by their own names]
    #[arg(long, value_name = "[NAME=]MODEL", requires = "remote_url")]
    pub(crate) remote_model: Vec<RemoteModel>,
    /// File with certificates (PEM) to trust besides the public ones
    #[arg(long, value_name = "FILE", requires = "remote_url")]
    remote_ca: Option<PathBuf>,
    /// Seconds without a byte after which an answer is given up
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    remote_timeout_s: u64,
}

/// A model of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteModel {
    /// What clients of this server call it.
    pub(crate) alias: String,
    /// What the other server calls it.
    pub(crate) name: String,
}

impl FromStr for RemoteModel {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (alias, name) = text.split_once('=').unwrap_or((text, text));
        Ok(Self { alias: alias.to_owned(), name: name.to_owned() })
    }
}

impl ServeSettings {
    /// What the user asked of the backend.
    pub(crate) fn demands(&self) -> Vec<Demand> {
        let mut demands = self.compute.demands();
        let SplitSettings { split, llama_rpc } = &self.split;
        let setting = match llama_rpc[..] {
            [] => split.then(|| "--split".to_owned()),
            _ => Some(format!("--llama-rpc {}", llama_rpc.join(","))),
        };
        demands.extend(setting.map(|setting| Demand { feature: Feature::Split, setting }));
        demands
    }
}

impl RemoteSettings {
    pub(crate) fn url(&self) -> Option<&str> {
        self.remote_url.as_deref()
    }

    /// The server, if one is named, with its key and certificates read.
    pub(crate) fn remote(&self) -> Result<Option<Remote>> {
        let Some(base_url) = self.remote_url.clone() else { return Ok(None) };
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let key = match &self.remote_key_file {
            Some(path) => Some(String::from_utf8_lossy(&read(path)?).into_owned()),
            None => super::variable("RUSSET_REMOTE_KEY"),
        };
        let silence = Duration::from_secs(self.remote_timeout_s);
        Ok(Some(Remote {
            base_url,
            key: key.map(|text| Key::new(&text)),
            certificates: self.remote_ca.as_ref().map(read).transpose()?,
            proxy: super::proxy().map(|proxy| (proxy, super::no_proxy())),
            limits: Limits { silence: Some(silence), ..Limits::default() },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_model_may_have_another_name_here() {
        let parse = |text: &str| {
            let Ok(RemoteModel { alias, name }) = text.parse();
            (alias, name)
        };
        assert_eq!(parse("a=org/b"), ("a".to_owned(), "org/b".to_owned()));
        assert_eq!(parse("org/b"), ("org/b".to_owned(), "org/b".to_owned()));
    }
}
