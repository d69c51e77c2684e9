//! Programs that become ready, or do not.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use russet_backends::Launcher;
use russet_backends::process::{Health, Problem, Process, State};

use crate::scene::{KINDS, Scene, eventually_gone, is_alive};

#[test]
fn a_program_is_ready_when_it_has_loaded() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        scene.put("loading", "3");
        let process = Process::start(scene.spec()).unwrap();
        let State::Ready(address) = process.state() else { panic!("{:?}", process.state()) };
        assert!(address.ip().is_loopback());
        assert_eq!(scene.lines("answers"), ["503"; 3]);
        assert!(scene.pids().into_iter().all(is_alive));
    }
}

#[test]
fn a_program_gets_the_port_and_the_variables_that_were_asked_for() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        let script = format!("echo \"$GREETING\" > {}/said; exec \"$0\" \"$@\"", scene.folder());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let spec = || {
            let mut spec = scene.shell(&script);
            spec.env = vec![("GREETING".into(), "good day".into())];
            spec.port = Some(port);
            spec
        };
        let refused = Process::start(spec()).unwrap_err().to_string();
        assert!(refused.contains(&format!("port {port} of 127.0.0.1")), "{refused}");
        drop(listener);
        let process = Process::start(spec()).unwrap();
        let State::Ready(address) = process.state() else { panic!("{:?}", process.state()) };
        assert_eq!(address.port(), port);
        assert_eq!(scene.lines("said"), ["good day"]);
    }
}

#[test]
fn an_early_end_is_noticed_at_once() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        scene.put("refuse", "");
        let begin = Instant::now();
        let mut spec = scene.spec();
        spec.timing.start_timeout = Duration::from_secs(3600);
        spec.timing.poll_first = Duration::from_secs(3600);
        let failure = Process::start(spec).unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(60));
        assert!(
            matches!(failure.problem, Problem::Ended(status) if status.code() == Some(7)),
            "{failure}"
        );
        assert_eq!(failure.log.len(), 40);
        assert_eq!(failure.log.last().unwrap(), "line 49");
        let text = failure.to_string();
        let command = format!("serve {} ", scene.folder());
        for part in [&*command, "exit status: 7", "\n  line 49"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert_eq!(scene.pids().len(), 1, "the first start is not repeated");
    }
}

#[test]
fn both_streams_are_kept_in_order() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        let failure = Process::start(scene.shell("echo one; echo two >&2; echo three; kill -9 $$"))
            .unwrap_err();
        assert_eq!(failure.log, ["one", "two", "three"]);
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        let program = scene.path("missing");
        let launcher = Launcher { program: program.clone(), arguments: Vec::new() };
        let failure = Process::start(scene.spec_of(launcher)).unwrap_err();
        let expected = format!("guard: cannot run {}: No such file", program.display());
        assert!(failure.log[0].starts_with(&expected), "{failure}");
    }
}

#[test]
fn a_guard_that_is_not_there_is_an_error() {
    let scene = Scene::new(KINDS[0]);
    let mut spec = scene.spec();
    spec.guard.launcher.program = scene.path("missing");
    let failure = Process::start(spec).unwrap_err();
    assert!(matches!(failure.problem, Problem::NotStarted(_)), "{failure}");
}

#[test]
fn a_program_that_says_it_never_will_be_ready_is_ended() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        scene.put("loading", "1000000");
        let mut spec = scene.spec();
        spec.health = Health::Listens { request: "{}".to_owned() };
        let failure = Process::start(spec).unwrap_err();
        assert!(matches!(failure.problem, Problem::NotLoaded), "{failure}");
        scene.pids().into_iter().for_each(eventually_gone);
    }
}

#[test]
fn a_start_that_takes_too_long_is_ended() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        scene.put("mute", "");
        let mut spec = scene.spec();
        spec.timing.start_timeout = Duration::from_secs(1);
        let failure = Process::start(spec).unwrap_err();
        assert!(matches!(failure.problem, Problem::TimedOut(_)), "{failure}");
        assert!(failure.to_string().contains("was not ready after 1 s"), "{failure}");
        scene.pids().into_iter().for_each(eventually_gone);
    }
}
