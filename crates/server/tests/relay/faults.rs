//! What goes wrong, and what the client sees of it.

use std::time::Duration;

use russet_server::serve;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::{Relay, answer, json_of, piece};

const REQUEST: &str = r#"{"model": "tiny"}"#;

/// The JSON of the one event in a piece.
fn event(piece: &str) -> Value {
    serde_json::from_str(piece.strip_prefix("data: ").unwrap().trim_end()).unwrap()
}

#[tokio::test]
async fn errors_keep_their_meaning() {
    let relay = Relay::new().await;
    let mut busy = answer(429, r#"{"error": {"message": "slower", "type": "tokens"}}"#);
    busy.headers_mut().insert("retry-after", "7".parse().unwrap());
    relay.next(busy);
    let response = relay.post(REQUEST).await;
    assert_eq!(response.headers()["retry-after"], "7");
    let (status, body) = json_of(response).await;
    assert_eq!((status, &body["error"]["message"]), (429, &json!("slower")));
    assert_eq!(body["error"]["type"], "tokens");
    relay.next(answer(400, r#"{"error": "no such field"}"#));
    let (status, body) = json_of(relay.post(REQUEST).await).await;
    assert_eq!((status, &body["error"]["message"]), (400, &json!("no such field")));
    relay.next(answer(401, r#"{"error": {"message": "bad key"}}"#));
    let (status, body) = json_of(relay.post(REQUEST).await).await;
    let message = "the backend does not accept the key of this server: bad key";
    assert_eq!((status, &body["error"]["message"]), (502, &json!(message)));
    assert_eq!(relay.asked().len(), 3, "no request is sent twice");
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    let relay = Relay::new().await;
    for body in ["<html>", "", "{\"model\":"] {
        relay.next(answer(200, body));
        let (status, body) = json_of(relay.post(REQUEST).await).await;
        assert_eq!((status, &body["error"]["code"]), (502, &json!("backend_failed")));
    }
    let (status, body) = json_of(relay.post("[1]").await).await;
    assert_eq!((status, &body["error"]["type"]), (400, &json!("invalid_request_error")));
    assert_eq!(relay.asked().len(), 3, "what is no request is not passed on");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let relay = Relay::to_nobody().await;
    let (status, body) = json_of(relay.post(REQUEST).await).await;
    assert_eq!((status, &body["error"]["code"]), (502, &json!("backend_failed")));
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("the backend cannot be reached: "), "{message}");
    assert!(!message.contains("127.0.0.1"), "{message}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_event() {
    for last in [Some("break"), None] {
        let relay = Relay::new().await;
        let other = relay.next_stream();
        other.send("data: {\"n\": 1}\n\ndata: {\"half").await.unwrap();
        let mut body = relay.post(REQUEST).await.into_body();
        assert_eq!(piece(&mut body).await.unwrap(), "data: {\"n\":1}\n\n");
        if let Some(last) = last {
            other.send(last).await.unwrap();
        }
        drop(other);
        let error = event(&piece(&mut body).await.unwrap());
        assert_eq!(error["error"]["code"], "backend_failed", "{error}");
        assert!(error["error"]["message"].as_str().unwrap().contains("broke off"), "{error}");
        assert_eq!(piece(&mut body).await, None);
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let relay = Relay::new().await;
    let other = relay.next_stream();
    other.send("data: 1\n\n").await.unwrap();
    let mut body = relay.post(REQUEST).await.into_body();
    piece(&mut body).await.unwrap();
    let error = event(&piece(&mut body).await.unwrap());
    let message = "the backend was silent for 0.5 s, which is the limit";
    assert_eq!(error["error"]["message"], message);
    drop(other);
}

#[tokio::test]
async fn an_error_event_of_the_other_server_is_the_last_one() {
    let relay = Relay::new().await;
    let other = relay.next_stream();
    other.send("data: {\"error\": {\"message\": \"full\"}}\n\n").await.unwrap();
    drop(other);
    let mut body = relay.post(REQUEST).await.into_body();
    assert_eq!(event(&piece(&mut body).await.unwrap())["error"]["message"], "full");
    assert_eq!(piece(&mut body).await, None);
}

#[tokio::test]
async fn a_server_that_stops_says_so_in_its_streams() {
    let relay = Relay::new().await;
    let other = relay.next_stream();
    other.send("data: {\"n\": 1}\n\n").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stop, stopping) = oneshot::channel::<()>();
    let stopping = async { stopping.await.unwrap_or_default() };
    let served = tokio::spawn(serve(relay.state.clone(), listener, stopping));
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{REQUEST}",
        REQUEST.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.contains("\"n\":1") {
        let num = client.read(&mut bytes).await.unwrap();
        assert!(num > 0, "{text}");
        text += &String::from_utf8_lossy(&bytes[..num]);
    }
    stop.send(()).unwrap();
    let reading = client.read_to_string(&mut text);
    tokio::time::timeout(Duration::from_secs(30), reading).await.unwrap().unwrap();
    assert!(text.contains("\"code\":\"shutting_down\""), "{text}");
    served.await.unwrap().unwrap();
    let (status, refused) = json_of(relay.post(REQUEST).await).await;
    assert_eq!((status, &refused["error"]["code"]), (503, &json!("shutting_down")));
    assert_eq!(relay.asked().len(), 1);
    drop(other);
}
