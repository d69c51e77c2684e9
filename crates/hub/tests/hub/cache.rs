//! Caches as other tools leave them: found, listed, removed.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use russet_hub::{Error, Format, Hub, HubConfig, ModelRef};
use tempfile::TempDir;

use crate::fake_hub::{COMMIT, sha256};
use crate::setup::{GGUF, Setup, WEIGHTS, parse};

const OLD: &str = "00000000000000000000000000000000000000aa";

/// Writes files into a snapshot in Hugging Face's layout, by other code than the crate's.
fn put(cache: &Path, repo: &str, commit: &str, files: &[(&str, &[u8])]) {
    let root = cache.join(format!("models--{}", repo.replace('/', "--")));
    for (name, content) in files {
        let blob = root.join("blobs").join(sha256(content));
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(&blob, content).unwrap();
        let link = root.join("snapshots").join(commit).join(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(Path::new("../../blobs").join(sha256(content)), link).unwrap();
        #[cfg(not(unix))]
        fs::copy(blob, link).unwrap();
    }
}

fn set_main(cache: &Path, repo: &str, commit: &str) {
    let refs = cache.join(format!("models--{}", repo.replace('/', "--"))).join("refs");
    fs::create_dir_all(&refs).unwrap();
    fs::write(refs.join("main"), commit).unwrap();
}

fn empty() -> (TempDir, Hub) {
    let dir = TempDir::new().unwrap();
    let config = HubConfig::new(dir.path().join("russet"), dir.path().join("hf"));
    (dir, Hub::new(config))
}

/// Two commits that share their weights, the newer one as `main`, and two other repositories.
fn filled() -> (TempDir, Hub) {
    let (dir, hub) = empty();
    let cache = hub.config().hf_cache.clone();
    let shared: &[u8] = b"weights";
    put(&cache, "org/repo", OLD, &[("config.json", b"{}"), (WEIGHTS, shared)]);
    let mlx = br#"{"quantization": {"group_size": 64, "bits": 4}}"#;
    put(&cache, "org/repo", COMMIT, &[("config.json", mlx), (WEIGHTS, shared)]);
    set_main(&cache, "org/repo", COMMIT);
    put(&cache, "a/gguf", COMMIT, &[("x-Q4_0.gguf", b"GGUF4"), ("x-Q8_0.gguf", b"GGUF88")]);
    set_main(&cache, "a/gguf", COMMIT);
    fs::create_dir_all(cache.join("datasets--a--b/snapshots").join(COMMIT)).unwrap();
    fs::create_dir_all(cache.join(".locks")).unwrap();
    (dir, hub)
}

#[test]
fn finds_by_ref_commit_and_digits() {
    let (_dir, hub) = filled();
    let commit = |model: &str| hub.resolve(&parse(model)).unwrap().commit.unwrap();
    assert_eq!(commit("org/repo"), COMMIT);
    assert_eq!(commit("org/repo@main"), COMMIT);
    assert_eq!(commit(&format!("org/repo@{OLD}")), OLD);
    assert_eq!(commit(&format!("org/repo@{}", &OLD[..7])), OLD);
    for missing in ["org/repo@dev", "org/repo@000000", "org/other", "org/repo:Q4_0"] {
        let error = hub.resolve(&parse(missing)).unwrap_err();
        assert!(matches!(error, Error::NotCached { .. }), "{missing}: {error}");
        assert!(error.to_string().contains(&format!("russet pull {missing}")), "{error}");
    }
    assert_eq!(hub.resolve(&parse("a/gguf:q8_0")).unwrap().format, Format::Gguf);
    let error = hub.resolve(&parse("a/gguf")).unwrap_err();
    assert!(matches!(error, Error::AmbiguousQuant { .. }), "{error}");
}

#[test]
fn a_ref_that_is_no_commit_leads_nowhere() {
    let (dir, hub) = filled();
    for bad in ["", "../../../..", "abc", &"Z".repeat(40)] {
        set_main(&dir.path().join("hf"), "org/repo", bad);
        let error = hub.resolve(&parse("org/repo")).unwrap_err();
        assert!(matches!(error, Error::NotCached { .. }), "{error}");
    }
}

#[test]
fn incomplete_snapshots_are_not_taken_for_models() {
    let (dir, hub) = empty();
    let cache = dir.path().join("hf");
    set_main(&cache, "org/repo", COMMIT);
    put(&cache, "org/repo", COMMIT, &[("config.json", b"{}"), ("tokenizer.json", b"[]")]);
    let error = hub.resolve(&parse("org/repo")).unwrap_err();
    assert!(matches!(error, Error::Incomplete { .. }), "{error}");
    let index = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    let files: [(&str, &[u8]); 2] =
        [("model-1.safetensors", b"1"), ("model.safetensors.index.json", index)];
    put(&cache, "org/repo", COMMIT, &files);
    let error = hub.resolve(&parse("org/repo")).unwrap_err();
    assert!(
        matches!(&error, Error::Incomplete { missing, .. } if missing == "model-2.safetensors"),
        "{error}"
    );
    put(&cache, "org/repo", COMMIT, &[("model-2.safetensors", b"2")]);
    assert!(hub.resolve(&parse("org/repo")).is_ok());
    // A link whose content is gone is a missing file.
    let blob = cache.join("models--org--repo/blobs").join(sha256(b"2"));
    if cfg!(unix) {
        fs::remove_file(blob).unwrap();
        assert!(matches!(hub.resolve(&parse("org/repo")), Err(Error::Incomplete { .. })));
    }
}

#[test]
fn directories_and_files_are_found_where_they_are() {
    let dir = TempDir::new().unwrap();
    let (_home, hub) = empty();
    let path = dir.path().to_owned();
    let error = hub.resolve(&ModelRef::Dir(path.clone())).unwrap_err();
    assert!(matches!(error, Error::NoWeights { .. }), "{error}");
    fs::write(path.join("x.gguf"), "GGUF").unwrap();
    let located = hub.resolve(&ModelRef::Dir(path.clone())).unwrap();
    assert_eq!((located.path, located.format), (path.join("x.gguf"), Format::Gguf));
    fs::write(path.join("config.json"), "{}").unwrap();
    let header = br#"{"__metadata__": {"format": "mlx"}}"#;
    let weights = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    fs::write(path.join("model.safetensors"), weights).unwrap();
    let located = hub.resolve(&ModelRef::Dir(path.clone())).unwrap();
    assert_eq!((located.path, located.format), (path.clone(), Format::Mlx));
    let file = ModelRef::File(path.join("x.gguf"));
    assert_eq!(hub.resolve(&file).unwrap().format, Format::Gguf);
    let error = hub.remove(&file).unwrap_err();
    assert!(matches!(error, Error::NotOurs { .. }), "{error}");
}

#[test]
fn any_file_of_a_folder_stands_for_its_model() {
    let dir = TempDir::new().unwrap();
    let (_home, hub) = empty();
    let at = |name: &str| dir.path().join(name);
    for (name, text) in [("config.json", "{}"), ("notes.txt", "x"), ("weights.bin", "GGUF\x03")] {
        fs::write(at(name), text).unwrap();
    }
    let find = |name: &str| hub.resolve(&ModelRef::File(at(name)));
    // By its first bytes, whatever its name.
    assert_eq!(find("weights.bin").unwrap().path, at("weights.bin"));
    assert_eq!(find("weights.bin").unwrap().format, Format::Gguf);
    let error = find("config.json").unwrap_err().to_string();
    assert!(error.contains("it begins with \"{}\"") && error.contains("notes.txt"), "{error}");
    fs::write(at("model.safetensors"), "").unwrap();
    for name in ["config.json", "model.safetensors", "notes.txt"] {
        assert_eq!(find(name).unwrap().path, dir.path());
    }
    fs::remove_file(at("model.safetensors")).unwrap();
    fs::write(at("a.gguf"), "GGUF").unwrap();
    let error = find("notes.txt").unwrap_err().to_string();
    assert!(error.contains("a.gguf"), "a file beside a GGUF is not a part of it: {error}");
}

/// As `hf download` leaves it when it is interrupted: the command line then pulls the rest.
#[test]
fn a_split_gguf_without_all_its_files_is_incomplete() {
    let (dir, hub) = empty();
    let cache = dir.path().join("hf");
    set_main(&cache, "a/gguf", COMMIT);
    put(&cache, "a/gguf", COMMIT, &[("x-Q8_0-00001-of-00002.gguf", b"GGUF")]);
    let error = hub.resolve(&parse("a/gguf:Q8_0")).unwrap_err();
    assert!(matches!(error, Error::Incomplete { .. }), "{error}");
    assert!(error.to_string().contains("1 of 2"), "{error}");
}

#[test]
fn a_folder_of_the_users_is_told_what_it_lacks() {
    let dir = TempDir::new().unwrap();
    let (_home, hub) = empty();
    let path = dir.path().to_owned();
    let message = || hub.resolve(&ModelRef::Dir(path.clone())).unwrap_err().to_string();
    fs::create_dir(path.join("below")).unwrap();
    fs::write(path.join("below/z.gguf"), "GGUF").unwrap();
    assert!(message().ends_with("it holds: none"), "{}", message());
    for name in ["x.gguf", "y.gguf"] {
        fs::write(path.join(name), "GGUF").unwrap();
    }
    assert!(message().ends_with("name one of them: x.gguf, y.gguf"), "{}", message());
    fs::write(path.join("config.json"), "{}").unwrap();
    fs::write(path.join("model-1.safetensors"), "").unwrap();
    let index = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    fs::write(path.join("model.safetensors.index.json"), index).unwrap();
    assert!(message().contains("lacks model-2.safetensors"), "{}", message());
    assert!(!message().contains("russet pull"), "{}", message());
}

#[test]
fn a_cache_that_cannot_be_read_is_not_an_empty_one() {
    let (dir, hub) = empty();
    fs::write(dir.path().join("hf"), "a file").unwrap();
    assert!(matches!(hub.list(), Err(Error::Io { .. })));
}

#[test]
fn removing_what_is_not_there_makes_nothing() {
    let (dir, hub) = empty();
    let error = hub.remove(&ModelRef::Starter).unwrap_err();
    assert!(matches!(error, Error::NotCached { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn lists_models_only() {
    let (_dir, hub) = filled();
    let listed = hub.list().unwrap();
    let rows: Vec<_> = listed.iter().map(|m| (m.name.as_str(), m.bytes, m.format)).collect();
    let old = format!("org/repo@{OLD}");
    let mlx_bytes = br#"{"quantization": {"group_size": 64, "bits": 4}}"#.len() as u64 + 7;
    let expected = [
        ("a/gguf", 11, Format::Gguf),
        ("org/repo", mlx_bytes, Format::Mlx),
        (old.as_str(), 9, Format::HuggingFace),
    ];
    assert_eq!(rows, expected);
    for model in &listed {
        assert!(model.modified > SystemTime::UNIX_EPOCH && model.path.is_dir());
        assert!(model.name.parse::<ModelRef>().is_ok());
    }
    assert_eq!(empty().1.list().unwrap(), []);
}

#[cfg(unix)]
#[test]
fn removing_a_commit_keeps_what_another_uses() {
    let (dir, hub) = filled();
    let freed = hub.remove(&parse(&format!("org/repo@{OLD}"))).unwrap();
    assert_eq!(freed, 2, "only config.json is not shared");
    assert!(hub.resolve(&parse("org/repo")).is_ok());
    let freed = hub.remove(&parse("org/repo@main")).unwrap();
    assert_eq!(freed, 47 + 7 + 40, "config.json, the weights and refs/main");
    let root = dir.path().join("hf/models--org--repo");
    assert_eq!(fs::read_dir(root.join("blobs")).unwrap().count(), 0);
    assert!(matches!(hub.resolve(&parse("org/repo")), Err(Error::NotCached { .. })));
}

#[cfg(unix)]
#[test]
fn removing_a_quant_or_a_repository() {
    let (dir, hub) = filled();
    assert_eq!(hub.remove(&parse("a/gguf:Q4_0")).unwrap(), 5);
    assert!(hub.resolve(&parse("a/gguf:Q8_0")).is_ok());
    let partial = dir.path().join("hf/models--a--gguf/blobs/abc.incomplete");
    fs::write(&partial, [0; 100]).unwrap();
    assert_eq!(hub.remove(&parse("a/gguf")).unwrap(), 6 + 100 + 40);
    assert!(!dir.path().join("hf/models--a--gguf").exists());
    let error = hub.remove(&parse("a/gguf")).unwrap_err();
    assert!(matches!(error, Error::NotCached { .. }), "{error}");
    assert!(hub.resolve(&parse("org/repo")).is_ok(), "others stay");
}

/// Hugging Face's newer tools share contents between repositories: a blob is then a link itself.
#[cfg(unix)]
#[test]
fn removal_does_not_follow_links_out_of_the_repository() {
    let (dir, hub) = filled();
    let shared = dir.path().join("shared");
    fs::write(&shared, "precious").unwrap();
    let root = dir.path().join("hf/models--org--repo");
    let blob = root.join("blobs").join(sha256(b"weights"));
    fs::remove_file(&blob).unwrap();
    std::os::unix::fs::symlink(&shared, &blob).unwrap();
    std::os::unix::fs::symlink(dir.path(), root.join("snapshots").join(COMMIT).join("up")).unwrap();
    hub.remove(&parse(&format!("org/repo@{COMMIT}"))).unwrap();
    hub.remove(&parse("org/repo")).unwrap();
    assert_eq!(fs::read_to_string(shared).unwrap(), "precious");
}

#[test]
fn nothing_is_removed_under_a_running_download() {
    let setup = Setup::new();
    setup.pull("org/repo:Q4_K_M").unwrap();
    let locks = setup.hub.config().hf_cache.join(".locks/models--org--repo");
    let lock = fs::read_dir(locks).unwrap().next().unwrap().unwrap().path();
    let held = fs::File::options().write(true).open(lock).unwrap();
    held.lock().unwrap();
    let error = setup.hub.remove(&parse("org/repo")).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    drop(held);
    assert!(setup.hub.remove(&parse("org/repo")).unwrap() >= 500_000);
    assert!(!setup.repo_dir().join("snapshots").join(COMMIT).join(GGUF).exists());
}
