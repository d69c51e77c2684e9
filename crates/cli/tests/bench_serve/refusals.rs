//! What is refused before anything runs.

use std::fs;

use crate::bench::ran;
use crate::fake::Fake;

#[track_caller]
fn refused(arguments: &[&str], parts: &[&str]) {
    let (succeeded, printed, errors) = ran(arguments);
    assert!(!succeeded && printed.is_empty(), "{arguments:?}: {printed}");
    for part in parts {
        assert!(errors.contains(part), "{part} is not in: {errors}");
    }
}

#[test]
fn a_comparison_needs_two_servers_of_different_names() {
    refused(&[], &["0 servers", "--arm", "--spec"]);
    let arms = ["--arm", "url=http://127.0.0.1:1/v1", "--arm", "url=http://127.0.0.1:2/v1"];
    refused(&arms, &["two servers are named `url`", "NAME:KIND=MODEL"]);
    refused(&["--arm", "vllm=m"], &["`vllm` is no kind", "native, llama, mlx-lm"]);
}

#[test]
fn different_models_are_compared_by_force_only_and_it_is_said() {
    let first = Fake::always("Model-1B", &["a"]);
    let second = Fake::always("Model-7B", &["a"]);
    let (a, b) = (first.arm("a"), second.arm("b"));
    let arms = ["--arm", &a, "--arm", &b, "-c", "1", "--rounds", "1"];
    refused(&arms, &["`Model-1B` of a", "`Model-7B` of b", "--force"]);
    assert_eq!(first.num_asked() + second.num_asked(), 0);
    let (succeeded, printed, errors) = ran(&[&arms[..], &["--force"]].concat());
    assert!(succeeded, "{errors}");
    assert!(printed.contains("they were compared by force"), "{printed}");
}

#[test]
fn what_cannot_be_honoured_is_refused_with_the_reason() {
    let url = "far:url=http://127.0.0.1:1/v1";
    let threads = ["--arm", url, "--arm", "url=http://127.0.0.1:2/v1", "--threads", "2"];
    refused(&threads, &["--threads 2, arm `far`", "cannot be told"]);
    let missing = ["--arm", url, "--arm", "native=./no-such-model"];
    refused(&missing, &["arm `native`", "./no-such-model"]);
    let silent = ["--arm", url, "--arm", "url=http://127.0.0.1:2/v1"];
    refused(&silent, &["`far`", "http://127.0.0.1:1/v1/models"]);
    let programs = ["--llama-server-bin", "/no/such/llama-server"];
    let llama = ["--arm", url, "--arm", "llama=starter"];
    refused(&[&llama[..], &programs].concat(), &["llama-server is not installed", "/no/such"]);
    refused(&["--baseline", "/no/such.json"], &["/no/such.json"]);
    refused(&["--tolerance", "5"], &["--baseline"]);
}

#[test]
fn a_file_of_servers_is_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arms.json");
    let spec = ["--spec", path.to_str().unwrap()];
    fs::write(&path, r#"[{"name": "a", "model": "m", "launcher": "docker"}]"#).unwrap();
    refused(&spec, &["arms.json", "docker", "command"]);
    fs::write(&path, r#"[{"name": "a", "model": "m", "thread": 1}]"#).unwrap();
    refused(&spec, &["`thread`", "`extra_args`"]);
}
