//! Loaded mixers: one variant and one file per kind.

mod attention;

use crate::load::Loader;
use crate::{Device, Linear, LoadError, Mixer, ModelSpec, Norm, Step};
use attention::Attention;

/// A mixer with its weights.
pub(crate) enum LoadedMixer<D: Device> {
    /// Softmax attention.
    Attention(Attention<D>),
}

/// What a mixer is given besides the hidden state.
pub(crate) struct MixerRun<'a, D: Device> {
    pub(crate) step: &'a Step<'a>,
    /// Applied to the hidden state first.
    pub(crate) norm: Option<&'a Norm<D>>,
    /// The layer's blocks.
    pub(crate) cache: &'a mut D::Cache,
}

impl<D: Device> LoadedMixer<D> {
    pub(crate) fn load(
        loader: &mut Loader<'_, D>,
        spec: &ModelSpec,
        layer: usize,
    ) -> Result<Self, LoadError> {
        match &spec.layers[layer].mixer {
            Mixer::Attention(attention) => {
                Ok(Self::Attention(Attention::load(loader, spec, (layer, attention))?))
            }
        }
    }

    /// Mixes the rows of `h`; what it returns goes through [`LoadedMixer::output`].
    pub(crate) fn forward(&self, device: &mut D, h: &D::Tensor, run: MixerRun<'_, D>) -> D::Tensor {
        match self {
            Self::Attention(attention) => attention.forward(device, h, run),
        }
    }

    /// The projection back to the hidden width.
    pub(crate) fn output(&self) -> &Linear<D> {
        match self {
            Self::Attention(attention) => &attention.output,
        }
    }
}
