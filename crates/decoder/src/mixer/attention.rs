//! Grouped-query softmax attention.

use russet_weights::Role;

use super::MixerRun;
use crate::load::Loader;
use crate::{AttendLayer, AttentionSpec, Device, Linear, LoadError, ModelSpec, Norm, Qkv};

/// Attention with its weights.
pub(crate) struct Attention<D: Device> {
    spec: AttentionSpec,
    group: usize,
    q: Linear<D>,
    k: Linear<D>,
    v: Linear<D>,
    pub(super) output: Linear<D>,
    q_norm: Option<Norm<D>>,
    k_norm: Option<Norm<D>>,
}

impl<D: Device> Attention<D> {
    pub(super) fn load(
        loader: &mut Loader<'_, D>,
        model: &ModelSpec,
        (layer, spec): (usize, &AttentionSpec),
    ) -> Result<Self, LoadError> {
        let (hidden, head_dim) = (model.hidden_len, spec.head_dim);
        let (q_len, kv_len) = (spec.num_heads * head_dim, spec.num_kv_heads * head_dim);
        Ok(Self {
            spec: spec.clone(),
            group: loader.group(spec.reach),
            q: loader.linear(Role::AttnQ.at(layer), q_len, hidden)?,
            k: loader.linear(Role::AttnK.at(layer), kv_len, hidden)?,
            v: loader.linear(Role::AttnV.at(layer), kv_len, hidden)?,
            output: loader.linear(Role::AttnOutput.at(layer), hidden, q_len)?,
            q_norm: loader.optional_norm(Role::AttnQNorm.at(layer), head_dim, spec.qk_norm)?,
            k_norm: loader.optional_norm(Role::AttnKNorm.at(layer), head_dim, spec.qk_norm)?,
        })
    }

    pub(super) fn forward(&self, device: &mut D, h: &D::Tensor, run: MixerRun<'_, D>) -> D::Tensor {
        let projected = device.project(h, run.norm, &[&self.q, &self.k, &self.v]);
        let [q, k, v] = <[_; 3]>::try_from(projected).ok().expect("one tensor per linear");
        let layer = AttendLayer {
            spec: &self.spec,
            q_norm: self.q_norm.as_ref(),
            k_norm: self.k_norm.as_ref(),
            group: self.group,
            cache: run.cache,
        };
        device.attend(run.step, Qkv { q, k, v }, layer)
    }
}
