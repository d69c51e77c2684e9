//! Folders of MLX and Hugging Face: `config.json` and `model*.safetensors`.

mod entries;
mod header;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::generation::GenerationConfig;
use crate::mmap::MappedFile;
use crate::quantization::Quantization;
use crate::tensors::TensorTable;
use crate::{Config, ConfigError, Error, Format, SafetensorsError, json};

/// An opened folder.
pub(crate) struct Folder {
    pub(crate) format: Format,
    pub(crate) config: Config,
    pub(crate) generation: GenerationConfig,
    pub(crate) quantization: Option<Quantization>,
    pub(crate) tensors: TensorTable,
}

pub(crate) fn open(folder: &Path) -> Result<Folder, Error> {
    let Some(config) = json::read_object(&folder.join("config.json"))? else {
        let found = "a folder without config.json";
        return Err(Error::NotAModel { path: folder.to_owned(), found });
    };
    let config = Config::from_object(config);
    refuse_custom_code(&config)?;
    let quantization = Quantization::find(&config)?;
    if quantization.is_none() {
        refuse_modelopt(folder)?;
    }
    let generation = json::read_object(&folder.join("generation_config.json"))?;
    let generation = GenerationConfig::read(generation, &config)?;
    let mut tensors = TensorTable::default();
    let mut is_mlx = quantization.is_some();
    for name in weight_files(folder)? {
        let file = MappedFile::open(&folder.join(name))?;
        is_mlx |= header::add_tensors(&mut tensors, file)?.as_deref() == Some("mlx");
    }
    let format = if is_mlx { Format::Mlx } else { Format::HuggingFace };
    Ok(Folder { format, config, generation, quantization, tensors })
}

fn refuse_custom_code(config: &Config) -> Result<(), ConfigError> {
    match config.peek_json("model_file") {
        None => Ok(()),
        Some(found) => {
            let (key, found) = ("model_file".into(), found.to_string());
            Err(ConfigError::CustomCode { key, found })
        }
    }
}

/// NVIDIA's ModelOpt describes its quantisation in a file of its own.
fn refuse_modelopt(folder: &Path) -> Result<(), Error> {
    let Some(object) = json::read_object(&folder.join("hf_quant_config.json"))? else {
        return Ok(());
    };
    let accepted = "models quantised by MLX (affine, mxfp4, mxfp8, nvfp4)".into();
    let found = object.get("quantization").unwrap_or(&Value::Null).to_string();
    let key = "hf_quant_config.json quantization".into();
    Err(ConfigError::Unsupported { key, found, accepted }.into())
}

/// The names of the weight files. All that the index or the numbers in the names call for must be
/// there.
fn weight_files(folder: &Path) -> Result<BTreeSet<String>, Error> {
    let failed = |source| Error::io(folder, source);
    let mut found = BTreeSet::new();
    let mut has_pickle = false;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let Ok(name) = entry.map_err(failed)?.file_name().into_string() else { continue };
        has_pickle |= name.ends_with(".bin") || name.ends_with(".pt");
        if name.starts_with("model") && name.ends_with(".safetensors") {
            found.insert(name);
        }
    }
    let mut needed = BTreeSet::new();
    for name in &found {
        // A set that one of its files has named need not be named by all of them.
        if !needed.contains(name) {
            needed.extend(numbered_siblings(name));
        }
    }
    needed.extend(indexed_files(folder)?);
    if let Some(missing) = needed.difference(&found).next() {
        return Err(Error::Missing { path: folder.to_owned(), missing: missing.clone() });
    }
    match (found.is_empty(), has_pickle) {
        (false, _) => Ok(found),
        (true, false) => {
            let missing = "model.safetensors".into();
            Err(Error::Missing { path: folder.to_owned(), missing })
        }
        (true, true) => {
            let found = "a folder with pickled weights only, which can hold code and are not read";
            Err(Error::NotAModel { path: folder.to_owned(), found })
        }
    }
}

/// The files that `model.safetensors.index.json` names, if there is one.
fn indexed_files(folder: &Path) -> Result<BTreeSet<String>, Error> {
    let path = folder.join("model.safetensors.index.json");
    let Some(index) = json::read_object(&path)? else { return Ok(BTreeSet::new()) };
    let Some(Value::Object(map)) = index.get("weight_map") else {
        return Err(Error::Json { path, reason: "weight_map is missing or no object".into() });
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut files = BTreeSet::new();
    for file in map.values() {
        match file.as_str() {
            Some(name) if !name.is_empty() && name.chars().all(is_plain) => {
                if !files.contains(name) {
                    files.insert(name.to_owned());
                }
            }
            _ => {
                let found = file.as_str().map_or_else(|| file.to_string(), str::to_owned);
                return Err(Error::safetensors(&path, SafetensorsError::ShardName { found }));
            }
        }
    }
    Ok(files)
}

/// More files than any model has; bounds what a file name can make us list.
const MAX_SHARDS: usize = 10_000;

/// All names of a set like `model-00002-of-00005.safetensors`, given one of them.
fn numbered_siblings(name: &str) -> Vec<String> {
    let numbers = || {
        let stem = name.strip_suffix(".safetensors")?;
        let (rest, total) = stem.rsplit_once("-of-")?;
        let (base, number) = rest.rsplit_once('-')?;
        number.parse::<usize>().ok()?;
        let count = total.parse::<usize>().ok().filter(|&count| count <= MAX_SHARDS)?;
        Some((base, number.len(), total, count))
    };
    let Some((base, width, total, count)) = numbers() else { return Vec::new() };
    (1..=count).map(|i| format!("{base}-{i:0width$}-of-{total}.safetensors")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shard_names_its_siblings() {
        assert_eq!(
            numbered_siblings("model-00002-of-00002.safetensors"),
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        );
        assert!(numbered_siblings("model.safetensors").is_empty());
        assert!(numbered_siblings("model-1-of-99999999999.safetensors").is_empty());
        assert!(numbered_siblings("model-x-of-2.safetensors").is_empty());
    }
}
