//! The binary: settings in, the other crates wired together. Start at [`commands`].
#![forbid(unsafe_code)]

mod chat;
mod commands;
mod console;
mod described;
mod loaded;
mod machine;
mod matrices;
mod opened;
mod progress;
mod settings;
mod starter;
mod vocab;

use std::io::ErrorKind;
use std::process::ExitCode;

#[cfg(unix)]
use russet_backends::process::guard;
use russet_hub::Hub;
use tracing_subscriber::EnvFilter;

use commands::{bench, doctor, info, models, perplexity, run, serve};
use settings::{BenchCommand, Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::read();
    start_log(cli.hub.verbose);
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console::note(format_args!("error: {}", message(&error)));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: &Cli) -> anyhow::Result<()> {
    let hub = Hub::new(cli.hub.config());
    match &cli.command {
        Command::Run(settings) => run::run(&hub, settings),
        Command::Serve(settings) => serve::serve(&hub, settings),
        Command::Pull(settings) => models::pull(&hub, settings),
        Command::List(settings) => models::list(&hub, settings),
        Command::Rm(settings) => models::rm(&hub, settings),
        Command::Info(settings) => info::info(&hub, settings),
        Command::Perplexity(settings) => perplexity::perplexity(&hub, settings),
        Command::Bench(BenchCommand::Model(settings)) => bench::model(&hub, settings),
        #[cfg(unix)]
        Command::Bench(BenchCommand::Serve(settings)) => bench::serve::serve(&hub, settings),
        Command::Doctor => Ok(doctor::doctor(&hub)?),
        #[cfg(unix)]
        Command::Guard { arguments } => Err(guard::run(arguments).into()),
    }
}

/// The error with its causes, leaving out a cause that its successor already quotes.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !parts.last().is_some_and(|last| last.contains(&cause)) {
            parts.push(cause);
        }
    }
    parts.join(": ")
}

/// The reader of a pipe, such as `head`, may leave first.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn start_log(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = settings::log_filter().unwrap_or_else(|| default.into());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new(default)))
        .with_writer(std::io::stderr)
        .with_ansi(!settings::no_color() && std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
