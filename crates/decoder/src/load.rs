//! Spec × weights × device → a decoder.

use std::ops::Range;
use std::path::Path;

use russet_weights::{Checkpoint, Part, Role, RoleAt};

use crate::forward::{Layer, Parts};
use crate::mixer::LoadedMixer;
use crate::spec::NormSpec;
use crate::{Decoder, Device, Head, Linear, LoadError, ModelSpec, Norm, Reach, arch, ffn};

/// What is the caller's choice when a model is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Tokens in a KV block.
    pub block_len: usize,
    /// The layers to run, for a pipeline stage; `None` runs all.
    pub layers: Option<Range<usize>>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { block_len: 32, layers: None }
    }
}

/// Opens the model at `path`, a folder or a GGUF file, as its architecture names and stores
/// tensors.
///
/// Errors if the files are unreadable or the architecture is unknown.
pub fn open(path: &Path) -> Result<Checkpoint, LoadError> {
    let checkpoint = Checkpoint::open(path)?;
    let architecture = arch::of(&checkpoint)?;
    Ok(checkpoint.with_layout((architecture.layout)()))
}

/// The architecture of `checkpoint` as data.
///
/// Errors if a configuration value is missing, of the wrong type or unsupported.
pub fn spec(checkpoint: &Checkpoint) -> Result<ModelSpec, LoadError> {
    (arch::of(checkpoint)?.spec)(checkpoint)
}

/// Loads `checkpoint` onto `device`.
///
/// Errors as [`spec`] does, and if the device lacks something, a tensor is missing or has another
/// shape, or a tensor or configuration key was left that nothing asked for.
pub fn load<D: Device>(
    checkpoint: &Checkpoint,
    mut device: D,
    options: &LoadOptions,
) -> Result<Decoder<D>, LoadError> {
    let architecture = arch::of(checkpoint)?;
    let spec = (architecture.spec)(checkpoint)?;
    device.check(&spec)?;
    let num_layers = spec.layers.len();
    let layers = options.layers.clone().unwrap_or(0..num_layers);
    if layers.start >= layers.end || layers.end > num_layers {
        return Err(LoadError::Stage { start: layers.start, end: layers.end, num_layers });
    }
    let mut loader = Loader {
        checkpoint,
        device: &mut device,
        reaches: spec.reaches(layers.clone()),
        biases: spec.biases.clone(),
        weights_bytes: 0,
        unreleased_bytes: 0,
    };
    let parts = loader.parts(&spec, &layers)?;
    let weights_bytes = loader.weights_bytes;
    // A stage leaves the other layers' tensors to the other stages.
    if layers.len() == num_layers {
        checkpoint.finish()?;
    }
    checkpoint.release_consumed();
    let sizes = Sizes { block_len: options.block_len, weights_bytes, layers };
    Ok(Decoder::new(architecture.name, spec, device, parts, sizes))
}

/// Sizes that come with the loaded parts.
pub(crate) struct Sizes {
    pub(crate) block_len: usize,
    pub(crate) weights_bytes: usize,
    pub(crate) layers: Range<usize>,
}

/// Takes tensors from a checkpoint to a device.
pub(crate) struct Loader<'a, D: Device> {
    checkpoint: &'a Checkpoint,
    device: &'a mut D,
    /// The reach of each cache group.
    reaches: Vec<Reach>,
    /// The projections that have a bias.
    biases: Vec<Role>,
    weights_bytes: usize,
    /// Of the matrices whose pages in the file are still mapped.
    unreleased_bytes: usize,
}

/// How many weights are in memory twice, packed and as pages of their file. Giving pages back
/// interrupts the other threads, so it is not done for every matrix.
const MAX_TWICE_BYTES: usize = 8 << 20;

impl<D: Device> Loader<'_, D> {
    /// Notes that a matrix of `bytes` is packed.
    fn release_pages(&mut self, bytes: usize) {
        self.unreleased_bytes += bytes;
        if self.unreleased_bytes > MAX_TWICE_BYTES {
            self.checkpoint.release_consumed();
            self.unreleased_bytes = 0;
        }
    }

    fn parts(&mut self, spec: &ModelSpec, layers: &Range<usize>) -> Result<Parts<D>, LoadError> {
        let first = layers.start == 0;
        let last = layers.end == spec.layers.len();
        let tied = spec.head == Head::Tied;
        let embed = match first || (last && tied) {
            true => Some(self.linear(Role::TokenEmbd.into(), spec.vocab_len, spec.hidden_len)?),
            false => None,
        };
        let head = match last && !tied {
            true => Some(self.linear(Role::Output.into(), spec.vocab_len, spec.hidden_len)?),
            false => None,
        };
        let final_norm = match last {
            true => Some(self.norm(Role::OutputNorm.into(), spec.hidden_len, spec.final_norm)?),
            false => None,
        };
        let layers = layers.clone().map(|i| self.layer(spec, i)).collect::<Result<_, _>>()?;
        Ok(Parts { embed, layers, final_norm, head })
    }

    fn layer(&mut self, spec: &ModelSpec, i: usize) -> Result<Layer<D>, LoadError> {
        let layer = &spec.layers[i];
        let width = spec.hidden_len;
        Ok(Layer {
            pre_mixer: self.optional_norm(Role::AttnNorm.at(i), width, layer.pre_mixer)?,
            mixer: LoadedMixer::load(self, spec, i)?,
            post_mixer: self.optional_norm(
                Role::PostAttentionNorm.at(i),
                width,
                layer.post_mixer,
            )?,
            pre_ffn: self.optional_norm(Role::FfnNorm.at(i), width, layer.pre_ffn)?,
            ffn: ffn::LoadedFfn::load(self, spec, i)?,
            post_ffn: self.optional_norm(Role::PostFfwNorm.at(i), width, layer.post_ffn)?,
            residual_scale: layer.residual_scale,
        })
    }

    /// The cache group of a layer with `reach`.
    pub(crate) fn group(&self, reach: Reach) -> usize {
        self.reaches.iter().position(|r| *r == reach).expect("reaches covers every layer loaded")
    }

    /// A matrix of `rows` outputs and `cols` inputs, with its bias if the architecture has one. A
    /// bias that it has not would change the results, so it is refused.
    pub(crate) fn linear(
        &mut self,
        at: RoleAt,
        rows: usize,
        cols: usize,
    ) -> Result<Linear<D>, LoadError> {
        let matrix = self.device.load_matrix(&self.checkpoint.matrix(at, rows, cols)?)?;
        self.weights_bytes += self.device.matrix_bytes(&matrix);
        self.release_pages(self.device.matrix_bytes(&matrix));
        let bias = match self.biases.contains(&at.role) {
            true => {
                let values = self.checkpoint.vector(at, Part::Bias, rows)?;
                Some(self.device.load_vector(values))
            }
            false => {
                self.checkpoint.refuse(at, Part::Bias)?;
                None
            }
        };
        Ok(Linear { matrix, bias })
    }

    /// A norm over `width` elements.
    pub(crate) fn norm(
        &mut self,
        at: RoleAt,
        width: usize,
        spec: NormSpec,
    ) -> Result<Norm<D>, LoadError> {
        let values = self.checkpoint.vector(at, Part::Weight, width)?;
        Ok(Norm { spec, weight: self.device.load_vector(values) })
    }

    /// A norm where the architecture has one.
    pub(crate) fn optional_norm(
        &mut self,
        at: RoleAt,
        width: usize,
        spec: Option<NormSpec>,
    ) -> Result<Option<Norm<D>>, LoadError> {
        spec.map(|spec| self.norm(at, width, spec)).transpose()
    }
}
