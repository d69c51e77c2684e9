//! Model references: every accepted form and what is said about others.

use std::fs;

use russet_hub::{Error, ModelRef, RefProblem};
use tempfile::TempDir;

#[test]
fn repositories_and_back() {
    for text in ["org/repo", "org/repo@v1.0", "org/repo:Q4_K_M", "a.b/c-d_e@refs/pr/1:q8_0"] {
        let model: ModelRef = text.parse().unwrap();
        assert_eq!(model.to_string(), text);
    }
    let ModelRef::Repo(repo) = "org/repo@dev:Q8_0".parse().unwrap() else { panic!("a repository") };
    assert_eq!((repo.repo.as_str(), repo.revision()), ("org/repo", "dev"));
    assert_eq!(repo.quant.as_deref(), Some("Q8_0"));
    let ModelRef::Repo(repo) = "org/repo".parse().unwrap() else { panic!("a repository") };
    assert_eq!((repo.revision(), repo.quant.as_deref()), ("main", None));
    assert_eq!("starter".parse::<ModelRef>().unwrap(), ModelRef::Starter);
}

#[test]
fn paths() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for name in ["x.gguf", "X.SAFETENSORS", "notes.txt"] {
        fs::write(at(name), "").unwrap();
    }
    let folder: ModelRef = at("").parse().unwrap();
    assert_eq!(folder, ModelRef::Dir(at("").into()));
    for name in ["x.gguf", "X.SAFETENSORS", "notes.txt"] {
        assert_eq!(at(name).parse::<ModelRef>().unwrap(), ModelRef::File(at(name).into()));
    }
}

#[test]
fn a_missing_path_is_called_missing() {
    for text in ["./missing", "../missing", "/no/such", "~/models", "a\\b", "x.gguf", "d/x.GGUF"] {
        let error = text.parse::<ModelRef>().unwrap_err();
        assert_eq!(error.to_string(), format!("{text} does not exist"));
    }
}

#[test]
fn anything_else_says_what_is_accepted() {
    let cases = [
        ("", RefProblem::Empty),
        ("llama", RefProblem::NoSlash),
        ("llama:Q4_0", RefProblem::NoSlash),
        ("a/b/c", RefProblem::Repo),
        ("https://hub.example/a/b", RefProblem::NoSlash),
        ("a/b..c", RefProblem::Repo),
        ("a/b c", RefProblem::Repo),
        ("a/", RefProblem::Repo),
        ("a/b@", RefProblem::Revision),
        ("a/b@../x", RefProblem::Revision),
        ("a/b@x//y", RefProblem::Revision),
        ("a/b@x y", RefProblem::Revision),
        ("a/b:", RefProblem::Quant),
        ("a/b:Q4/K", RefProblem::Quant),
        ("a/b:Q4:K", RefProblem::Quant),
    ];
    for (text, expected) in cases {
        let error = text.parse::<ModelRef>().unwrap_err();
        assert!(
            matches!(&error, Error::BadRef { found, problem }
                if found == text && *problem == expected),
            "{text}: {error}"
        );
        assert!(error.to_string().contains("accepted: `starter`, a directory"), "{error}");
    }
}
