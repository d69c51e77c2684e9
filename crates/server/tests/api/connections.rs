//! What only shows over real connections: clients that go away, draining, time limits.

use std::time::Duration;

use russet_engine::EngineSettings;
use russet_server::{ServerSettings, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{Says, TestServer, chat, engine_settings, wait_for};

/// A server on a port of its own.
struct Live {
    server: TestServer,
    address: std::net::SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Live {
    async fn start(server: TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, wanted) = oneshot::channel::<()>();
        let wanted = async { wanted.await.unwrap_or_default() };
        let served = tokio::spawn(serve(server.state.clone(), listener, wanted));
        Self { server, address, shutdown: Some(shutdown), served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, body: serde_json::Value) -> TcpStream {
        let body = body.to_string();
        let mut stream = self.connect().await;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        stream
    }

    fn shut_down(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }
}

/// Reads until the text appears.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer));
        let num = read.await.unwrap_or_else(|_| panic!("no {wanted:?} in {text:?}")).unwrap();
        assert!(num > 0, "the connection ended without {wanted:?}: {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..num]));
    }
    text
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_work_within_a_step() {
    for stream in [true, false] {
        let (server, go) = TestServer::gated(Says::Anything, ServerSettings::default());
        let live = Live::start(server).await;
        let client = live.send(chat(json!({ "stream": stream }))).await;
        (0..3).for_each(|_| go.send(()).unwrap());
        wait_for(|| live.server.num_steps() == 4).await;
        drop(client);
        // The engine is inside its fourth step until the server has seen the end of the connection.
        tokio::time::sleep(Duration::from_millis(500)).await;
        (0..100).for_each(|_| go.send(()).unwrap());
        live.server.wait_until_idle().await;
        assert_eq!(live.server.num_steps(), 4, "stream: {stream}");
    }
}

#[tokio::test]
async fn eight_at_once_are_all_answered() {
    let live = Live::start(TestServer::new(Says::Anything)).await;
    let mut clients = Vec::new();
    for i in 0..8 {
        let fields = json!({"max_tokens": 20, "stream": i % 2 == 0, "seed": i, "temperature": 1});
        clients.push(live.send(chat(fields)).await);
    }
    for mut client in clients {
        let text = read_until(&mut client, r#""finish_reason":"length""#).await;
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_stalls_nobody() {
    let engine = EngineSettings { cache_tokens: 4096, ..engine_settings() };
    let server = TestServer::with(Says::Anything, engine, ServerSettings::default());
    let live = Live::start(server).await;
    let fields = json!({"stream": true, "logprobs": true, "top_logprobs": 20, "n": 3});
    let mut slow = live.send(chat(fields)).await;
    live.server.wait_until_idle().await;
    let mut other = live.send(chat(json!({"max_tokens": 3}))).await;
    read_until(&mut other, r#""finish_reason":"length""#).await;
    // Whatever was not read has waited: megabytes, which no socket buffer holds.
    let mut rest = Vec::new();
    while !rest.ends_with(b"0\r\n\r\n") {
        assert!(slow.read_buf(&mut rest).await.unwrap() > 0, "the stream broke off");
    }
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("data: [DONE]"));
    assert_eq!(rest.matches(r#""delta":{"content":""#).count(), 3 * (4096 - 22));
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_refuses_the_rest() {
    let (server, go) = TestServer::gated(Says::Anything, ServerSettings::default());
    let mut live = Live::start(server).await;
    let mut client = live.send(chat(json!({"max_tokens": 5, "stream": true}))).await;
    let mut idle = live.connect().await;
    read_until(&mut client, "assistant").await;
    live.shut_down();
    wait_for(|| live.server.engine.handle().check_accepting().is_err()).await;
    (0..5).for_each(|_| go.send(()).unwrap());
    read_until(&mut client, "[DONE]").await;
    live.served.await.unwrap().unwrap();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0, "an idle connection is closed");
    assert!(TcpStream::connect(live.address).await.is_err());
}

#[tokio::test]
async fn what_runs_too_long_after_the_shutdown_gets_an_error_event() {
    let drain_timeout = Duration::from_millis(100);
    let settings = ServerSettings { drain_timeout, ..ServerSettings::default() };
    let (server, go) = TestServer::gated(Says::Anything, settings);
    let mut live = Live::start(server).await;
    let mut client = live.send(chat(json!({"stream": true}))).await;
    read_until(&mut client, "assistant").await;
    live.shut_down();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The abort takes effect after the step that is being computed.
    go.send(()).unwrap();
    let text = read_until(&mut client, "shutting_down").await;
    assert!(text.contains(r#"data: {"error":{"message":"the engine shut down before"#), "{text}");
    assert!(!text.contains("[DONE]"));
    live.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_without_news_is_kept_alive() {
    let keep_alive = Duration::from_millis(20);
    let settings = ServerSettings { keep_alive, ..ServerSettings::default() };
    let (server, go) = TestServer::gated(Says::Anything, settings);
    let live = Live::start(server).await;
    let mut client = live.send(chat(json!({"stream": true, "max_tokens": 1}))).await;
    let text = read_until(&mut client, "\n:\n\n").await;
    assert!(text.contains("text/event-stream"), "{text}");
    go.send(()).unwrap();
    read_until(&mut client, "[DONE]").await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let header_timeout = Duration::from_millis(100);
    let settings = ServerSettings { header_timeout, ..ServerSettings::default() };
    let server = TestServer::with(Says::Anything, engine_settings(), settings);
    let live = Live::start(server).await;
    let mut client = live.connect().await;
    client.write_all(b"GET /health HTTP/1.1\r\nhost: loc").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), client.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection stayed open");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_an_answer() {
    let settings = ServerSettings { max_body_bytes: 1000, ..ServerSettings::default() };
    let server = TestServer::with(Says::Anything, engine_settings(), settings);
    let live = Live::start(server).await;
    let long = chat(json!({"user": "x".repeat(20 << 20)}));
    // Sending all of it works, and so does reading the answer then.
    let mut client = live.send(long).await;
    let text = read_until(&mut client, "}}").await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
}

#[tokio::test]
async fn more_connections_than_allowed_wait() {
    let settings = ServerSettings { max_connections: 1, ..ServerSettings::default() };
    let server = TestServer::with(Says::Anything, engine_settings(), settings);
    let live = Live::start(server).await;
    let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut first = live.connect().await;
    first.write_all(request).await.unwrap();
    read_until(&mut first, "ok").await;
    let mut second = live.connect().await;
    second.write_all(request).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(100), second.readable()).await;
    assert!(waits.is_err());
    drop(first);
    read_until(&mut second, "ok").await;
}
