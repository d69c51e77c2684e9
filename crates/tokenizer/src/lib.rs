//! Text to token ids and back, and chat templates.
//!
//! A [`Tokenizer`] comes from a model directory or from a GGUF file's metadata; a [`DecodeStream`]
//! turns ids into text as they arrive; a [`ChatTemplate`] turns a conversation into a prompt.
//!
//! ```
//! use russet_tokenizer::*;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = "{% for m in messages %}{{ m.role ~ ':' ~ m.content }}{% endfor %}";
//! let template = ChatTemplate::new(source)?;
//! let messages = serde_json::json!([{"role": "u", "content": "hi"}]);
//! let prompt = template.render(&messages, &RenderOptions::default())?;
//!
//! let tokens = ["u", ":", "h", "i", "hi"].map(str::to_owned).to_vec();
//! let merges = Some(vec!["h i".to_owned()]);
//! let vocab = GgufVocab { model: "gpt2".to_owned(), tokens, merges, ..GgufVocab::default() };
//! let tokenizer = Tokenizer::from_gguf(vocab)?;
//! let ids = tokenizer.encode(&prompt, AddSpecial::No)?;
//! assert_eq!(ids, [0, 1, 4]);
//! assert_eq!(tokenizer.decode(&ids, SkipSpecial::Yes), "u:hi");
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod definition;
mod digits;
mod dir;
mod error;
mod gguf;
mod pieces;
mod special;
mod stream;
mod template;
mod tokenizer;

pub use dir::ChatTemplates;
pub use error::Error;
pub use gguf::GgufVocab;
pub use special::SpecialTokens;
pub use stream::DecodeStream;
pub use template::{ChatTemplate, Clock, RenderOptions, TemplateError};
pub use tokenizer::{AddSpecial, SkipSpecial, SpecialText, TextStart, Tokenizer};
