//! Programs that are stopped.

use std::time::{Duration, Instant};

use russet_backends::process::{Problem, Process};

use crate::scene::{KINDS, Scene, eventually, eventually_gone, is_alive, name};

#[test]
fn a_stop_ends_the_whole_group() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        scene.put("with-child", "");
        let process = Process::start(scene.spec()).unwrap();
        let program = scene.pids()[0];
        let child = scene.lines("child")[0].parse().unwrap();
        assert!(is_alive(program) && is_alive(child));
        let watch = process.watch();
        process.stop();
        assert_eq!(name(&watch.borrow()), "stopped");
        eventually_gone(program);
        eventually_gone(child);
    }
}

#[test]
fn a_program_may_tidy_up() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        let bye = scene.path("bye");
        let script = format!(
            "trap 'sleep 0.3; echo bye > {}; exit' TERM; \"$0\" \"$@\" & wait",
            bye.display()
        );
        let process = Process::start(scene.shell(&script)).unwrap();
        process.stop();
        assert_eq!(scene.lines("bye"), ["bye"]);
    }
}

#[test]
fn a_program_that_ignores_the_request_is_ended() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        let mut spec = scene.shell("trap '' TERM; exec \"$0\" \"$@\"");
        spec.timing.stop_grace = Duration::from_millis(300);
        let process = Process::start(spec).unwrap();
        let begin = Instant::now();
        process.stop();
        assert!(begin.elapsed() >= Duration::from_millis(300));
        eventually_gone(scene.pids()[0]);
    }
}

#[test]
fn a_program_that_is_still_loading_is_stopped_too() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        scene.put("mute", "");
        let process = Process::spawn(scene.spec()).unwrap();
        eventually("started", || scene.pids().len() == 1);
        assert_eq!(name(&process.state()), "starting");
        process.request_stop();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let failure = runtime.block_on(process.ready()).unwrap_err();
        assert!(matches!(failure.problem, Problem::Stopped), "{failure}");
        eventually_gone(scene.pids()[0]);
    }
}
