//! File names of a hostile hub: none is created, inside the cache or outside.

use std::path::Path;

use russet_hub::Error;

use crate::fake_hub::COMMIT;
use crate::setup::Setup;

/// Each ends in an extension that the allow-list of a model directory takes.
const HOSTILE: &[&str] = &[
    "../x.json",
    "../../x.json",
    "../../../../../../../../../../x.json",
    "a/../x.json",
    "a/../../x.json",
    "a/./x.json",
    "./x.json",
    "/x.json",
    "/etc/x.json",
    "//x.json",
    "a//x.json",
    "a/b/../../../x.json",
    "..\\x.json",
    "..\\..\\x.json",
    "a\\x.json",
    "\\\\host\\share\\x.json",
    "C:\\x.json",
    "C:x.json",
    "C:/x.json",
    "x.json:stream.json",
    "x\0.json",
    "\0/x.json",
    "x\n.json",
    "x\r\n.json",
    "x\t.json",
    "\u{1b}[2Jx.json",
    "%2e%2e/x.json",
    "%2e%2e%2fx.json",
    "..%2fx.json",
    "..%5cx.json",
    "a/%00.json",
    "\u{ff0e}\u{ff0e}/x.json",
    "\u{2025}/x.json",
    "\u{2024}\u{2024}/x.json",
    "..\u{2215}x.json",
    "..\u{ff0f}x.json",
    "a/ /x.json",
    ".. /x.json",
    " ../x.json",
    ".../x.json",
    "x./y.json",
    "CON.json",
    "a/nul.json",
    "com1.txt",
    "a/b/c/d/e/f/g/h/x.json",
    "x\u{202e}.json",
    "x*.json",
    "x?.json",
    "<x>.json",
    "x|y.json",
];

#[test]
fn hostile_names_are_refused() {
    let long = format!("{}.json", "x".repeat(300));
    for name in HOSTILE.iter().copied().chain([long.as_str()]) {
        let setup = Setup::new();
        setup.server.with(|s| s.files.insert(name.to_owned(), b"{}".to_vec()));
        let error = setup.pull("org/repo").unwrap_err();
        assert!(
            matches!(&error, Error::UnsafeFileName { name: n } if n == name),
            "{name}: {error}"
        );
        assert_eq!(files_below(setup.dir.path()), 0, "{name:?} left something behind");
    }
}

#[test]
fn hostile_gguf_names_are_refused() {
    for name in ["../x-Q2_K.gguf", "/x-Q2_K.gguf", "a\\..\\x-Q2_K.gguf"] {
        let setup = Setup::new();
        setup.server.with(|s| s.files.insert(name.to_owned(), b"GGUF".to_vec()));
        let error = setup.pull("org/repo:Q2_K").unwrap_err();
        assert!(matches!(error, Error::UnsafeFileName { .. }), "{error}");
        assert_eq!(files_below(setup.dir.path()), 0);
    }
}

#[test]
fn unusual_but_plain_names_are_taken() {
    let setup = Setup::new();
    let names = ["a b.json", ".hidden.json", "x+y=z (1).json", "é/模型.json", "a/..b/c.json"];
    setup.server.with(|s| {
        s.files.extend(names.map(|name| (name.to_owned(), name.as_bytes().to_vec())));
    });
    let located = setup.pull("org/repo").unwrap();
    for name in names {
        assert_eq!(std::fs::read(located.path.join(name)).unwrap(), name.as_bytes());
    }
}

#[test]
fn hostile_commits_and_digests_are_refused() {
    let siblings = r#"[{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}]"#;
    for sha in ["../../x", "", "abc", &"G".repeat(40), &"a".repeat(41)] {
        let setup = Setup::new();
        let listing = format!(r#"{{"sha": "{sha}", "siblings": {siblings}}}"#);
        setup.server.with(|s| s.raw_listing = Some(listing));
        let error = setup.pull("org/repo").unwrap_err();
        assert!(matches!(error, Error::BadAnswer { .. }), "{error}");
    }
    let setup = Setup::new();
    let listing = format!(
        r#"{{"sha": "{COMMIT}", "siblings": [{{"rfilename": "x.gguf", "size": 1,
            "lfs": {{"sha256": "../../../../x", "size": 1}}}}]}}"#
    );
    setup.server.with(|s| s.raw_listing = Some(listing));
    // The digest is unusable, so the file's own headers are asked, and there is no such file.
    let error = setup.pull("org/repo").unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert_eq!(files_below(setup.dir.path()), 0);
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => files_below(&entry.path()),
            false => 1,
        })
        .sum()
}
