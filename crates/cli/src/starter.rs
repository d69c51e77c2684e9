//! The starter model: fetched as GGUF, kept and served as an MLX directory that holds the very same
//! weights.

use std::path::PathBuf;

use anyhow::{Context, Result};
use russet_hub::{Hub, Progress};
use russet_weights::{Checkpoint, TokenizerFiles, write_mlx_from_gguf};
use serde_json::json;

use crate::progress::Bar;
use crate::vocab;

/// The name in the API and in `russet list`.
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
    let mut shown = 0;
    let mut progress = |done, total| {
        if shown == 0 {
            bar.begin("converting to MLX", Some(total));
        }
        bar.advance(done - shown);
        shown = done;
    };
    let files = TokenizerFiles { tokenizer_json: &json, tokenizer_config_json: &config };
    write_mlx_from_gguf(&gguf, &dir, files, &mut progress)?;
    bar.finish();
    Ok(dir)
}

/// Removes the MLX directory; returns the bytes freed.
pub(crate) fn remove_converted(hub: &Hub) -> Result<u64> {
    let dir = converted_dir(hub);
    if !dir.exists() {
        return Ok(0);
    }
    let mut freed = 0;
    for entry in std::fs::read_dir(&dir)? {
        freed += entry?.metadata()?.len();
    }
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    Ok(freed)
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
