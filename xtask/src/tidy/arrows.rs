//! Which crate may depend on which: the one table, compared with `cargo metadata`.

use serde_json::Value;

use super::{Violation, Workspace};

/// What one crate may use of the workspace.
struct Row {
    package: &'static str,
    may_use: &'static [&'static str],
    /// Further crates that only its tests, benches and examples may use.
    tests_may_use: &'static [&'static str],
}

const fn row(package: &'static str, may_use: &'static [&'static str]) -> Row {
    Row { package, may_use, tests_may_use: &[] }
}

const TABLE: &[Row] = &[
    row("russet-tensor", &[]),
    row("russet-tokenizer", &[]),
    row("russet-protocol", &[]),
    row("russet-hub", &[]),
    row("russet-kernels", &["russet-tensor"]),
    row("russet-weights", &["russet-tensor"]),
    Row {
        package: "russet-decoder",
        may_use: &["russet-weights", "russet-tensor"],
        tests_may_use: &["russet-device-cpu", "russet-tokenizer"],
    },
    row(
        "russet-device-cpu",
        &["russet-decoder", "russet-weights", "russet-kernels", "russet-tensor"],
    ),
    Row {
        package: "russet-engine",
        // Sampling reads whole vocabularies with the CPU's kernels, whatever the device is.
        may_use: &["russet-decoder", "russet-kernels", "russet-tensor"],
        tests_may_use: &["russet-device-cpu", "russet-weights", "russet-tokenizer"],
    },
    row("russet-backends", &["russet-weights"]),
    row("russet-bench", &["russet-decoder", "russet-kernels"]),
    Row {
        package: "russet-server",
        may_use: &["russet-protocol", "russet-tokenizer", "russet-engine", "russet-backends"],
        tests_may_use: &["russet-decoder"],
    },
    // The command line names the kernels to choose an ISA.
    row(
        "russet",
        &[
            "russet-server",
            "russet-engine",
            "russet-backends",
            "russet-hub",
            "russet-bench",
            "russet-device-cpu",
            "russet-decoder",
            "russet-weights",
            "russet-tokenizer",
            "russet-kernels",
            "russet-protocol",
        ],
    ),
    // It writes and checks model files.
    row("xtask", &["russet-weights", "russet-tensor"]),
];

/// Dependencies between workspace crates that the table does not have.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    compare(TABLE, workspace)
}

fn compare(table: &[Row], workspace: &Workspace) -> Vec<Violation> {
    let packages = list(&workspace.metadata["packages"]);
    let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut violations = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = manifest(workspace, package);
        let Some(row) = table.iter().find(|row| row.package == name) else {
            let message = format!("`{name}` has no row in xtask/src/tidy/arrows.rs");
            violations.push(Violation::new(&manifest, 1, message));
            continue;
        };
        let used = list(&package["dependencies"]).iter();
        for dependency in used.filter(|d| names.iter().any(|n| d["name"] == **n)) {
            violations.extend(check_dependency(row, dependency, &manifest, workspace));
        }
    }
    let stale = table.iter().filter(|row| !names.contains(&row.package));
    violations.extend(stale.map(|row| {
        let message = format!("the table of arrows has a row for `{}`, which is gone", row.package);
        Violation::new("xtask/src/tidy/arrows.rs", 1, message)
    }));
    violations
}

fn check_dependency(
    row: &Row,
    dependency: &Value,
    manifest: &str,
    workspace: &Workspace,
) -> Option<Violation> {
    let name = dependency["name"].as_str()?;
    let for_tests = dependency["kind"] == "dev";
    let allowed = row.may_use.contains(&name) || for_tests && row.tests_may_use.contains(&name);
    if allowed {
        return None;
    }
    let accepted = match (for_tests, row.may_use, row.tests_may_use) {
        (_, [], []) => "no crate of the workspace".to_owned(),
        (true, always, tests) => [always, tests].concat().join(", "),
        (false, always, _) => always.join(", "),
    };
    let text = workspace.file(manifest).map_or("", |file| &file.text);
    let line = text.lines().position(|l| l.trim_start().starts_with(name)).map_or(1, |n| n + 1);
    let whose = if for_tests { "tests of " } else { "" };
    let message = format!("{whose}`{}` may not use `{name}`, only: {accepted}", row.package);
    Some(Violation::new(manifest, line, message))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn manifest(workspace: &Workspace, package: &Value) -> String {
    let path = package["manifest_path"].as_str().unwrap_or("Cargo.toml").replace('\\', "/");
    let root = workspace.metadata["workspace_root"].as_str().unwrap_or_default();
    let root = root.replace('\\', "/");
    path.strip_prefix(&root).unwrap_or(&path).trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SAMPLE: &[Row] = &[
        row("a", &[]),
        row("b", &["a"]),
        Row { package: "c", may_use: &[], tests_may_use: &["a"] },
    ];

    /// A workspace of `a`, `b` and `c` where one of them has one dependency.
    fn with(user: &str, used: &str, kind: Value) -> Vec<Violation> {
        let package = |name: &str| {
            let dependencies =
                if name == user { json!([{"name": used, "kind": kind}]) } else { json!([]) };
            let manifest_path = format!("/r/crates/{name}/Cargo.toml");
            json!({"name": name, "manifest_path": manifest_path, "dependencies": dependencies})
        };
        let text = "[dependencies]\nserde = \"1\"\nc.workspace = true\n";
        let mut workspace = Workspace::planted(&[("crates/b/Cargo.toml", text)]);
        let packages = ["a", "b", "c"].map(package);
        workspace.metadata = json!({"workspace_root": "/r", "packages": packages});
        compare(SAMPLE, &workspace)
    }

    #[test]
    fn arrows_of_the_table_pass() {
        assert!(with("b", "a", json!(null)).is_empty());
        assert!(with("b", "a", json!("dev")).is_empty());
        assert!(with("c", "a", json!("dev")).is_empty());
        assert!(with("b", "serde", json!(null)).is_empty());
    }

    #[test]
    fn other_arrows_fail_at_their_line() {
        let found = with("b", "c", json!(null));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("crates/b/Cargo.toml", 3));
        assert_eq!(with("c", "a", json!(null)).len(), 1);
        assert_eq!(with("c", "a", json!("build")).len(), 1);
        assert_eq!(with("a", "c", json!("dev")).len(), 1);
    }

    #[test]
    fn new_and_vanished_crates_fail() {
        let mut workspace = Workspace::planted(&[]);
        let new = json!({"name": "d", "manifest_path": "/r/d/Cargo.toml", "dependencies": []});
        workspace.metadata = json!({"workspace_root": "/r", "packages": [new]});
        assert_eq!(compare(SAMPLE, &workspace).len(), 1 + SAMPLE.len());
    }

    #[test]
    fn every_arrow_leads_to_a_crate_of_the_table() {
        let known = |name: &&str| TABLE.iter().any(|row| row.package == *name);
        for row in TABLE {
            assert!(row.may_use.iter().chain(row.tests_may_use).all(known), "{}", row.package);
        }
    }
}
