//! Running the command.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The command with some arguments, unaffected by the user's environment.
pub(crate) fn bench(arguments: &[&str]) -> Command {
    let mut command = russet(&["bench", "serve"]);
    command.args(arguments);
    command
}

pub(crate) fn russet(arguments: &[&str]) -> Command {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("russet-home");
    let mut command = Command::new(env!("CARGO_BIN_EXE_russet"));
    command.args(arguments).env("RUSSET_HOME", home).stdin(Stdio::null());
    for name in ["RUSSET_MODEL", "RUSSET_ISA", "RUSSET_PRECISION", "RUSSET_THREADS"] {
        command.env_remove(name);
    }
    for name in ["RUSSET_BACKEND", "RUSSET_LLAMA_SERVER_BIN", "RUSSET_MLX_SERVER_BIN"] {
        command.env_remove(name);
    }
    command
}

/// Whether it succeeded, what it printed, and what it said.
pub(crate) fn ran(arguments: &[&str]) -> (bool, String, String) {
    told(bench(arguments).output().unwrap())
}

pub(crate) fn told(output: Output) -> (bool, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// The report that `--json` prints.
#[track_caller]
pub(crate) fn report(printed: &str) -> Value {
    serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}
