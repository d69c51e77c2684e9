//! A server over a model that says what a test wants, with a vocabulary of bytes and a few words.

#[path = "../../../engine/tests/fake_model/mod.rs"]
mod fake_model;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
pub(crate) use fake_model::mix;
use fake_model::{FakeModel, Logits, hashed_logits};
use http_body_util::BodyExt;
use russet_engine::{Engine, EngineSettings, Load, SamplingParams, TokenId};
use russet_server::{
    Catalog, EngineModel, ServedBy, ServedModel, ServerSettings, ServerState, router,
};
use russet_tokenizer::{AddSpecial, ChatTemplate, Tokenizer};
use serde_json::{Value, json};
use tower::ServiceExt;

const TEMPLATE: &str = "{% for m in messages %}\
    {% if m.content == 'no' %}{{ raise_exception('I will not') }}{% endif %}\
    <s>{{ m.role }}: {{ m.content }}</s>{% endfor %}\
    {% if add_generation_prompt %}<s>assistant: {{ extra_text }}{% endif %}";

/// Bytes have the ids 0 to 255; then come these words, made by merging, and the special tokens.
const WORDS: [&str; 4] = ["he", "ll", "hell", "hello"];
const BEGIN: u32 = 260;
pub(crate) const END: u32 = 261;
const VOCAB_LEN: usize = 262;

/// What the model says.
pub(crate) enum Says {
    /// This text, then the end token.
    Text(&'static str),
    /// These tokens, then the end token.
    Tokens(Vec<u32>),
    /// Something that depends on all tokens before, and is never the end.
    Anything,
    /// Nothing: it panics.
    Panics,
    /// `aa`, then it panics.
    Breaks,
}

pub(crate) struct TestServer {
    pub(crate) app: Router,
    pub(crate) state: ServerState,
    pub(crate) engine: Engine,
    pub(crate) tokenizer: Arc<Tokenizer>,
    num_steps: Arc<AtomicUsize>,
}

impl TestServer {
    pub(crate) fn new(says: Says) -> Self {
        Self::with(says, engine_settings(), ServerSettings::default())
    }

    pub(crate) fn with(says: Says, engine: EngineSettings, server: ServerSettings) -> Self {
        Self::start(says, engine, server, None)
    }

    /// A server whose model computes one token for each message sent.
    pub(crate) fn gated(says: Says, server: ServerSettings) -> (Self, Sender<()>) {
        let (go, gate) = channel();
        (Self::start(says, engine_settings(), server, Some(gate)), go)
    }

    pub(crate) fn start(
        says: Says,
        engine: EngineSettings,
        server: ServerSettings,
        gate: Option<Receiver<()>>,
    ) -> Self {
        let tokenizer = Arc::new(tokenizer());
        let model = Box::new(FakeModel::new(VOCAB_LEN, logits(&tokenizer, says, gate)));
        let num_steps = model.num_steps();
        let engine = Engine::start(model, engine).unwrap();
        let by = EngineModel {
            handle: engine.handle(),
            tokenizer: tokenizer.clone(),
            template: Some(ChatTemplate::new(TEMPLATE).unwrap()),
            defaults: SamplingParams::greedy(),
            stop_tokens: vec![TokenId(END)],
        };
        let served = ServedModel {
            id: "org/tiny".to_owned(),
            aliases: vec!["tiny".to_owned()],
            created: 1_700_000_000,
            by: ServedBy::Engine(Arc::new(by)),
        };
        let catalog = Catalog { models: vec![served], rest: None };
        let state = ServerState::new(catalog, server);
        let bound: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let app = router(state.clone(), bound);
        Self { app, state, engine, tokenizer, num_steps }
    }

    pub(crate) fn num_steps(&self) -> usize {
        self.num_steps.load(Ordering::SeqCst)
    }

    /// Waits until the engine has nothing to do.
    pub(crate) async fn wait_until_idle(&self) {
        wait_for(|| self.engine.handle().load() == Load::default()).await;
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.send(Request::get(path).body(Body::empty()).unwrap()).await).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.send(post(path, body.to_string())).await).await
    }

    pub(crate) async fn chat(&self, fields: Value) -> (u16, Value) {
        self.post("/v1/chat/completions", &chat(fields)).await
    }

    /// The data of each event of a streamed answer.
    pub(crate) async fn stream(&self, path: &str, body: &Value) -> Vec<String> {
        let response = self.send(post(path, body.to_string())).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let text = text(response).await;
        let events = text.split_terminator("\n\n").filter(|event| !event.starts_with(':'));
        events.map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect()
    }

    pub(crate) async fn stream_chat(&self, fields: Value) -> Vec<String> {
        let mut body = chat(fields);
        body["stream"] = json!(true);
        self.stream("/v1/chat/completions", &body).await
    }
}

pub(crate) fn engine_settings() -> EngineSettings {
    EngineSettings { max_waiting: 16, prefill_chunk: 32, cache_tokens: 256 }
}

/// A chat request with one message and `fields`.
pub(crate) fn chat(fields: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(body.into()).unwrap()
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) async fn answer(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = text(response).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Waits for something that happens soon.
#[track_caller]
pub(crate) fn wait_for(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..5000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("waited 10 s in vain at {caller}");
    }
}

/// The same JSON with what differs from run to run replaced.
pub(crate) fn stable(chunk: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(chunk) else { return chunk.to_owned() };
    if value.get("id").is_some() {
        value["id"] = json!("ID");
        value["created"] = json!(0);
        value["system_fingerprint"] = json!("FP");
    }
    value.to_string()
}

/// The texts of all chunks of a choice, joined.
pub(crate) fn joined(chunks: &[String], index: usize) -> String {
    let text = |chunk: &String| {
        let chunk: Value = serde_json::from_str(chunk).ok()?;
        let choice = chunk["choices"].get(0).filter(|choice| choice["index"] == index)?;
        let text = choice["delta"]["content"].as_str().or(choice["text"].as_str())?;
        Some(text.to_owned())
    };
    chunks.iter().filter_map(text).collect()
}

fn logits(tokenizer: &Tokenizer, says: Says, gate: Option<Receiver<()>>) -> Logits {
    let script = match &says {
        Says::Text(text) => tokenizer.encode(text, AddSpecial::No).unwrap(),
        Says::Tokens(tokens) => tokens.clone(),
        Says::Breaks => vec![97; 2],
        Says::Anything | Says::Panics => Vec::new(),
    };
    let (mut last, mut prompt_len) = (Vec::new(), 0);
    Box::new(move |history| {
        if let Some(gate) = &gate {
            // Once the test is over nobody holds the gate.
            let _ = gate.recv();
        }
        // A history that does not continue the last one is a new prompt.
        if history.split_last().is_none_or(|(_, before)| before != last) {
            prompt_len = history.len();
        }
        last = history.to_vec();
        match says {
            Says::Panics => panic!("deliberate failure"),
            Says::Anything => {
                let mut logits = hashed_logits(history, VOCAB_LEN);
                // Letters only.
                for (id, logit) in logits.iter_mut().enumerate() {
                    if !(97..123).contains(&id) {
                        *logit = f32::NEG_INFINITY;
                    }
                }
                Ok(logits)
            }
            Says::Text(_) | Says::Tokens(_) | Says::Breaks => {
                let num_said = history.len() - prompt_len;
                let broken = matches!(says, Says::Breaks) && num_said == script.len();
                assert!(!broken, "deliberate failure");
                let mut logits = vec![0.0; VOCAB_LEN];
                let next = script.get(num_said).copied().unwrap_or(END);
                logits[next as usize] = 10.0;
                Ok(logits)
            }
        }
    })
}

/// Byte-level BPE, whose bytes have the ids of their values.
fn tokenizer() -> Tokenizer {
    let mut vocab: BTreeMap<String, u32> = BTreeMap::new();
    // GPT-2's table: bytes without a visible character are moved beyond 255.
    let mut moved = 256;
    for byte in 0..256_u32 {
        let visible = matches!(byte, 33..=126 | 161..=172 | 174..=255);
        let code = if visible { byte } else { moved };
        moved += u32::from(!visible);
        vocab.insert(char::from_u32(code).unwrap().to_string(), byte);
    }
    for (word, id) in WORDS.into_iter().zip(256..) {
        vocab.insert(word.to_owned(), id);
    }
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true})
    };
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false,
                            "trim_offsets": false, "use_regex": false});
    let definition = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [special(BEGIN, "<s>"), special(END, "</s>")],
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
                  "continuing_subword_prefix": null, "end_of_word_suffix": null,
                  "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                  "vocab": vocab,
                  "merges": [["h", "e"], ["l", "l"], ["he", "ll"], ["hell", "o"]]},
    });
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), definition.to_string()).unwrap();
    let config = json!({"bos_token": "<s>", "eos_token": "</s>"});
    std::fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    Tokenizer::from_dir(dir.path()).unwrap()
}
