//! What each command runs, in order; every command line is printed before it runs.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::error::Error;
use crate::test_data;
use crate::tidy::{self, Level};

const FORMAT: &[&str] = &["fmt", "--all", "--check"];
const LINT: &[&str] =
    &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];

/// Models with goldens: their name in `fetch-models.sh` and the file it makes.
const MODELS: [(&str, &str); 3] = [
    ("smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    ("gemma3", "gemma-3-270m-q4_k_m.gguf"),
    ("qwen05", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
];

/// Prints every violation; an error if one of them is more than a warning.
pub(crate) fn tidy(root: &Path) -> Result<(), Error> {
    let workspace = tidy::Workspace::read(root)?;
    let violations = tidy::check(&workspace);
    for violation in &violations {
        println!("{violation}");
    }
    let failures = violations.iter().filter(|v| v.level == Level::Failure).count();
    if failures > 0 {
        return Err(Error::Untidy(failures));
    }
    let (rules, files) = (tidy::RULES.len(), workspace.files.len());
    println!("tidy: {rules} rules hold in {files} files");
    Ok(())
}

/// Tidy, then the tests; says before and after which test data they could use.
///
/// The dev profile keeps debug assertions and overflow checks; `--release` among the arguments
/// trades them for speed.
pub(crate) fn test(root: &Path, cargo_args: &[String]) -> Result<(), Error> {
    tidy(root)?;
    let data = test_data::find(root);
    println!("{data}");
    let arguments = test_arguments(cargo_args);
    cargo(root, &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    println!("{data}");
    Ok(())
}

/// Real models against their recorded greedy tokens. Fetches them first, once.
pub(crate) fn goldens(root: &Path) -> Result<(), Error> {
    let fetch = test_data::folder(root).join("fetch-models.sh");
    let models = root.join("target/test-models");
    for (name, file) in MODELS {
        if !models.join(file).is_file() {
            let command = format!("{} {} {name}", fetch.display(), models.display());
            println!("$ {command}");
            run(Command::new(&fetch).arg(&models).arg(name), command)?;
        }
    }
    let arguments = ["test", "--release", "-p", "russet-device-cpu", "--test", "real_models"];
    let command = format!("cargo {}", arguments.join(" "));
    println!("$ RUSSET_TEST_MODELS={} {command}", models.display());
    let mut process = Command::new(program());
    process.args(arguments).current_dir(root).env("RUSSET_TEST_MODELS", &models);
    run(&mut process, command)
}

/// The kernels' tests for aarch64, emulated: on a CPU with every extension, one without the matrix
/// products of int8, and one without its dot products too.
pub(crate) fn aarch64(root: &Path, cargo_args: &[String]) -> Result<(), Error> {
    for cpu in ["max", "neoverse-n1", "cortex-a72"] {
        let fixed = ["test", "-p", "russet-kernels", "--target", "aarch64-unknown-linux-gnu"];
        let mut process = Command::new(program());
        process.args(fixed).args(cargo_args).current_dir(root);
        let runner = format!("qemu-aarch64 -cpu {cpu}");
        // The program is linked statically: with the dynamic linker of the cross toolchain threads
        // hang under emulation.
        let settings = [
            ("LINKER", "aarch64-linux-gnu-gcc"),
            ("RUNNER", runner.as_str()),
            ("RUSTFLAGS", "-C target-feature=+crt-static"),
        ];
        let name = |setting| format!("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_{setting}");
        process.envs(settings.map(|(setting, value)| (name(setting), value)));
        let command = format!("cargo {} {}", fixed.join(" "), cargo_args.join(" "));
        println!("$ {command} # {runner}");
        run(&mut process, command)?;
    }
    Ok(())
}

/// Everything a change has to pass, as `.ci/run` does it.
pub(crate) fn ci(root: &Path) -> Result<(), Error> {
    cargo(root, FORMAT)?;
    cargo(root, LINT)?;
    test(root, &["--locked".to_owned()])
}

fn test_arguments(cargo_args: &[String]) -> Vec<String> {
    // `cargo test --workspace -p x` would silently ignore the `-p`.
    let own_args = cargo_args.iter().take_while(|arg| *arg != "--");
    let chosen = |arg: &String| arg.starts_with("-p") || arg.starts_with("--package");
    let scope = if own_args.clone().any(chosen) { None } else { Some("--workspace") };
    let fixed = ["test"].into_iter().chain(scope).map(str::to_owned);
    fixed.chain(cargo_args.iter().cloned()).collect()
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<(), Error> {
    let command = format!("cargo {}", arguments.join(" "));
    println!("$ {command}");
    run(Command::new(program()).args(arguments).current_dir(root), command)
}

pub(crate) fn program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs `process`, which errors call `command`.
pub(crate) fn run(process: &mut Command, command: String) -> Result<(), Error> {
    match process.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::Failed { command, status }),
        Err(source) => Err(Error::Start { command, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(cargo_args: &[&str]) -> String {
        let owned: Vec<String> = cargo_args.iter().map(|arg| (*arg).to_owned()).collect();
        test_arguments(&owned).join(" ")
    }

    #[test]
    fn a_chosen_package_replaces_the_workspace() {
        assert_eq!(arguments(&[]), "test --workspace");
        assert_eq!(arguments(&["--release"]), "test --workspace --release");
        assert_eq!(arguments(&["-p", "russet-engine"]), "test -p russet-engine");
        assert_eq!(arguments(&["--package=xtask"]), "test --package=xtask");
        assert_eq!(arguments(&["--", "-p"]), "test --workspace -- -p");
    }

    #[test]
    fn the_ci_script_runs_the_same_steps() {
        let script = include_str!("../../.ci/run");
        let steps: Vec<&str> = script.lines().filter(|line| line.starts_with("cargo ")).collect();
        let [format, lint] =
            [FORMAT, LINT].map(|arguments| format!("cargo {}", arguments.join(" ")));
        let guarded = |line: &&str| !line.contains("||");
        let steps: Vec<&str> = steps.into_iter().filter(guarded).collect();
        assert_eq!(steps, [format.as_str(), lint.as_str(), "cargo xtask test --locked"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let outcome = |program| run(&mut Command::new(program), "it".to_owned());
        assert!(outcome("true").is_ok());
        let failed = outcome("false").unwrap_err();
        assert_eq!(failed.to_string(), "`it` failed: exit status: 1");
        let missing = outcome("no-such-program").unwrap_err().to_string();
        assert!(missing.starts_with("could not start `it`: "), "{missing}");
    }
}
