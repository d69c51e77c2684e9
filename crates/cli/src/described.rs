//! What a model needs, as the choice of a backend wants to know it.

use std::num::NonZeroUsize;

use anyhow::Result;
use russet_backends::{Fit, Model, Refusal, TooBig};
use russet_decoder::{Mixer, ModelSpec, Reach};
use russet_hub::{Hub, Located};
use russet_weights::{Checkpoint, Format};

use crate::opened::{self, Opened};
use crate::settings::model_ref;
use crate::{machine, matrices};

/// The shortest context that is of use; longer ones are chosen as memory allows.
const LEAST_CONTEXT: NonZeroUsize = NonZeroUsize::new(256).expect("not 0");

/// A model that is here.
pub(crate) struct Described {
    pub(crate) model: Model,
    pub(crate) located: Located,
    /// The longest context for which there is memory, if the decoder can tell.
    pub(crate) context: Option<NonZeroUsize>,
}

/// Finds the model that `name` stands for and holds it against the memory that is free, with a
/// context of so many tokens if one is wanted.
pub(crate) fn describe(hub: &Hub, name: &str, context: Option<NonZeroUsize>) -> Result<Described> {
    let located = opened::locate(hub, &model_ref(name)?)?;
    let opened = opened::open(hub, name);
    let files = opened::weights_bytes(&located.path);
    let checkpoint = Checkpoint::open(&located.path).ok();
    let spec = checkpoint.and_then(|checkpoint| russet_decoder::spec(&checkpoint).ok());
    let kv_per_token = spec.as_ref().map_or(0, kv_per_token);
    let model = Model {
        format: match located.format {
            russet_hub::Format::Gguf => Format::Gguf,
            russet_hub::Format::Mlx => Format::Mlx,
            russet_hub::Format::HuggingFace => Format::HuggingFace,
        },
        native: opened
            .and_then(|opened| native_fit(&opened, context))
            .map_err(|error| Refusal::Native(crate::message(&error)))
            .and_then(|fit| fit.map_err(Refusal::TooBig)),
        fit: fit(files, kv_per_token, context).check(),
        has_tokenizer: has_tokenizer(&located),
    };
    let context = spec.and_then(|spec| context_that_fits(&spec, files));
    Ok(Described { model, located, context })
}

/// An error if the native backend cannot read the model, else whether it fits once packed.
fn native_fit(opened: &Opened, context: Option<NonZeroUsize>) -> Result<Result<(), TooBig>> {
    let spec = russet_decoder::spec(&opened.checkpoint)?;
    opened.tokenizer()?;
    let packed = packed_bytes(&opened.checkpoint, &spec)?;
    Ok(fit(packed, kv_per_token(&spec), context).check())
}

fn fit(weights: u64, kv_per_token: u64, context: Option<NonZeroUsize>) -> Fit {
    let context = context.unwrap_or(LEAST_CONTEXT).get();
    Fit { weights, kv_per_token, context, slots: 1, free: machine::available_memory() }
}

/// The model's context, as far as half of the memory that the weights leave free reaches.
fn context_that_fits(spec: &ModelSpec, weights: u64) -> Option<NonZeroUsize> {
    let free = machine::available_memory()?.saturating_sub(weights);
    let tokens = free / 2 / kv_per_token(spec).max(1);
    NonZeroUsize::new(spec.context_len.min(usize::try_from(tokens).unwrap_or(usize::MAX)))
}

/// What each token of a long sequence takes at most.
fn kv_per_token(spec: &ModelSpec) -> u64 {
    kv_bytes(spec, LEAST_CONTEXT.get()) / LEAST_CONTEXT.get() as u64
}

/// What the matrices that the decoder loads take once packed; many encodings become wider.
pub(crate) fn packed_bytes(checkpoint: &Checkpoint, spec: &ModelSpec) -> Result<u64> {
    matrices::all(spec).iter().map(|matrix| matrix.packed_bytes(checkpoint)).sum()
}

/// f16 keys and values of `num_tokens`; sliding layers keep no more than their window.
pub(crate) fn kv_bytes(spec: &ModelSpec, num_tokens: usize) -> u64 {
    let layer = |layer: &russet_decoder::LayerSpec| {
        let Mixer::Attention(attention) = &layer.mixer;
        let kept = match attention.reach {
            Reach::All => num_tokens,
            Reach::Window(n) | Reach::Chunk(n) => num_tokens.min(n),
        };
        kept * attention.num_kv_heads * attention.head_dim * 2 * size_of::<u16>()
    };
    spec.layers.iter().map(layer).sum::<usize>() as u64
}

/// Whether there is a tokenizer of any kind. A GGUF is one file with everything.
fn has_tokenizer(located: &Located) -> bool {
    let names = ["tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json"];
    located.format == russet_hub::Format::Gguf
        || names.iter().any(|name| located.path.join(name).is_file())
}
