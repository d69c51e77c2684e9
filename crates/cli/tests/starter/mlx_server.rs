//! The mlx-lm backend with the real `mlx_lm.server`, which pip puts into cargo's folder for test
//! files.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::json;

use crate::external::{self, Names, run};
use crate::support::{Server, failure, starter};

const PACKAGES: [&str; 2] = ["mlx-lm==0.32.2", "mlx[cpu]==0.32.4"];

/// The program; installed once, which takes a minute.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(PACKAGES.join("-"));
        let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        if !folder.join("complete").exists() {
            run("python3", &["-m", "venv", "--clear", &at("")]);
            let install = [&["install", "--quiet", "--disable-pip-version-check"], &PACKAGES[..]];
            run(&at("bin/pip"), &install.concat());
            std::fs::write(folder.join("complete"), "").unwrap();
        }
        at("bin/mlx_lm.server")
    })
}

fn server() -> Server {
    starter();
    Server::with(&["--backend", "mlx-lm", "--mlx-server-bin", program()])
}

#[test]
fn it_answers_under_the_names_of_this_server() {
    let server = server();
    let names = Names { backend: "mlx-lm", model: "starter", path: starter() };
    external::answers_under_our_names(&server, &names);
    let refusals = [
        (json!({"model": "another"}), "another"),
        (json!({"adapters": "/etc"}), "adapters"),
        (json!({"draft_model": "org/name"}), "draft_model"),
        (json!({"max_tokens": -1}), "max_tokens"),
    ];
    external::refuses(&server, &names, &refusals);
}

#[cfg(target_os = "linux")]
#[test]
fn it_is_started_again_when_it_dies_and_ends_with_the_server() {
    external::is_started_again(server());
}

#[test]
fn what_it_cannot_do_is_refused() {
    starter();
    let mlx = |rest: &[&str]| failure(&[&["serve", "--backend", "mlx-lm"][..], rest].concat());
    let error = mlx(&["--mlx-server-bin", "/no/such", "--isa", "avx2", "--context", "100"]);
    for part in [
        "mlx-lm cannot:",
        "--isa avx2 asks for what it lacks: setting for the instruction set",
        "--context 100 asks for what it lacks",
        "not installed; tried /no/such",
    ] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    let error = failure(&["serve", "--split", "--mlx-server-bin", program()]);
    for part in [
        "no backend can",
        "native: --split asks for what it lacks: split over machines",
        "llama: reads GGUF, and this is MLX",
        "mlx-lm: --split asks for what it lacks",
    ] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn a_program_that_fails_is_shown_with_what_it_printed() {
    let python = PathBuf::from(program()).with_file_name("python");
    let error = failure(&[
        "serve",
        "-m",
        starter(),
        "--backend",
        "mlx-lm",
        "--mlx-server-bin",
        python.to_str().unwrap(),
    ]);
    assert!(error.contains("--port") && error.contains("it printed:\n"), "{error}");
}
