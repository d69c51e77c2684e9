//! Words that mark unfinished or forgotten code.

use super::{Violation, Workspace};

/// Split, so that this file does not break its own rule.
const BANNED: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// Banned words anywhere in Rust files, comments and strings included.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in workspace.files.iter().filter(|file| file.path.ends_with(".rs")) {
        for (index, line) in file.text.lines().enumerate() {
            for word in BANNED.iter().filter(|word| contains_word(line, word)) {
                let message = format!("`{word}` may not stay: finish it, or open an issue");
                violations.push(Violation::new(&file.path, index + 1, message));
            }
        }
    }
    violations
}

/// Whether `line` has `word` with no letter, digit or underscore next to its own.
fn contains_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let open_end = word.ends_with(part_of_name) && after.is_some_and(part_of_name);
        !before.is_some_and(part_of_name) && !open_end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_words_fail_at_their_line() {
        for word in BANNED {
            let text = format!("fn f() {{\n    {word}(); }}\n");
            let found = check(&Workspace::planted(&[("a.rs", &text)]));
            assert_eq!(found.iter().map(|v| v.line).collect::<Vec<_>>(), [2], "{word}");
        }
    }

    #[test]
    fn words_inside_other_words_pass() {
        let text = format!("// {}{0} my_{} {}D\n", BANNED[4], BANNED[0], BANNED[3]);
        assert!(check(&Workspace::planted(&[("a.rs", &text)])).is_empty());
        assert!(check(&Workspace::planted(&[("a.md", BANNED[3])])).is_empty());
    }
}
