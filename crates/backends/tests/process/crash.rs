//! Programs that were ready and end by themselves.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use russet_backends::process::{Problem, Process, State, WhenEnded};

use crate::scene::{KINDS, Scene, crash, eventually, eventually_gone, is_alive, name, stand_in};

fn address(process: &Process) -> SocketAddr {
    let State::Ready(address) = process.state() else { panic!("{:?}", process.state()) };
    address
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn a_crash_leads_to_a_restart_on_another_port() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        let process = Process::start(scene.spec()).unwrap();
        let first = address(&process);
        let mut watch = process.watch();
        let mut seen = vec![watch.borrow_and_update().clone()];
        crash(first);
        runtime().block_on(async {
            while seen.len() < 3 {
                watch.changed().await.unwrap();
                seen.push(watch.borrow_and_update().clone());
            }
        });
        let names: Vec<&str> = seen.iter().map(name).collect();
        assert_eq!(names, ["ready", "restarting", "ready"]);
        let State::Restarting { attempt: 1, why: Problem::Ended(status) } = &seen[1] else {
            panic!("{:?}", seen[1]);
        };
        assert_eq!(status.code(), Some(3));
        let second = address(&process);
        assert_ne!(first, second);
        let pids = scene.pids();
        assert_eq!(pids.len(), 2);
        eventually_gone(pids[0]);
        assert!(is_alive(pids[1]));
        // Who asks in between gets the address of the next run.
        crash(second);
        eventually("restarting", || name(&process.state()) == "restarting");
        let third = runtime().block_on(process.ready()).unwrap();
        assert_ne!(second, third);
    }
}

#[test]
fn what_a_crash_leaves_behind_is_ended() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        scene.put("with-child", "");
        let mut spec = scene.spec();
        spec.timing.restart_first = Duration::from_secs(3600);
        let process = Process::start(spec).unwrap();
        let child = scene.lines("child")[0].parse().unwrap();
        assert!(is_alive(child));
        crash(address(&process));
        eventually_gone(child);
    }
}

#[test]
fn a_program_that_does_not_come_back_is_given_up() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        let mut spec = scene.spec();
        spec.max_failed_starts = 3;
        spec.timing.restart_first = Duration::from_millis(1);
        spec.timing.restart_max = Duration::from_millis(20);
        let process = Process::start(spec).unwrap();
        scene.put("refuse", "");
        crash(address(&process));
        eventually("given up", || name(&process.state()) == "failed");
        let failure = runtime().block_on(process.ready()).unwrap_err();
        assert_eq!((failure.num_attempts, scene.pids().len()), (3, 4));
        assert!(failure.to_string().contains("at start 3 in a row"), "{failure}");
        assert!(failure.to_string().contains("line 49"), "{failure}");
    }
}

#[test]
fn what_is_to_stay_ended_is_not_started_again() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        let mut spec = scene.spec();
        spec.when_ended = WhenEnded::GiveUp;
        let process = Process::start(spec).unwrap();
        let group = process.group().unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", scene.pids()[0]));
        if let Ok(stat) = stat {
            let after_name = stat.rsplit_once(") ").unwrap().1;
            assert_eq!(after_name.split(' ').nth(2).unwrap(), group.to_string());
        }
        crash(address(&process));
        eventually("given up", || name(&process.state()) == "failed");
        assert_eq!((process.group(), scene.pids().len()), (None, 1));
    }
}

#[test]
fn a_stop_does_not_wait_for_the_next_start() {
    let scene = Scene::new(KINDS[0]);
    let mut spec = scene.spec();
    spec.timing.restart_first = Duration::from_secs(3600);
    let process = Process::start(spec).unwrap();
    crash(address(&process));
    eventually("restarting", || name(&process.state()) == "restarting");
    let watch = process.watch();
    let begin = Instant::now();
    process.stop();
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert_eq!(name(&watch.borrow()), "stopped");
    assert_eq!(scene.pids().len(), 1);
}

#[test]
fn processes_of_others_are_left_alone() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        // Of the same name, and started by the same parent.
        let own = stand_in(&["sleep"]);
        let mut command = Command::new(own.program);
        let mut own = command.args(own.arguments).stdin(Stdio::null()).spawn().unwrap();
        let process = Process::start(scene.spec()).unwrap();
        crash(address(&process));
        eventually("restarted", || scene.pids().len() == 2);
        process.stop();
        scene.pids().into_iter().for_each(eventually_gone);
        let end = own.try_wait().unwrap();
        own.kill().unwrap();
        own.wait().unwrap();
        assert!(end.is_none(), "{end:?}");
    }
}
