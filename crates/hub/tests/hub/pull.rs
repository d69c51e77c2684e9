//! Downloads that go well.

use std::fs;
use std::thread;
use std::time::Duration;

use russet_hub::{Error, Format, Hub, Network, Token};

use crate::fake_hub::{COMMIT, FakeHub, Fault, Listing, git_id, sha256};
use crate::setup::{GGUF, Recorder, Setup, WEIGHTS, config, parse, weights};

#[test]
fn a_directory_in_the_layout_of_hugging_face() {
    let setup = Setup::new();
    let mut progress = Recorder::default();
    let located = setup.hub.pull(&parse("org/repo"), &mut progress).unwrap();
    let snapshot = setup.repo_dir().join("snapshots").join(COMMIT);
    assert_eq!((&located.path, located.commit.as_deref()), (&snapshot, Some(COMMIT)));
    assert_eq!(located.format, Format::HuggingFace);
    assert_eq!(fs::read(snapshot.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(fs::read(snapshot.join("sub/vocab.txt")).unwrap(), b"a\nb\n");
    assert!(!snapshot.join("README.md").exists() && !snapshot.join(GGUF).exists());
    let refs = setup.repo_dir().join("refs/main");
    assert_eq!(fs::read_to_string(refs).unwrap(), COMMIT);
    // Blobs are named by sha256 in large storage and by git's object id otherwise.
    let blobs = setup.blobs();
    assert_eq!(blobs.len(), 4, "{blobs:?}");
    for digest in [sha256(&weights()), git_id(b"{}"), git_id(b"a\nb\n")] {
        assert!(blobs.contains(&digest), "{blobs:?}");
    }
    assert_eq!(progress.finished, 4);
    assert!(progress.begun.contains(&(WEIGHTS.to_owned(), Some(weights().len() as u64))));
    assert_eq!(setup.hub.resolve(&parse("org/repo")).unwrap(), located);
}

#[cfg(unix)]
#[test]
fn snapshots_are_relative_links() {
    let setup = Setup::new();
    let path = setup.pull("org/repo").unwrap().path;
    let vocab = git_id(b"a\nb\n");
    let target = fs::read_link(path.join("sub/vocab.txt")).unwrap();
    assert_eq!(target.to_str().unwrap(), format!("../../../blobs/{vocab}"));
    let target = fs::read_link(path.join(WEIGHTS)).unwrap();
    assert_eq!(target.to_str().unwrap(), format!("../../blobs/{}", sha256(&weights())));
}

#[test]
fn a_quant_takes_one_file() {
    let setup = Setup::new();
    let located = setup.pull("org/repo:q8_0").unwrap();
    assert_eq!(located.path.file_name().unwrap(), "x-Q8_0.gguf");
    assert_eq!(located.format, Format::Gguf);
    assert_eq!(setup.blobs().len(), 1);
    assert_eq!(setup.hub.resolve(&parse("org/repo:Q8_0")).unwrap(), located);
    let error = setup.hub.resolve(&parse("org/repo:Q4_K_M")).unwrap_err();
    assert!(matches!(error, Error::NotCached { .. }), "{error}");
    let error = setup.pull("org/repo:Q3_K").unwrap_err().to_string();
    assert!(error.contains("available: x-Q4_K_M.gguf, x-Q8_0.gguf"), "{error}");
}

#[test]
fn a_second_pull_asks_only_for_the_commit() {
    let setup = Setup::new();
    setup.pull("org/repo").unwrap();
    let before = setup.server.with(|s| s.seen.len());
    setup.pull("org/repo").unwrap();
    assert_eq!(setup.server.with(|s| s.seen.len()), before + 1);
}

#[test]
fn a_new_commit_loads_only_what_changed() {
    let setup = Setup::new();
    setup.pull("org/repo").unwrap();
    let second = "f".repeat(40);
    setup.server.with(|s| {
        s.commit = second.clone();
        s.files.insert("tokenizer.json".to_owned(), b"{\"a\": 1}".to_vec());
    });
    let located = setup.pull("org/repo").unwrap();
    assert_eq!(located.commit, Some(second.clone()));
    assert_eq!(setup.server.gets(WEIGHTS).len(), 1);
    assert_eq!(setup.server.gets("tokenizer.json").len(), 2);
    // Both commits can be named; the old one by its first digits.
    assert_eq!(setup.hub.resolve(&parse("org/repo")).unwrap().commit, Some(second));
    let old = setup.hub.resolve(&parse(&format!("org/repo@{}", &COMMIT[..8]))).unwrap();
    assert_eq!(old.commit.as_deref(), Some(COMMIT));
}

#[test]
fn a_branch_becomes_a_ref() {
    let setup = Setup::new();
    setup.pull("org/repo@refs/pr/1").unwrap();
    let asked = setup.server.with(|s| s.seen[0].path.clone());
    assert_eq!(asked, "/api/models/org/repo/revision/refs%2Fpr%2F1?blobs=true");
    let noted = fs::read_to_string(setup.repo_dir().join("refs/refs/pr/1")).unwrap();
    assert_eq!(noted, COMMIT);
    assert!(setup.hub.resolve(&parse("org/repo@refs/pr/1")).is_ok());
    assert!(setup.hub.resolve(&parse("org/repo")).is_err());
}

#[test]
fn the_token_goes_to_the_endpoint_only() {
    for listing in [Listing::WithContents, Listing::NamesOnly] {
        let setup = Setup::with(|config| config.token = Some(Token::new("hf_secret")));
        let file_host = FakeHub::start(&[(WEIGHTS, &weights())]);
        setup.server.with(|s| {
            s.file_host = Some(file_host.url.clone());
            s.listing = listing;
        });
        // A broken connection sends the client to the file host a second time.
        file_host.faults(WEIGHTS, &[Fault::Cut(300_000)]);
        setup.pull("org/repo").unwrap();
        let at_hub = setup.server.with(|s| s.seen.clone());
        assert!(at_hub.iter().all(|r| r.authorization.as_deref() == Some("Bearer hf_secret")));
        let at_file_host = file_host.with(|s| s.seen.clone());
        assert_eq!(at_file_host.iter().map(|r| r.from_byte).collect::<Vec<_>>(), [0, 300_000]);
        assert!(at_file_host.iter().all(|r| r.authorization.is_none()), "{at_file_host:?}");
    }
}

#[test]
fn two_pulls_at_once_download_once() {
    let setup = Setup::new();
    setup.server.faults(WEIGHTS, &[Fault::Stall(200_000)]);
    let located = thread::scope(|scope| {
        let pull = || {
            let mut config = setup.hub.config().clone();
            config.timing.stall = Duration::from_millis(300);
            Hub::new(config).pull(&parse("org/repo"), &mut ()).unwrap()
        };
        let both = [scope.spawn(pull), scope.spawn(pull)];
        both.map(|thread| thread.join().unwrap())
    });
    assert_eq!(located[0], located[1]);
    assert_eq!(fs::read(located[0].path.join(WEIGHTS)).unwrap(), weights());
    // The one that stalled and its continuation; the other process waited.
    let starts: Vec<_> = setup.server.gets(WEIGHTS).iter().map(|get| get.from_byte).collect();
    assert_eq!(starts, [0, 200_000]);
}

#[test]
fn offline_uses_what_is_here() {
    let setup = Setup::new();
    let mut config = setup.hub.config().clone();
    config.network = Network::Offline;
    let offline = Hub::new(config);
    let error = offline.pull(&parse("org/repo"), &mut ()).unwrap_err();
    assert!(matches!(error, Error::Offline { .. }), "{error}");
    let located = setup.pull("org/repo").unwrap();
    let before = setup.server.with(|s| s.seen.len());
    assert_eq!(offline.pull(&parse("org/repo"), &mut ()).unwrap(), located);
    assert_eq!(setup.server.with(|s| s.seen.len()), before);
}

#[test]
fn a_cache_that_is_complete_need_not_be_writable() {
    let setup = Setup::new();
    let located = setup.pull("org/repo").unwrap();
    let mut config = config(&setup.dir, &setup.server);
    // Any attempt to download would be refused for lack of space.
    config.free_space = |_| Ok(0);
    assert_eq!(Hub::new(config).pull(&parse("org/repo"), &mut ()).unwrap(), located);
}
