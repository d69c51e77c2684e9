//! Times Russet and other engines on the same weights, alternated on the same machine, and compares
//! the ratios with the project's targets.
//!
//! Start reading at [`run`]; [`rows::ROWS`] is the table of targets.

mod bandwidth;
mod compare;
mod contender;
mod execute;
mod ik;
mod llama_bench;
mod llama_cpp;
mod machine;
mod mlx_lm;
mod model;
mod openvino;
mod probe;
mod python;
mod record;
mod report;
mod rows;
mod russet;
mod schedule;
mod session;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use self::bandwidth::Bandwidth;
use self::contender::{Absent, Contender, Engine};
use self::machine::Machine;
use self::model::{Model, Name};
use self::record::{Omission, Record};
use self::schedule::Part;
use self::session::Session;
use crate::error::Error;

/// What to compare, and where everything is.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The starter: its MLX folder and GGUF files of it, or folders with such
    #[arg(long, value_name = "PATH", num_args = 1..)]
    starter: Vec<PathBuf>,
    /// The folder that `cargo xtask synth` wrote
    #[arg(long, value_name = "DIR")]
    synth: Option<PathBuf>,
    /// Peers to run [default: all that are found]
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    peers: Vec<Engine>,
    /// A build of llama.cpp [default: the search path]
    #[arg(long, value_name = "DIR")]
    llama_cpp: Option<PathBuf>,
    /// A build of ik_llama.cpp
    #[arg(long, value_name = "DIR")]
    ik: Option<PathBuf>,
    /// Python interpreters to look in for OpenVINO GenAI and mlx-lm
    #[arg(long, value_name = "PATH", num_args = 1.., default_value = "python3")]
    python: Vec<PathBuf>,
    /// The server's binary [default: target/release/russet]
    #[arg(long, value_name = "PATH")]
    russet: Option<PathBuf>,
    /// Russet's precision [default: Russet's]
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,
    /// Threads of each engine
    #[arg(short, long, value_name = "N", default_value = "2")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Rounds, in each of which every engine runs once
    #[arg(long, value_name = "N", default_value = "3")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Parts of the comparison [default: all]
    #[arg(long, value_name = "PART,..", value_delimiter = ',')]
    parts: Vec<Part>,
    /// One round without the long part, kept in target/bench-peers
    #[arg(long)]
    quick: bool,
    /// Seconds after which a run is stopped and left out
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    limit: u64,
    /// Seconds to wait before each run for other processes to have done
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    patience: u64,
    /// The folder for the record [default: bench/record]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the comparison, prints it and writes it down.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), Error> {
    let models = models(options)?;
    let russet = options.russet.clone().unwrap_or_else(|| root.join("target/release/russet"));
    if !russet.is_file() {
        return Err(Error::NoRusset { path: russet });
    }
    let threads = usize::from(options.threads);
    let mut session = Session {
        bandwidth: Bandwidth::new(threads)?,
        limit: Duration::from_secs(options.limit),
        patience: Duration::from_secs(options.patience),
        rounds: if options.quick { 1 } else { usize::from(options.rounds) },
        runs: Vec::new(),
        omissions: Vec::new(),
        versions: BTreeMap::new(),
    };
    let cases = schedule::cases(&parts(options), threads);
    for model in &models {
        let contenders = contenders(options, &russet, model, &mut session.omissions);
        session.run_model(model.name, &contenders, &cases);
    }
    finish(root, options, session)
}

fn models(options: &Options) -> Result<Vec<Model>, Error> {
    let mut models = Vec::new();
    if !options.starter.is_empty() {
        models.push(Model::find(Name::Starter, &options.starter)?);
    }
    if let Some(folder) = &options.synth {
        models.push(Model::find(Name::Synth, std::slice::from_ref(folder))?);
    }
    if models.is_empty() { Err(Error::NoModel) } else { Ok(models) }
}

fn parts(options: &Options) -> Vec<Part> {
    let all = [Part::Short, Part::Batches, Part::Long, Part::Busy];
    let mut parts = if options.parts.is_empty() { all.to_vec() } else { options.parts.clone() };
    parts.retain(|part| !options.quick || *part != Part::Long);
    parts
}

/// Russet first, then the peers that are there; those that are not are named with the line that
/// gets them.
fn contenders(
    options: &Options,
    russet: &Path,
    model: &Model,
    omissions: &mut Vec<Omission>,
) -> Vec<Contender> {
    let mut all = russet::contenders(russet, options.precision.as_deref(), model);
    let peers = [Engine::LlamaCpp, Engine::Ik, Engine::OpenVino, Engine::MlxLm];
    let wanted = |peer: &Engine| options.peers.is_empty() || options.peers.contains(peer);
    for peer in peers.into_iter().filter(wanted) {
        let found = match peer {
            Engine::LlamaCpp => llama_cpp::contenders(options.llama_cpp.as_deref(), model),
            Engine::Ik => ik::contenders(options.ik.as_deref(), model),
            Engine::OpenVino => openvino::contenders(&options.python, model),
            Engine::MlxLm => mlx_lm::contenders(&options.python, model),
            Engine::Russet => continue,
        };
        match found {
            Ok(found) => all.extend(found),
            Err(Absent { engine, how }) => {
                eprintln!("{engine} is not here. To get it: {how}");
                let what = format!("{engine} on {}", model.name);
                omissions.push(Omission { what, why: "not found".to_owned() });
            }
        }
    }
    all
}

fn finish(root: &Path, options: &Options, session: Session) -> Result<(), Error> {
    let Session { rounds, runs, mut omissions, versions, .. } = session;
    if options.quick {
        let what = "prompts of 8000 and more rounds".to_owned();
        omissions.push(Omission { what, why: "--quick".to_owned() });
    }
    let record = Record {
        date: machine::today(),
        machine: Machine::read(),
        commit: checkout(root),
        versions,
        threads: usize::from(options.threads),
        rounds,
        runs,
        omissions,
    };
    let page = report::markdown(&record);
    println!("{page}");
    let usual = if options.quick { "target/bench-peers" } else { "bench/record" };
    let folder = options.out.clone().unwrap_or_else(|| root.join(usual));
    let path = report::write(&record, &page, &folder)?;
    println!("written to {} and .json beside it", path.display());
    Ok(())
}

/// The commit and whether there are changes on top.
fn checkout(root: &Path) -> Option<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty=, changed"]).current_dir(root);
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
