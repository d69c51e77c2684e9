//! Levels of load over real connections.

use std::num::NonZeroUsize;
use std::sync::Arc;

use russet_bench::load::{Cancel, Ended, Level, Load, OutputLen, Prompts, Stats};
use tokio::sync::Semaphore;

use crate::fake_server::{FakeServer, Step, two_tokens, until, whole};

fn level(load: Load, requests: usize, warm_up: usize) -> Level {
    Level {
        load,
        requests: NonZeroUsize::new(requests).unwrap(),
        warm_up,
        output: OutputLen::AtMost(16.try_into().unwrap()),
        first_conversation: 0,
    }
}

fn clients(num: usize) -> Load {
    Load::Clients(NonZeroUsize::new(num).unwrap())
}

/// A server whose answers wait for a permit each.
async fn gated() -> (FakeServer, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let wait = Step::Wait(gate.clone());
    let server = FakeServer::start(move |_| [vec![wait.clone()], two_tokens()].concat()).await;
    (server, gate)
}

#[tokio::test]
async fn so_many_clients_ask_at_once_and_no_more() {
    let (server, gate) = gated().await;
    let (client, prompts, cancel) = (server.client(), Prompts::unique("x", 1), Cancel::new());
    let level = level(clients(3), 8, 0);
    let control = async {
        // Nothing is answered before all clients have asked.
        until(|| server.seen().bodies.len() == 3).await;
        gate.add_permits(8);
    };
    let (run, ()) = tokio::join!(level.run(&client, &prompts, &cancel), control);
    let run = run.unwrap();
    let stats = Stats::of(&run);
    assert_eq!((stats.num_requests, stats.num_done, run.ended), (8, 8, Ended::Complete));
    assert_eq!(server.seen().most_in_flight, 3);
    assert_eq!(stats.completion_tokens.unwrap().mean, 2.0);
    let seconds = run.wall.as_secs_f64();
    assert!((stats.batch_tok_s.unwrap().mean * seconds - 16.0).abs() < 1e-6);
}

#[tokio::test]
async fn arrivals_come_while_nothing_is_answered() {
    let (server, gate) = gated().await;
    let (client, prompts, cancel) = (server.client(), Prompts::unique("x", 1), Cancel::new());
    let level = level(Load::Rate { per_s: 1000.0, seed: 4 }, 12, 0);
    let control = async {
        until(|| server.seen().bodies.len() == 12).await;
        gate.add_permits(12);
    };
    let (run, ()) = tokio::join!(level.run(&client, &prompts, &cancel), control);
    let run = run.unwrap();
    assert_eq!(Stats::of(&run).num_done, 12);
    assert_eq!(server.seen().most_in_flight, 12);
    assert!(run.measured.windows(2).all(|pair| pair[0].due <= pair[1].due));
}

#[tokio::test]
async fn failures_are_counted_among_the_outcomes() {
    let script = |number| match number {
        0 | 3 => vec![whole("503 Busy", "{\"error\": {\"message\": \"busy\"}}")],
        _ => two_tokens(),
    };
    let server = FakeServer::start(script).await;
    let (client, prompts, cancel) = (server.client(), Prompts::fixed("x"), Cancel::new());
    let run = level(clients(1), 5, 2).run(&client, &prompts, &cancel).await.unwrap();
    let stats = Stats::of(&run);
    assert_eq!((stats.num_requests, stats.num_done), (5, 4));
    assert_eq!((stats.failures["status"], stats.warm_up_failures["status"]), (1, 1));
    let failed: Vec<usize> =
        run.measured.iter().filter(|m| m.outcome.failure().is_some()).map(|m| m.request).collect();
    assert_eq!(failed, [1]);
}

#[tokio::test]
async fn conversations_go_on_with_what_the_server_said() {
    let server = FakeServer::always(two_tokens()).await;
    let prompts = Prompts::multi_turn(NonZeroUsize::new(2).unwrap(), 4, 1);
    let run = level(clients(1), 4, 0).run(&server.client(), &prompts, &Cancel::new()).await;
    assert_eq!(Stats::of(&run.unwrap()).num_done, 4);
    let seen = server.seen();
    let messages = |at: usize| seen.bodies[at]["messages"].as_array().unwrap();
    assert_eq!([0, 1, 2, 3].map(|at| messages(at).len()), [1, 3, 1, 3]);
    assert_eq!(messages(1)[1]["content"], "ab");
    assert_eq!(messages(1)[0], messages(0)[0]);
    assert_ne!(messages(2)[0], messages(0)[0]);
}

#[tokio::test]
async fn a_cancelled_level_ends_while_the_server_is_silent() {
    let server = FakeServer::always(vec![Step::Hang]).await;
    let (client, prompts, cancel) = (server.client(), Prompts::fixed("x"), Cancel::new());
    let level = level(clients(2), 6, 0);
    let control = async {
        until(|| server.seen().bodies.len() == 2).await;
        cancel.cancel();
    };
    let (run, ()) = tokio::join!(level.run(&client, &prompts, &cancel), control);
    let run = run.unwrap();
    assert_eq!(run.ended, Ended::Early { unsent: 4 });
    assert_eq!(Stats::of(&run).failures["cancelled"], 2);
}
