//! The gated feed-forward part.

use russet_weights::Role;

use crate::load::Loader;
use crate::spec::Activation;
use crate::{Device, GatedFfnSpec, Linear, LoadError, ModelSpec, Norm};

/// A gated feed-forward part with its weights.
pub(crate) struct Gated<D: Device> {
    activation: Activation,
    gate: Linear<D>,
    up: Linear<D>,
    pub(super) down: Linear<D>,
}

impl<D: Device> Gated<D> {
    pub(super) fn load(
        loader: &mut Loader<'_, D>,
        model: &ModelSpec,
        (layer, spec): (usize, &GatedFfnSpec),
    ) -> Result<Self, LoadError> {
        let (hidden, inner) = (model.hidden_len, spec.inner_len);
        Ok(Self {
            activation: spec.activation,
            gate: loader.linear(Role::FfnGate.at(layer), inner, hidden)?,
            up: loader.linear(Role::FfnUp.at(layer), inner, hidden)?,
            down: loader.linear(Role::FfnDown.at(layer), hidden, inner)?,
        })
    }

    pub(super) fn forward(
        &self,
        device: &mut D,
        h: &D::Tensor,
        norm: Option<&Norm<D>>,
    ) -> D::Tensor {
        let projected = device.project(h, norm, &[&self.gate, &self.up]);
        let [gate, up] = <[_; 2]>::try_from(projected).ok().expect("one tensor per linear");
        device.gate(gate, up, self.activation)
    }
}
