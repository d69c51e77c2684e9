//! A server that passes requests on to another one, which answers what a test wants.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http_body_util::BodyExt;
use russet_backends::Upstream;
use russet_backends::upstream::{Key, Limits, Remote};
use russet_server::{Catalog, ServedBy, ServedModel, ServerSettings, ServerState, router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tower::ServiceExt;

/// What the other server was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: String,
}

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Response>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

pub(crate) struct Relay {
    pub(crate) app: Router,
    pub(crate) state: ServerState,
    script: Script,
}

impl Relay {
    /// A server with the model `org/tiny`, which the other one knows as `there`.
    pub(crate) async fn new() -> Self {
        let script = Script::default();
        Self::to(&other_server(script.clone()).await, script, true)
    }

    /// A server that passes every name on.
    pub(crate) async fn of_all_names() -> Self {
        let script = Script::default();
        Self::to(&other_server(script.clone()).await, script, false)
    }

    /// A server in front of nothing.
    pub(crate) async fn to_nobody() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        drop(listener);
        Self::to(&url, Script::default(), true)
    }

    fn to(url: &str, script: Script, is_named: bool) -> Self {
        let remote = Remote {
            base_url: url.to_owned(),
            key: Some(Key::new("the key")),
            certificates: None,
            proxy: None,
            limits: Limits { silence: Some(Duration::from_millis(500)), ..Limits::default() },
        };
        let upstream = Arc::new(Upstream::remote(&remote).unwrap());
        let model = ServedModel {
            id: "org/tiny".to_owned(),
            aliases: vec!["tiny".to_owned()],
            created: 1_700_000_000,
            by: ServedBy::Upstream { upstream: upstream.clone(), name: "there".to_owned() },
        };
        let catalog = match is_named {
            true => Catalog { models: vec![model], rest: None },
            false => Catalog { models: Vec::new(), rest: Some(upstream) },
        };
        let settings = ServerSettings {
            keep_alive: Duration::from_millis(100),
            drain_timeout: Duration::ZERO,
            ..ServerSettings::default()
        };
        let state = ServerState::new(catalog, settings);
        let app = router(state.clone(), "127.0.0.1:8080".parse().unwrap());
        Self { app, state, script }
    }

    /// The other server's next answer.
    pub(crate) fn next(&self, answer: Response) {
        self.script.answers.lock().unwrap().push_back(answer);
    }

    /// Its next answer is a stream of what is sent. Sending fails once nobody reads it.
    pub(crate) fn next_stream(&self) -> mpsc::Sender<&'static str> {
        self.next_pieces("text/event-stream")
    }

    /// As `next_stream`, of another type.
    pub(crate) fn next_pieces(&self, kind: &str) -> mpsc::Sender<&'static str> {
        let (sender, receiver) = mpsc::channel::<&'static str>(1);
        let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let piece = receiver.recv().await?;
            // `break` breaks the connection off.
            let piece = if piece == "break" { Err("as told") } else { Ok(Bytes::from(piece)) };
            Some((piece, receiver))
        });
        let answer = Response::builder().header("content-type", kind);
        self.next(answer.body(Body::from_stream(pieces)).unwrap());
        sender
    }

    /// What the other server was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().drain(..).collect()
    }

    pub(crate) async fn send(&self, request: Request) -> Response {
        self.app.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn post(&self, body: &str) -> Response {
        self.send(chat(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        json_of(self.send(Request::get(path).body(Body::empty()).unwrap()).await).await
    }
}

/// An answer of the other server.
pub(crate) fn answer(status: u16, body: &str) -> Response {
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(Body::from(body.to_owned())).unwrap()
}

pub(crate) fn chat(body: &str) -> Request {
    let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
    request.body(Body::from(body.to_owned())).unwrap()
}

pub(crate) async fn text_of(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) async fn json_of(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = text_of(response).await;
    (status, serde_json::from_str(&text).unwrap_or(json!(text)))
}

/// The next piece of a body that is not a comment.
pub(crate) async fn piece(body: &mut Body) -> Option<String> {
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(30), body.frame()).await.unwrap()?;
        let bytes = frame.unwrap().into_data().unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        if !text.starts_with(':') {
            return Some(text);
        }
    }
}

async fn other_server(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let app = Router::new().fallback(record).with_state(script);
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/v1")
}

async fn record(State(script): State<Script>, request: Request) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    script.asked.lock().unwrap().push(Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let answer = script.answers.lock().unwrap().pop_front();
    Ok(answer.unwrap_or_else(|| self::answer(500, r#"{"error": "no answer was prepared"}"#)))
}
