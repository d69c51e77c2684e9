//! Two servers in turn, and whether they say the same.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use russet_bench::load::{
    Arm, Cancel, Client, ComparedLevel, Comparison, Ended, Error, Level, Load, OutputLen, Prompts,
};

use crate::fake_server::{
    DONE, FakeServer, Step, content, finish, head, piece, two_tokens, until, usage,
};

fn level(clients: usize) -> Level {
    Level {
        load: Load::Clients(NonZeroUsize::new(clients).unwrap()),
        requests: NonZeroUsize::new(3).unwrap(),
        warm_up: 1,
        output: OutputLen::AtMost(16.try_into().unwrap()),
        first_conversation: 0,
    }
}

fn client(name: &str, server: &FakeServer) -> Client {
    Client::new(Arm { name: name.to_owned(), ..server.arm() }).unwrap()
}

fn comparison(first: &FakeServer, second: &FakeServer, rounds: usize) -> Comparison {
    let clients = vec![client("A", first), client("B", second)];
    let rounds = NonZeroUsize::new(rounds).unwrap();
    Comparison::new(clients, Prompts::unique("x", 1), rounds).unwrap()
}

fn answer(text: &str) -> Vec<Step> {
    let rest = [finish("stop"), usage(1, 2, 0), DONE.to_owned()].concat();
    vec![head(), piece(content(text)), piece(rest), Step::End]
}

#[tokio::test]
async fn servers_take_turns_and_are_asked_the_same() {
    let (first, second) =
        (FakeServer::always(two_tokens()).await, FakeServer::always(two_tokens()).await);
    let comparison = comparison(&first, &second, 2);
    let turns = Arc::new(Mutex::new(Vec::new()));
    let mut watch = |turn: russet_bench::load::Turn<'_>| {
        turns.lock().unwrap().push(format!("{}{}{}", turn.level, turn.round, turn.arm));
    };
    let levels = [level(1), level(2)];
    let compared = comparison.run(&levels, &Cancel::new(), &mut watch).await.unwrap();
    let expected = ["00A", "00B", "01A", "01B", "10A", "10B", "11A", "11B"];
    assert_eq!(*turns.lock().unwrap(), expected);
    for level in &compared {
        let inputs = |arm: usize, round: usize| &level.arms[arm].runs[round].inputs_sha256;
        assert_eq!((inputs(0, 0), inputs(0, 1)), (inputs(1, 0), inputs(1, 1)));
        assert_ne!(inputs(0, 0), inputs(0, 1));
        assert_eq!(level.ended, Ended::Complete);
        assert!(level.arms[0].parity.is_none() && level.arms[1].parity.as_ref().unwrap().holds());
    }
    let seen = first.seen();
    let prompts: Vec<&serde_json::Value> = seen.bodies.iter().map(|b| &b["messages"]).collect();
    assert_eq!(prompts.len(), 16);
    assert!((1..16).all(|at| !prompts[..at].contains(&prompts[at])), "a prompt came twice");
}

#[tokio::test]
async fn different_answers_are_named() {
    let first = FakeServer::always(answer("all the same")).await;
    // The first request is the warm-up's, and not compared.
    let script = |number| answer(if number == 2 { "all this" } else { "all the same" });
    let second = FakeServer::start(script).await;
    let comparison = comparison(&first, &second, 1);
    let compared = comparison.run(&[level(1)], &Cancel::new(), &mut |_| {}).await.unwrap();
    let [ComparedLevel { arms, .. }] = compared.as_slice() else { panic!("one level") };
    let parity = arms[1].parity.as_ref().unwrap();
    assert_eq!((parity.num_compared, parity.num_same, parity.holds()), (3, 2, false));
    let difference = parity.first_difference.as_ref().unwrap();
    assert_eq!((difference.round, difference.request, difference.at), (0, 1, 6));
    assert_eq!((difference.first.as_str(), difference.second.as_str()), ("e same", "is"));
}

#[tokio::test]
async fn a_cancelled_comparison_keeps_what_it_has() {
    let first = FakeServer::always(two_tokens()).await;
    let second = FakeServer::always(vec![Step::Hang]).await;
    let (comparison, cancel) = (comparison(&first, &second, 2), Cancel::new());
    let control = async {
        until(|| !second.seen().bodies.is_empty()).await;
        cancel.cancel();
    };
    let levels = [level(1), level(1)];
    let mut watch = |_: russet_bench::load::Turn<'_>| {};
    let (compared, ()) = tokio::join!(comparison.run(&levels, &cancel, &mut watch), control);
    let compared = compared.unwrap();
    assert_eq!(compared.len(), 1);
    assert_eq!(compared[0].ended, Ended::Early { unsent: 3 + 2 * 3 });
    assert_eq!(compared[0].arms[0].runs.len(), 1);
    assert!(!compared[0].arms[1].parity.as_ref().unwrap().holds());
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused() {
    let server = FakeServer::always(two_tokens()).await;
    let refused = |names: &[&str]| {
        let clients = names.iter().map(|name| client(name, &server)).collect();
        Comparison::new(clients, Prompts::fixed("x"), NonZeroUsize::MIN).unwrap_err()
    };
    assert!(matches!(refused(&["a"]), Error::TooFewArms { found: 1 }));
    assert!(matches!(refused(&["a", "b", "a"]), Error::SameName { name } if name == "a"));
}
