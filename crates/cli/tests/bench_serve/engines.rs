//! Engines that the command starts itself, with the starter model.

use std::fs;
use std::net::TcpStream;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::bench::{ran, report, russet, told};

/// The starter's folder.
pub(crate) fn starter() -> &'static str {
    static STARTER: OnceLock<String> = OnceLock::new();
    STARTER.get_or_init(|| {
        let (_, printed, errors) = told(russet(&["pull", "starter"]).output().unwrap());
        assert!(!printed.is_empty(), "{errors}");
        printed.trim().to_owned()
    })
}

/// Nobody listens where the engines of a report did.
#[track_caller]
pub(crate) fn all_are_gone(report: &Value) {
    for arm in report["arms"].as_array().unwrap() {
        let url = arm["base_url"].as_str().unwrap();
        let address = url.trim_start_matches("http://").trim_end_matches("/v1");
        assert!(TcpStream::connect(address).is_err(), "{url}");
    }
}

#[test]
fn engines_of_the_same_model_give_the_same_answers_and_are_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("arms.json");
    let command = [env!("CARGO_BIN_EXE_russet"), "serve", "--model", "{model}", "--port", "{port}"];
    let own = json!([{
        "name": "own", "model": starter(), "launcher": "command", "command": command,
        "extra_args": ["--threads", "1", "--alias", "alias-of-{name}"],
        "env": {"RUSSET_LOG": "debug"}, "ready_path": "/health",
    }]);
    fs::write(&spec, own.to_string()).unwrap();
    let arms = ["--arm", "native=starter", "--spec", spec.to_str().unwrap()];
    let load = ["-c", "1,2", "--rounds", "2", "-n", "6", "--json"];
    let (succeeded, printed, errors) = ran(&[&arms[..], &load].concat());
    assert!(succeeded, "{errors}");
    let report = report(&printed);
    all_are_gone(&report);
    for arm in report["arms"].as_array().unwrap() {
        assert_eq!(arm["family"], "SmolLM2-135M-Instruct");
        assert!(arm["startup_s"].as_f64().unwrap() > 0.0, "{arm}");
        assert!(arm["version"].as_str().unwrap().starts_with("russet-"), "{arm}");
        assert!(arm["died"].is_null(), "{arm}");
        if cfg!(target_os = "linux") {
            assert!(arm["peak_bytes"].as_u64().unwrap() > 50_000_000, "{arm}");
        }
    }
    assert_eq!(report["arms"][1]["env"]["RUSSET_LOG"], "debug");
    let words = report["arms"][1]["command"].as_array().unwrap();
    assert_eq!(words.last().unwrap(), "alias-of-own");
    for level in report["levels"].as_array().unwrap() {
        let rows = level["rows"].as_array().unwrap();
        let all = &rows[1]["stats"]["num_requests"];
        assert_eq!((&rows[1]["parity"]["num_same"], &rows[1]["stats"]["num_done"]), (all, all));
        for row in rows {
            assert_eq!(row["stats"]["completion_tokens"]["min"], 6.0, "exactly so many");
            assert_eq!(row["footprint"].is_object(), cfg!(target_os = "linux"), "{row}");
        }
        assert_eq!(level["contrasts"].as_array().unwrap().len(), 6);
    }
}

#[test]
fn two_arms_may_be_the_same_engine_with_other_threads() {
    let load = ["-c", "1", "--rounds", "1", "-n", "3", "--threads", "1", "--prompts", "multi-turn"];
    let arms = ["--arm", "a:native=starter", "--arm", "b:native=starter", "--turns", "2"];
    let (succeeded, printed, errors) = ran(&[&arms[..], &load, &["--words", "5"]].concat());
    assert!(succeeded, "{errors}");
    assert!(printed.contains("backend a  startup_s") && printed.contains("backend b  startup_s"));
    assert!(printed.contains("all 2 answers are the same"), "{printed}");
    let (succeeded, printed, errors) = ran(&[&arms[..], &["--prompts", "fixed"]].concat());
    assert!(!succeeded && printed.is_empty() && errors.contains("--turns"), "{errors}");
}
