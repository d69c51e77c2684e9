//! Phrases that belong to one part of the tree only, which keeps each concern in one place.

use super::rust_file::RustFile;
use super::{Violation, Workspace};

const ARCHITECTURES: [&str; 2] = ["crates/decoder/src/arch.rs", "crates/decoder/src/arch/"];

/// A model's type named outside the architecture files: the forward pass works from facts.
pub(super) fn check_model_type(workspace: &Workspace) -> Vec<Violation> {
    let watched = |file: &&RustFile| {
        ["decoder", "engine", "server", "device-cpu"].contains(&file.crate_folder())
            && !ARCHITECTURES.iter().any(|allowed| file.path.starts_with(allowed))
    };
    let mut violations = Vec::new();
    for file in workspace.rust.iter().filter(watched) {
        let named = file.tokens.iter().filter(|token| token.text.contains("model_type"));
        for token in named.filter(|token| !file.is_test(token.line)) {
            let message = "`model_type` is only for crates/decoder/src/arch".to_owned();
            violations.push(Violation::new(&file.path, token.line, message));
        }
    }
    violations
}

/// Cargo features tested outside the devices and the command line.
pub(super) fn check_features(workspace: &Workspace) -> Vec<Violation> {
    let may = |file: &RustFile| {
        file.crate_folder().starts_with("device-") || file.crate_folder() == "cli"
    };
    let mut violations = Vec::new();
    for file in workspace.rust.iter().filter(|file| !may(file)) {
        // Only inside a `cfg` does `feature =` follow a parenthesis or a comma.
        let tests = [["(", "feature", "="], [",", "feature", "="]];
        for line in tests.iter().flat_map(|wanted| file.lines_with(wanted)) {
            let message = "`cfg(feature)` is only for the device crates and cli".to_owned();
            violations.push(Violation::new(&file.path, line, message));
        }
    }
    violations
}

/// The environment read outside the settings.
pub(super) fn check_environment(workspace: &Workspace) -> Vec<Violation> {
    let may = |file: &RustFile| {
        file.path == "crates/cli/src/settings.rs"
            || file.path.starts_with("xtask/")
            || file.path.ends_with("/build.rs")
    };
    let mut violations = Vec::new();
    for file in workspace.rust.iter().filter(|file| !may(file)) {
        for line in environment_reads(file).filter(|line| !file.is_test(*line)) {
            let message = "the environment is read only in crates/cli/src/settings.rs".to_owned();
            violations.push(Violation::new(&file.path, line, message));
        }
    }
    violations
}

/// HTTP status codes outside the server.
pub(super) fn check_status_codes(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in workspace.rust.iter().filter(|file| file.crate_folder() != "server") {
        for line in file.lines_with(&["StatusCode"]).filter(|line| !file.is_test(*line)) {
            let message = "`StatusCode` is only for crates/server".to_owned();
            violations.push(Violation::new(&file.path, line, message));
        }
    }
    violations
}

/// `env::var` and its like, also when imported with `use std::env::{..}`.
fn environment_reads(file: &RustFile) -> impl Iterator<Item = usize> + '_ {
    const READS: &[&str] = &["var", "var_os", "vars", "vars_os"];
    let path = |at: usize| file.tokens[at..at + 3].iter().map(|token| token.text.as_str());
    let after_path = (3..file.tokens.len()).filter(move |&at| path(at - 3).eq(["env", ":", ":"]));
    after_path.filter_map(|at| {
        let end = if file.tokens[at].text == "{" { file.closing(at)? } else { at };
        let named = &file.tokens[at..=end];
        named.iter().any(|token| READS.contains(&&*token.text)).then(|| file.tokens[at].line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: fn(&Workspace) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
        let violations = rule(&Workspace::planted(&[(path, text)]));
        violations.into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn model_types_stay_in_the_architecture_files() {
        let text = "/// model_type\nfn f(c: &C) {\n    c.get(\"model_type\");\n}\n";
        assert_eq!(found(check_model_type, "crates/decoder/src/forward.rs", text), [3]);
        assert_eq!(found(check_model_type, "crates/device-cpu/src/lib.rs", text), [3]);
        assert!(found(check_model_type, "crates/decoder/src/arch/llama.rs", text).is_empty());
        assert!(found(check_model_type, "crates/decoder/src/arch.rs", text).is_empty());
        assert_eq!(found(check_model_type, "crates/decoder/src/architect.rs", text), [3]);
        assert!(found(check_model_type, "crates/decoder/tests/golden.rs", text).is_empty());
        let tested = format!("#[cfg(test)]\nmod tests {{\n{text}}}\n");
        assert!(found(check_model_type, "crates/engine/src/run.rs", &tested).is_empty());
    }

    #[test]
    fn features_stay_in_devices_and_cli() {
        let text =
            "#[cfg(feature = \"mlx\")]\nfn f() {}\n#[cfg(any(unix, feature = \"x\"))]\nfn g() {}";
        assert_eq!(found(check_features, "crates/engine/src/run.rs", text), [1, 3]);
        assert!(found(check_features, "crates/device-mlx/src/lib.rs", text).is_empty());
        assert!(found(check_features, "crates/cli/src/main.rs", text).is_empty());
        let other = "#[target_feature(enable = \"avx2\")]\nfn f() { let feature = \"x\"; }";
        assert!(found(check_features, "crates/engine/src/run.rs", other).is_empty());
    }

    #[test]
    fn the_environment_is_read_in_the_settings() {
        let text = "fn f() {\n    std::env::var(\"A\");\n}\nuse std::env::{args, var_os};\n";
        assert_eq!(found(check_environment, "crates/engine/src/run.rs", text), [2, 4]);
        assert!(found(check_environment, "crates/cli/src/settings.rs", text).is_empty());
        assert!(found(check_environment, "crates/hub/build.rs", text).is_empty());
        assert!(found(check_environment, "crates/hub/tests/cache.rs", text).is_empty());
        let other = "fn f() { std::env::args(); env!(\"CARGO_MANIFEST_DIR\"); }";
        assert!(found(check_environment, "crates/engine/src/run.rs", other).is_empty());
    }

    #[test]
    fn status_codes_stay_in_the_server() {
        let text = "use axum::http::StatusCode;\n";
        assert_eq!(found(check_status_codes, "crates/engine/src/run.rs", text), [1]);
        assert_eq!(found(check_status_codes, "crates/cli/src/main.rs", text), [1]);
        assert!(found(check_status_codes, "crates/server/src/error.rs", text).is_empty());
    }
}
