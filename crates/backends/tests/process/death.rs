//! A Russet that dies without a chance to stop anything.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use russet_backends::process::guard::Kind;

use crate::scene::{KINDS, Scene, eventually_gone, is_alive, stand_in};

/// A Russet whose program is ready.
fn supervisor(scene: &Scene, kind: Kind) -> Child {
    let launcher = stand_in(&["supervise", name(kind), scene.folder()]);
    let mut command = Command::new(launcher.program);
    command.args(launcher.arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    assert!(is_alive(scene.pids()[0]));
    child
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Replace => "replace",
        Kind::Stay => "stay",
    }
}

#[test]
fn a_killed_russet_leaves_nothing_behind() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        let mut russet = supervisor(&scene, *kind);
        russet.kill().unwrap();
        russet.wait().unwrap();
        eventually_gone(scene.pids()[0]);
    }
}

#[test]
fn a_russet_that_panics_or_aborts_leaves_nothing_behind() {
    for kind in KINDS {
        for end in ["panic\n", "abort\n"] {
            let scene = Scene::new(*kind);
            let mut russet = supervisor(&scene, *kind);
            russet.stdin.as_mut().unwrap().write_all(end.as_bytes()).unwrap();
            assert!(!russet.wait().unwrap().success());
            eventually_gone(scene.pids()[0]);
        }
    }
}

#[test]
fn a_staying_guard_also_ends_what_the_program_started() {
    let scene = Scene::new(Kind::Stay);
    scene.put("with-child", "");
    let mut russet = supervisor(&scene, Kind::Stay);
    let child = scene.lines("child")[0].parse().unwrap();
    assert!(is_alive(child));
    russet.kill().unwrap();
    russet.wait().unwrap();
    eventually_gone(scene.pids()[0]);
    eventually_gone(child);
}

#[test]
fn a_guard_whose_russet_has_died_starts_nothing() {
    for kind in KINDS {
        let scene = Scene::new(*kind);
        let launcher = stand_in(&["guard", name(*kind), "1", "touch"]);
        let mut command = Command::new(launcher.program);
        command.args(launcher.arguments).arg(scene.path("started")).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(!output.status.success());
        assert!(!scene.path("started").exists());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("started by process 1, but the parent is"), "{errors}");
    }
}
