//! Settings of the measurements of speed.

#[cfg(unix)]
mod serve;

use std::num::NonZeroUsize;

use clap::{Args, Subcommand, value_parser};
use russet_bench::Grid;

use super::{ComputeSettings, KernelSettings};
#[cfg(unix)]
pub(crate) use serve::{BenchServeSettings, Planned, ReportSettings};

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure how fast a model reads prompts and writes tokens
    Model(BenchModelSettings),
    /// Compare servers: same requests, in turn
    #[cfg(unix)]
    Serve(Box<BenchServeSettings>),
}

/// Settings of `bench model`. Lists are separated by commas and combined.
#[derive(Debug, Args)]
pub(crate) struct BenchModelSettings {
    /// The model
    #[arg(default_value = "starter")]
    pub(crate) model: String,
    /// Prompt lengths to measure (rows `pp`); 0 for none
    #[arg(short, long, value_name = "TOKENS,..", value_delimiter = ',', default_value = "512")]
    prompt: Vec<usize>,
    /// Numbers of tokens to generate (rows `tg`); 0 for none
    #[arg(
        short = 'n',
        long = "gen",
        value_name = "TOKENS,..",
        value_delimiter = ',',
        default_value = "128"
    )]
    generate: Vec<usize>,
    /// Tokens in the cache before
    #[arg(short, long, value_name = "TOKENS,..", value_delimiter = ',', default_value = "0")]
    depth: Vec<usize>,
    /// Sequences that generate together
    #[arg(
        short,
        long,
        value_name = "N,..",
        value_delimiter = ',',
        value_parser = value_parser!(u16).range(1..=1024),
        default_value = "1"
    )]
    batch: Vec<u16>,
    /// Timed runs of each row; the median counts
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = value_parser!(u16).range(1..=1000),
        default_value = "5"
    )]
    pub(crate) repetitions: u16,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Numbers of threads that compute [default: the physical cores]
    #[arg(
        short,
        long,
        env = "RUSSET_THREADS",
        value_name = "N,..",
        value_delimiter = ',',
        hide_env_values = true,
        help_heading = "Compute"
    )]
    threads: Vec<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) kernels: KernelSettings,
}

impl BenchModelSettings {
    /// How the model is computed, once for each number of threads.
    pub(crate) fn computes(&self) -> Vec<ComputeSettings> {
        let with = |threads| ComputeSettings { threads, kernels: self.kernels.clone() };
        match &self.threads[..] {
            [] => vec![with(None)],
            numbers => numbers.iter().map(|&threads| with(Some(threads))).collect(),
        }
    }

    /// The rows asked for.
    pub(crate) fn grid(&self) -> Grid {
        Grid {
            prompt_lens: self.prompt.clone(),
            generation_lens: self.generate.clone(),
            depths: self.depth.clone(),
            batches: self.batch.iter().map(|&batch| batch.into()).collect(),
        }
    }
}
