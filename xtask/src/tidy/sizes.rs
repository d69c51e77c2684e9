//! How long files and lines may be.

use super::{Violation, Workspace};

const FILE_WARN_LINES: usize = 400;
const FILE_MAX_LINES: usize = 800;
const LINE_MAX_CHARS: usize = 100;

/// Source files over 400 lines (a warning) or over 800.
pub(super) fn check_files(workspace: &Workspace) -> Vec<Violation> {
    let is_source = |path: &str| [".rs", ".py", ".sh"].iter().any(|end| path.ends_with(end));
    let sources = workspace.files.iter().filter(|file| is_source(&file.path));
    let check = |(path, num_lines): (&String, usize)| {
        if num_lines > FILE_MAX_LINES {
            let message = format!("{num_lines} lines; at most {FILE_MAX_LINES}");
            return Some(Violation::new(path, FILE_MAX_LINES + 1, message));
        }
        let message = format!("{num_lines} lines; aim for {FILE_WARN_LINES}");
        let warning = || Violation::warning(path, FILE_WARN_LINES + 1, message);
        (num_lines > FILE_WARN_LINES).then(warning)
    };
    sources.map(|file| (&file.path, file.text.lines().count())).filter_map(check).collect()
}

/// Rust lines over 100 characters, unless they carry a link, which cannot be broken.
pub(super) fn check_lines(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in workspace.files.iter().filter(|file| file.path.ends_with(".rs")) {
        for (index, line) in file.text.lines().enumerate() {
            let num_chars = line.chars().count();
            if num_chars > LINE_MAX_CHARS && !line.contains("://") {
                let message = format!("{num_chars} characters; at most {LINE_MAX_CHARS}");
                violations.push(Violation::new(&file.path, index + 1, message));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Level;

    #[test]
    fn long_files_warn_and_then_fail() {
        let level = |path: &str, num_lines: usize| {
            let found = check_files(&Workspace::planted(&[(path, &"//\n".repeat(num_lines))]));
            found.first().map(|violation| violation.level)
        };
        assert_eq!(level("a.rs", 400), None);
        assert_eq!(level("a.rs", 401), Some(Level::Warning));
        assert_eq!(level("a.rs", 800), Some(Level::Warning));
        assert_eq!(level("a.py", 801), Some(Level::Failure));
        assert_eq!(level("a.json", 801), None);
    }

    #[test]
    fn long_lines_fail_unless_they_hold_a_link() {
        let lines = |text: &str| check_lines(&Workspace::planted(&[("a.rs", text)])).len();
        assert_eq!(lines(&format!("//{}", "é".repeat(98))), 0);
        assert_eq!(lines(&format!("//{}", "x".repeat(99))), 1);
        assert_eq!(lines(&format!("// https://a.org/{}", "x".repeat(99))), 0);
    }
}
