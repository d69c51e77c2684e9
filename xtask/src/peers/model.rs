//! The models to compare on: one folder for Russet and the same weights in GGUF files.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Error;

/// Which model, for its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Name {
    Starter,
    Synth,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Starter => "starter",
            Self::Synth => "synth-1b",
        })
    }
}

/// One model in every format.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) name: Name,
    pub(super) mlx: PathBuf,
    /// How the folder's matrices are stored.
    pub(super) encoding: String,
    pub(super) ggufs: Vec<Gguf>,
}

/// Which of a model's files an engine reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Mlx,
    Gguf,
}

/// A GGUF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gguf {
    pub(super) path: PathBuf,
    /// From the end of the file's name, such as `Q4_0`.
    pub(super) encoding: String,
}

impl Model {
    /// From paths: an MLX folder, GGUF files, or folders that contain such.
    pub(super) fn find(name: Name, paths: &[PathBuf]) -> Result<Self, Error> {
        let (mut folders, mut ggufs) = (Vec::new(), Vec::new());
        for path in paths {
            collect(path, &mut folders, &mut ggufs)?;
        }
        ggufs.sort_by(|a, b| a.path.cmp(&b.path));
        let found = folders.len();
        match <[PathBuf; 1]>::try_from(folders) {
            Ok([mlx]) if !ggufs.is_empty() => {
                let encoding = encoding(&mlx)?;
                Ok(Self { name, mlx, encoding, ggufs })
            }
            _ => Err(Error::PeerModel { name: name.to_string(), found, ggufs: ggufs.len() }),
        }
    }
}

fn collect(path: &Path, mlx: &mut Vec<PathBuf>, ggufs: &mut Vec<Gguf>) -> Result<(), Error> {
    if is_mlx(path) {
        mlx.push(path.to_owned());
        return Ok(());
    }
    if !path.is_dir() {
        // Reading it says what is wrong with a path that is not there.
        fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        ggufs.extend(gguf(path));
        return Ok(());
    }
    let failed = |source| Error::Read { path: path.to_owned(), source };
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        if is_mlx(&entry) {
            mlx.push(entry);
        } else {
            ggufs.extend(gguf(&entry));
        }
    }
    Ok(())
}

/// The width that the folder's configuration names.
fn encoding(folder: &Path) -> Result<String, Error> {
    let path = folder.join("config.json");
    let text = fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
    let config: serde_json::Value = serde_json::from_str(&text)?;
    let bits = config["quantization"]["bits"].as_u64();
    Ok(bits.map_or_else(|| "unquantised".to_owned(), |bits| format!("MLX {bits}-bit")))
}

fn is_mlx(path: &Path) -> bool {
    path.join("config.json").is_file()
}

fn gguf(path: &Path) -> Option<Gguf> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
    let (_, encoding) = stem.rsplit_once(['.', '-'])?;
    Some(Gguf { path: path.to_owned(), encoding: encoding.to_uppercase() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_single_files_are_both_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("m-4bit")).unwrap();
        for name in ["m-4bit/config.json", "m.Q4_1.gguf", "m-q4_0.gguf", "notes.txt"] {
            fs::write(at(name), r#"{"quantization": {"bits": 4}}"#).unwrap();
        }
        let whole = Model::find(Name::Synth, &[folder.path().to_owned()]).unwrap();
        assert_eq!((&whole.mlx, whole.encoding.as_str()), (&at("m-4bit"), "MLX 4-bit"));
        let encodings: Vec<_> = whole.ggufs.iter().map(|gguf| gguf.encoding.as_str()).collect();
        assert_eq!(encodings, ["Q4_0", "Q4_1"]);
        let listed = Model::find(Name::Starter, &[at("m.Q4_1.gguf"), at("m-4bit")]).unwrap();
        assert_eq!(listed.ggufs, whole.ggufs[1..]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Model::find(Name::Starter, &[folder.path().join("gone")]).unwrap_err();
        assert!(missing.to_string().contains("gone"), "{missing}");
        fs::write(folder.path().join("m.Q4_1.gguf"), "").unwrap();
        let error = Model::find(Name::Synth, &[folder.path().to_owned()]).unwrap_err();
        let expected = "synth-1b: 0 MLX folders and 1 GGUF files, wanted one folder and any files";
        assert_eq!(error.to_string(), expected);
    }
}
