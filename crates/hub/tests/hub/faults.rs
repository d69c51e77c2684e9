//! Downloads that go wrong: every fault is survived or named, and none leaves a bad file.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use russet_hub::{Error, Hub, Token};

use crate::fake_hub::{Fault, sha256};
use crate::setup::{Recorder, Setup, WEIGHTS, parse, weights};

fn starts(setup: &Setup) -> Vec<usize> {
    setup.server.gets(WEIGHTS).iter().map(|get| get.from_byte).collect()
}

fn part(setup: &Setup) -> PathBuf {
    setup.repo_dir().join("blobs").join(format!("{}.incomplete", sha256(&weights())))
}

fn blob(setup: &Setup) -> PathBuf {
    setup.repo_dir().join("blobs").join(sha256(&weights()))
}

#[test]
fn broken_connections_are_resumed() {
    let setup = Setup::new();
    let cuts = [0, 0, 1, 300_000, 300_000, 900_000].map(Fault::Cut);
    setup.server.faults(WEIGHTS, &cuts);
    let path = setup.pull("org/repo").unwrap().path;
    assert_eq!(fs::read(path.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(starts(&setup), [0, 0, 0, 1, 300_000, 300_000, 900_000]);
    assert!(!part(&setup).exists());
}

#[test]
fn a_silent_connection_is_resumed() {
    let setup = Setup::with(|config| config.timing.stall = Duration::from_millis(100));
    setup.server.faults(WEIGHTS, &[Fault::Stall(400_000)]);
    setup.pull("org/repo").unwrap();
    assert_eq!(starts(&setup), [0, 400_000]);
}

#[test]
fn giving_up_keeps_the_part_for_the_next_pull() {
    let setup = Setup::new();
    setup.server.faults(WEIGHTS, &[500_000, 500_000, 500_000].map(Fault::Cut));
    let error = setup.pull("org/repo").unwrap_err();
    assert!(matches!(error, Error::Network { .. }), "{error}");
    assert_eq!(fs::metadata(part(&setup)).unwrap().len(), 500_000);
    let error = setup.hub.resolve(&parse("org/repo")).unwrap_err();
    assert!(matches!(error, Error::NotCached { .. }), "{error}");
    let mut progress = Recorder::default();
    setup.hub.pull(&parse("org/repo"), &mut progress).unwrap();
    assert_eq!(starts(&setup), [0, 500_000, 500_000, 500_000]);
}

#[test]
fn progress_counts_resumed_bytes_once() {
    let setup = Setup::new();
    setup.server.with(|s| s.files.retain(|name, _| name.ends_with("Q8_0.gguf")));
    setup.server.faults("x-Q8_0.gguf", &[Fault::Cut(10), Fault::Cut(20)]);
    let mut progress = Recorder::default();
    setup.hub.pull(&parse("org/repo"), &mut progress).unwrap();
    assert_eq!(progress.bytes, weights().len() as u64 - 1);
    assert_eq!((progress.begun.len(), progress.finished), (1, 1));
}

#[test]
fn a_server_without_ranges_starts_over_and_ends() {
    let setup = Setup::new();
    let all = weights().len();
    setup.server.faults(WEIGHTS, &[Fault::Cut(100), Fault::NoRange(all)]);
    let path = setup.pull("org/repo").unwrap().path;
    assert_eq!(fs::read(path.join(WEIGHTS)).unwrap(), weights());
    // One that also always breaks at the same place must not be asked for ever.
    let setup = Setup::new();
    setup.server.faults(WEIGHTS, &vec![Fault::NoRange(100); 50]);
    assert!(matches!(setup.pull("org/repo"), Err(Error::Network { .. })));
    assert!(starts(&setup).len() <= 4, "{:?}", starts(&setup));
}

#[test]
fn a_flipped_byte_is_found_and_the_file_removed() {
    for (file, content) in [(WEIGHTS, weights()), ("tokenizer.json", b"{}".to_vec())] {
        let setup = Setup::new();
        setup.server.faults(file, &[Fault::Flip(content.len() / 2)]);
        let error = setup.pull("org/repo").unwrap_err();
        let mut bad = content.clone();
        bad[content.len() / 2] ^= 1;
        let Error::Corrupt { file: named, expected, found } = &error else { panic!("{error}") };
        assert_eq!(named, file);
        if file == WEIGHTS {
            assert_eq!(*expected, format!("sha256 {}", sha256(&content)));
            assert_eq!(*found, format!("sha256 {}", sha256(&bad)));
        }
        assert_ne!(expected, found);
        assert!(error.to_string().contains(file) && error.to_string().contains(found));
        assert!(setup.blobs().iter().all(|name| !name.ends_with(".incomplete")));
        assert!(setup.hub.resolve(&parse("org/repo")).is_err());
        setup.pull("org/repo").unwrap();
    }
}

#[test]
fn a_part_spoilt_by_a_crash_is_fetched_again() {
    let setup = Setup::new();
    fs::create_dir_all(setup.repo_dir().join("blobs")).unwrap();
    fs::write(part(&setup), vec![0; 4096]).unwrap();
    let path = setup.pull("org/repo").unwrap().path;
    assert_eq!(fs::read(path.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(starts(&setup), [4096, 0]);
}

#[test]
fn a_part_of_any_length_is_completed() {
    let all = weights();
    for len in [1, all.len() / 2, all.len() - 1, all.len(), all.len() + 1] {
        let setup = Setup::new();
        fs::create_dir_all(setup.repo_dir().join("blobs")).unwrap();
        let mut bytes = all.clone();
        bytes.resize(len, 7);
        fs::write(part(&setup), bytes).unwrap();
        let path = setup.pull("org/repo").unwrap().path;
        assert_eq!(fs::read(path.join(WEIGHTS)).unwrap(), all, "{len}");
        let expected: &[usize] = match len.cmp(&all.len()) {
            std::cmp::Ordering::Less => &[len],
            std::cmp::Ordering::Equal => &[],
            std::cmp::Ordering::Greater => &[0],
        };
        assert_eq!(starts(&setup), expected, "{len}");
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let all = weights().len();
    for announced in [0, 1, all - 1, all + 1] {
        let setup = Setup::new();
        setup.server.faults(WEIGHTS, &[Fault::Announce(announced)]);
        let error = setup.pull("org/repo").unwrap_err();
        let (want, got) = (all as u64, announced as u64);
        assert!(
            matches!(&error, Error::WrongLength { file, expected, found }
                if file == WEIGHTS && *expected == want && *found == got),
            "{error}"
        );
        assert!(!blob(&setup).exists());
    }
    let setup = Setup::new();
    setup.server.faults(WEIGHTS, &[Fault::TooLong]);
    let error = setup.pull("org/repo").unwrap_err();
    assert!(matches!(error, Error::WrongLength { .. }), "{error}");
    assert!(!blob(&setup).exists() && !part(&setup).exists());
}

#[test]
fn a_range_refused_starts_over() {
    let setup = Setup::new();
    setup.server.faults(WEIGHTS, &[Fault::Cut(1000), Fault::Status(416)]);
    setup.pull("org/repo").unwrap();
    assert_eq!(starts(&setup), [0, 1000, 0]);
}

#[test]
fn passing_statuses_are_retried_and_others_not() {
    for status in [429, 500, 503] {
        let setup = Setup::new();
        setup.server.faults(WEIGHTS, &[Fault::Status(status), Fault::Status(status)]);
        setup.pull("org/repo").unwrap();
        assert_eq!(starts(&setup).len(), 3);
    }
    for status in [400, 410] {
        let setup = Setup::new();
        setup.server.faults(WEIGHTS, &[Fault::Status(status)]);
        let error = setup.pull("org/repo").unwrap_err();
        assert!(matches!(error, Error::Status { status: s, .. } if s == status), "{error}");
    }
}

#[test]
fn missing_and_gated_repositories_are_told_apart() {
    let setup = Setup::new();
    setup.server.with(|s| s.listing_status = 404);
    let error = setup.pull("org/repo").unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    for (status, token) in [(401, None), (403, None), (403, Some(Token::new("hf_x")))] {
        let setup = Setup::with(|config| config.token = token.clone());
        setup.server.with(|s| s.listing_status = status);
        let error = setup.pull("org/repo").unwrap_err();
        let has = token.is_some();
        assert!(
            matches!(&error, Error::Forbidden { status: s, has_token, url }
                if *s == status && *has_token == has && url.ends_with("org/repo/revision/main")),
            "{error}"
        );
        let advice = if has { "the token sent" } else { "HF_TOKEN" };
        assert!(error.to_string().contains(advice), "{error}");
        assert!(!error.to_string().contains("hf_x"));
    }
}

#[test]
fn redirects_that_never_end_or_lead_elsewhere() {
    let setup = Setup::new();
    let itself = format!("{}/org/repo/resolve/main/{WEIGHTS}", setup.server.url);
    setup.server.faults(WEIGHTS, &vec![Fault::Redirect(itself); 50]);
    let error = setup.pull("org/repo").unwrap_err();
    assert!(matches!(error, Error::BadRedirect { .. }), "{error}");
    let setup = Setup::new();
    setup.server.faults(WEIGHTS, &[Fault::Redirect("file:///etc/passwd".to_owned())]);
    let error = setup.pull("org/repo").unwrap_err();
    assert!(error.to_string().contains("not an http or https address"), "{error}");
}

#[test]
fn nonsense_instead_of_a_listing() {
    let huge = format!("{{\"sha\": \"{}\"}}", "a".repeat(100_000));
    for text in ["", "<html>", "[]", "{}", "{\"sha\": 1}", "{\"sha\"", &huge] {
        let setup = Setup::new();
        setup.server.with(|s| s.raw_listing = Some(text.to_owned()));
        let error = setup.pull("org/repo").unwrap_err();
        assert!(matches!(error, Error::BadAnswer { .. }), "{text:.20}: {error}");
    }
}

#[test]
fn nobody_listens() {
    let setup = Setup::with(|config| config.endpoint = "http://127.0.0.1:9".to_owned());
    let error = setup.pull("org/repo").unwrap_err();
    assert!(matches!(&error, Error::Network { url, .. } if url.contains("127.0.0.1:9")), "{error}");
}

#[test]
fn a_name_that_does_not_resolve_is_not_tried_again() {
    let setup = Setup::with(|config| {
        // Reserved by RFC 2606 to never exist.
        config.endpoint = "http://hub.invalid".to_owned();
        config.timing.retry_delay = Duration::from_secs(60);
    });
    let error = setup.pull("org/repo").unwrap_err();
    assert!(matches!(&error, Error::Network { url, .. } if url.contains("hub.invalid")), "{error}");
}

#[test]
fn a_cache_that_cannot_be_made_is_named() {
    let setup = Setup::new();
    let file = setup.dir.path().join("file");
    fs::write(&file, "").unwrap();
    let mut config = setup.hub.config().clone();
    config.hf_cache = file.join("cache");
    let error = Hub::new(config).pull(&parse("org/repo"), &mut ()).unwrap_err();
    let Error::ReadOnlyCache { path, .. } = &error else { panic!("{error}") };
    assert!(path.starts_with(&file));
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn too_little_space_is_found_before_the_download() {
    let setup = Setup::with(|config| config.free_space = |_| Ok(1_000_000));
    let error = setup.pull("org/repo").unwrap_err();
    let least = weights().len() as u64;
    assert!(
        matches!(error, Error::NoSpace { needed, available: 1_000_000, .. } if needed > least),
        "{error}"
    );
    assert!(starts(&setup).is_empty());
    let setup = Setup::with(|config| config.free_space = |_| Err(io::Error::other("no answer")));
    assert!(matches!(setup.pull("org/repo"), Err(Error::Io { .. })));
}

/// `/dev/full` answers every write as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_the_pull_can_be_repeated() {
    let setup = Setup::new();
    fs::create_dir_all(setup.repo_dir().join("blobs")).unwrap();
    std::os::unix::fs::symlink("/dev/full", part(&setup)).unwrap();
    let error = setup.pull("org/repo").unwrap_err();
    assert!(matches!(&error, Error::DiskFull { path } if *path == part(&setup)), "{error}");
    assert!(!blob(&setup).exists());
    fs::remove_file(part(&setup)).unwrap();
    // As if the disk had taken some bytes before it was full.
    fs::write(part(&setup), &weights()[..123_457]).unwrap();
    setup.pull("org/repo").unwrap();
    assert_eq!(starts(&setup).last(), Some(&123_457));
}
