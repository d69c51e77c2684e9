//! The forward pass, written once: spec × weights × batch → logits, in device verbs.

use std::ops::Range;

use crate::load::Sizes;
use crate::mixer::{LoadedMixer, MixerRun};
use crate::{
    Batch, BlockId, Branch, Cache, CacheGroup, Device, Input, KvSpec, Linear, Mixer, Model,
    ModelError, ModelInfo, ModelOutput, ModelSpec, Norm, Reach, Step, ffn,
};

/// A model on a device.
pub struct Decoder<D: Device> {
    spec: ModelSpec,
    info: ModelInfo,
    device: D,
    parts: Parts<D>,
    /// The layers this instance runs.
    layers: Range<usize>,
    /// One per layer that runs.
    caches: Vec<D::Cache>,
    num_blocks: Vec<usize>,
}

/// Everything loaded.
pub(crate) struct Parts<D: Device> {
    pub(crate) embed: Option<Linear<D>>,
    pub(crate) layers: Vec<Layer<D>>,
    pub(crate) final_norm: Option<Norm<D>>,
    /// `None` when the embedding matrix serves, or another stage has the head.
    pub(crate) head: Option<Linear<D>>,
}

/// One loaded layer.
pub(crate) struct Layer<D: Device> {
    pub(crate) pre_mixer: Option<Norm<D>>,
    pub(crate) mixer: LoadedMixer<D>,
    pub(crate) post_mixer: Option<Norm<D>>,
    pub(crate) pre_ffn: Option<Norm<D>>,
    pub(crate) ffn: ffn::LoadedFfn<D>,
    pub(crate) post_ffn: Option<Norm<D>>,
    pub(crate) residual_scale: f32,
}

impl<D: Device> Model for Decoder<D> {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn allocate_cache(&mut self, num_blocks: &[usize]) -> Result<(), ModelError> {
        assert_eq!(num_blocks.len(), self.info.cache_groups.len(), "one size per cache group");
        self.caches.clear();
        for (layer, index) in self.layers.clone().enumerate() {
            let spec = kv_spec(&self.spec, index, self.info.block_len);
            let group = group_of(&self.info, layer);
            self.caches.push(self.device.new_cache(&spec, num_blocks[group])?);
        }
        self.num_blocks = num_blocks.to_vec();
        Ok(())
    }

    fn forward(&mut self, batch: &Batch) -> Result<ModelOutput, ModelError> {
        self.check_stage(batch)?;
        let step = Step::new(batch, &self.spec, &self.info, &self.num_blocks)?;
        let embed = self.parts.embed.as_ref().map(|linear| &linear.matrix);
        let mut h = self.device.embed(&step, embed, self.spec.embed_scale);
        let wanted = wanted_rows(batch);
        let last = self.parts.layers.len().saturating_sub(1);
        for (i, (layer, cache)) in self.parts.layers.iter().zip(&mut self.caches).enumerate() {
            let mixed = layer.mix(&mut self.device, &step, &h, cache);
            let mixed = match i == last {
                true => narrow(&mut self.device, &wanted, &mut h, mixed),
                false => mixed,
            };
            layer.finish(&mut self.device, &mut h, mixed);
        }
        let place = |row: &usize| wanted.binary_search(row).expect("a wanted row");
        let hidden_rows: Vec<usize> = batch.hidden_rows.iter().map(place).collect();
        let hidden = self.device.select(&h, &hidden_rows);
        let logits = match batch.logits_rows.is_empty() {
            true => Vec::new(),
            false => self.logits(&h, &batch.logits_rows.iter().map(place).collect::<Vec<_>>()),
        };
        self.device.recycle(h);
        Ok(ModelOutput { logits, hidden: self.device.to_host(hidden) })
    }

    fn recycle(&mut self, output: ModelOutput) {
        self.device.recycle_host(output.logits);
    }

    fn copy_block(&mut self, group: usize, from: BlockId, to: BlockId) {
        for &layer in &self.info.cache_groups[group].layers {
            self.caches[layer].copy_block(from.0, to.0);
        }
    }

    fn read_block(&self, group: usize, block: BlockId) -> Vec<u8> {
        let layers = &self.info.cache_groups[group].layers;
        layers.iter().flat_map(|&layer| self.caches[layer].read_block(block.0)).collect()
    }

    fn write_block(
        &mut self,
        group: usize,
        block: BlockId,
        bytes: &[u8],
    ) -> Result<(), ModelError> {
        let (found, expected) = (bytes.len(), self.info.cache_groups[group].block_bytes);
        if found != expected {
            return Err(ModelError::BlockBytes { group, found, expected });
        }
        let layers = &self.info.cache_groups[group].layers;
        // Layers of a group may differ in size, so each takes what it would give.
        let mut rest = bytes;
        for &layer in layers {
            let len = self.caches[layer].read_block(block.0).len();
            let (own, others) = rest.split_at(len);
            self.caches[layer].write_block(block.0, own);
            rest = others;
        }
        Ok(())
    }
}

impl<D: Device> Decoder<D> {
    /// What computes, for its counters.
    pub fn device(&self) -> &D {
        &self.device
    }

    pub(crate) fn new(
        architecture: &'static str,
        spec: ModelSpec,
        device: D,
        parts: Parts<D>,
        sizes: Sizes,
    ) -> Self {
        let info = ModelInfo {
            architecture,
            vocab_len: spec.vocab_len,
            hidden_len: spec.hidden_len,
            context_len: spec.context_len,
            num_layers: sizes.layers.len(),
            block_len: sizes.block_len,
            cache_groups: cache_groups(&spec, &device, &sizes),
            weights_bytes: sizes.weights_bytes,
        };
        let layers = sizes.layers;
        Self { spec, info, device, parts, layers, caches: Vec::new(), num_blocks: Vec::new() }
    }

    /// The spec that was loaded.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// A pipeline stage takes what the stage before it gives, and only the last has logits.
    fn check_stage(&self, batch: &Batch) -> Result<(), ModelError> {
        let has_tokens = batch.rows.iter().any(|row| matches!(row.input, Input::Token(_)));
        if self.layers.start > 0 && has_tokens {
            return Err(ModelError::TokensInLaterStage { first_layer: self.layers.start });
        }
        if self.parts.final_norm.is_none() && !batch.logits_rows.is_empty() {
            return Err(ModelError::LogitsInEarlierStage { last_layer: self.layers.end - 1 });
        }
        Ok(())
    }

    /// `[rows.len(), vocab_len]`
    fn logits(&mut self, h: &D::Tensor, rows: &[usize]) -> Vec<f32> {
        let selected = self.device.select(h, rows);
        let head = self.parts.head.as_ref().or(self.parts.embed.as_ref());
        let head = head.expect("check_stage: the last stage has a head");
        let mut logits = self.device.project(&selected, self.parts.final_norm.as_ref(), &[head]);
        self.device.recycle(selected);
        self.device.to_host(logits.remove(0))
    }
}

impl<D: Device> Layer<D> {
    /// What the mixer makes of the input, before its output projection.
    fn mix(
        &self,
        device: &mut D,
        step: &Step<'_>,
        h: &D::Tensor,
        cache: &mut D::Cache,
    ) -> D::Tensor {
        let run = MixerRun { step, norm: self.pre_mixer.as_ref(), cache };
        self.mixer.forward(device, h, run)
    }

    /// The rest of the layer, row by row.
    fn finish(&self, device: &mut D, h: &mut D::Tensor, mixed: D::Tensor) {
        let branch = Branch {
            linear: self.mixer.output(),
            norm: self.post_mixer.as_ref(),
            scale: self.residual_scale,
        };
        device.add_projected(h, mixed, branch);
        let inner = self.ffn.forward(device, h, self.pre_ffn.as_ref());
        let branch = Branch {
            linear: self.ffn.output(),
            norm: self.post_ffn.as_ref(),
            scale: self.residual_scale,
        };
        device.add_projected(h, inner, branch);
    }
}

/// The rows whose result someone asked for, ascending.
fn wanted_rows(batch: &Batch) -> Vec<usize> {
    let mut rows = [batch.logits_rows.as_slice(), &batch.hidden_rows].concat();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// Keeps only `rows` of `h` and `mixed`; returns the latter. After the last mixer nothing reads the
/// others: a prompt needs their keys and values alone.
fn narrow<D: Device>(
    device: &mut D,
    rows: &[usize],
    h: &mut D::Tensor,
    mixed: D::Tensor,
) -> D::Tensor {
    let narrow_h = device.select(h, rows);
    device.recycle(std::mem::replace(h, narrow_h));
    let narrow_mixed = device.select(&mixed, rows);
    device.recycle(mixed);
    narrow_mixed
}

fn cache_groups<D: Device>(spec: &ModelSpec, device: &D, sizes: &Sizes) -> Vec<CacheGroup> {
    let group = |reach: Reach| {
        let reaches = |index: usize| {
            let Mixer::Attention(attention) = &spec.layers[index].mixer;
            attention.reach == reach
        };
        let indices: Vec<usize> = sizes.layers.clone().filter(|&i| reaches(i)).collect();
        let bytes = |&i: &usize| device.block_bytes(&kv_spec(spec, i, sizes.block_len));
        let block_bytes = indices.iter().map(bytes).sum();
        let layers = indices.iter().map(|i| i - sizes.layers.start).collect();
        CacheGroup { reach, layers, block_bytes }
    };
    spec.reaches(sizes.layers.clone()).into_iter().map(group).collect()
}

fn kv_spec(spec: &ModelSpec, layer: usize, block_len: usize) -> KvSpec {
    let Mixer::Attention(attention) = &spec.layers[layer].mixer;
    let (num_kv_heads, head_dim) = (attention.num_kv_heads, attention.head_dim);
    KvSpec { block_len, num_kv_heads, head_dim }
}

fn group_of(info: &ModelInfo, layer: usize) -> usize {
    let holds = |group: &CacheGroup| group.layers.contains(&layer);
    info.cache_groups.iter().position(holds).expect("every layer is in a group")
}
