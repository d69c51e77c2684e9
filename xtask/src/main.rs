//! The project's own commands, such as `cargo xtask tidy` and `cargo xtask ci`.
//!
//! Start reading at [`tidy::RULES`], the list of rules the source tree is held to.
#![forbid(unsafe_code)]

mod e2e;
mod error;
mod peers;
mod steps;
mod synth;
mod test_data;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks and tests of the Russet workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the source tree against the project's rules.
    Tidy,
    /// Run tidy, then `cargo test --workspace`, doc tests included.
    Test {
        /// Passed to `cargo test`; `-p CRATE` takes the place of `--workspace`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        cargo_args: Vec<String>,
    },
    /// Run the kernels' tests for aarch64 on three emulated CPUs (see `docs/adding-a-kernel.md`).
    Aarch64 {
        /// Passed to `cargo test`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        cargo_args: Vec<String>,
    },
    /// Compare real models with their recorded greedy tokens (fetches 850 MB once).
    Goldens,
    /// Serve the starter with `llama-server` and `mlx_lm.server` (builds llama.cpp once).
    E2eBackends,
    /// Write the model `synth-1b`, random weights as MLX and GGUF (2 GB).
    Synth(synth::Options),
    /// Time Russet and other engines in turn and compare the ratios with the targets.
    BenchPeers(Box<peers::Options>),
    /// Check the format, run clippy with warnings denied, then `test`.
    Ci,
}

fn main() -> ExitCode {
    let root = workspace_root();
    let outcome = match Arguments::parse().command {
        Command::Tidy => steps::tidy(&root),
        Command::Test { cargo_args } => steps::test(&root, &cargo_args),
        Command::Aarch64 { cargo_args } => steps::aarch64(&root, &cargo_args),
        Command::Goldens => steps::goldens(&root),
        Command::E2eBackends => e2e::backends(&root),
        Command::Synth(options) => synth::run(&root, &options),
        Command::BenchPeers(options) => peers::run(&root, &options),
        Command::Ci => steps::ci(&root),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Asked of cargo at run time: the binary may be one built for another checkout.
fn workspace_root() -> PathBuf {
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR");
    let manifest_dir = manifest_dir.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&manifest_dir).parent();
    root.expect("xtask is a folder of the workspace").to_owned()
}
