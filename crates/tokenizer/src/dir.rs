//! Tokenizers of Hugging Face and MLX model directories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer as Library};

use crate::Error;
use crate::definition;
use crate::special::SpecialTokens;

/// The largest `tokenizer.json` that is read; real ones stay below 40 MB.
const DEFINITION_LIMIT_BYTES: u64 = 64 << 20;
/// The largest of the other files that is read.
const SIDE_LIMIT_BYTES: u64 = 4 << 20;

/// Names of special tokens in `tokenizer_config.json` and `special_tokens_map.json`.
const SPECIAL_NAMES: &[&str] =
    &["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The chat templates of a model: mostly one, sometimes also some for tools or retrieval.
#[derive(Debug, Clone, Default)]
pub struct ChatTemplates {
    sources: BTreeMap<String, String>,
}

impl ChatTemplates {
    pub(crate) fn from_default(source: Option<String>) -> Self {
        Self { sources: source.map(|source| ("default".to_owned(), source)).into_iter().collect() }
    }

    /// The source of the template called `name` (`default` unless a model names several).
    ///
    /// # Errors
    /// [`Error::NoTemplate`], with the names there are.
    pub fn source(&self, name: &str) -> Result<&str, Error> {
        self.sources.get(name).map(String::as_str).ok_or_else(|| Error::NoTemplate {
            name: name.to_owned(),
            present: self.names().collect::<Vec<_>>().join(", "),
        })
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }
}

/// Reads everything about tokens in `dir`.
pub(crate) fn read(dir: &Path) -> Result<(Library, SpecialTokens, ChatTemplates), Error> {
    let path = dir.join("tokenizer.json");
    let bytes = read_file(&path, DEFINITION_LIMIT_BYTES)?;
    let bytes = bytes.ok_or_else(|| absent(&path))?;
    let mut library =
        definition::read(&bytes).map_err(|source| Error::Definition { path, source })?;
    let config = read_json(dir, "tokenizer_config.json")?;
    let map = read_json(dir, "special_tokens_map.json")?;
    add_configured_tokens(&mut library, &config);
    let special = special_tokens(&library, &config, &map);
    let templates = chat_templates(dir, &config)?;
    Ok((library, special, templates))
}

fn absent(path: &Path) -> Error {
    let source = std::io::Error::from(std::io::ErrorKind::NotFound);
    Error::Read { path: path.to_owned(), source }
}

/// The content of a file, or nothing if there is no such file.
fn read_file(path: &Path, limit_bytes: u64) -> Result<Option<Vec<u8>>, Error> {
    let fail = |source| Error::Read { path: path.to_owned(), source };
    let found_bytes = match std::fs::metadata(path) {
        // Reading a pipe would wait for a writer.
        Ok(metadata) if !metadata.is_file() => {
            let kind = std::io::ErrorKind::InvalidInput;
            return Err(fail(std::io::Error::new(kind, "not a regular file")));
        }
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    if found_bytes > limit_bytes {
        return Err(Error::TooLarge { path: path.to_owned(), found_bytes, limit_bytes });
    }
    std::fs::read(path).map(Some).map_err(fail)
}

/// A JSON file of `dir`; null if there is none.
fn read_json(dir: &Path, name: &str) -> Result<Value, Error> {
    let path = dir.join(name);
    match read_file(&path, SIDE_LIMIT_BYTES)? {
        Some(bytes) => {
            serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source })
        }
        None => Ok(Value::Null),
    }
}

fn read_text(path: &Path) -> Result<Option<String>, Error> {
    let fail = |error| Error::Read {
        path: path.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
    };
    read_file(path, SIDE_LIMIT_BYTES)?.map(String::from_utf8).transpose().map_err(fail)
}

/// Some models name added tokens only in `tokenizer_config.json`. One is taken if the vocabulary
/// gives it the id that the file says.
fn add_configured_tokens(library: &mut Library, config: &Value) {
    let Some(listed) = config["added_tokens_decoder"].as_object() else { return };
    let known = library.get_added_tokens_decoder();
    let mut missing: Vec<(u32, AddedToken)> = listed
        .iter()
        .filter_map(|(id, entry)| {
            let id: u32 = id.parse().ok().filter(|id| !known.contains_key(id))?;
            let flag = |name: &str| entry[name].as_bool().unwrap_or(false);
            let token = AddedToken::from(entry["content"].as_str()?, flag("special"))
                .single_word(flag("single_word"))
                .lstrip(flag("lstrip"))
                .rstrip(flag("rstrip"))
                .normalized(flag("normalized"));
            Some((id, token))
        })
        .collect();
    missing.sort_by_key(|(id, _)| *id);
    for (id, token) in missing {
        let next = definition::vocab_len(library) as u32;
        if library.token_to_id(&token.content).unwrap_or(next) == id {
            library.add_tokens(&[token]);
        }
    }
}

/// A token as text or as an object with `content`.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

fn special_tokens(library: &Library, config: &Value, map: &Value) -> SpecialTokens {
    let text = |name: &str| token_text(&config[name]).or_else(|| token_text(&map[name]));
    let id = |name: &str| text(name).and_then(|text| library.token_to_id(text));
    let eos = id("eos_token");
    SpecialTokens {
        texts: SPECIAL_NAMES
            .iter()
            .filter_map(|&name| Some((name.to_owned(), text(name)?.to_owned())))
            .collect(),
        bos: id("bos_token"),
        eos,
        eos_ids: BTreeSet::from_iter(eos),
    }
}

/// `chat_template.jinja` wins over `chat_template.json`, and that over `tokenizer_config.json`;
/// `additional_chat_templates/NAME.jinja` add to it.
fn chat_templates(dir: &Path, config: &Value) -> Result<ChatTemplates, Error> {
    let mut sources = BTreeMap::new();
    let side = read_json(dir, "chat_template.json")?;
    for listed in [&config["chat_template"], &side["chat_template"]] {
        if let Some(source) = listed.as_str() {
            sources.insert("default".to_owned(), source.to_owned());
        }
        for entry in listed.as_array().into_iter().flatten() {
            if let (Some(name), Some(source)) = (entry["name"].as_str(), entry["template"].as_str())
            {
                sources.insert(name.to_owned(), source.to_owned());
            }
        }
    }
    if let Some(source) = read_text(&dir.join("chat_template.jinja"))? {
        sources.insert("default".to_owned(), source);
    }
    for path in jinja_files(&dir.join("additional_chat_templates"))? {
        let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        if let (Some(name), Some(source)) = (name, read_text(&path)?) {
            sources.insert(name, source);
        }
    }
    Ok(ChatTemplates { sources })
}

fn jinja_files(dir: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
    let fail = |source| Error::Read { path: dir.to_owned(), source };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let paths: Result<Vec<_>, _> =
        entries.map(|entry| entry.map(|entry| entry.path()).map_err(fail)).collect();
    Ok(paths?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "jinja")).collect())
}
