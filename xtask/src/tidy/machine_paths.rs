//! Paths of one machine and hosts of package registries, which mean nothing to anybody else.

use super::{Violation, Workspace};

/// Split, so that this file does not break its own rule.
const FOLDERS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/fa", "rm/")];
const HOSTS: &[&str] = &[
    concat!("index.cra", "tes.io"),
    concat!("static.cra", "tes.io"),
    concat!("py", "pi.org"),
    concat!("pythonho", "sted.org"),
    concat!("registry.np", "mjs.org"),
    concat!("artif", "actory"),
];

/// Machine paths and registry hosts in any text file.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in &workspace.files {
        for (index, line) in file.text.lines().enumerate() {
            let folders = FOLDERS.iter().filter(|folder| contains_path(line, folder));
            for needle in folders.chain(HOSTS.iter().filter(|host| line.contains(**host))) {
                let message = format!("`{needle}` is a fact of one machine");
                violations.push(Violation::new(&file.path, index + 1, message));
            }
        }
    }
    violations
}

/// Whether an absolute path starts with `folder`: `a/folder/` and `../folder/` are relative.
fn contains_path(line: &str, folder: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || "._-~}*".contains(c);
    let mut starts = line.match_indices(folder).map(|(at, _)| line[..at].chars().next_back());
    starts.any(|before| !before.is_some_and(continues))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        check(&Workspace::planted(&[("docs/a.md", text)])).len()
    }

    #[test]
    fn absolute_paths_fail() {
        for folder in FOLDERS {
            assert_eq!(count(&format!("see {folder}x\nand \"{folder}y\"")), 2, "{folder}");
            assert_eq!(count(&format!("file://{folder}x")), 1);
            assert_eq!(count(&format!("see ..{folder}x, target{folder}y")), 0);
        }
    }

    #[test]
    fn registry_hosts_fail() {
        for host in HOSTS {
            assert_eq!(count(&format!("from https://{host}/x")), 1, "{host}");
        }
        assert_eq!(count("registry+https://github.com/rust-lang/crates.io-index"), 0);
    }
}
