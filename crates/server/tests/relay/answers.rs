//! Streams on their way through.

use std::time::Duration;

use serde_json::json;

use crate::support::{Relay, piece};

const REQUEST: &str = r#"{"model": "tiny", "stream": true}"#;
const FIRST: &str = "data: {\"model\": \"there\", \"n\": 1}\n\n";
const FIRST_SENT: &str = "data: {\"model\":\"tiny\",\"n\":1}\n\n";

#[tokio::test]
async fn each_event_passes_before_the_next_one_is_there() {
    let relay = Relay::new().await;
    let other = relay.next_stream();
    other.send(FIRST).await.unwrap();
    let response = relay.post(REQUEST).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut body = response.into_body();
    assert_eq!(piece(&mut body).await.unwrap(), FIRST_SENT);
    assert_eq!(relay.get("/health").await.1["num_running"], 1);
    // In two pieces, the second of which has an end and a beginning.
    other.send("data: {\"model\":\"the").await.unwrap();
    other.send("re\"}\n\ndata: [DO").await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap(), "data: {\"model\":\"tiny\"}\n\n");
    other.send("NE]\n\n").await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap(), "data: [DONE]\n\n");
    drop(other);
    assert_eq!(piece(&mut body).await, None);
    drop(body);
    assert_eq!(relay.get("/health").await.1["num_running"], 0);
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive() {
    use http_body_util::BodyExt;
    let relay = Relay::new().await;
    let other = relay.next_stream();
    other.send(FIRST).await.unwrap();
    let mut body = relay.post(REQUEST).await.into_body();
    piece(&mut body).await.unwrap();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), ":\n\n");
    drop(other);
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_the_answer_there() {
    let relay = Relay::new().await;
    let other = relay.next_stream();
    other.send(FIRST).await.unwrap();
    let mut body = relay.post(REQUEST).await.into_body();
    piece(&mut body).await.unwrap();
    drop(body);
    // The other server notices when it writes.
    let gone = async {
        while other.send(": still here\n\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
    assert_eq!(relay.get("/health").await.1["num_running"], 0);
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_a_whole_answer_ends_it_there() {
    let relay = Relay::new().await;
    // It says nothing at all until it is asked to.
    let other = relay.next_pieces("application/json");
    let asking = relay.post(r#"{"model": "tiny"}"#);
    assert!(tokio::time::timeout(Duration::from_millis(200), asking).await.is_err());
    tokio::time::timeout(Duration::from_secs(30), other.closed()).await.unwrap();
    let idle = json!({"status": "ok", "num_running": 0, "num_waiting": 0});
    assert_eq!(relay.get("/health").await.1, idle);
}
