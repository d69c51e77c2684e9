//! Commands that end by themselves.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{ANSWER, QUESTION, failure, gguf, russet, starter, text};

#[test]
fn the_starter_knows_the_capital_of_france() {
    starter();
    assert_eq!(text(&["run", QUESTION]).trim_end(), ANSWER);
}

#[test]
fn mlx_and_gguf_give_the_same_text_on_every_instruction_set() {
    let models = [starter().to_owned(), gguf()];
    for precision in ["exact", "fine", "balanced"] {
        for model in &models {
            let found = text(&["run", "-m", model, "--precision", precision, QUESTION]);
            assert_eq!(found.trim_end(), ANSWER, "{model} {precision}");
        }
    }
    for kernels in russet_kernels::available() {
        let isa = kernels.isa().to_string();
        let found = text(&["run", "-m", &models[0], "--isa", &isa, QUESTION]);
        assert_eq!(found.trim_end(), ANSWER, "{isa}");
    }
}

#[test]
fn info_and_list_know_the_starter() {
    starter();
    let info: Value = serde_json::from_str(&text(&["info", "--json"])).unwrap();
    assert_eq!(info["architecture"], "llama");
    assert_eq!(info["parameters"], 134_515_008);
    assert_eq!(info["context_tokens"], 8192);
    let list: Value = serde_json::from_str(&text(&["list", "--json"])).unwrap();
    assert_eq!(list[0]["name"], "starter");
    let bytes = |path: &str| std::fs::metadata(path).unwrap().len();
    let both = bytes(&gguf()) + bytes(&format!("{}/model.safetensors", starter()));
    assert!(list[0]["bytes"].as_u64().unwrap() > both, "{list}");
}

#[test]
fn bench_measures_the_rows_that_were_asked_for() {
    let asked = ["-p", "20,8", "-n", "3", "-d", "0,40", "-b", "1,2", "-r", "2"];
    let compute = ["--prefill-chunk", "16", "--threads", "2,1", "--precision", "fast", "--json"];
    let bench = ["bench", "model", starter()];
    let report: Value =
        serde_json::from_str(&text(&[&bench[..], &asked, &compute].concat())).unwrap();
    assert_eq!(report["model"], "SmolLM2-135M-Instruct-4bit");
    assert_eq!(report["parameters"], 134_515_008);
    assert_eq!((&report["precision"], &report["kv_type"]), (&json!("fast"), &json!("bf16")));
    let rows = report["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["test"].as_str().unwrap()).collect();
    let shallow = ["pp20", "pp8", "tg3", "tg3 x2"];
    let deep = ["pp20 @ d40", "pp8 @ d40", "tg3 @ d40", "tg3 x2 @ d40"];
    assert_eq!(names, [shallow, deep, shallow, deep].concat());
    let threads: Vec<u64> = rows.iter().map(|row| row["threads"].as_u64().unwrap()).collect();
    assert_eq!(threads, [[2; 8], [1; 8]].concat());
    let weights = report["weights_bytes"].as_f64().unwrap();
    for row in rows {
        assert!(row["tokens_per_s"]["median"].as_f64().unwrap() > 0.0, "{row}");
        assert_eq!(row["seconds"].as_array().unwrap().len(), 2);
        let decodes = row["kind"] == "decode";
        assert_eq!(row["bandwidth_gb_s"]["measured"].is_number(), decodes, "{row}");
        if decodes {
            // The embedding serves as the head, so a step reads every weight, and some keys.
            let per_step =
                row["bytes_per_token"].as_f64().unwrap() * row["batch"].as_f64().unwrap();
            assert!((weights..1.05 * weights).contains(&per_step), "{row}");
        }
    }
}

#[test]
fn bench_prints_a_table_and_names_what_does_not_fit() {
    let bench = ["bench", "model", starter()];
    let table = text(&[&bench[..], &["-p", "4", "-n", "0", "-r", "1"]].concat());
    let row = table.lines().find(|line| line.starts_with("| pp4 ")).unwrap();
    assert_eq!(row.split('|').count(), 9, "{table}");
    let long = failure(&[&bench[..], &["-p", "0", "-n", "128", "-d", "8100"]].concat());
    assert!(["tg128 @ d8100", "8228", "8192"].iter().all(|word| long.contains(word)), "{long}");
    let none = failure(&[&bench[..], &["-p", "0", "-n", "0"]].concat());
    assert!(none.contains("no rows"), "{none}");
}

#[test]
fn bad_arguments_are_refused_by_name() {
    starter();
    assert!(failure(&["run", "-m", "./no-such-model", "x"]).contains("./no-such-model"));
    assert!(failure(&["run", "--isa", "mmx", "x"]).contains("mmx"));
    assert!(failure(&["run", "--temperature", "-1", "x"]).contains("-1"));
    let context = failure(&["run", "--context", "9000", "x"]);
    assert!(context.contains("9000") && context.contains("8192"), "{context}");
    let long = "word ".repeat(100);
    let prompt = failure(&["run", "--context", "64", &long]);
    assert!(prompt.contains("64"), "{prompt}");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let names = ["HF_HUB_OFFLINE", "HF_ENDPOINT", "RUSSET_THREADS", "RUSSET_ISA", "HF_TOKEN"];
    let output = russet(&["run", "--help"]).envs(names.map(|name| (name, ""))).output().unwrap();
    assert!(output.status.success());
    let output = russet(&["list"]).envs(names.map(|name| (name, ""))).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = russet(&["list"]).env("HF_HUB_OFFLINE", "maybe").output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn removing_takes_both_forms_of_the_starter() {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("removal");
    let _ = std::fs::remove_dir_all(&home);
    let folder = home.join("starter/SmolLM2-135M-Instruct-4bit");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.json"), "12345").unwrap();
    let rm = || russet(&["rm", "starter"]).env("RUSSET_HOME", &home).output().unwrap();
    assert!(String::from_utf8(rm().stdout).unwrap().contains("5 B freed"));
    assert!(!folder.exists());
    assert!(String::from_utf8(rm().stderr).unwrap().contains("not on this machine"));
}

#[test]
fn piped_input_is_the_prompt_and_must_be_utf8() {
    starter();
    let piped = |bytes: &[u8]| {
        let mut child = russet(&["run"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        child.wait_with_output().unwrap()
    };
    let answered = piped(QUESTION.as_bytes());
    assert_eq!(String::from_utf8(answered.stdout).unwrap().trim_end(), ANSWER);
    let refused = piped(b"caf\xe9");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("byte 3"));
}
