//! Answers that come to their end, and what is measured of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use russet_bench::load::{ApiKey, Ask, Client, Due, ExactField, OutputLen, Record, Usage};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::fake_server::{
    DONE, FakeServer, Step, ask, content, finish, head, piece, two_tokens, until, usage,
};

/// What the server is behind by where a test looks at the clock.
const PAUSE: Duration = Duration::from_millis(20);

async fn record_of(client: &Client, ask: &Ask) -> Record {
    let outcome = client.send(ask, Due::Now).await.outcome;
    outcome.record().unwrap_or_else(|| panic!("{outcome:?}")).clone()
}

#[tokio::test]
async fn an_answer_is_recorded_with_its_counts_and_times() {
    let permits = Arc::new(Semaphore::new(0));
    let wait = || Step::Wait(permits.clone());
    let rest = [finish("stop"), usage(9, 2, 4), DONE.to_owned()].concat();
    let (first, second) = (piece(content("Hel")), piece(content("lo")));
    let steps = vec![head(), wait(), first, wait(), second, wait(), piece(rest), Step::End];
    let server = FakeServer::always(steps).await;
    let client = server.client();
    let start = Instant::now();
    let sending = tokio::spawn(async move { record_of(&client, &ask("x")).await });
    until(|| server.seen().bodies.len() == 1).await;
    for _ in 0..3 {
        tokio::time::sleep(PAUSE).await;
        permits.add_permits(1);
    }
    let record = sending.await.unwrap();
    let all = start.elapsed();
    assert_eq!((record.text.as_str(), record.finish_reason.as_deref()), ("Hello", Some("stop")));
    let counts =
        Usage { prompt_tokens: Some(9), completion_tokens: Some(2), cached_tokens: Some(4) };
    assert_eq!((record.usage, record.chunks.len()), (Some(counts), 2));
    assert!(record.ttft().unwrap() >= PAUSE && record.chunks[1] >= 2 * PAUSE);
    assert!(record.total >= 3 * PAUSE && record.total >= record.chunks[1] && record.total <= all);
    assert!(record.inter_token().is_some() && !record.is_short);
}

#[tokio::test]
async fn the_request_is_what_openai_documents() {
    let server = FakeServer::always(two_tokens()).await;
    record_of(&server.client(), &ask("hi")).await;
    let expected = json!({
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true,
        "stream_options": {"include_usage": true}, "max_tokens": 16, "temperature": 0,
    });
    assert_eq!(server.seen().bodies, [expected]);
    let head = server.seen().heads[0].clone();
    assert!(head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
}

#[tokio::test]
async fn an_arm_adds_its_fields_and_its_key() {
    let server = FakeServer::always(two_tokens()).await;
    let mut arm = server.arm();
    arm.api_key = Some(ApiKey::new("Secret".to_owned()));
    arm.exact_fields = vec![ExactField::IgnoreEos, ExactField::MinTokens];
    arm.extra_body = json!({"top_k": 1, "temperature": 0.5}).as_object().unwrap().clone();
    let client = Client::new(arm).unwrap();
    let exact = OutputLen::Exact(2.try_into().unwrap());
    assert!(!record_of(&client, &Ask { output: exact, ..ask("x") }).await.is_short);
    record_of(&client, &ask("x")).await;
    let seen = server.seen();
    assert!(seen.heads[0].contains("authorization: bearer secret"));
    let body = &seen.bodies[0];
    assert_eq!((&body["ignore_eos"], &body["min_tokens"]), (&json!(true), &json!(2)));
    assert_eq!((&body["top_k"], &body["temperature"]), (&json!(1), &json!(0.5)));
    assert_eq!(seen.bodies[1].get("ignore_eos").or(seen.bodies[1].get("min_tokens")), None);
}

#[tokio::test]
async fn fewer_tokens_than_the_exact_length_are_marked() {
    let server = FakeServer::always(two_tokens()).await;
    let exact = OutputLen::Exact(3.try_into().unwrap());
    let record = record_of(&server.client(), &Ask { output: exact, ..ask("x") }).await;
    assert!(record.is_short);
}

#[tokio::test]
async fn several_tokens_in_one_chunk_are_counted_as_the_server_does() {
    let permits = Arc::new(Semaphore::new(0));
    let together = [content("one two three"), content(" four")].concat();
    let rest = [content(" five"), finish("stop"), usage(1, 5, 0), DONE.to_owned()].concat();
    let steps = vec![head(), piece(together), Step::Wait(permits.clone()), piece(rest), Step::End];
    let server = FakeServer::always(steps).await;
    let client = server.client();
    let sending = tokio::spawn(async move { record_of(&client, &ask("x")).await });
    until(|| server.seen().bodies.len() == 1).await;
    tokio::time::sleep(PAUSE).await;
    permits.add_permits(1);
    let record = sending.await.unwrap();
    assert_eq!((record.tokens(), record.chunks.len()), (Some(5), 3));
    assert_eq!(record.text, "one two three four five");
    let decoding = record.chunks[2] - record.chunks[0];
    let seconds = decoding.as_secs_f64() / 4.0;
    assert_eq!(record.inter_token(), Some(Duration::from_secs_f64(seconds)));
}

#[tokio::test]
async fn a_server_without_counts_leaves_them_unknown() {
    let rest = [finish("stop"), DONE.to_owned()].concat();
    let steps = vec![head(), piece(content("a")), piece(rest), Step::End];
    let server = FakeServer::always(steps).await;
    let record = record_of(&server.client(), &ask("x")).await;
    assert_eq!((record.usage, record.tokens(), record.decode_tok_s()), (None, None, None));
    assert_eq!(record.overall_tok_s(), None);
}

#[tokio::test]
async fn bytes_may_come_in_any_pieces() {
    let body = [content("é"), ": alive\r\n\r\n".to_owned(), content("b"), finish("stop")].concat();
    let whole = [body, usage(1, 2, 0), DONE.to_owned()].concat();
    for at in (1..whole.len()).filter(|at| whole.is_char_boundary(*at)).step_by(7) {
        let steps = vec![head(), piece(&whole[..at]), piece(&whole[at..]), Step::End];
        let server = FakeServer::always(steps).await;
        let record = record_of(&server.client(), &ask("x")).await;
        assert_eq!((record.text.as_str(), record.tokens()), ("éb", Some(2)), "cut at {at}");
    }
}

#[tokio::test]
async fn a_finish_reason_or_done_is_the_end_of_an_answer() {
    let only_reason = vec![head(), piece(content("a")), piece(finish("stop")), Step::End];
    let server = FakeServer::always(only_reason).await;
    let record = record_of(&server.client(), &ask("x")).await;
    assert_eq!(record.finish_reason.as_deref(), Some("stop"));
    let only_done = vec![head(), piece(content("a")), piece(DONE), Step::End];
    let server = FakeServer::always(only_done).await;
    assert_eq!(record_of(&server.client(), &ask("x")).await.finish_reason, None);
}

#[tokio::test]
async fn nothing_is_waited_for_after_done_and_connections_are_used_again() {
    let server = FakeServer::always(two_tokens()).await;
    let client = server.client();
    for _ in 0..3 {
        record_of(&client, &ask("x")).await;
        // The connection goes back to the pool in a task of its own.
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(server.seen().num_connections, 1);
    let endless = vec![head(), piece(content("a")), piece(DONE), Step::Hang];
    let server = FakeServer::always(endless).await;
    assert_eq!(record_of(&server.client(), &ask("x")).await.text, "a");
}

#[tokio::test]
async fn latency_counts_from_when_a_request_was_due() {
    let server = FakeServer::always(two_tokens()).await;
    let client = server.client();
    let due = tokio::time::Instant::now();
    tokio::time::sleep(PAUSE).await;
    let sent = client.send(&ask("x"), Due::At(due)).await;
    let record = sent.outcome.record().unwrap();
    assert_eq!(sent.due, due);
    assert!(record.lag >= PAUSE && record.ttft().unwrap() >= record.lag);
    let due = tokio::time::Instant::now() + PAUSE;
    let sent = client.send(&ask("x"), Due::At(due)).await;
    assert!(tokio::time::Instant::now() >= due + sent.outcome.total());
}
