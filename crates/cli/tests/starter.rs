//! The binary with the starter model, as a newcomer uses it. The model is fetched once into cargo's
//! folder for test files.
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

const QUESTION: &str = "What is the capital of France?";

/// What an independent float32 implementation answers to `QUESTION`.
const ANSWER: &str = "The capital of France is Paris.";

/// The text and greedy continuation of the same implementation, without a chat template.
const COLOURS: &str = "The three primary colors are";
const COLOURS_GO_ON: &str = " the primary colors of the";

fn russet(arguments: &[&str]) -> Command {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("russet-home");
    let mut command = Command::new(env!("CARGO_BIN_EXE_russet"));
    command.args(arguments).env("RUSSET_HOME", home).stdin(Stdio::null());
    for name in ["RUSSET_MODEL", "RUSSET_ISA", "RUSSET_PRECISION", "RUSSET_THREADS"] {
        command.env_remove(name);
    }
    command
}

fn output(arguments: &[&str]) -> Output {
    russet(arguments).output().unwrap()
}

fn text(arguments: &[&str]) -> String {
    let output = output(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn failure(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert!(!output.status.success(), "{arguments:?} should fail");
    String::from_utf8(output.stderr).unwrap()
}

/// The starter's MLX directory.
fn starter() -> &'static str {
    static STARTER: OnceLock<String> = OnceLock::new();
    STARTER.get_or_init(|| text(&["pull", "starter"]).trim().to_owned())
}

fn gguf() -> String {
    let folder = PathBuf::from(starter());
    let gguf = folder.parent().unwrap().join("SmolLM2-135M-Instruct.Q4_1.gguf");
    gguf.to_str().unwrap().to_owned()
}

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

/// A running server; killed when the test ends.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        starter();
        let mut child = russet(&["serve", "--port", "0"]).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("http://")?.1.split([' ', '/']).next()?.into()));
        Self { child, address: address.expect("the server says where it listens") }
    }

    /// The body of a reply.
    fn get(&self, path: &str) -> String {
        self.send("GET", path, "").1
    }

    /// The status line and body of a reply.
    fn post(&self, path: &str, body: &Value) -> (String, String) {
        self.send("POST", path, &body.to_string())
    }

    fn send(&self, method: &str, path: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_server_answers_streams_and_refuses() {
    let server = Server::start();
    let loaded: Value = serde_json::from_str(&server.get("/info")).unwrap();
    let info: Value = serde_json::from_str(&text(&["info", "--json"])).unwrap();
    assert_eq!(info["packed_bytes"], loaded["weights_bytes"]);
    let messages = json!([{"role": "user", "content": QUESTION}]);
    let (status, body) =
        server.post("/v1/chat/completions", &json!({"model": "starter", "messages": messages}));
    assert!(status.contains("200"), "{status} {body}");
    let reply: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(reply["choices"][0]["message"]["content"], ANSWER);
    assert_eq!(reply["usage"]["prompt_tokens"], 37);

    let request = json!({"messages": messages, "stream": true});
    let (_, body) = server.post("/v1/chat/completions", &request);
    let chunks = body.lines().filter_map(|line| line.strip_prefix("data: {"));
    let chunks: Vec<Value> =
        chunks.map(|rest| serde_json::from_str(&format!("{{{rest}")).unwrap()).collect();
    let delta = |chunk: &Value| {
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(chunks.iter().map(delta).collect::<String>(), ANSWER);
    assert!(body.trim_end().contains("data: [DONE]"));

    let request = json!({"prompt": COLOURS, "max_tokens": 5, "temperature": 0});
    let (_, body) = server.post("/v1/completions", &request);
    let reply: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(reply["choices"][0]["text"], COLOURS_GO_ON);

    let request = json!({"prompt": "word ".repeat(9000)});
    let (status, body) = server.post("/v1/completions", &request);
    assert!(status.contains("400") && body.contains("8192"), "{status} {body}");
}

/// The file's pages go as its weights are packed, so at no time are both in memory as a whole.
#[cfg(target_os = "linux")]
#[test]
fn weights_are_never_in_memory_twice() {
    let server = Server::start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let packed = kilobytes("RssAnon:") << 10;
    let (peak, shared) = (kilobytes("VmHWM:") << 10, kilobytes("RssFile:") << 10);
    let file = std::fs::metadata(format!("{}/model.safetensors", starter())).unwrap().len();
    assert!(packed > file, "{packed} bytes of memory cannot hold {file} of weights");
    assert!(peak < packed + shared + file / 3, "{peak} at most, {packed} and {shared} now");
}

#[cfg(unix)]
#[test]
fn sigterm_ends_the_server_in_good_order() {
    let mut server = Server::start();
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let message = failure(&["serve", "--port", &port]);
    assert!(message.contains(&port), "{message}");
}
