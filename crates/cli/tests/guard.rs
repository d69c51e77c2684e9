//! `russet __guard`, which stands between Russet and the programs of external backends.
#![cfg(unix)]

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

fn russet() -> Command {
    Command::new(env!("CARGO_BIN_EXE_russet"))
}

#[test]
fn the_program_gets_its_arguments_as_they_are() {
    // Some of them mean something to Russet.
    let arguments = ["--help", "-v", "--", "--home", "a b", "", "--"];
    let kinds: &[&str] = if cfg!(target_os = "linux") { &["replace", "stay"] } else { &["stay"] };
    for kind in kinds {
        let mut command = russet();
        command.args(["__guard", kind, &std::process::id().to_string()]);
        command.args(["sh", "-c", "printf '<%s>' \"$@\"; exit 5", "sh"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        // Where it breaks, the guard ends everything.
        let _pipe = child.stdin.take();
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, arguments.map(|argument| format!("<{argument}>")).concat());
        assert_eq!(child.wait().unwrap().code(), Some(5));
    }
}

#[test]
fn what_cannot_be_run_is_an_error() {
    let failure = |arguments: &[&str]| {
        let output = russet().arg("__guard").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let usage = "accepted: __guard replace|stay PARENT PROGRAM [ARGUMENT]...";
    for arguments in [&[][..], &["become", "1", "sh"], &["stay", "me", "sh"], &["stay", "1"]] {
        let error = failure(arguments);
        assert!(error.contains(usage), "{arguments:?}: {error}");
    }
    let error = failure(&["stay", &std::process::id().to_string(), "sh"]);
    assert!(error.contains("the guard must lead its process group"), "{error}");
}

#[test]
fn the_guard_is_not_in_the_help() {
    let output = russet().arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("doctor") && !text.contains("guard"), "{text}");
}
