//! The binary, the model, and a server of both.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

pub(crate) const QUESTION: &str = "What is the capital of France?";

/// What an independent float32 implementation answers to `QUESTION`.
pub(crate) const ANSWER: &str = "The capital of France is Paris.";

/// The text and greedy continuation of the same implementation, without a chat template.
pub(crate) const COLOURS: &str = "The three primary colors are";
pub(crate) const COLOURS_GO_ON: &str = " the primary colors of the";

pub(crate) fn russet(arguments: &[&str]) -> Command {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("russet-home");
    let mut command = Command::new(env!("CARGO_BIN_EXE_russet"));
    command.args(arguments).env("RUSSET_HOME", home).stdin(Stdio::null());
    for name in ["MODEL", "ISA", "PRECISION", "THREADS", "BACKEND", "REMOTE_URL"] {
        command.env_remove(format!("RUSSET_{name}"));
    }
    command
}

fn output(arguments: &[&str]) -> Output {
    russet(arguments).output().unwrap()
}

pub(crate) fn text(arguments: &[&str]) -> String {
    let output = output(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn failure(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert!(!output.status.success(), "{arguments:?} should fail");
    String::from_utf8(output.stderr).unwrap()
}

/// The starter's MLX directory.
pub(crate) fn starter() -> &'static str {
    static STARTER: OnceLock<String> = OnceLock::new();
    STARTER.get_or_init(|| text(&["pull", "starter"]).trim().to_owned())
}

pub(crate) fn gguf() -> String {
    let folder = PathBuf::from(starter());
    let gguf = folder.parent().unwrap().join("SmolLM2-135M-Instruct.Q4_1.gguf");
    gguf.to_str().unwrap().to_owned()
}

/// A running server; killed when the test ends.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        starter();
        Self::with(&[])
    }

    /// A server with further arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let all = [&["serve", "--port", "0"][..], arguments].concat();
        let mut child = russet(&all).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut log = Vec::new();
        let address = loop {
            let Some(line) = lines.next() else { panic!("the server ends:\n{}", log.join("\n")) };
            if let Some((_, rest)) = line.split_once("listening on http://") {
                break rest.split(' ').next().unwrap().to_owned();
            }
            log.push(line);
        };
        // What comes later is read so that nobody waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// The body of a reply.
    pub(crate) fn get(&self, path: &str) -> String {
        self.send("GET", path, "").1
    }

    /// The status line and body of a reply.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (String, String) {
        self.send("POST", path, &body.to_string())
    }

    fn send(&self, method: &str, path: &str, body: &str) -> (String, String) {
        let mut stream = self.request(method, path, body);
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// The connection on which a reply will come.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
