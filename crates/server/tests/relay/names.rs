//! Which names go where.

use serde_json::json;

use crate::support::{Relay, answer, chat, json_of, text_of};

#[tokio::test]
async fn the_alias_goes_in_and_comes_out() {
    let relay = Relay::new().await;
    for name in ["tiny", "org/tiny"] {
        relay.next(answer(200, r#"{"id": 1.50, "model": "/models/there", "choices": [ ]}"#));
        let body = format!(r#"{{"messages":[],"model":"{name}","odd_field":1e2}}"#);
        let response = relay.post(&body).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        let expected = format!(r#"{{"id":1.50,"model":"{name}","choices":[ ]}}"#);
        assert_eq!(text_of(response).await, expected);
        let asked = relay.asked();
        assert_eq!((&*asked[0].method, &*asked[0].path), ("POST", "/v1/chat/completions"));
        assert_eq!(asked[0].body, r#"{"messages":[],"model":"there","odd_field":1e2}"#);
    }
}

#[tokio::test]
async fn a_request_without_a_name_is_for_the_first_model() {
    let relay = Relay::new().await;
    relay.next(answer(200, r#"{"model": "x"}"#));
    let mut request = chat("{}");
    *request.uri_mut() = "/v1/completions".parse().unwrap();
    assert_eq!(json_of(relay.send(request).await).await, (200, json!({"model": "org/tiny"})));
    let asked = relay.asked();
    assert_eq!((&*asked[0].path, &*asked[0].body), ("/v1/completions", r#"{"model":"there"}"#));
    let relay = Relay::of_all_names().await;
    let (status, body) = json_of(relay.post("{}").await).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("model")));
    assert!(relay.asked().is_empty());
}

#[tokio::test]
async fn other_names_are_refused_where_there_is_a_map() {
    let relay = Relay::new().await;
    let (status, body) = json_of(relay.post(r#"{"model": "there"}"#).await).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    assert!(relay.asked().is_empty());
    let (_, list) = relay.get("/v1/models").await;
    assert_eq!(list["data"][0]["id"], "org/tiny");
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0].get("max_model_len"), None);
    assert_eq!(relay.get("/v1/models/tiny").await.1["id"], "tiny");
    assert!(relay.asked().is_empty(), "the map is known here");
}

#[tokio::test]
async fn without_a_map_every_name_and_the_list_pass() {
    let relay = Relay::of_all_names().await;
    relay.next(answer(200, r#"{"model":"a/b-2026"}"#));
    assert_eq!(text_of(relay.post(r#"{"model":"a/b"}"#).await).await, r#"{"model":"a/b"}"#);
    assert_eq!(relay.asked()[0].body, r#"{"model":"a/b"}"#);
    let list = r#"{"object": "list", "data": [{"id": "a/b", "owned_by": "them"}]}"#;
    let them = json!({"id": "a/b", "owned_by": "them"});
    // Asking for a list twice does no harm.
    relay.next(answer(503, "{}"));
    (0..3).for_each(|_| relay.next(answer(200, list)));
    assert_eq!(relay.get("/v1/models").await.1["data"], json!([them]));
    assert_eq!(relay.get("/v1/models/a/b").await, (200, them));
    let (status, body) = relay.get("/v1/models/a/c").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    let asked = relay.asked();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|asked| asked.method == "GET" && asked.path == "/v1/models"));
}

#[tokio::test]
async fn headers_of_one_side_stay_there() {
    let relay = Relay::new().await;
    let mut answered = answer(200, "{}");
    for (name, value) in [
        ("x-request-id", "17"),
        ("x-ratelimit-remaining-tokens", "5"),
        ("set-cookie", "a=b"),
        ("server", "them"),
        ("keep-alive", "timeout=5"),
        ("content-encoding", "identity"),
    ] {
        answered.headers_mut().insert(name, value.parse().unwrap());
    }
    relay.next(answered);
    let mut request = chat(r#"{"model": "tiny"}"#);
    for (name, value) in [
        ("authorization", "Bearer a client's"),
        ("cookie", "c=d"),
        ("te", "trailers"),
        ("user-agent", "me"),
        ("host", "localhost:8080"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let response = relay.send(request).await;
    let mut names: Vec<&str> = response.headers().keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let expected =
        ["content-length", "content-type", "x-ratelimit-remaining-tokens", "x-request-id"];
    assert_eq!(names, expected);
    let asked = relay.asked();
    assert_eq!(asked[0].headers["authorization"], "Bearer the key");
    let mut names: Vec<&str> = asked[0].headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "authorization", "content-length", "content-type", "host"]);
    assert!(asked[0].headers["host"].to_str().unwrap().starts_with("127.0.0.1:"));
}
