//! Requests that fail, each in a way that has a name.

use std::time::Duration;

use russet_bench::load::{Arm, Client, Due, Failure, Fault, Limits};
use serde_json::json;

use crate::fake_server::{
    DONE, FakeServer, Step, ask, content, event, finish, head, piece, usage, whole,
};

async fn failure_with(client: &Client) -> Failure {
    let outcome = client.send(&ask("x"), Due::Now).await.outcome;
    outcome.failure().unwrap_or_else(|| panic!("{outcome:?}")).clone()
}

async fn failure(steps: Vec<Step>) -> Failure {
    let server = FakeServer::always(steps).await;
    failure_with(&server.client()).await
}

async fn fault(steps: Vec<Step>) -> Fault {
    failure(steps).await.fault
}

#[tokio::test]
async fn refusals_carry_the_status_and_the_message() {
    let body = json!({"error": {"message": "the model is on fire", "type": "server_error"}});
    let refused = fault(vec![whole("500 Oops", &body.to_string())]).await;
    let message = "the model is on fire".to_owned();
    assert_eq!(refused, Fault::Status { code: 500, message });
    assert_eq!(refused.to_string(), "status 500: the model is on fire");
    let refused = fault(vec![whole("429 Too Many Requests", "slow down")]).await;
    assert_eq!(refused, Fault::Status { code: 429, message: "slow down".to_owned() });
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = FakeServer::start(|_| {
        let head = "HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
        vec![Step::Bytes(head.to_owned())]
    });
    let server = server.await;
    let moved = failure_with(&server.client()).await.fault;
    assert!(matches!(moved, Fault::Status { code: 307, .. }), "{moved:?}");
    assert_eq!(server.seen().bodies.len(), 1);
}

#[tokio::test]
async fn an_answer_as_a_whole_is_no_stream() {
    let body = json!({"choices": [{"message": {"content": "hi"}}]}).to_string();
    let found = fault(vec![whole("200 OK", &body)]).await;
    assert!(matches!(&found, Fault::NotAStream { content_type, beginning }
        if content_type == "application/json" && beginning.contains("choices")));
}

#[tokio::test]
async fn an_error_inside_the_stream_is_a_failure() {
    let error = event(&json!({"error": {"message": "out of blocks", "code": 500}}));
    let steps = vec![head(), piece(content("a")), piece(error), piece(DONE), Step::End];
    let failure = failure(steps).await;
    assert_eq!(failure.fault, Fault::Event("out of blocks".to_owned()));
    assert_eq!(failure.num_chunks, 1);
}

#[tokio::test]
async fn streams_that_end_without_a_finish_are_failures() {
    let steps = vec![head(), piece(content("a")), piece(usage(1, 1, 0)), Step::End];
    assert_eq!(fault(steps).await, Fault::Unfinished);
    assert_eq!(fault(vec![head(), Step::End]).await, Fault::Unfinished);
    // The event of the finish is cut off.
    let cut = finish("stop");
    let steps = vec![head(), piece(content("a")), piece(cut.trim_end()), Step::End];
    assert_eq!(fault(steps).await, Fault::Unfinished);
}

#[tokio::test]
async fn connections_that_break_are_failures() {
    let failure = failure(vec![head(), piece(content("a")), Step::Close]).await;
    assert!(matches!(failure.fault, Fault::Broken(_)), "{failure:?}");
    assert_eq!(failure.num_chunks, 1);
    // Also after the finish: what it costs to hide it is a server that breaks connections.
    let broken = fault(vec![head(), piece(finish("stop")), Step::Close]).await;
    assert!(matches!(broken, Fault::Broken(_)), "{broken:?}");
    let unanswered = fault(vec![Step::Close]).await;
    assert!(matches!(unanswered, Fault::Broken(_)), "{unanswered:?}");
    let nonsense = fault(vec![Step::Bytes("nonsense\r\n\r\n".to_owned()), Step::Close]).await;
    assert!(matches!(nonsense, Fault::Broken(_)), "{nonsense:?}");
}

#[tokio::test]
async fn a_failed_request_is_not_sent_again() {
    let server = FakeServer::always(vec![Step::Close]).await;
    failure_with(&server.client()).await;
    assert_eq!(server.seen().bodies.len(), 1);
}

#[tokio::test]
async fn events_that_are_no_chunks_are_failures() {
    let found = fault(vec![head(), piece("data: {\"choices\": [\n\n"), Step::End]).await;
    assert!(matches!(&found, Fault::Malformed(text) if text.contains("choices")), "{found:?}");
    let endless = format!("data: {}", "x".repeat(5 << 20));
    let found = fault(vec![head(), piece(endless), Step::Hang]).await;
    assert!(matches!(&found, Fault::Malformed(text) if text.contains("bytes")), "{found:?}");
}

#[tokio::test]
async fn nobody_there_is_no_connection() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(Arm::new("nobody", &base_url, "m")).unwrap();
    let found = failure_with(&client).await.fault;
    assert!(matches!(found, Fault::Connect(_)), "{found:?}");
}

#[tokio::test]
async fn answers_that_take_too_long_are_given_up() {
    let limit = Duration::from_millis(30);
    for steps in [vec![Step::Hang], vec![head(), piece(content("a")), Step::Hang]] {
        let server = FakeServer::always(steps.clone()).await;
        let mut arm = server.arm();
        arm.limits = Limits { request_timeout: limit, ..Limits::default() };
        let failure = failure_with(&Client::new(arm).unwrap()).await;
        assert_eq!(failure.fault, Fault::Timeout { limit_ms: 30 });
        assert!(failure.after >= limit);
    }
}

#[tokio::test]
async fn a_server_lists_its_models_or_is_named() {
    let list = r#"{"object": "list", "data": [{"id": "a"}, {"id": "b/c"}]}"#;
    let server = FakeServer::always(vec![whole("200 OK", list), Step::Close]).await;
    assert_eq!(server.client().models().await.unwrap(), ["a", "b/c"]);
    assert!(server.seen().heads[0].starts_with("get /v1/models http/1.1\r\n"));
    for (status, body, expected) in [
        ("404 Not Found", r#"{"error": {"message": "no such route"}}"#, "404: no such route"),
        ("200 OK", "{}", "no array `data`"),
        ("200 OK", "models", "expected value"),
    ] {
        let server = FakeServer::always(vec![whole(status, body), Step::Close]).await;
        let text = server.client().models().await.unwrap_err().to_string();
        let parts = ["`fake`", "/v1/models", expected];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
}
