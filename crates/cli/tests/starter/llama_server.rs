//! The llama backend with a real `llama-server`, which `cargo xtask e2e-backends` brings.

use serde_json::json;

use crate::external::{self, Names};
use crate::support::{Server, failure, gguf, starter};

/// Where the test finds the program.
const PROGRAM: &str = "RUSSET_TEST_LLAMA_SERVER";

fn program() -> String {
    std::env::var(PROGRAM).unwrap_or_else(|_| panic!("{PROGRAM} is not set"))
}

fn server() -> Server {
    let arguments =
        ["-m", &gguf(), "--backend", "llama", "--llama-server-bin", &program(), "-t", "2"];
    Server::with(&arguments)
}

#[test]
#[ignore = "needs llama-server: cargo xtask e2e-backends"]
fn it_answers_under_the_names_of_this_server() {
    let path = gguf();
    let names = Names { backend: "llama", model: "SmolLM2-135M-Instruct.Q4_1", path: &path };
    let server = server();
    external::answers_under_our_names(&server, &names);
    let refusals = [
        (json!({"model": "another"}), "another"),
        (json!({"messages": []}), ""),
        (json!({"messages": "no list"}), "messages"),
        (json!({"grammar": "root ::= ("}), ""),
    ];
    external::refuses(&server, &names, &refusals);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs llama-server: cargo xtask e2e-backends"]
fn it_is_started_again_when_it_dies_and_ends_with_the_server() {
    external::is_started_again(server());
}

#[test]
#[ignore = "needs llama-server: cargo xtask e2e-backends"]
fn it_is_not_asked_to_read_what_it_cannot() {
    let arguments = ["serve", "-m", starter(), "--backend", "llama"];
    let error = failure(&[&arguments[..], &["--llama-server-bin", &program()]].concat());
    assert!(error.contains("llama cannot: reads GGUF, and this is MLX"), "{error}");
}
