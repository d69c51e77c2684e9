//! Where `unsafe` may stand, and that every other crate forbids it.

use super::rust_file::RustFile;
use super::{Violation, Workspace};

/// Folders and files with a reason for it: SIMD and threads, mapped files.
const ALLOWED: &[&str] = &["crates/kernels/", "crates/weights/src/mmap.rs"];

/// The keyword `unsafe` anywhere else, macro bodies included.
pub(super) fn check_use(workspace: &Workspace) -> Vec<Violation> {
    let fenced = |file: &&RustFile| !ALLOWED.iter().any(|allowed| file.path.starts_with(allowed));
    let mut violations = Vec::new();
    for file in workspace.rust.iter().filter(fenced) {
        for line in file.lines_with(&["unsafe"]) {
            let message = format!("`unsafe` is only for {}", ALLOWED.join(" and "));
            violations.push(Violation::new(&file.path, line, message));
        }
    }
    violations
}

/// Crate roots without the lint that keeps `unsafe` out.
pub(super) fn check_roots(workspace: &Workspace) -> Vec<Violation> {
    let roots = workspace.rust.iter().filter(|file| is_crate_root(&file.path));
    let missing = roots.filter_map(|file| {
        let lint = match file.crate_folder() {
            "kernels" => return None,
            // `forbid` could not be lifted for the one module that maps files.
            "weights" => "deny",
            _ => "forbid",
        };
        let attribute = ["#", "!", "[", lint, "(", "unsafe_code", ")", "]"];
        let found = file.lines_with(&attribute).next().is_some();
        (!found).then(|| {
            let message = format!("the crate root lacks `#![{lint}(unsafe_code)]`");
            Violation::new(&file.path, 1, message)
        })
    });
    missing.collect()
}

fn is_crate_root(path: &str) -> bool {
    let Some((_, file)) = path.split_once("/src/") else { return false };
    ["lib.rs", "main.rs"].contains(&file) || file.starts_with("bin/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyword_is_fenced_in() {
        let lines = |path: &str, text: &str| -> Vec<usize> {
            let found = check_use(&Workspace::planted(&[(path, text)]));
            found.into_iter().map(|violation| violation.line).collect()
        };
        let text = "// unsafe\nfn f() { g(\"unsafe\") }\nunsafe fn g(_: &str) {}\n";
        assert_eq!(lines("crates/engine/src/run.rs", text), [3]);
        assert_eq!(lines("crates/weights/src/names.rs", text), [3]);
        assert_eq!(
            lines("crates/engine/src/run.rs", "macro_rules! m { () => { unsafe {} } }"),
            [1]
        );
        assert!(lines("crates/weights/src/mmap.rs", text).is_empty());
        assert!(lines("crates/kernels/src/x86_64/dot.rs", text).is_empty());
        assert!(lines("crates/engine/src/run.rs", "#![forbid(unsafe_code)]").is_empty());
    }

    #[test]
    fn crate_roots_carry_the_lint() {
        let count =
            |path: &str, text: &str| check_roots(&Workspace::planted(&[(path, text)])).len();
        let (forbid, deny) = ("#![forbid(unsafe_code)]", "#![deny(unsafe_code)]");
        assert_eq!(count("crates/engine/src/lib.rs", forbid), 0);
        assert_eq!(count("crates/engine/src/lib.rs", deny), 1);
        assert_eq!(count("crates/engine/src/lib.rs", "// #![forbid(unsafe_code)]"), 1);
        assert_eq!(count("crates/cli/src/main.rs", ""), 1);
        assert_eq!(count("crates/cli/src/bin/other.rs", ""), 1);
        assert_eq!(count("crates/engine/src/run.rs", ""), 0);
        assert_eq!(count("crates/weights/src/lib.rs", deny), 0);
        assert_eq!(count("crates/weights/src/lib.rs", ""), 1);
        assert_eq!(count("crates/kernels/src/lib.rs", ""), 0);
    }
}
