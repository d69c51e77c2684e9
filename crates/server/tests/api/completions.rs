//! Legacy completions, and the small routes.

use crate::support::{Says, TestServer, engine_settings, joined, stable};
use russet_server::ServerSettings;
use serde_json::{Value, json};

const PATH: &str = "/v1/completions";

#[tokio::test]
async fn a_whole_completion() {
    let server = TestServer::new(Says::Text("hello you"));
    let (status, answer) = server.post(PATH, &json!({"prompt": "say"})).await;
    assert_eq!(status, 200);
    let expected = json!({
        "id": "ID", "object": "text_completion", "created": 0, "model": "org/tiny",
        "system_fingerprint": "FP",
        "choices": [{"text": "hello you", "index": 0, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9,
                  "prompt_tokens_details": {"cached_tokens": 0}},
    });
    assert_eq!(stable(&answer.to_string()), expected.to_string());
}

#[tokio::test]
async fn a_streamed_completion() {
    let server = TestServer::new(Says::Text("hello you"));
    let body = json!({"prompt": "say", "stream": true, "max_tokens": 2, "echo": true});
    let chunks = server.stream(PATH, &body).await;
    let chunk = |text: &str, end: &str| {
        r#"{"id":"ID","object":"text_completion","created":0,"model":"org/tiny","#.to_owned()
            + r#""system_fingerprint":"FP","choices":[{"#
            + &format!(r#""text":"{text}","index":0,"logprobs":null,"finish_reason":{end}}}]}}"#)
    };
    let expected = [
        chunk("say", "null"),
        chunk("hello", "null"),
        chunk(" ", "null"),
        chunk("", r#""length""#),
        "[DONE]".to_owned(),
    ];
    assert_eq!(chunks.iter().map(|c| stable(c)).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn every_prompt_has_its_choices_in_order() {
    let server = TestServer::new(Says::Anything);
    let ask = |prompt: Value, n: usize| {
        let mut body = json!({"max_tokens": 4, "temperature": 1, "seed": 3});
        (body["prompt"], body["n"]) = (prompt, json!(n));
        body
    };
    let texts = |answer: &Value| -> Vec<String> {
        let choices = answer["choices"].as_array().unwrap();
        choices.iter().map(|choice| choice["text"].as_str().unwrap().to_owned()).collect()
    };
    let (_, both) = server.post(PATH, &ask(json!(["ab", "c"]), 2)).await;
    let (_, first) = server.post(PATH, &ask(json!("ab"), 2)).await;
    let (_, second) = server.post(PATH, &ask(json!([99]), 2)).await;
    assert_eq!(texts(&both), [texts(&first), texts(&second)].concat());
    assert_eq!(both["usage"]["prompt_tokens"], 3);
    let (_, ids) = server.post(PATH, &ask(json!([[97, 98], [99]]), 2)).await;
    assert_eq!(texts(&ids), texts(&both));
    let mut streamed = ask(json!(["ab", "c"]), 2);
    streamed["stream"] = json!(true);
    let chunks = server.stream(PATH, &streamed).await;
    let streamed: Vec<String> = (0..4).map(|index| joined(&chunks, index)).collect();
    assert_eq!(streamed, texts(&both));
}

#[tokio::test]
async fn logprobs_have_the_legacy_columns() {
    let server = TestServer::new(Says::Text("hello €"));
    let body = json!({"prompt": "say", "logprobs": 1});
    let (_, answer) = server.post(PATH, &body).await;
    let logprobs = &answer["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"][0], "hello");
    assert_eq!(logprobs["tokens"].as_array().unwrap().len(), 5);
    assert_eq!(logprobs["token_logprobs"].as_array().unwrap().len(), 5);
    let top = logprobs["top_logprobs"][0].as_object().unwrap();
    assert_eq!(top.keys().collect::<Vec<_>>(), ["hello"]);
}

#[tokio::test]
async fn text_offsets_count_characters_whole_and_streamed() {
    let server = TestServer::new(Says::Text("€ hello you"));
    let mut body = json!({"prompt": "say", "logprobs": 0, "stop": "u"});
    let (_, answer) = server.post(PATH, &body).await;
    let whole = &answer["choices"][0]["logprobs"]["text_offset"];
    // Three bytes of one character, a space, `hello`, a space, y, o.
    assert_eq!(whole, &json!([0, 0, 0, 1, 2, 7, 8, 9]));
    body["stream"] = json!(true);
    let chunks = server.stream(PATH, &body).await;
    let offsets = |chunk: &String| {
        let chunk: Value = serde_json::from_str(chunk).ok()?;
        chunk["choices"][0]["logprobs"]["text_offset"].as_array().cloned()
    };
    let streamed: Vec<Value> = chunks.iter().filter_map(offsets).flatten().collect();
    assert_eq!(&json!(streamed), whole);
}

#[tokio::test]
async fn the_chosen_token_is_among_the_most_likely_ones() {
    let server = TestServer::new(Says::Text("hello"));
    for (num, expected) in [(0, &["a"][..]), (1, &["hello", "a"])] {
        let body = json!({"prompt": "say", "logprobs": num, "logit_bias": {"97": 100},
                          "max_tokens": 1});
        let (_, answer) = server.post(PATH, &body).await;
        let logprobs = &answer["choices"][0]["logprobs"];
        let top = logprobs["top_logprobs"][0].as_object().unwrap();
        assert_eq!(top.keys().collect::<Vec<_>>(), expected);
        assert_eq!(top["a"], logprobs["token_logprobs"][0]);
    }
}

#[tokio::test]
async fn without_a_limit_there_are_16_tokens_or_what_fits() {
    let server = TestServer::new(Says::Anything);
    for (prompt_len, expected) in [(10, 16), (240, 16), (250, 6)] {
        let body = json!({"prompt": "x".repeat(prompt_len)});
        let (status, answer) = server.post(PATH, &body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["usage"]["completion_tokens"], expected);
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
    }
}

#[tokio::test]
async fn models_are_listed_by_id() {
    let server = TestServer::new(Says::Anything);
    let model = |id: &str| {
        json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "russet",
               "max_model_len": 256})
    };
    let list = json!({"object": "list", "data": [model("org/tiny")]});
    assert_eq!(server.get("/v1/models").await, (200, list));
    assert_eq!(server.get("/v1/models/org/tiny").await, (200, model("org/tiny")));
    assert_eq!(server.get("/v1/models/tiny").await, (200, model("tiny")));
    assert_eq!(server.get("/v1/models/other").await.0, 404);
}

#[tokio::test]
async fn health_tells_the_load_and_the_drain() {
    let server = TestServer::new(Says::Anything);
    let idle = json!({"status": "ok", "num_running": 0, "num_waiting": 0});
    assert_eq!(server.get("/health").await, (200, idle));
    server.engine.handle().drain();
    let (status, answer) = server.get("/health").await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("shutting_down")));
}

#[tokio::test]
async fn info_is_there_if_the_program_gave_it() {
    let server = TestServer::new(Says::Anything);
    assert_eq!(server.get("/info").await.0, 404);
    let info = json!({"threads": 2});
    let settings = ServerSettings { info: Some(info.clone()), ..ServerSettings::default() };
    let server = TestServer::with(Says::Anything, engine_settings(), settings);
    assert_eq!(server.get("/info").await, (200, info));
    let (status, about) = server.get("/").await;
    assert_eq!(status, 200);
    assert!(about.as_str().unwrap().contains("serves org/tiny"), "{about}");
}
