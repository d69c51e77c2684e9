//! What a user types to name a model.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::Error;
use crate::repo_id::RepoId;

/// A model as named by a user. [`FromStr`] parses it, `Display` gives the text back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelRef {
    /// `starter`: the small model that Russet can fetch by itself.
    Starter,
    /// A directory that exists.
    Dir(PathBuf),
    /// A file that exists: a GGUF, or any file of a model's folder.
    File(PathBuf),
    /// A repository on the hub.
    Repo(RepoRef),
}

/// `org/repo[@revision][:QUANT]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoRef {
    /// `org/repo`.
    pub repo: RepoId,
    /// A branch, a tag, or a commit (at least 7 digits of it once it is cached); `main` if absent.
    pub revision: Option<String>,
    /// Selects one GGUF of the repository, for example `Q4_K_M`; case does not matter.
    pub quant: Option<String>,
}

/// Which part of a model reference is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefProblem {
    /// Nothing was given.
    #[error("it is empty")]
    Empty,
    /// A single word that is no path.
    #[error("there is no such file or directory, and a repository is named org/repo")]
    NoSlash,
    /// A bad `org/repo`.
    #[error(
        "the repository must be org/name of letters, digits, `_`, `.` and `-`, without `..` or `--`"
    )]
    Repo,
    /// A bad revision.
    #[error("the revision after `@` must be a branch, a tag or a commit")]
    Revision,
    /// A bad quantisation name.
    #[error("the name after `:` must be of letters, digits, `_`, `.` and `-`")]
    Quant,
}

impl RepoRef {
    /// The revision asked for, `main` by default.
    #[must_use]
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }
}

impl FromStr for ModelRef {
    type Err = Error;

    /// Looks at the disk: an existing path wins over a repository of the same name.
    ///
    /// # Errors
    /// [`Error::NoSuchPath`] or [`Error::BadRef`].
    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "starter" {
            return Ok(Self::Starter);
        }
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Dir(path.to_owned()));
        }
        if path.exists() {
            return Ok(Self::File(path.to_owned()));
        }
        if looks_like_a_path(text) {
            return Err(Error::NoSuchPath { path: path.to_owned() });
        }
        parse_repo(text)
            .map(Self::Repo)
            .map_err(|problem| Error::BadRef { found: text.to_owned(), problem })
    }
}

fn has_model_extension(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["gguf", "safetensors"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Whether the text can only have been meant as a path, so that a typing error in it is reported as
/// a missing file and not as a strange repository.
fn looks_like_a_path(text: &str) -> bool {
    let starts = ["/", "./", "../", "~"].iter().any(|start| text.starts_with(start));
    let is_dots = text == "." || text == "..";
    starts || is_dots || text.contains('\\') || has_model_extension(Path::new(text))
}

fn parse_repo(text: &str) -> Result<RepoRef, RefProblem> {
    let (rest, quant) = match text.split_once(':') {
        Some((rest, quant)) => (rest, Some(quant)),
        None => (text, None),
    };
    let (repo, revision) = match rest.split_once('@') {
        Some((repo, revision)) => (repo, Some(revision)),
        None => (rest, None),
    };
    if text.is_empty() {
        return Err(RefProblem::Empty);
    }
    if !repo.contains('/') {
        return Err(RefProblem::NoSlash);
    }
    let repo = RepoId::new(repo).ok_or(RefProblem::Repo)?;
    if revision.is_some_and(|revision| !valid_revision(revision)) {
        return Err(RefProblem::Revision);
    }
    if quant.is_some_and(|quant| !valid_quant(quant)) {
        return Err(RefProblem::Quant);
    }
    Ok(RepoRef { repo, revision: revision.map(str::to_owned), quant: quant.map(str::to_owned) })
}

/// Revisions become file names below `refs/`, so each part is as strict as a file name.
pub(crate) fn valid_revision(revision: &str) -> bool {
    let part = |part: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+');
        !part.is_empty() && !part.starts_with(['.', '-']) && part.chars().all(inside)
    };
    revision.len() <= 200 && !revision.contains("..") && revision.split('/').all(part)
}

fn valid_quant(quant: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !quant.is_empty() && quant.len() <= 64 && quant.chars().all(inside)
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starter => f.write_str("starter"),
            Self::Dir(path) | Self::File(path) => path.display().fmt(f),
            Self::Repo(repo) => repo.fmt(f),
        }
    }
}

impl fmt::Display for RepoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repo.fmt(f)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        match &self.quant {
            Some(quant) => write!(f, ":{quant}"),
            None => Ok(()),
        }
    }
}
