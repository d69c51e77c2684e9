//! An HTTP/1.1 server that writes what it is told, byte for byte, and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use russet_bench::load::{Arm, Ask, Client, OutputLen};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// One thing that the server does.
#[derive(Clone)]
pub(crate) enum Step {
    /// Writes these bytes as they are.
    Bytes(String),
    /// Writes a piece of a chunked body.
    Piece(String),
    /// Goes on when the test adds a permit.
    Wait(Arc<Semaphore>),
    /// Ends a chunked body; the next request may follow.
    End,
    /// Ends the connection.
    Close,
    /// Does nothing more, and keeps the connection.
    Hang,
}

/// What the server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Heads of requests, in lower case.
    pub(crate) heads: Vec<String>,
    pub(crate) bodies: Vec<Value>,
    pub(crate) num_connections: usize,
    /// Requests that were being answered at once.
    pub(crate) most_in_flight: usize,
    in_flight: usize,
}

/// What to do about the n-th request.
type Script = dyn Fn(usize) -> Vec<Step> + Send + Sync;

pub(crate) struct FakeServer {
    pub(crate) base_url: String,
    seen: Arc<Mutex<Seen>>,
    accepting: JoinHandle<()>,
}

impl FakeServer {
    pub(crate) async fn start(script: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let script: Arc<Script> = Arc::new(script);
        let for_connections = seen.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                for_connections.lock().unwrap().num_connections += 1;
                tokio::spawn(serve(stream, script.clone(), for_connections.clone()));
            }
        });
        Self { base_url, seen, accepting }
    }

    /// Always the same answer.
    pub(crate) async fn always(steps: Vec<Step>) -> Self {
        Self::start(move |_| steps.clone()).await
    }

    pub(crate) fn arm(&self) -> Arm {
        Arm::new("fake", &self.base_url, "m")
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.arm()).unwrap()
    }

    pub(crate) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Answers the requests of one connection until a script or the client ends it.
async fn serve(mut stream: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Seen>>) {
    let mut unread = Vec::new();
    while let Some((head, body)) = read_request(&mut stream, &mut unread).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.heads.push(head);
            seen.bodies.push(body);
            seen.in_flight += 1;
            seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
            seen.bodies.len() - 1
        };
        for step in script(number) {
            let bytes = match step {
                Step::Bytes(bytes) => bytes,
                Step::Piece(piece) => format!("{:x}\r\n{piece}\r\n", piece.len()),
                Step::Wait(permits) => {
                    permits.acquire().await.unwrap().forget();
                    continue;
                }
                Step::End => {
                    // Before the client can know of the end, and send the next one.
                    seen.lock().unwrap().in_flight -= 1;
                    "0\r\n\r\n".to_owned()
                }
                Step::Close => return,
                Step::Hang => std::future::pending().await,
            };
            if stream.write_all(bytes.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<(String, Value)> {
    let head_len = loop {
        let end = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        match end {
            Some(end) => break end + 4,
            None => read_more(stream, unread).await?,
        }
    };
    let head = String::from_utf8_lossy(&unread[..head_len]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while unread.len() < head_len + length {
        read_more(stream, unread).await?;
    }
    let rest = unread.split_off(head_len + length);
    let body = match length {
        0 => Value::Null,
        _ => serde_json::from_slice(&unread[head_len..]).unwrap(),
    };
    *unread = rest;
    Some((head, body))
}

async fn read_more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 4096];
    let num = stream.read(&mut buffer).await.ok()?;
    unread.extend_from_slice(&buffer[..num]);
    (num > 0).then_some(())
}

/// The head of an answer that is a stream.
pub(crate) fn head() -> Step {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n";
    Step::Bytes(head.to_owned())
}

/// A whole answer that is no stream.
pub(crate) fn whole(status: &str, body: &str) -> Step {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n");
    Step::Bytes(format!("{head}content-length: {length}\r\n\r\n{body}"))
}

/// An event with a delta of text.
pub(crate) fn content(text: &str) -> String {
    event(&json!({"choices": [{"index": 0, "delta": {"content": text}}]}))
}

/// An event with a finish reason.
pub(crate) fn finish(reason: &str) -> String {
    event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
}

/// An event with counts: prompt, answer, and how much of the prompt was cached.
pub(crate) fn usage(prompt: u64, completion: u64, cached: u64) -> String {
    let details = json!({"cached_tokens": cached});
    event(&json!({"choices": [], "usage": {
        "prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details,
    }}))
}

pub(crate) fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// A whole answer of two tokens.
pub(crate) fn two_tokens() -> Vec<Step> {
    let rest = [finish("length"), usage(5, 2, 0), DONE.to_owned()].concat();
    vec![head(), piece(content("a")), piece(content("b")), Step::Piece(rest), Step::End]
}

pub(crate) fn piece(text: impl Into<String>) -> Step {
    Step::Piece(text.into())
}

pub(crate) fn ask(text: &str) -> Ask {
    let messages = vec![json!({"role": "user", "content": text})];
    Ask { messages, output: OutputLen::AtMost(16.try_into().unwrap()) }
}

/// Returns once the condition holds; panics if it never does.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("what the test waits for did not happen");
}
