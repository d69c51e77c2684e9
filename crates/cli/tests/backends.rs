//! `russet info --backends` on valid and broken models, against the reviewed `backends.txt`.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const EXPECTED: &str = include_str!("backends.txt");

/// The smallest tokenizer there is.
const TOKENIZER: &str = r#"{"version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}"#;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../decoder/tests/fixtures").join(name)
}

/// A folder with the files of a fixture and a tokenizer.
fn folder(from: &str, to: PathBuf) -> PathBuf {
    fs::create_dir_all(&to).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(fixture(from).join(name), to.join(name)).unwrap();
    }
    fs::write(to.join("tokenizer.json"), TOKENIZER).unwrap();
    to
}

fn edit(file: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// Every model, by the name of its row.
fn models(at: &Path) -> Vec<(&'static str, PathBuf)> {
    let mlx = folder("quant-affine-4-64", at.join("mlx"));
    let hf = folder("hf-bf16", at.join("hf"));
    let mamba = folder("quant-affine-4-64", at.join("mamba"));
    edit(mamba.join("config.json"), "\"model_type\": \"llama\"", "\"model_type\": \"mamba\"");
    let untokenized = folder("quant-affine-4-64", at.join("untokenized"));
    fs::remove_file(untokenized.join("tokenizer.json")).unwrap();
    let sharded = folder("quant-affine-4-64", at.join("sharded"));
    let index =
        r#"{"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    fs::write(sharded.join("model.safetensors.index.json"), index).unwrap();
    let pickled = folder("quant-affine-4-64", at.join("pickled"));
    fs::rename(pickled.join("model.safetensors"), pickled.join("pytorch_model.bin")).unwrap();

    let gguf = at.join("gguf");
    fs::create_dir(&gguf).unwrap();
    let llama = fs::read(fixture("gguf/llama.gguf")).unwrap();
    fs::write(gguf.join("model.gguf"), &llama).unwrap();
    let misnamed = at.join("weights.bin");
    fs::write(&misnamed, &llama).unwrap();
    let unknown = at.join("unknown.gguf");
    fs::write(&unknown, replaced(&llama, b"llama", b"mambo")).unwrap();
    let several = at.join("several");
    fs::create_dir(&several).unwrap();
    for name in ["a-Q4_0.gguf", "a-Q8_0.gguf"] {
        fs::write(several.join(name), &llama).unwrap();
    }

    let empty = at.join("empty");
    fs::create_dir(&empty).unwrap();
    let notes = at.join("notes/notes.txt");
    fs::create_dir(at.join("notes")).unwrap();
    fs::write(&notes, "not a model\n").unwrap();
    let link = at.join("link");
    symlink(&mlx, &link).unwrap();
    let snapshot = at.join("models--org--name/snapshots/0123456789abcdef0123456789abcdef01234567");
    fs::create_dir_all(&snapshot).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        symlink(hf.join(name), snapshot.join(name)).unwrap();
    }
    let inside = mlx.join("config.json");
    vec![
        ("MLX folder", mlx),
        ("Hugging Face folder", hf),
        ("a file of an MLX folder", inside),
        ("link to an MLX folder", link),
        ("snapshot of the hub's cache", snapshot),
        ("folder with one GGUF", gguf),
        ("GGUF under another name", misnamed),
        ("MLX folder of another architecture", mamba),
        ("GGUF of another architecture", unknown),
        ("MLX folder without a tokenizer", untokenized),
        ("folder that lacks a shard", sharded),
        ("folder with pickled weights", pickled),
        ("folder with two GGUF files", several),
        ("empty folder", empty),
        ("text file", notes),
    ]
}

fn replaced(bytes: &[u8], from: &[u8; 5], to: &[u8; 5]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

/// What a person sees.
fn shown(model: &Path, programs: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_russet"));
    command.args(["info", "--backends"]).arg(model).stdin(Stdio::null()).env("PATH", programs);
    for name in ["RUSSET_BACKEND", "RUSSET_LLAMA_SERVER_BIN", "RUSSET_MLX_SERVER_BIN"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn the_table_is_the_reviewed_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().canonicalize().unwrap();
    let programs = at.join("programs");
    fs::create_dir(&programs).unwrap();
    let program = programs.join("mlx_lm.server");
    fs::write(&program, "").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut found = String::new();
    for (name, model) in models(&at) {
        found += &format!("# {name}\n{}\n", shown(&model, &programs));
    }
    let found = found.replace(at.to_str().unwrap(), "MODELS");
    assert!(found == EXPECTED, "not as reviewed:\n{found}");
}
