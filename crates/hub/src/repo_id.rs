//! The name of a repository on the hub.

use std::fmt;

/// `org/name`, checked: safe to use in a URL and as a folder name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoId(String);

impl RepoId {
    /// Checks `^[\w.-]+/[\w.-]+$` (ASCII) and the hub's own rules: no `..`, no `--` (which
    /// separates the parts in the cache), no part that starts or ends with `-` or `.`, and 96
    /// bytes at most.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let (org, name) = text.split_once('/')?;
        let fits = text.len() <= 96 && !text.contains("..") && !text.contains("--");
        (fits && valid_part(org) && valid_part(name)).then(|| Self(text.to_owned()))
    }

    /// `org/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `models--org--name`, the repository's folder in Hugging Face's cache.
    pub(crate) fn folder(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }

    /// The reverse of [`RepoId::folder`].
    pub(crate) fn from_folder(folder: &str) -> Option<Self> {
        Self::new(&folder.strip_prefix("models--")?.replacen("--", "/", 1))
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn valid_part(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c != '-' && c != '.');
    let inside = part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    inside && edge(part.chars().next()) && edge(part.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::RepoId;

    #[test]
    fn folder_and_back() {
        let id = RepoId::new("mlx-community/Qwen3-0.6B-4bit").unwrap();
        assert_eq!(id.folder(), "models--mlx-community--Qwen3-0.6B-4bit");
        assert_eq!(RepoId::from_folder(&id.folder()), Some(id));
        assert_eq!(RepoId::from_folder("datasets--a--b"), None);
    }

    #[test]
    fn refuses() {
        for bad in [
            "", "/", "a", "a/", "/b", "a/b/c", "../b", "a/..", "a/b..c", "a--b/c", "a/b c",
            "a/b\\c", "a/é", ".a/b", "a/b.", "-a/b", "a/-b", "a/b\0", "a/b\n", "a/%2e",
        ] {
            assert_eq!(RepoId::new(bad), None, "{bad:?}");
        }
        assert_eq!(RepoId::new(&format!("a/{}", "b".repeat(95))), None);
    }
}
