//! From a model reference to an opened model: found, fetched if need be, its tokenizer built.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use russet_decoder::{Decoder, LoadOptions};
use russet_device_cpu::{CpuDevice, CpuOptions, KvType, Precision};
use russet_hub::{Error as HubError, Hub, Located, ModelRef};
use russet_tokenizer::Tokenizer;
use russet_weights::{Checkpoint, Format};

use crate::progress::Bar;
use crate::settings::{ComputeSettings, KvChoice, PrecisionChoice, model_ref};
use crate::{starter, vocab};

/// A model whose headers are read and whose weights are not loaded yet.
pub(crate) struct Opened {
    /// Its name in the API.
    pub(crate) name: String,
    /// The folder or file.
    pub(crate) path: PathBuf,
    pub(crate) checkpoint: Checkpoint,
    /// The temperature to use where neither the request nor the model's files say one.
    pub(crate) temperature: Option<f32>,
}

/// Finds the model that `text` names, fetching it if it is not here, and opens it.
pub(crate) fn open(hub: &Hub, text: &str) -> Result<Opened> {
    let model = model_ref(text)?;
    let path = locate(hub, &model)?.path;
    let checkpoint =
        russet_decoder::open(&path).with_context(|| format!("cannot load {}", path.display()))?;
    let temperature = (model == ModelRef::Starter).then_some(starter::TEMPERATURE);
    Ok(Opened { name: name(&model, &path), path, checkpoint, temperature })
}

/// Finds the model on this machine, fetching it if it is not here.
pub(crate) fn locate(hub: &Hub, model: &ModelRef) -> Result<Located> {
    if *model == ModelRef::Starter {
        let path = starter::ensure(hub)?;
        return Ok(Located { path, format: russet_hub::Format::Mlx, commit: None });
    }
    match hub.resolve(model) {
        Ok(located) => Ok(located),
        Err(HubError::NotCached { .. } | HubError::Incomplete { .. })
            if matches!(model, ModelRef::Repo(_)) =>
        {
            Ok(hub.pull(model, &mut Bar::default())?)
        }
        Err(error) => Err(error.into()),
    }
}

fn name(model: &ModelRef, path: &Path) -> String {
    match model {
        ModelRef::Starter => starter::NAME.into(),
        ModelRef::Repo(repo) => repo.repo.to_string(),
        ModelRef::Dir(_) | ModelRef::File(_) => {
            let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let stem = match path.is_dir() {
                true => full.file_name(),
                false => full.file_stem(),
            };
            stem.map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned())
        }
    }
}

impl Opened {
    /// The model's tokenizer, from its folder or from GGUF metadata.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer> {
        let tokenizer = match self.checkpoint.format() {
            Format::Gguf => {
                let stored = self.checkpoint.gguf_tokenizer()?;
                vocab::tokenizer(stored.context("the file has no tokenizer metadata")?)
            }
            Format::Mlx | Format::HuggingFace => Ok(Tokenizer::from_dir(&self.path)?),
        };
        tokenizer.with_context(|| format!("cannot read the tokenizer of {}", self.path.display()))
    }

    /// Loads the weights onto the CPU.
    pub(crate) fn load(&self, compute: &ComputeSettings) -> Result<Decoder<CpuDevice>> {
        let device = CpuDevice::new(cpu_options(compute))?;
        russet_decoder::load(&self.checkpoint, device, &LoadOptions::default())
            .with_context(|| format!("cannot load {}", self.path.display()))
    }
}

/// Bytes of a model's tensors as its files have them, also where the native backend cannot read it.
pub(crate) fn weights_bytes(path: &Path) -> u64 {
    Checkpoint::open(path)
        .map_or_else(|_| bytes_of(path), |checkpoint| checkpoint.num_tensor_bytes())
}

/// Bytes of a file, or of the weights in a folder.
fn bytes_of(path: &Path) -> u64 {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    if !path.is_dir() {
        return length(path);
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path());
    let weights = files.filter(|file| file.extension().is_some_and(|end| end == "safetensors"));
    weights.map(|file| length(&file)).sum()
}

/// The device's options, with what was not chosen filled in.
pub(crate) fn cpu_options(compute: &ComputeSettings) -> CpuOptions {
    let kv_type = match compute.kernels.kv_type() {
        KvChoice::F32 => KvType::F32,
        KvChoice::F16 => KvType::F16,
        KvChoice::Bf16 => KvType::BF16,
    };
    let precision = match compute.kernels.precision() {
        PrecisionChoice::Exact => Precision::Exact,
        PrecisionChoice::Fine => Precision::Fine,
        PrecisionChoice::Balanced => Precision::Balanced,
        PrecisionChoice::Fast => Precision::Fast,
    };
    CpuOptions { threads: compute.num_threads(), isa: compute.kernels.isa, precision, kv_type }
}
