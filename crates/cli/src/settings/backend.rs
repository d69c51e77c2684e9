//! Settings of the choice of a backend.

use std::path::PathBuf;

use clap::Args;
use russet_backends::{Backend, Programs};

/// Which backend serves a model, and where the programs of external ones are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Backends")]
pub(crate) struct BackendSettings {
    /// The only backend to take: native, llama, mlx-lm or remote [default: the first that can]
    #[arg(long, env = "RUSSET_BACKEND", value_name = "NAME", hide_env_values = true)]
    pub(crate) backend: Option<Backend>,
    #[command(flatten)]
    programs: ProgramSettings,
}

/// Where the programs of external backends are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Backends")]
pub(crate) struct ProgramSettings {
    /// The `llama-server` to use [default: the one on PATH]
    #[arg(long, env = "RUSSET_LLAMA_SERVER_BIN", value_name = "FILE", hide_env_values = true)]
    llama_server_bin: Option<PathBuf>,
    /// The `mlx_lm.server` to use [default: the one on PATH, else Python's module]
    #[arg(long, env = "RUSSET_MLX_SERVER_BIN", value_name = "FILE", hide_env_values = true)]
    mlx_server_bin: Option<PathBuf>,
}

impl BackendSettings {
    /// Where to look for programs.
    pub(crate) fn programs(&self) -> Programs {
        self.programs.programs()
    }
}

impl ProgramSettings {
    /// Where to look for programs.
    pub(crate) fn programs(&self) -> Programs {
        Programs {
            search_path: super::search_path(),
            llama_server: self.llama_server_bin.clone(),
            mlx_server: self.mlx_server_bin.clone(),
            remote_url: None,
        }
    }
}
