//! The text files that belong to the tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// A text file of the tree.
pub(crate) struct TextFile {
    /// Relative to the workspace root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every UTF-8 file that git tracks or would add; binary files are left out.
pub(crate) fn read_all(root: &Path) -> Result<Vec<TextFile>, Error> {
    // A source archive has no git folder, and a bare machine may have no git.
    let mut paths = match git_files(root) {
        Some(paths) => paths,
        None => walk(root)?,
    };
    paths.sort();
    paths.dedup();
    // Git also lists files deleted in the working tree, links to folders and submodules.
    paths.retain(|path| root.join(path).is_file());
    let read = |path: String| match std::fs::read(root.join(&path)) {
        Ok(bytes) => String::from_utf8(bytes).ok().map(|text| Ok(TextFile { path, text })),
        Err(source) => Some(Err(Error::Read { path: root.join(path), source })),
    };
    paths.into_iter().filter_map(read).collect()
}

fn git_files(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    let paths: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
    // Inside some other repository that ignores this folder, git lists nothing.
    (!paths.is_empty()).then_some(paths)
}

fn walk(root: &Path) -> Result<Vec<String>, Error> {
    const SKIPPED: &[&str] = &[".git", "target", "__pycache__"];
    let mut paths = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let at = root.join(&folder);
        let failed = |source| Error::Read { path: at.clone(), source };
        for entry in std::fs::read_dir(&at).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(failed)?;
            let path = folder.join(&name);
            if kind.is_file() {
                paths.push(path.to_string_lossy().replace('\\', "/"));
            } else if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                folders.push(path);
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_without_git_finds_the_same_sources() {
        let root = crate::workspace_root();
        let mut walked = walk(&root).unwrap();
        walked.sort();
        let read: Vec<String> = read_all(&root).unwrap().into_iter().map(|f| f.path).collect();
        let sources = |paths: Vec<String>| -> Vec<String> {
            paths.into_iter().filter(|p| p.starts_with("xtask/") && p.ends_with(".rs")).collect()
        };
        let walked = sources(walked);
        assert!(walked.contains(&"xtask/src/tidy/files.rs".to_owned()));
        assert_eq!(walked, sources(read));
    }

    #[test]
    fn a_missing_root_is_an_error() {
        assert!(walk(Path::new("no/such/folder")).is_err());
    }
}
