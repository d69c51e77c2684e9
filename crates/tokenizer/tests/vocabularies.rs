//! Encoding against the vectors that come with llama.cpp's vocabularies, and real tokenizers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod data;
mod gguf_metadata;

use std::path::Path;

use russet_tokenizer::{AddSpecial, Error, SkipSpecial, SpecialText, TextStart, Tokenizer};
use serde_json::{Value, json};

fn gguf(path: &Path) -> Tokenizer {
    Tokenizer::from_gguf(gguf_metadata::vocab(&std::fs::read(path).unwrap())).unwrap()
}

/// The texts of an `.inp` file with the ids of the `.out` file beside it.
fn vectors(gguf: &Path) -> Option<Vec<(String, Vec<u32>)>> {
    let read = |end: &str| std::fs::read_to_string(format!("{}.{end}", gguf.display())).ok();
    let (texts, ids) = (read("inp")?, read("out")?);
    let texts: Vec<_> = texts.split("\n__ggml_vocab_test__\n").collect();
    let ids: Vec<Vec<u32>> = ids
        .lines()
        .map(|line| line.split_whitespace().map(|id| id.parse().unwrap()).collect())
        .collect();
    // Each text is followed by a separator, so what comes after the last one is no text.
    let texts = &texts[..ids.len()];
    Some(texts.iter().map(|text| (*text).to_owned()).zip(ids).collect())
}

#[test]
fn llama_cpp_vectors() {
    let Some(data) = data::dir() else { return };
    let mut files: Vec<_> = std::fs::read_dir(data.join("vocab"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gguf"))
        .collect();
    files.sort();
    let (mut checked, mut wrong) = (0, Vec::new());
    for path in files {
        let tokenizer = gguf(&path);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(vectors) = vectors(&path) else {
            println!("{name}: loads ({} tokens), has no vectors", tokenizer.vocab_len());
            continue;
        };
        println!("{name}: {} vectors", vectors.len());
        for (text, expected) in vectors {
            checked += 1;
            let found = tokenizer.encode(&text, AddSpecial::No).unwrap();
            if found != expected {
                wrong.push(format!(
                    "{name} {text:?}\n  found    {found:?}\n  expected {expected:?}"
                ));
            }
        }
    }
    assert!(checked > 150, "only {checked} vectors");
    assert!(wrong.is_empty(), "{} of {checked} wrong\n{}", wrong.len(), wrong.join("\n"));
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// The same small vocabulary as a GGUF's scores and as a `tokenizer.json`'s merges.
#[test]
fn stories_prompts() {
    let Some(data) = data::dir() else { return };
    let golden = read_json(&data.join("stories260K/golden.json"));
    let from_gguf = gguf(&data.join("stories260K/stories260K-f32.gguf"));
    let from_dir = Tokenizer::from_dir(&data.join("stories260K/hf")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let prompt = case["prompt"].as_str().unwrap();
        let expected = ids(&case["prompt_ids"]);
        assert_eq!(from_gguf.encode(prompt, AddSpecial::Yes).unwrap(), expected, "{prompt:?}");
        assert_eq!(from_dir.encode(prompt, AddSpecial::Yes).unwrap(), expected, "{prompt:?}");
        assert_eq!(from_gguf.decode(&expected, SkipSpecial::Yes), prompt);
        assert_eq!(from_dir.decode(&expected, SkipSpecial::Yes), prompt);
    }
    assert_eq!((from_dir.bos_id(), from_dir.eos_id()), (Some(1), Some(2)));
    assert_eq!(from_gguf.eos_ids().collect::<Vec<_>>(), [2]);
}

/// Qwen3's own file and llama.cpp's Qwen2 vocabulary share the first 151,643 tokens.
#[test]
fn qwen_directory_and_gguf_agree() {
    let Some(data) = data::dir() else { return };
    let from_dir = Tokenizer::from_dir(&data.join("tokenizers/qwen3")).unwrap();
    let from_gguf = gguf(&data.join("vocab/ggml-vocab-qwen2.gguf"));
    let corpus = std::fs::read_to_string(data.join("text/wikitext-2-valid.txt")).unwrap();
    for line in corpus.lines().filter(|line| !line.is_empty()).take(400) {
        let found = from_dir.encode(line, AddSpecial::No).unwrap();
        assert_eq!(from_gguf.encode(line, AddSpecial::No).unwrap(), found);
        assert_eq!(from_dir.decode(&found, SkipSpecial::No), line);
    }
    assert_eq!(from_dir.special_tokens().text("eos_token"), Some("<|im_end|>"));
    assert_eq!(from_dir.encode("<|im_end|>", AddSpecial::No).unwrap(), [151_645]);
}

/// What is written for an MLX directory encodes as the GGUF does.
#[test]
fn written_tokenizer_json_agrees() {
    let Some(data) = data::dir() else { return };
    let corpus = std::fs::read_to_string(data.join("text/tinyshakespeare.txt")).unwrap();
    let sample = &corpus[..40_000];
    for name in [
        "vocab/ggml-vocab-gpt-2.gguf",
        "vocab/ggml-vocab-qwen35.gguf",
        "stories260K/stories260K-f32.gguf",
    ] {
        let original = gguf(&data.join(name));
        let dir = tempfile::tempdir().unwrap();
        let json = original.to_tokenizer_json().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), json).unwrap();
        let written = Tokenizer::from_dir(dir.path()).unwrap();
        for add in [AddSpecial::Yes, AddSpecial::No] {
            let ids = original.encode(sample, add).unwrap();
            assert_eq!(written.encode(sample, add).unwrap(), ids, "{name}");
            assert_eq!(written.decode(&ids, SkipSpecial::Yes), sample, "{name}");
        }
    }
}

/// Any ids in any order: the stream's pieces are the text of all, whole characters each.
#[test]
fn streams_agree_with_decode() {
    let Some(data) = data::dir() else { return };
    let tokenizers = [
        gguf(&data.join("vocab/ggml-vocab-gpt-2.gguf")),
        gguf(&data.join("vocab/ggml-vocab-qwen35.gguf")),
        gguf(&data.join("vocab/ggml-vocab-bert-bge.gguf")),
        gguf(&data.join("vocab/ggml-vocab-nomic-bert-moe.gguf")),
        gguf(&data.join("stories260K/stories260K-f32.gguf")),
        Tokenizer::from_dir(&data.join("stories260K/hf")).unwrap(),
    ];
    let mut state = 1u64;
    for tokenizer in &tokenizers {
        for round in 0..300 {
            let mut ids = Vec::new();
            for _ in 0..round % 40 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                // Small ids are bytes and characters in most vocabularies, so take them often.
                let below = if state & 1 << 20 == 0 { 300 } else { tokenizer.vocab_len() + 3 };
                ids.push((state >> 33) as u32 % below as u32);
            }
            for skip in [SkipSpecial::Yes, SkipSpecial::No] {
                let mut stream = tokenizer.decode_stream(skip, TextStart::Beginning);
                let mut text: String = ids.iter().filter_map(|&id| stream.push(id)).collect();
                text.extend(stream.finish());
                assert_eq!(text, tokenizer.decode(&ids, skip), "{ids:?}");
            }
        }
    }
}

#[test]
fn streams_hold_back_and_keep_spaces() {
    let Some(data) = data::dir() else { return };
    let tokenizer = gguf(&data.join("stories260K/stories260K-f32.gguf"));
    let ids = tokenizer.encode("Once 🦙 up", AddSpecial::No).unwrap();
    let pushed = |start| {
        let mut stream = tokenizer.decode_stream(SkipSpecial::Yes, start);
        let mut pieces: Vec<_> = ids.iter().map(|&id| stream.push(id)).collect();
        pieces.push(stream.finish());
        pieces
    };
    let pieces = pushed(TextStart::Beginning);
    assert_eq!(pieces.iter().flatten().cloned().collect::<String>(), "Once 🦙 up");
    assert!(pieces.iter().filter(|piece| piece.is_none()).count() >= 3, "{pieces:?}");
    let continued: String = pushed(TextStart::Continuation).into_iter().flatten().collect();
    assert_eq!(continued, " Once 🦙 up");
    let mut cut = tokenizer.decode_stream(SkipSpecial::Yes, TextStart::Beginning);
    assert_eq!(cut.push(tokenizer.token_to_id("<0xE2>").unwrap()), None);
    assert_eq!(cut.finish().as_deref(), Some("\u{fffd}"));
}

#[test]
fn plain_text_has_no_special_tokens() {
    let Some(data) = data::dir() else { return };
    for tokenizer in [
        Tokenizer::from_dir(&data.join("tokenizers/qwen3")).unwrap(),
        gguf(&data.join("vocab/ggml-vocab-qwen2.gguf")),
    ] {
        let end = tokenizer.token_to_id("<|im_end|>").unwrap();
        let text = "a<|im_end|>b";
        let parsed = tokenizer.encode_as(text, AddSpecial::No, SpecialText::Parse).unwrap();
        assert!(parsed.contains(&end) && tokenizer.is_special(end));
        assert_eq!(tokenizer.decode(&parsed, SkipSpecial::Yes), "ab");
        let plain = tokenizer.encode_as(text, AddSpecial::No, SpecialText::Plain).unwrap();
        assert!(!plain.contains(&end));
        assert_eq!(tokenizer.decode(&plain, SkipSpecial::Yes), text);
    }
}

/// The longest match of BERT's vocabulary, surrounded as BERT wants it.
#[test]
fn bert_surrounds_texts() {
    let Some(data) = data::dir() else { return };
    let tokenizer = gguf(&data.join("vocab/ggml-vocab-bert-bge.gguf"));
    let ids = tokenizer.encode("Hello unbelievably!", AddSpecial::Yes).unwrap();
    let texts: Vec<_> = ids.iter().filter_map(|&id| tokenizer.id_to_token(id)).collect();
    assert_eq!(texts.first().map(String::as_str), Some("[CLS]"));
    assert_eq!(texts.last().map(String::as_str), Some("[SEP]"));
    assert_eq!(tokenizer.decode(&ids, SkipSpecial::Yes), "hello unbelievably!");
}

/// The real models that `RUSSET_TEST_MODELS` points to, if any.
#[test]
fn golden_prompts_of_real_models() {
    let Some(data) = data::dir() else { return };
    let Some(models) = std::env::var_os("RUSSET_TEST_MODELS").map(std::path::PathBuf::from) else {
        println!("skipped: RUSSET_TEST_MODELS is not set");
        return;
    };
    for name in ["smol", "gemma"] {
        let golden = read_json(&data.join(format!("golden/{name}.json")));
        let path = models.join(golden["file"].as_str().unwrap());
        if !path.is_file() {
            println!("skipped: no model at {}", path.display());
            continue;
        }
        let tokenizer = gguf(&path);
        for case in golden["cases"].as_array().unwrap() {
            let prompt = case["prompt"].as_str().unwrap();
            let expected = ids(&case["prompt_ids"]);
            let add = if expected.first() == tokenizer.bos_id().as_ref() && name == "gemma" {
                AddSpecial::Yes
            } else {
                AddSpecial::No
            };
            assert_eq!(tokenizer.encode(prompt, add).unwrap(), expected, "{name} {prompt:?}");
        }
    }
}

#[test]
fn contradictory_metadata_is_refused() {
    let vocab = |model: &str| russet_tokenizer::GgufVocab {
        model: model.to_owned(),
        tokens: vec!["a".to_owned(), "b".to_owned()],
        ..Default::default()
    };
    let refuse = |vocab: russet_tokenizer::GgufVocab| Tokenizer::from_gguf(vocab).unwrap_err();
    assert!(matches!(refuse(vocab("rwkv")), Error::UnknownModel { .. }));
    assert!(matches!(refuse(vocab("gpt2")), Error::Missing { key: "merges", .. }));
    assert!(matches!(refuse(vocab("llama")), Error::Missing { key: "scores", .. }));
    let mut bad = vocab("gpt2");
    bad.pre = Some("nonesuch".to_owned());
    assert!(matches!(refuse(bad), Error::UnknownPre { .. }));
    let mut bad = vocab("gpt2");
    bad.token_types = Some(vec![1]);
    assert!(matches!(refuse(bad), Error::Length { key: "token_type", found: 1, expected: 2 }));
    let mut bad = vocab("gpt2");
    bad.eot = Some(2);
    assert!(matches!(refuse(bad), Error::IdOutOfRange { name: "eot", id: 2, .. }));
    let mut bad = vocab("gpt2");
    bad.tokens[1] = "a".to_owned();
    bad.merges = Some(Vec::new());
    assert!(matches!(refuse(bad), Error::DuplicateToken { first: 0, second: 1, .. }));
    let mut bad = vocab("gpt2");
    bad.merges = Some(vec!["a x".to_owned()]);
    assert!(matches!(refuse(bad), Error::Vocabulary { .. }));
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Tokenizer::from_dir(dir.path()), Err(Error::Read { .. })));
    let sparse = r#"{"model": {"type": "BPE", "vocab": {"a": 4294967295}, "merges": []}}"#;
    std::fs::write(dir.path().join("tokenizer.json"), sparse).unwrap();
    assert!(matches!(Tokenizer::from_dir(dir.path()), Err(Error::SparseIds { .. })));
    let grows = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(256)});
    let bomb = json!({
        "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
        "decoder": {"type": "Sequence", "decoders": vec![grows; 8]}
    });
    std::fs::write(dir.path().join("tokenizer.json"), bomb.to_string()).unwrap();
    assert!(matches!(Tokenizer::from_dir(dir.path()), Err(Error::TextsTooLarge { .. })));
    std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    std::fs::create_dir(dir.path().join("tokenizer.json")).unwrap();
    let folder = Tokenizer::from_dir(dir.path()).unwrap_err().to_string();
    assert!(folder.ends_with("tokenizer.json: not a regular file"), "{folder}");
    std::fs::remove_dir(dir.path().join("tokenizer.json")).unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), "{}").unwrap();
    assert!(matches!(Tokenizer::from_dir(dir.path()), Err(Error::Definition { .. })));
}
