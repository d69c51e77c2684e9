//! A reader of GGUF metadata that shares no code with the rest of the workspace.

use std::collections::HashMap;

use russet_tokenizer::GgufVocab;

#[derive(Debug, Clone)]
enum Meta {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Array(Vec<Meta>),
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().unwrap();
        self.0 = rest;
        *head
    }

    fn len(&mut self) -> usize {
        u64::from_le_bytes(self.take()) as usize
    }

    fn text(&mut self) -> String {
        let len = self.len();
        let (head, rest) = self.0.split_at(len);
        self.0 = rest;
        String::from_utf8(head.to_vec()).unwrap()
    }

    fn value(&mut self, kind: u32) -> Meta {
        match kind {
            0 => Meta::Int(self.take::<1>()[0].into()),
            1 => Meta::Int(i8::from_le_bytes(self.take()).into()),
            2 => Meta::Int(u16::from_le_bytes(self.take()).into()),
            3 => Meta::Int(i16::from_le_bytes(self.take()).into()),
            4 => Meta::Int(u32::from_le_bytes(self.take()).into()),
            5 => Meta::Int(i32::from_le_bytes(self.take()).into()),
            6 => Meta::Float(f32::from_le_bytes(self.take()).into()),
            7 => Meta::Bool(self.take::<1>()[0] != 0),
            8 => Meta::Text(self.text()),
            9 => {
                let kind = u32::from_le_bytes(self.take());
                let len = self.len();
                Meta::Array((0..len).map(|_| self.value(kind)).collect())
            }
            10 | 11 => Meta::Int(i64::from_le_bytes(self.take())),
            12 => Meta::Float(f64::from_le_bytes(self.take())),
            _ => panic!("unknown metadata type {kind}"),
        }
    }
}

/// Everything a GGUF file says before its tensors.
fn metadata(bytes: &[u8]) -> HashMap<String, Meta> {
    let mut reader = Reader(bytes);
    assert_eq!(&reader.take::<4>(), b"GGUF");
    let _version: [u8; 4] = reader.take();
    let _tensors = reader.len();
    let entries = reader.len();
    let entry = |_| {
        let key = reader.text();
        let kind = u32::from_le_bytes(reader.take());
        (key, reader.value(kind))
    };
    (0..entries).map(entry).collect()
}

/// The tokenizer part of the metadata.
pub(crate) fn vocab(bytes: &[u8]) -> GgufVocab {
    let meta = metadata(bytes);
    let ggml = |key: &str| meta.get(&format!("tokenizer.ggml.{key}"));
    let text = |key: &str| match ggml(key) {
        Some(Meta::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let flag = |key: &str| match ggml(key) {
        Some(Meta::Bool(flag)) => Some(*flag),
        _ => None,
    };
    let id = |key: &str| match ggml(&format!("{key}_token_id")) {
        Some(Meta::Int(id)) => Some(*id as u32),
        _ => None,
    };
    let list = |key: &str| match ggml(key) {
        Some(Meta::Array(items)) => Some(items.clone()),
        _ => None,
    };
    let texts = |key: &str| {
        let one = |item| if let Meta::Text(text) = item { text } else { panic!("{key}: not text") };
        list(key).map(|items| items.into_iter().map(one).collect::<Vec<_>>())
    };
    let int = |item| if let Meta::Int(int) = item { int } else { panic!("not an integer") };
    let float = |item| if let Meta::Float(float) = item { float as f32 } else { panic!("not f32") };
    GgufVocab {
        model: text("model").unwrap(),
        pre: text("pre"),
        tokens: texts("tokens").unwrap(),
        scores: list("scores").map(|items| items.into_iter().map(float).collect()),
        token_types: list("token_type")
            .map(|items| items.into_iter().map(|item| int(item) as i32).collect()),
        merges: texts("merges"),
        bos: id("bos").or_else(|| id("cls")),
        eos: id("eos"),
        eot: id("eot"),
        eom: id("eom"),
        unk: id("unknown"),
        pad: id("padding"),
        sep: id("seperator"),
        mask: id("mask"),
        add_bos: flag("add_bos_token"),
        add_eos: flag("add_eos_token"),
        add_space_prefix: flag("add_space_prefix"),
        remove_extra_whitespaces: flag("remove_extra_whitespaces"),
        chat_template: match meta.get("tokenizer.chat_template") {
            Some(Meta::Text(text)) => Some(text.clone()),
            _ => None,
        },
        precompiled_charsmap: list("precompiled_charsmap")
            .map(|items| items.into_iter().map(|item| int(item) as u8).collect()),
    }
}
