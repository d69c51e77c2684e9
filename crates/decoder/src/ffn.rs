//! Loaded feed-forward parts: one variant and one file per kind.

mod gated;

use crate::load::Loader;
use crate::{Device, Ffn, Linear, LoadError, ModelSpec, Norm};
use gated::Gated;

/// A feed-forward part with its weights.
pub(crate) enum LoadedFfn<D: Device> {
    /// `down(act(gate(x)) * up(x))`
    Gated(Gated<D>),
}

impl<D: Device> LoadedFfn<D> {
    pub(crate) fn load(
        loader: &mut Loader<'_, D>,
        spec: &ModelSpec,
        layer: usize,
    ) -> Result<Self, LoadError> {
        match &spec.layers[layer].ffn {
            Ffn::Gated(gated) => Ok(Self::Gated(Gated::load(loader, spec, (layer, gated))?)),
        }
    }

    /// What goes through [`LoadedFfn::output`].
    pub(crate) fn forward(
        &self,
        device: &mut D,
        h: &D::Tensor,
        norm: Option<&Norm<D>>,
    ) -> D::Tensor {
        match self {
            Self::Gated(gated) => gated.forward(device, h, norm),
        }
    }

    /// The projection back to the hidden width.
    pub(crate) fn output(&self) -> &Linear<D> {
        match self {
            Self::Gated(gated) => &gated.down,
        }
    }
}
