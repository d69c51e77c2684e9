//! Bad input: a status, a message that says what is wrong, and never the start of a stream.

use axum::body::Body;
use axum::http::Request;
use russet_engine::EngineSettings;
use russet_server::ServerSettings;
use serde_json::{Value, json};

use crate::support::{Says, TestServer, answer, chat, engine_settings, post};

const CHAT: &str = "/v1/chat/completions";
const LEGACY: &str = "/v1/completions";

fn server() -> TestServer {
    TestServer::new(Says::Anything)
}

/// The error of an answer, as `(message, type, param, code)`.
fn parts(answer: &Value) -> (String, Value, Value, Value) {
    let error = &answer["error"];
    let message = error["message"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (message, error["type"].clone(), error["param"].clone(), error["code"].clone())
}

/// A body is refused with 400, this parameter and this message, also when it asks for a stream.
async fn check(path: &str, body: Value, param: Value, message: &str) {
    let server = server();
    for stream in [false, true] {
        let mut body = body.clone();
        if stream {
            body["stream"] = json!(true);
        }
        let (status, answer) = server.post(path, &body).await;
        let found = parts(&answer);
        assert_eq!((status, &found.2), (400, &param), "{answer}");
        assert!(found.0.starts_with(message), "{}\n  is not\n{message}", found.0);
        assert_eq!(found.1, "invalid_request_error");
    }
    assert_eq!(server.num_steps(), 0, "nothing was computed");
}

async fn check_chat(fields: Value, param: &str, message: &str) {
    check(CHAT, chat(fields), json!(param), message).await;
}

#[tokio::test]
async fn values_outside_their_ranges() {
    let cases = [
        (json!({"temperature": -1}), "temperature", "`temperature` is -1; it must be a finite"),
        (json!({"temperature": 1e39}), "temperature", "`temperature` is inf; it must be a finite"),
        (json!({"top_p": 1.5}), "top_p", "`top_p` is 1.5; it must be between 0 and 1"),
        (json!({"min_p": -0.5}), "min_p", "`min_p` is -0.5; it must be between 0 and 1"),
        (json!({"top_k": -2}), "top_k", "`top_k` is -2; it must be at least 1, or 0 or -1"),
        (json!({"repetition_penalty": 0}), "repetition_penalty", "`repetition_penalty` is 0;"),
        (
            json!({"repetition_penalty": 1e-40}),
            "repetition_penalty",
            "`repetition_penalty` is 0.0000000000000000000000000000000000000001; \
             it must be between 0.001 and 1000",
        ),
        (json!({"presence_penalty": 3}), "presence_penalty", "`presence_penalty` is 3; it must"),
        (json!({"frequency_penalty": -3}), "frequency_penalty", "`frequency_penalty` is -3; it"),
        (json!({"max_tokens": 0}), "max_tokens", "`max_tokens` is 0; it must be at least 1"),
        (json!({"n": 0}), "n", "`n` is 0; it must be at least 1"),
        (json!({"n": 17}), "n", "`n` is 17; it must be at most 16 over all prompts"),
        (json!({"stop": ""}), "stop", "`stop` is an empty string; it must be strings with"),
        (json!({"stop": vec!["a"; 17]}), "stop", "`stop` is 17 strings; it must be at most 16"),
        (json!({"logit_bias": {"a": 1}}), "logit_bias", "`logit_bias` is a map with the key \"a\""),
        (json!({"logit_bias": {"1": 200}}), "logit_bias", "`logit_bias` is 200; it must be"),
        (json!({"logit_bias": {"262": 1}}), "logit_bias", "token 262 of `logit_bias` is outside"),
        (json!({"top_logprobs": 3}), "top_logprobs", "`top_logprobs` is set, but `logprobs`"),
        (
            json!({"logprobs": true, "top_logprobs": 21}),
            "top_logprobs",
            "`top_logprobs` is 21; it must be at most 20",
        ),
        (json!({"messages": []}), "messages", "`messages` is empty; it must be at least one"),
        (
            json!({"max_tokens": 3, "min_tokens": 4}),
            "min_tokens",
            "`min_tokens` is 4; it must be at most `max_tokens`, which is 3",
        ),
        (
            json!({"min_tokens": 235}),
            "min_tokens",
            "`min_tokens` is 235; it must be at most `max_tokens`, which is 234",
        ),
    ];
    for (fields, param, message) in cases {
        check_chat(fields, param, message).await;
    }
}

#[tokio::test]
async fn what_is_not_supported_is_named() {
    let cases = [
        (json!({"tools": [{"type": "function"}]}), "tools"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"functions": [{"name": "f"}]}), "functions"),
        (json!({"response_format": {"type": "json_object"}}), "response_format"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"audio": {"voice": "a"}}), "audio"),
        (json!({"prediction": {"type": "content"}}), "prediction"),
        (json!({"web_search_options": {}}), "web_search_options"),
        (json!({"store": true}), "store"),
        (json!({"guided_json": {}}), "guided_json"),
        (json!({"grammar": "root ::= \"a\""}), "grammar"),
    ];
    for (fields, param) in cases {
        check_chat(fields, param, &format!("`{param}` is not supported yet")).await;
    }
}

#[tokio::test]
async fn what_asks_for_nothing_is_accepted() {
    let fields = json!({
        "tools": [], "tool_choice": "none", "response_format": {"type": "text"}, "n": 1,
        "parallel_tool_calls": true, "user": "me", "metadata": {"a": "b"}, "store": false,
        "service_tier": "auto", "safety_identifier": "x", "prompt_cache_key": "y",
        "reasoning_effort": "low", "modalities": ["text"], "verbosity": "low", "audio": null,
        "nobody_knows": null, "max_tokens": 2, "stream_options": null,
    });
    let (status, answer) = server().chat(fields).await;
    assert_eq!(status, 200, "{answer}");
    let body = json!({"prompt": "a", "user": "me", "suffix": "", "nobody_knows": null});
    let (status, answer) = server().post(LEGACY, &body).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn unknown_fields_are_named() {
    let message = "`temprature` is not a field of this request; it has OpenAI's fields and \
                   `top_k`, `min_p`, `repetition_penalty`, `min_tokens`, `ignore_eos`, \
                   `chat_template_kwargs`";
    check_chat(json!({"temprature": 0}), "temprature", message).await;
    let message = "`messages` is not a field of this request; it has OpenAI's fields and \
                   `top_k`, `min_p`, `repetition_penalty`, `min_tokens`, `ignore_eos`";
    check(LEGACY, json!({"prompt": "a", "messages": []}), json!("messages"), message).await;
    let (status, answer) =
        server().chat(json!({"stream": true, "stream_options": {"every_chunk": true}})).await;
    let message = "the body is not a valid request: unknown field `every_chunk`, expected \
                   `include_usage` or `include_obfuscation`";
    assert_eq!(status, 400);
    assert!(parts(&answer).0.starts_with(message), "{answer}");
}

#[tokio::test]
async fn messages_that_cannot_be_read() {
    let image = json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]);
    let message = "this model reads text only; a content part has the type `image_url`, not `text`";
    check_chat(json!({"messages": image}), "messages", message).await;
    let empty = json!([{"role": "user", "content": null}]);
    let message = "a message with the role `user` has no content";
    check_chat(json!({"messages": empty}), "messages", message).await;
    let refused = json!([{"role": "user", "content": "no"}]);
    let message = "the chat template refuses the conversation: I will not";
    check_chat(json!({"messages": refused}), "messages", message).await;
    let robot = json!([{"role": "robot", "content": "a"}]);
    let message = "the body is not a valid request: unknown variant `robot`, expected one of";
    check_chat(json!({"messages": robot}), "messages[0].role", message).await;
}

#[tokio::test]
async fn prompts_that_do_not_fit_say_both_counts() {
    let long = json!([{"role": "user", "content": "x".repeat(300)}]);
    let message = "the prompt has 320 tokens; the context has room for 256, the answer included";
    check(CHAT, chat(json!({"messages": long})), Value::Null, message).await;
    let message = "the prompt has 22 tokens and 235 more were asked for, 257 in all; \
                   the context has room for 256";
    check(CHAT, chat(json!({"max_tokens": 235})), Value::Null, message).await;
    let (_, answer) = server().chat(json!({"max_tokens": 235})).await;
    assert_eq!(parts(&answer).3, "context_length_exceeded");
}

#[tokio::test]
async fn legacy_prompts_that_make_no_sense() {
    let prompt = json!("prompt");
    check(LEGACY, json!({"prompt": ""}), prompt.clone(), "the prompt has no tokens").await;
    check(LEGACY, json!({"prompt": []}), prompt.clone(), "`prompt` is an empty array").await;
    let message = "token 262 of `prompt` is outside the vocabulary of 262";
    check(LEGACY, json!({"prompt": [262]}), prompt.clone(), message).await;
    let message = "`prompt` is 17 texts; it must be at most 16";
    check(LEGACY, json!({"prompt": vec!["a"; 17]}), prompt, message).await;
    let body = |name: &str, value: Value| json!({"prompt": "a", name: value});
    let message = "`suffix` is not supported yet";
    check(LEGACY, body("suffix", json!("b")), json!("suffix"), message).await;
    let message = "`best_of` is 2; it must be at most `n`";
    check(LEGACY, body("best_of", json!(2)), json!("best_of"), message).await;
    let message = "`logprobs` is 21; it must be at most 20";
    check(LEGACY, body("logprobs", json!(21)), json!("logprobs"), message).await;
    let echo = json!({"prompt": "a", "echo": true, "logprobs": 1});
    check(LEGACY, echo, json!("echo"), "`echo` is true with `logprobs`").await;
}

#[tokio::test]
async fn bodies_that_are_not_json() {
    let server = server();
    let cases: [(&[u8], &str); 6] = [
        (b"", "the body is not a valid request: EOF while parsing a value at line 1 column 0"),
        (
            b"{\"messages\": [,]}",
            "the body is not a valid request: expected value at line 1 column 15",
        ),
        (b"{\"messages\": []} x", "the body is not a valid request: trailing characters at line 1"),
        (b"{\"messages\": \"\xff\"}", "the body is not UTF-8: byte 14 begins no character"),
        (b"{\"prompt\": 1}", "the body is not a valid request: missing field `messages`"),
        (
            b"{\"messages\": [{\"role\": \"user\", \"content\": \"\\ud800\"}]}",
            "the body is not a valid request:",
        ),
    ];
    for (body, message) in cases {
        let (status, answer) = answer(server.send(post(CHAT, body.to_vec())).await).await;
        assert_eq!(status, 400);
        assert!(parts(&answer).0.starts_with(message), "{answer}\n  is not\n{message}");
    }
    let nested = "[".repeat(100_000);
    let body = format!("{{\"messages\": [], \"x\": {nested}");
    let (status, answer) = answer(server.send(post(CHAT, body)).await).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn content_types_other_than_json() {
    let server = server();
    for (content_type, found) in [
        (Some("text/plain; charset=utf-8"), "`text/plain`"),
        (Some("application/x-www-form-urlencoded"), "`application/x-www-form-urlencoded`"),
        (None, "absent"),
    ] {
        let mut request = Request::post(CHAT);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let body = Body::from(chat(json!({})).to_string());
        let (status, answer) = answer(server.send(request.body(body).unwrap()).await).await;
        assert_eq!(status, 415);
        let message = format!("the content type is {found}; it must be `application/json`");
        assert_eq!(parts(&answer).0, message);
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_or_too_slow() {
    let settings = ServerSettings {
        max_body_bytes: 1000,
        body_timeout: std::time::Duration::from_millis(50),
        ..ServerSettings::default()
    };
    let server = TestServer::with(Says::Anything, engine_settings(), settings);
    let (status, large) = answer(server.send(post(CHAT, vec![b' '; 1001])).await).await;
    assert_eq!(status, 413);
    assert_eq!(parts(&large).0, "the body has more than 1000 bytes, which is the limit");
    let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let (status, slow) = answer(server.send(post(CHAT, Body::from_stream(never))).await).await;
    assert_eq!(status, 408);
    assert_eq!(parts(&slow).0, "the body did not arrive within 50 ms");
}

#[tokio::test]
async fn unknown_models_routes_and_methods() {
    let server = server();
    let (status, answer) = server.chat(json!({"model": "gpt-9"})).await;
    let message = "the model `gpt-9` does not exist here; this server has `org/tiny`".to_owned();
    let expected =
        (message, "invalid_request_error".into(), "model".into(), "model_not_found".into());
    assert_eq!((status, parts(&answer)), (404, expected));
    let (status, answer) = server.get("/v2/models").await;
    assert_eq!((status, parts(&answer).0.as_str()), (404, "there is nothing at /v2/models"));
    assert_eq!(server.get("/v1/models/%ff").await.0, 404);
    let (status, answer) = server.get(CHAT).await;
    let message = "/v1/chat/completions does not answer GET";
    assert_eq!((status, parts(&answer).0.as_str()), (405, message));
}

#[tokio::test]
async fn hosts_that_a_web_page_made_up() {
    let server = server();
    let request = |host: &str| Request::get("/health").header("host", host).body(Body::empty());
    let (status, answer) = answer(server.send(request("evil.example").unwrap()).await).await;
    assert_eq!(status, 403);
    assert!(parts(&answer).0.starts_with("the host `evil.example` is not one"), "{answer}");
    assert_eq!(server.send(request("localhost:8080").unwrap()).await.status(), 200);
}

#[tokio::test]
async fn more_requests_than_may_wait() {
    let engine = EngineSettings { max_waiting: 1, ..engine_settings() };
    let (go, gate) = std::sync::mpsc::channel();
    let server = TestServer::start(Says::Anything, engine, ServerSettings::default(), Some(gate));
    // What is refused for ever is no matter of waiting.
    let (status, many) = server.chat(json!({"n": 3})).await;
    let message = "`n` is 3; it must be at most 2 over all prompts";
    assert_eq!((status, parts(&many).0.as_str()), (400, message));
    let first = chat(json!({"stream": true})).to_string();
    let first = server.send(post(CHAT, first)).await;
    let body = chat(json!({"n": 2})).to_string();
    let response = server.send(post(CHAT, body)).await;
    assert_eq!(response.headers()["retry-after"], "1");
    let (status, full) = answer(response).await;
    assert_eq!(status, 429);
    assert_eq!(parts(&full).0, "1 requests wait already, which is the limit");
    assert_eq!(parts(&full).1, "rate_limit_error");
    // Those that had a place already give it back.
    drop((go, first));
    server.wait_until_idle().await;
    assert_eq!(server.chat(json!({"n": 2, "max_tokens": 2})).await.0, 200);
}
