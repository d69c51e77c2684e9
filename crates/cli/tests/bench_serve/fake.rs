//! A server that lists one model and answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

/// What it answers to a request.
pub(crate) enum Reply {
    /// A stream with these chunks, each one token.
    Chunks(Vec<&'static str>),
    /// No room.
    Busy,
}

/// What to answer to the n-th chat request.
type Script = dyn Fn(usize) -> Reply + Send + Sync;

pub(crate) struct Fake {
    /// As `--arm url=` takes it.
    pub(crate) url: String,
    num_asked: Arc<AtomicUsize>,
}

impl Fake {
    pub(crate) fn start(
        model: &'static str,
        script: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let num_asked = Arc::new(AtomicUsize::new(0));
        let (script, count): (Arc<Script>, _) = (Arc::new(script), num_asked.clone());
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, count) = (script.clone(), count.clone());
                std::thread::spawn(move || answer(stream.unwrap(), model, &*script, &count));
            }
        });
        Self { url, num_asked }
    }

    /// Answers always the same.
    pub(crate) fn always(model: &'static str, chunks: &'static [&'static str]) -> Self {
        Self::start(model, |_| Reply::Chunks(chunks.to_vec()))
    }

    /// The arm in short.
    pub(crate) fn arm(&self, name: &str) -> String {
        format!("{name}:url={}", self.url)
    }

    pub(crate) fn num_asked(&self) -> usize {
        self.num_asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, model: &str, script: &Script, count: &AtomicUsize) {
    let Some((line, body)) = request(&stream) else { return };
    let kind = |status: &str, kind: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n")
    };
    let text = if line.starts_with("GET /v1/models ") {
        kind("200 OK", "application/json") + &json!({"data": [{"id": model}]}).to_string()
    } else {
        assert_eq!(body["model"], model);
        match script(count.fetch_add(1, Ordering::SeqCst)) {
            Reply::Busy => {
                let body = json!({"error": {"message": "no room"}});
                kind("503 Service Unavailable", "application/json") + &body.to_string()
            }
            Reply::Chunks(chunks) => kind("200 OK", "text/event-stream") + &events(&chunks),
        }
    };
    let _ = stream.write_all(text.as_bytes());
}

fn events(chunks: &[&str]) -> String {
    let delta = |text: &&str| json!({"choices": [{"delta": {"content": text}}]});
    let usage = json!({"prompt_tokens": 20, "completion_tokens": chunks.len(),
                       "prompt_tokens_details": {"cached_tokens": 5}});
    let mut events: Vec<Value> = chunks.iter().map(delta).collect();
    events.push(json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}));
    events.push(json!({"choices": [], "usage": usage, "system_fingerprint": "fake-1"}));
    let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    events + "data: [DONE]\n\n"
}

/// The first line and the body.
fn request(stream: &TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
