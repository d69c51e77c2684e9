//! What the documents must have: a change log that is kept, and links that lead somewhere.

use super::{Violation, Workspace};

const CHANGELOG: &str = "CHANGELOG.md";

/// A change log without a section for what is not released yet.
pub(super) fn check_changelog(workspace: &Workspace) -> Vec<Violation> {
    let message = match workspace.file(CHANGELOG) {
        None => "the file is missing",
        Some(file) if file.text.lines().any(is_unreleased) => return Vec::new(),
        Some(_) => "there is no `## Unreleased` section",
    };
    vec![Violation::new(CHANGELOG, 1, message.to_owned())]
}

/// Relative links of Markdown files to something that is not part of the tree.
pub(super) fn check_links(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in workspace.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in links(&file.text) {
            if !leads_somewhere(workspace, &file.path, target) {
                let message = format!("the link to `{target}` leads nowhere");
                violations.push(Violation::new(&file.path, line, message));
            }
        }
    }
    violations
}

fn is_unreleased(line: &str) -> bool {
    line.strip_prefix("## ")
        .is_some_and(|title| title.trim_start_matches('[').starts_with("Unreleased"))
}

/// The targets of `[text](target)` and `[name]: target` outside code, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            // Every second piece between backticks is code.
            let mut prose = line.split('`').step_by(2).peekable();
            let definition = prose.peek().filter(|first| first.starts_with('['));
            let target = definition.and_then(|first| first.split_once("]: "));
            found.extend(target.map(|(_, target)| (index + 1, target)));
            // The text of a link may be code, so a piece may start within it.
            let inline = prose.flat_map(|piece| piece.split("](").skip(1));
            found.extend(inline.filter_map(|rest| Some((index + 1, rest.split_once(')')?.0))));
        }
    }
    found.into_iter().map(|(line, target)| (line, bare_target(target))).collect()
}

/// Without a title after a space, angle brackets and the part after `#`.
fn bare_target(target: &str) -> &str {
    let target = target.split_whitespace().next().unwrap_or_default();
    let target = target.trim_start_matches('<').trim_end_matches('>');
    target.split('#').next().unwrap_or_default()
}

fn leads_somewhere(workspace: &Workspace, from: &str, target: &str) -> bool {
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return false,
            ".." => {}
            name => parts.push(name),
        }
    }
    let path = parts.join("/");
    let folder = format!("{path}/");
    path.is_empty() || workspace.files.iter().any(|f| f.path == path || f.path.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_log_has_an_unreleased_section() {
        let count = |path, text| check_changelog(&Workspace::planted(&[(path, text)])).len();
        assert_eq!(count(CHANGELOG, "# Changes\n\n## Unreleased\n"), 0);
        assert_eq!(count(CHANGELOG, "## [Unreleased]\n"), 0);
        assert_eq!(count(CHANGELOG, "## 0.1.0\n\nUnreleased\n"), 1);
        assert_eq!(count("README.md", "## Unreleased\n"), 1);
    }

    #[test]
    fn links_lead_to_files_and_folders_of_the_tree() {
        let broken = |text: &str| -> Vec<usize> {
            let tree = [("docs/a.md", text), ("README.md", ""), ("docs/decisions/0001-x.md", "")];
            check_links(&Workspace::planted(&tree)).into_iter().map(|v| v.line).collect()
        };
        let good = "[r](../README.md#top) [d](decisions/) [`x`](decisions/0001-x.md \"t\") \
                    [w](https://a.org/b) [s](#here) ![i](<../README.md>)\n[ref]: ../README.md\n";
        assert!(broken(good).is_empty());
        assert_eq!(broken("a\n[b](gone.md), [`c`](no/where.md)\n"), [2, 2]);
        assert_eq!(broken("[up](../../above.md)\n[x]: gone.md\n"), [1, 2]);
        assert!(broken("```\n[b](gone.md)\n```\n`[c](gone.md)`\n").is_empty());
    }
}
