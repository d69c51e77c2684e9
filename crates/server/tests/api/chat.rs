//! Chat completions: what a client gets, byte for byte.

use crate::support::{END, Says, TestServer, joined, mix, stable};
use russet_server::ServerSettings;
use serde_json::{Value, json};

#[tokio::test]
async fn a_stream_is_role_deltas_end_usage_and_done() {
    let server = TestServer::new(Says::Text("hello you"));
    let fields = json!({"stream_options": {"include_usage": true}, "model": "tiny"});
    let chunks = server.stream_chat(fields).await;
    let chunk = |choice: &str, usage: &str| {
        r#"{"id":"ID","object":"chat.completion.chunk","created":0,"model":"tiny","#.to_owned()
            + &format!(r#""system_fingerprint":"FP","choices":[{choice}],"usage":{usage}}}"#)
    };
    let part = |delta: &str, end: &str| {
        let choice =
            format!(r#"{{"index":0,"delta":{{{delta}}},"logprobs":null,"finish_reason":{end}}}"#);
        chunk(&choice, "null")
    };
    let usage = r#"{"prompt_tokens":22,"completion_tokens":6,"total_tokens":28,"#.to_owned()
        + r#""prompt_tokens_details":{"cached_tokens":0}}"#;
    let expected = [
        part(r#""role":"assistant","content":"""#, "null"),
        part(r#""content":"hello""#, "null"),
        part(r#""content":" ""#, "null"),
        part(r#""content":"y""#, "null"),
        part(r#""content":"o""#, "null"),
        part(r#""content":"u""#, "null"),
        part("", r#""stop""#),
        chunk("", &usage),
        "[DONE]".to_owned(),
    ];
    let chunks: Vec<String> = chunks.iter().map(|chunk| stable(chunk)).collect();
    assert_eq!(chunks, expected);
}

#[tokio::test]
async fn usage_is_absent_unless_asked_for() {
    let server = TestServer::new(Says::Text("hello"));
    let chunks = server.stream_chat(json!({})).await;
    assert!(chunks.iter().all(|chunk| !chunk.contains("usage")), "{chunks:?}");
    assert_eq!(chunks.last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn a_whole_answer_has_the_text_of_the_stream() {
    let server = TestServer::new(Says::Text("hello you"));
    let (status, answer) = server.chat(json!({})).await;
    assert_eq!(status, 200);
    let expected = json!({
        "id": "ID", "object": "chat.completion", "created": 0, "model": "org/tiny",
        "system_fingerprint": "FP",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "hello you", "refusal": null},
            "logprobs": null, "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 22, "completion_tokens": 6, "total_tokens": 28,
                  "prompt_tokens_details": {"cached_tokens": 0}},
    });
    assert_eq!(stable(&answer.to_string()), expected.to_string());
}

#[tokio::test]
async fn the_second_time_the_prompt_is_cached() {
    let server = TestServer::new(Says::Text("hello"));
    server.chat(json!({})).await;
    let (_, answer) = server.chat(json!({})).await;
    // The last prompt token is always computed.
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 21);
}

#[tokio::test]
async fn length_ends_at_the_limit_by_either_name() {
    let server = TestServer::new(Says::Anything);
    for name in ["max_tokens", "max_completion_tokens"] {
        let (_, answer) = server.chat(json!({ name: 7 })).await;
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 7);
    }
    // Without a limit the context is one: 256 tokens, 22 of them the prompt's.
    let (_, answer) = server.chat(json!({})).await;
    assert_eq!(answer["usage"]["completion_tokens"], 234);
}

#[tokio::test]
async fn ignore_eos_and_min_tokens_go_on_after_the_end() {
    let server = TestServer::new(Says::Text("hello"));
    let (_, answer) = server.chat(json!({"ignore_eos": true, "max_tokens": 5})).await;
    assert_eq!(answer["usage"]["completion_tokens"], 5);
    let (_, answer) = server.chat(json!({"min_tokens": 3, "max_tokens": 9})).await;
    assert_eq!(answer["usage"]["completion_tokens"], 4);
}

#[tokio::test]
async fn a_stop_string_across_tokens_is_cut() {
    // `lo y` begins inside the token `hello`.
    let server = TestServer::new(Says::Text("oh hello you and more"));
    let chunks = server.stream_chat(json!({"stop": "lo y"})).await;
    assert_eq!(joined(&chunks, 0), "oh hel");
    assert!(chunks.iter().any(|chunk| chunk.contains(r#""finish_reason":"stop""#)));
    let (_, answer) = server.chat(json!({"stop": ["zzz", "lo y"]})).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "oh hel");
    // o, h, space, hello, space, y: found with the sixth token.
    assert_eq!(answer["usage"]["completion_tokens"], 6);
}

/// Whatever the tokens, the text is what comes before the stop string that is complete first.
#[tokio::test]
async fn stop_strings_agree_with_a_search_of_the_whole_text() {
    let mut state = 9;
    let mut random = |below: u64| {
        state = mix(state);
        (state >> 33) % below
    };
    for _ in 0..60 {
        let mut word = |most: u64| -> String {
            (0..=random(most)).map(|_| if random(2) == 0 { "a" } else { "€" }).collect()
        };
        let (text, stop) = (word(30), [word(4), word(4)]);
        let tokens = text.bytes().map(u32::from).chain([END]).collect();
        let server = TestServer::new(Says::Tokens(tokens));
        let found = stop.iter().filter_map(|s| text.find(s).map(|at| (at + s.len(), at))).min();
        let end = found.map_or(text.len(), |(_, at)| at);
        let chunks = server.stream_chat(json!({"stop": stop, "max_tokens": 200})).await;
        assert_eq!(joined(&chunks, 0), text[..end], "{stop:?} in {text}");
    }
}

#[tokio::test]
async fn stop_strings_do_not_depend_on_where_tokens_end() {
    const HELLO: u32 = 259;
    for tokens in [vec![HELLO], b"hello".map(u32::from).to_vec()] {
        let server = TestServer::new(Says::Tokens(tokens));
        for (stop, expected) in [(["hell", "e"], "h"), (["ell", "hell"], "")] {
            let (_, answer) = server.chat(json!({"stop": stop})).await;
            assert_eq!(answer["choices"][0]["message"]["content"], expected, "{stop:?}");
        }
    }
}

/// Looking for a stop string costs what the text has, not what the stop string has.
#[tokio::test]
async fn long_stop_strings_cost_no_time() {
    let server = TestServer::new(Says::Anything);
    let stop = vec!["ab".repeat(1 << 18); 12];
    let start = std::time::Instant::now();
    let (status, _) = server.chat(json!({"stop": stop})).await;
    assert_eq!(status, 200);
    assert!(start.elapsed() < std::time::Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_stop_string_ends_the_work_within_a_step() {
    let says = Says::Text("oh hello you and more");
    let (server, go) = TestServer::gated(says, ServerSettings::default());
    (0..6).for_each(|_| go.send(()).unwrap());
    server.chat(json!({"stop": "lo y"})).await;
    (0..100).for_each(|_| go.send(()).unwrap());
    server.wait_until_idle().await;
    assert!(server.num_steps() <= 7, "{} steps", server.num_steps());
}

#[tokio::test]
async fn text_that_only_began_like_a_stop_string_comes_late_but_whole() {
    let server = TestServer::new(Says::Text("a hell"));
    let chunks = server.stream_chat(json!({"stop": ["hello", "ell!"]})).await;
    assert_eq!(joined(&chunks, 0), "a hell");
    let (_, answer) = server.chat(json!({"stop": "a"})).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "");
}

#[tokio::test]
async fn characters_are_never_split() {
    let server = TestServer::new(Says::Text("a€b"));
    let chunks = server.stream_chat(json!({"logprobs": true})).await;
    let parts: Vec<Value> = chunks.iter().filter_map(|c| serde_json::from_str(c).ok()).collect();
    let texts: Vec<&Value> =
        parts.iter().map(|part| &part["choices"][0]["delta"]["content"]).collect();
    assert_eq!(texts, [&json!(""), &json!("a"), &json!("€"), &json!("b"), &Value::Null]);
    let bytes: Vec<&Value> = parts[2]["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| &token["bytes"])
        .collect();
    assert_eq!(bytes, [&json!([0xe2]), &json!([0x82]), &json!([0xac])]);
    // Half a character at the end is replaced.
    let server = TestServer::new(Says::Tokens(vec![97, 0xe2, END]));
    let (_, answer) = server.chat(json!({})).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "a\u{fffd}");
}

#[tokio::test]
async fn logprobs_are_the_same_whole_and_streamed() {
    let server = TestServer::new(Says::Text("hello you"));
    let fields = json!({"logprobs": true, "top_logprobs": 2, "stop": "ou"});
    let (_, answer) = server.chat(fields.clone()).await;
    let whole = &answer["choices"][0]["logprobs"];
    assert_eq!(whole["refusal"], Value::Null);
    let content = whole["content"].as_array().unwrap();
    let tokens: Vec<&Value> = content.iter().map(|token| &token["token"]).collect();
    // The tokens of the stop string are not part of the answer.
    assert_eq!(tokens, ["hello", " ", "y"]);
    let expected = -(1.0 + 261.0 * (-10.0_f64).exp()).ln();
    let found = content[0]["logprob"].as_f64().unwrap();
    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    assert_eq!(content[0]["top_logprobs"].as_array().unwrap().len(), 2);
    assert_eq!(content[0]["top_logprobs"][0]["token"], "hello");
    assert_eq!(content[0]["bytes"], json!([104, 101, 108, 108, 111]));

    let chunks = server.stream_chat(fields).await;
    let streamed: Vec<Value> = chunks
        .iter()
        .filter_map(|chunk| serde_json::from_str::<Value>(chunk).ok())
        .filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array().cloned())
        .flatten()
        .collect();
    assert_eq!(&streamed, content);
}

#[tokio::test]
async fn a_bias_of_minus_100_bans_a_token() {
    let server = TestServer::new(Says::Text("hello"));
    let (_, answer) = server.chat(json!({"logit_bias": {"259": -100}, "max_tokens": 1})).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "\0");
}

#[tokio::test]
async fn choices_differ_by_seed_and_are_repeatable() {
    let server = TestServer::new(Says::Anything);
    let sampled =
        |seed: i64, n: usize| json!({"temperature": 1.0, "seed": seed, "n": n, "max_tokens": 12});
    let text = |answer: &Value, i: usize| answer["choices"][i]["message"]["content"].clone();
    let (_, both) = server.chat(sampled(7, 2)).await;
    let (first, second) = (text(&both, 0), text(&both, 1));
    assert_ne!(first, second);
    assert_eq!(both["choices"][1]["index"], 1);
    assert_eq!(text(&server.chat(sampled(7, 1)).await.1, 0), first);
    assert_eq!(text(&server.chat(sampled(8, 1)).await.1, 0), second);
    // The prompt counts once.
    assert_eq!(both["usage"]["prompt_tokens"], 22);
    assert_eq!(both["usage"]["completion_tokens"], 24);

    let chunks = server.stream_chat(sampled(7, 2)).await;
    assert_eq!([joined(&chunks, 0), joined(&chunks, 1)], [first, second]);
    let ends = chunks.iter().filter(|chunk| chunk.contains(r#""finish_reason":"length""#)).count();
    assert_eq!(ends, 2);
}

#[tokio::test]
async fn roles_parts_and_template_variables_reach_the_prompt() {
    let server = TestServer::new(Says::Text("hello"));
    let messages = json!([
        {"role": "developer", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
    ]);
    let fields = json!({"messages": messages, "chat_template_kwargs": {"extra_text": "Well"}});
    let (status, answer) = server.chat(fields).await;
    assert_eq!(status, 200, "{answer}");
    let prompt = "<s>system: be kind</s><s>user: ab</s><s>assistant: </s><s>tool: 42</s>\
                  <s>assistant: Well";
    let tokens = server.tokenizer.encode(prompt, russet_tokenizer::AddSpecial::No).unwrap();
    assert_eq!(answer["usage"]["prompt_tokens"], tokens.len());
}

#[tokio::test]
async fn a_failure_is_an_error_event_and_the_next_request_is_served() {
    let server = TestServer::new(Says::Panics);
    let chunks = server.stream_chat(json!({})).await;
    let error = json!({"error": {
        "message": "the model failed while computing a step: deliberate failure",
        "type": "server_error", "param": null, "code": null,
    }});
    assert_eq!(chunks.last().unwrap(), &error.to_string());
    let (status, answer) = server.chat(json!({})).await;
    assert_eq!((status, answer), (500, error));
    assert_eq!(server.get("/health").await.0, 200);
}

#[tokio::test]
async fn a_failure_in_the_middle_ends_the_stream_and_the_other_choices() {
    let (server, go) = TestServer::gated(Says::Breaks, ServerSettings::default());
    (0..3).for_each(|_| go.send(()).unwrap());
    let chunks = server.stream_chat(json!({"n": 3})).await;
    let (error, before) = chunks.split_last().unwrap();
    assert!(error.starts_with(r#"{"error":{"message":"the model failed while"#), "{error}");
    assert_eq!(joined(before, 0), "aa");
    assert!(before.iter().all(|chunk| chunk.contains(r#""finish_reason":null"#)), "{before:?}");
    drop(go);
    server.wait_until_idle().await;
    // Three steps of the first choice, and the one in which the second was then.
    assert!(server.num_steps() <= 4, "{} steps", server.num_steps());
    assert_eq!(server.chat(json!({})).await.0, 500);
}
