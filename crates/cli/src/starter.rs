//! The starter model: fetched as GGUF, kept and served as an MLX directory that holds the very same
//! weights.

use std::path::PathBuf;

use anyhow::{Context, Result};
use russet_hub::{Error as HubError, Hub, ModelRef, Progress};
use russet_weights::{Checkpoint, TokenizerFiles, write_mlx_from_gguf};
use serde_json::json;

use crate::progress::Bar;
use crate::vocab;

/// The name in the API.
pub(crate) const NAME: &str = "SmolLM2-135M-Instruct";

/// A model this small rambles unless it takes the likeliest token.
pub(crate) const TEMPERATURE: f32 = 0.0;

/// The starter's MLX directory, made on first use.
pub(crate) fn ensure(hub: &Hub) -> Result<PathBuf> {
    let dir = converted_dir(hub);
    if dir.join("config.json").is_file() {
        return Ok(dir);
    }
    let gguf = hub.starter_gguf(&mut Bar::default())?;
    let checkpoint = Checkpoint::open(&gguf)?;
    let stored = checkpoint.gguf_tokenizer()?.context("the starter has no tokenizer metadata")?;
    let tokenizer = vocab::tokenizer(stored.clone())?;
    let (json, config) = (tokenizer.to_tokenizer_json()?, tokenizer_config(&tokenizer, &stored));
    drop(checkpoint);
    let mut bar = Bar::default();
    let mut shown = None;
    let mut progress = |done, total| {
        if shown.is_none() {
            bar.begin("converting to MLX", Some(total));
        }
        bar.advance(done - shown.unwrap_or(0));
        shown = Some(done);
    };
    let files = TokenizerFiles { tokenizer_json: &json, tokenizer_config_json: &config };
    let written = write_mlx_from_gguf(&gguf, &dir, files, &mut progress);
    bar.finish();
    match written {
        // Another process may have been faster.
        Err(_) if dir.join("config.json").is_file() => Ok(dir),
        written => written.map(|_| dir).with_context(|| {
            let gguf = gguf.display();
            format!("cannot write the starter's MLX form; `-m {gguf}` runs without it")
        }),
    }
}

/// Removes the starter in both its forms; returns the bytes freed.
pub(crate) fn remove(hub: &Hub) -> Result<u64> {
    let dir = converted_dir(hub);
    let bytes = converted_bytes(hub);
    if dir.exists() {
        std::fs::remove_dir_all(&dir)
            .with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    match hub.remove(&ModelRef::Starter) {
        Ok(freed) => Ok(freed + bytes),
        Err(HubError::NotCached { .. }) if bytes > 0 => Ok(bytes),
        Err(error) => Err(error.into()),
    }
}

/// Bytes of the MLX directory; 0 if it is not there.
pub(crate) fn converted_bytes(hub: &Hub) -> u64 {
    let entries = std::fs::read_dir(converted_dir(hub)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}

fn converted_dir(hub: &Hub) -> PathBuf {
    hub.config().russet_home.join("starter").join(format!("{NAME}-4bit"))
}

fn tokenizer_config(
    tokenizer: &russet_tokenizer::Tokenizer,
    stored: &russet_weights::GgufTokenizer,
) -> String {
    let token = |id: Option<u32>| id.and_then(|id| tokenizer.id_to_token(id));
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": token(stored.special.bos),
        "eos_token": token(stored.special.eos),
        "unk_token": token(stored.special.unk),
        "pad_token": token(stored.special.pad),
        "add_prefix_space": false,
        "clean_up_tokenization_spaces": false,
        "chat_template": stored.chat_template,
    });
    format!("{config:#}\n")
}
