//! What is reported of servers that run already.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::bench::{ran, report};
use crate::fake::{Fake, Reply};

const ANSWER: &[&str] = &["It", " is", " blue", "."];

/// Two rounds of one and two clients.
const SMALL: &[&str] = &["-c", "1,2", "--rounds", "2", "-n", "4", "--requests", "3"];

fn run(arms: &[String], more: &[&str]) -> (bool, String, String) {
    let arms: Vec<&str> = arms.iter().flat_map(|arm| ["--arm", arm.as_str()]).collect();
    ran(&[&arms[..], SMALL, more].concat())
}

fn pair() -> (Fake, Fake) {
    (Fake::always("org/Model-1B-4bit", ANSWER), Fake::always("Model-1B.Q4_K_M", ANSWER))
}

#[test]
fn every_request_of_every_round_is_in_the_report() {
    let (first, second) = pair();
    let (succeeded, printed, errors) = run(&[first.arm("a"), second.arm("b")], &["--json"]);
    assert!(succeeded, "{errors}");
    let report = report(&printed);
    assert_eq!(report["is_complete"], true);
    let names: Vec<&Value> =
        report["arms"].as_array().unwrap().iter().map(|arm| &arm["family"]).collect();
    assert_eq!(names, ["Model-1B", "Model-1B"]);
    assert_eq!(report["arms"][0]["version"], "fake-1");
    assert_eq!(report["arms"][1]["request_model"], "Model-1B.Q4_K_M");
    let levels = report["levels"].as_array().unwrap();
    assert_eq!(levels.len(), 2);
    for (level, clients) in levels.iter().zip([1, 2]) {
        assert_eq!(level["load"], json!({"clients": clients}));
        let rows = level["rows"].as_array().unwrap();
        for row in rows {
            let requests = row["requests"].as_array().unwrap();
            assert_eq!(requests.len(), 2 * 3 * clients);
            assert_eq!(row["stats"]["num_done"], requests.len());
            assert_eq!(row["stats"]["completion_tokens"]["mean"], 4.0);
            assert!(row["stats"]["ttft_ms"]["p99"].as_f64().unwrap() > 0.0);
            let cached = row["prefix_cache"].as_str().unwrap();
            assert!(cached.ends_with("5 of 20 prompt tokens were cached"), "{cached}");
            assert_eq!(row["inputs_sha256"], rows[0]["inputs_sha256"]);
        }
        assert_eq!(rows[1]["parity"]["num_same"], 2 * 3 * clients);
    }
    // Each round warms up with one request for each client.
    assert_eq!((first.num_asked(), second.num_asked()), (2 * (1 + 2 + 3 + 6), 24));
}

#[test]
fn a_table_and_four_files_tell_the_same() {
    let (first, second) = pair();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("reports");
    let more = ["--out", out.to_str().unwrap()];
    let (succeeded, printed, errors) = run(&[first.arm("a"), second.arm("b")], &more);
    assert!(succeeded && errors.contains("reports are in"), "{errors}");
    for part in ["backend a  model_id org/Model-1B-4bit", "concurrency  requests", "2 clients"] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    assert!(printed.contains("all 12 answers are the same"), "{printed}");
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("report.json")).unwrap();
    let csv = read("report.csv");
    assert_eq!(csv.lines().count(), 1 + 4);
    let sha256 = json["plan"]["prompts_sha256"].as_str().unwrap();
    assert!(read("report.md").contains(sha256) && read("report.html").contains(sha256));
    assert!(read("report.html").contains("<svg"));
}

#[test]
fn failures_are_counted_and_make_it_fail() {
    let (first, _) = pair();
    // Every fourth request, the warm-up's among them.
    let script = |number| match number % 4 {
        3 => Reply::Busy,
        _ => Reply::Chunks(ANSWER.to_vec()),
    };
    let second = Fake::start("Model-1B", script);
    let (succeeded, printed, errors) = run(&[first.arm("a"), second.arm("b")], &["--json"]);
    assert!(!succeeded);
    let report = report(&printed);
    let failed = |arm: usize| -> u64 {
        let levels = report["levels"].as_array().unwrap().iter();
        let stats = levels.map(|level| &level["rows"][arm]["stats"]);
        let counts = stats.flat_map(|stats| [&stats["failures"], &stats["warm_up_failures"]]);
        counts.filter_map(|counts| counts["status"].as_u64()).sum()
    };
    assert_eq!((failed(0), failed(1)), (0, 24 / 4));
    assert!(errors.contains("of 36 requests failed"), "{errors}");
    let errors_of_b: Vec<&Value> = report["levels"][1]["rows"][1]["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| &request["error"]["message"])
        .filter(|message| !message.is_null())
        .collect();
    assert!(errors_of_b.iter().all(|message| *message == "status 503: no room"), "{errors_of_b:?}");
    assert!(!errors_of_b.is_empty());
}

#[test]
fn other_answers_are_shown_and_fail_where_they_must_not_differ() {
    let first = Fake::always("Model-1B", ANSWER);
    let second = Fake::always("Model-1B", &["It", " is", " black", "."]);
    let arms = [first.arm("a"), second.arm("b")];
    let (succeeded, printed, errors) = run(&arms, &[]);
    assert!(succeeded, "{errors}");
    let expected = "0 of 6 answers are the same; the text of request 1 in round 1 parts after 8 \
                    characters: \"ue.\" there, \"ack.\" here";
    assert!(printed.contains(expected), "{printed}");
    let (succeeded, _, errors) = run(&arms, &["--require-parity"]);
    assert!(!succeeded && errors.contains("answers are not all the same"), "{errors}");
}

/// Multiplies every figure that shall be low and divides every one that shall be high.
fn slower(report: &mut Value, factor: f64) {
    for level in report["levels"].as_array_mut().unwrap() {
        for row in level["rows"].as_array_mut().unwrap() {
            for (name, figure) in row["stats"].as_object_mut().unwrap() {
                let factor = if name.ends_with("_tok_s") { 1.0 / factor } else { factor };
                let is_speed = name.ends_with("_ms") || name.ends_with("_tok_s");
                if let Some(median) = figure["p50"].as_f64().filter(|_| is_speed) {
                    figure["p50"] = json!(median * factor);
                }
            }
        }
    }
}

#[test]
fn a_baseline_that_was_faster_makes_it_fail_and_a_slower_one_does_not() {
    let (first, second) = pair();
    let arms = [first.arm("a"), second.arm("b")];
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    assert!(run(&arms, &["--out", out]).0);
    let before: Value =
        serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    let with = |factor: f64, more: &[&str]| {
        let mut report = before.clone();
        slower(&mut report, factor);
        let path = folder.path().join("baseline.json");
        fs::write(&path, report.to_string()).unwrap();
        let baseline = ["--baseline", path.to_str().unwrap()];
        run(&arms, &[&baseline[..], more].concat())
    };
    let (succeeded, printed, errors) = with(1e6, &[]);
    assert!(succeeded, "{errors}");
    assert!(printed.contains("held against a report of"), "{printed}");
    let (succeeded, _, errors) = with(1e-6, &["--tolerance", "50"]);
    assert!(!succeeded);
    for part in ["regression: a, 1 client: ttft_ms was", "b, 2 clients: total_ms", "tolerance 50 %"]
    {
        assert!(errors.contains(part), "{part} is not in {errors}");
    }
    // Something else was asked: nobody waits for that.
    let num_asked = first.num_asked();
    let (succeeded, _, errors) = with(1.0, &["--prompt", "another"]);
    assert!(!succeeded && errors.contains("prompts"), "{errors}");
    assert_eq!(first.num_asked(), num_asked);
}

#[test]
fn prompts_of_a_file_and_arrivals_at_a_rate_are_asked() {
    let (first, second) = pair();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompts.jsonl");
    fs::write(&file, "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n").unwrap();
    let arms = [first.arm("a"), second.arm("b")];
    let file = ["--prompt-file", Path::new(&file).to_str().unwrap(), "--rate", "200", "--json"];
    let (succeeded, printed, errors) = run(&arms, &file);
    assert!(succeeded, "{errors}");
    let report = report(&printed);
    let levels = report["levels"].as_array().unwrap();
    assert_eq!(levels.len(), 3);
    assert_eq!(levels[2]["load"], json!({"rate": {"per_s": 200.0, "seed": 0}}));
    assert_eq!(levels[2]["rows"][1]["stats"]["num_done"], 6);
    // The file has two prompts, so what is asked comes again.
    let digests = |row: &Value| -> Vec<String> {
        let requests = row["requests"].as_array().unwrap().iter();
        requests.map(|request| request["input_sha256"].as_str().unwrap().to_owned()).collect()
    };
    let mut all = digests(&levels[1]["rows"][0]);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 2);
}
