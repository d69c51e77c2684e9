//! Levels against a made-up server under a clock that jumps, so that times are exact.

use std::sync::Mutex;

use super::super::{Ask, Due, Failure, Outcome, Record, Sent};
use super::*;

/// Answers the n-th request after a time of its own, or not.
#[derive(Clone)]
struct FakeServer {
    state: Arc<Mutex<State>>,
    answer: fn(usize) -> Answer,
}

enum Answer {
    After(u64),
    Fails,
}

#[derive(Default)]
struct State {
    asks: Vec<Ask>,
    in_flight: usize,
    most_in_flight: usize,
}

impl FakeServer {
    fn new(answer: fn(usize) -> Answer) -> Self {
        Self { state: Arc::default(), answer }
    }

    fn asks(&self) -> Vec<Ask> {
        self.state.lock().unwrap().asks.clone()
    }

    fn most_in_flight(&self) -> usize {
        self.state.lock().unwrap().most_in_flight
    }
}

impl Sender for FakeServer {
    async fn send(&self, ask: &Ask, due: Due) -> Sent {
        let due = match due {
            Due::Now => Instant::now(),
            Due::At(due) => due,
        };
        tokio::time::sleep_until(due).await;
        let number = {
            let mut state = self.state.lock().unwrap();
            state.asks.push(ask.clone());
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            state.asks.len() - 1
        };
        let outcome = match (self.answer)(number) {
            Answer::After(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Outcome::Done(record(number, due.elapsed()))
            }
            Answer::Fails => {
                let (fault, after) = (Fault::Unfinished, due.elapsed());
                Outcome::Failed(Failure { fault, after, num_chunks: 0 })
            }
        };
        self.state.lock().unwrap().in_flight -= 1;
        Sent { due, outcome }
    }
}

fn record(number: usize, total: Duration) -> Record {
    Record {
        lag: Duration::ZERO,
        chunks: vec![total],
        total,
        finish_reason: Some("stop".to_owned()),
        fingerprint: None,
        usage: None,
        is_short: false,
        text: format!("answer {number}"),
        reasoning: String::new(),
        tool_calls: String::new(),
    }
}

fn level(load: Load, requests: usize, warm_up: usize) -> Level {
    Level {
        load,
        requests: NonZeroUsize::new(requests).unwrap(),
        warm_up,
        output: OutputLen::AtMost(4.try_into().unwrap()),
        first_conversation: 0,
    }
}

fn clients(num: usize) -> Load {
    Load::Clients(NonZeroUsize::new(num).unwrap())
}

fn rate(per_s: f64) -> Load {
    Load::Rate { per_s, seed: 1 }
}

fn turns(num: usize) -> Prompts {
    Prompts::multi_turn(NonZeroUsize::new(num).unwrap(), 3, 1)
}

fn faults(measured: &[Measured]) -> Vec<&'static str> {
    let kind = |measured: &Measured| measured.outcome.failure().map_or("", |f| f.fault.kind());
    measured.iter().map(kind).collect()
}

#[tokio::test(start_paused = true)]
async fn each_client_asks_again_when_it_has_its_answer() {
    let server = FakeServer::new(|_| Answer::After(100));
    let prompts = Prompts::unique("x", 1);
    let level = level(clients(3), 7, 2);
    let run = level.run_with(&server, &prompts, &Cancel::new()).await.unwrap();
    assert_eq!(server.most_in_flight(), 3);
    assert_eq!((run.warm_up.len(), run.measured.len()), (2, 7));
    let order: Vec<usize> = run.measured.iter().map(|measured| measured.request).collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6]);
    let due: Vec<u128> = run.measured.iter().map(|measured| measured.due.as_millis()).collect();
    assert!(due.windows(2).all(|pair| pair[0] <= pair[1]) && due[3] >= 100 && due[6] >= 200);
    assert!(run.wall >= Duration::from_millis(300));
    assert_eq!(run.ended, Ended::Complete);
    // No prompt comes twice, not even in the warm-up.
    let asks = server.asks();
    assert!((1..asks.len()).all(|at| !asks[..at].contains(&asks[at])));
    assert_eq!(level.num_conversations(&prompts), 9);
}

#[tokio::test(start_paused = true)]
async fn arrivals_wait_for_no_answer() {
    let server = FakeServer::new(|_| Answer::After(60_000));
    let level = level(rate(10.0), 20, 0);
    let run = level.run_with(&server, &Prompts::fixed("x"), &Cancel::new()).await.unwrap();
    assert_eq!(server.most_in_flight(), 20);
    let due: Vec<Duration> = run.measured.iter().map(|measured| measured.due).collect();
    let planned: Vec<Duration> = Arrivals::new(10.0, 1, 1).take(20).collect();
    assert_eq!(due, planned);
    assert!(run.measured.iter().all(|m| m.outcome.total() >= Duration::from_secs(60)));
    assert!(run.wall >= Duration::from_secs(60) + due[19] - due[0]);
}

#[tokio::test(start_paused = true)]
async fn inputs_are_the_same_for_every_server_and_load() {
    let inputs = async |server: FakeServer, load: Load, first_conversation: u64| {
        let level = Level { first_conversation, ..level(load, 6, 2) };
        let prompts = Prompts::shared_prefix(20, 5, 3);
        level.run_with(&server, &prompts, &Cancel::new()).await.unwrap().inputs_sha256
    };
    let slow = || FakeServer::new(|number| Answer::After(500 - 50 * number as u64));
    let one = inputs(slow(), clients(1), 0).await;
    assert_eq!(one.len(), 64);
    assert_eq!(inputs(FakeServer::new(|_| Answer::Fails), clients(1), 0).await, one);
    assert_eq!(inputs(slow(), clients(4), 0).await, one);
    assert_eq!(inputs(slow(), rate(100.0), 0).await, one);
    assert_ne!(inputs(slow(), clients(1), 1).await, one);
}

#[tokio::test(start_paused = true)]
async fn a_turn_carries_the_answer_before_it() {
    let server = FakeServer::new(|_| Answer::After(10));
    let level = level(clients(1), 5, 0);
    let run = level.run_with(&server, &turns(3), &Cancel::new()).await.unwrap();
    assert_eq!(run.measured.len(), 5);
    let asks = server.asks();
    let lens: Vec<usize> = asks.iter().map(|ask| ask.messages.len()).collect();
    assert_eq!(lens, [1, 3, 5, 1, 3]);
    assert_eq!(asks[2].messages[..3], asks[1].messages);
    assert_eq!(asks[1].messages[1]["content"], "answer 0");
    assert_eq!(asks[2].messages[3]["content"], "answer 1");
    assert_eq!(level.num_conversations(&turns(3)), 2);
}

#[tokio::test(start_paused = true)]
async fn turns_after_a_failure_are_counted_as_skipped() {
    let server =
        FakeServer::new(|number| if number == 1 { Answer::Fails } else { Answer::After(10) });
    let level = level(clients(1), 8, 0);
    let run = level.run_with(&server, &turns(4), &Cancel::new()).await.unwrap();
    let expected = ["", "unfinished", "skipped", "skipped", "", "", "", ""];
    assert_eq!(faults(&run.measured), expected);
    assert_eq!(server.asks().len(), 6);
    assert_eq!(run.ended, Ended::Complete);
}

/// Runs a level of 20 requests that is cancelled after a while.
async fn cancelled_after(ms: u64, load: Load, warm_up: usize) -> LevelRun {
    let server = FakeServer::new(|_| Answer::After(100));
    let cancel = Cancel::new();
    let later = async {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        cancel.cancel();
    };
    let prompts = Prompts::fixed("x");
    let level = level(load, 20, warm_up);
    let (run, ()) = tokio::join!(level.run_with(&server, &prompts, &cancel), later);
    let run = run.unwrap();
    assert_eq!(server.asks().len(), run.warm_up.len() + run.measured.len());
    run
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_level_says_what_was_not_sent() {
    let run = cancelled_after(250, clients(2), 0).await;
    assert_eq!(faults(&run.measured), ["", "", "", "", "cancelled", "cancelled"]);
    assert_eq!(run.ended, Ended::Early { unsent: 14 });
    assert!(run.measured[5].outcome.total() < Duration::from_millis(60));
    let run = cancelled_after(50, clients(2), 4).await;
    assert_eq!((run.warm_up.len(), run.measured.len()), (2, 0));
    assert_eq!((run.ended, run.wall), (Ended::Early { unsent: 20 }, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn arrivals_end_when_the_level_is_cancelled() {
    let run = cancelled_after(1000, rate(10.0), 0).await;
    let planned = Arrivals::new(10.0, 1, 1).take_while(|due| *due < Duration::from_secs(1));
    let num_sent = planned.count();
    assert!((1..20).contains(&num_sent));
    assert_eq!(run.measured.len(), num_sent);
    assert_eq!(run.ended, Ended::Early { unsent: 20 - num_sent });
}

#[tokio::test(start_paused = true)]
async fn a_cancel_after_the_end_changes_nothing() {
    let run = cancelled_after(2000, clients(20), 0).await;
    assert_eq!((run.ended, run.measured.len()), (Ended::Complete, 20));
}

#[tokio::test]
async fn loads_that_mean_nothing_are_refused() {
    let refused = async |load, prompts| {
        let server = FakeServer::new(|_| Answer::After(0));
        let run = level(load, 1, 0).run_with(&server, &prompts, &Cancel::new()).await;
        assert!(server.asks().is_empty());
        run.unwrap_err().to_string()
    };
    for per_s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let text = refused(rate(per_s), Prompts::fixed("x")).await;
        assert!(text.contains(&per_s.to_string()) && text.contains("above 0"), "{text}");
    }
    let text = refused(rate(1.0), turns(2)).await;
    assert!(text.contains("2 turns") && text.contains("closed loop"), "{text}");
}
