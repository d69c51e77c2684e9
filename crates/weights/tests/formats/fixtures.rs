//! Files that other programs wrote: MLX's, the converters' and published models'.

use std::path::{Path, PathBuf};

use russet_weights::{ArchLayout, Checkpoint, Error, Format, HfNames, NormStorage, Part, QkRows};
use russet_weights::{Role, RoleAt};
use serde_json::Value;

use crate::files::test_data;
use crate::roles::rows;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../decoder/tests/fixtures")
}

/// The fixtures of a kind.
fn fixtures(kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("fixtures.json")).unwrap();
    let Value::Array(all) = serde_json::from_str(&text).unwrap() else { panic!("a list") };
    all.into_iter().filter(|fixture| fixture["kind"] == kind).collect()
}

fn open(path: &Path) -> Checkpoint {
    let checkpoint = Checkpoint::open(path).unwrap();
    let architecture = checkpoint.config().model_type().unwrap();
    let layout = match architecture {
        "llama" | "mistral" => ArchLayout { gguf_qk_rows: QkRows::Pairs, ..ArchLayout::default() },
        "gemma3" | "gemma3_text" => {
            let names = HfNames::default()
                .with(Role::PostAttentionNorm, "model.layers.{}.post_attention_layernorm")
                .with(Role::FfnNorm, "model.layers.{}.pre_feedforward_layernorm")
                .with(Role::PostFfwNorm, "model.layers.{}.post_feedforward_layernorm");
            let hf_norms = NormStorage::FactorMinusOne;
            ArchLayout { names, hf_norms, ..ArchLayout::default() }
        }
        _ => ArchLayout::default(),
    };
    checkpoint.with_layout(layout)
}

/// Every matrix and vector of a dense decoder with its size.
struct Sizes {
    matrices: Vec<(RoleAt, usize, usize)>,
    vectors: Vec<(RoleAt, Part, usize)>,
}

fn sizes(checkpoint: &Checkpoint) -> Sizes {
    let config = checkpoint.config();
    let number = |key: &str| config.require::<usize>(key).unwrap();
    let (hidden, inner) = (number("hidden_size"), number("intermediate_size"));
    let heads = number("num_attention_heads");
    let head = config.get_or("head_dim", hidden / heads).unwrap();
    let keys = config.get_or("num_key_value_heads", heads).unwrap() * head;
    let queries = heads * head;
    let vocabulary = number("vocab_size");
    let mut matrices = vec![
        (Role::TokenEmbd.into(), vocabulary, hidden),
        (Role::Output.into(), vocabulary, hidden),
    ];
    let mut norms = vec![(Role::OutputNorm.into(), hidden)];
    for layer in 0..number("num_hidden_layers") {
        let shapes = [
            (Role::AttnQ, queries, hidden),
            (Role::AttnK, keys, hidden),
            (Role::AttnV, keys, hidden),
            (Role::AttnOutput, hidden, queries),
            (Role::FfnGate, inner, hidden),
            (Role::FfnUp, inner, hidden),
            (Role::FfnDown, hidden, inner),
        ];
        matrices.extend(shapes.map(|(role, rows, cols)| (role.at(layer), rows, cols)));
        let lens = [
            (Role::AttnNorm, hidden),
            (Role::FfnNorm, hidden),
            (Role::PostAttentionNorm, hidden),
            (Role::PostFfwNorm, hidden),
            (Role::AttnQNorm, head),
            (Role::AttnKNorm, head),
        ];
        norms.extend(lens.map(|(role, len)| (role.at(layer), len)));
    }
    let biases = matrices.iter().map(|&(at, rows, _)| (at, Part::Bias, rows));
    let mut vectors: Vec<_> = biases.collect();
    vectors.extend(norms.iter().map(|&(at, len)| (at, Part::Weight, len)));
    matrices.retain(|&(at, ..)| checkpoint.has(at, Part::Weight));
    vectors.retain(|&(at, part, _)| checkpoint.has(at, part));
    Sizes { matrices, vectors }
}

/// Takes everything and checks that no tensor is left.
fn take_all(checkpoint: &Checkpoint) -> Sizes {
    let sizes = sizes(checkpoint);
    for &(at, rows, cols) in &sizes.matrices {
        checkpoint.matrix(at, rows, cols).unwrap();
    }
    for &(at, part, len) in &sizes.vectors {
        checkpoint.vector(at, part, len).unwrap();
    }
    checkpoint.skip(Role::RopeFreqs);
    if let Err(Error::Unused { tensors, .. }) = checkpoint.finish() {
        assert!(tensors.is_empty(), "left over: {tensors:?}");
    }
    sizes
}

/// The values of two dense checkpoints of the same model are the same numbers.
fn assert_same(name: &str, a: &Checkpoint, b: &Checkpoint) {
    let (of_a, of_b) = (take_all(a), take_all(b));
    assert_eq!(of_a.matrices, of_b.matrices, "{name}");
    assert_eq!(of_a.vectors, of_b.vectors, "{name}");
    assert!(of_a.matrices.len() > 7 && of_a.vectors.len() > 2, "{name}");
    for (at, num_rows, cols) in of_a.matrices {
        let both = [a, b].map(|model| rows(&model.matrix(at, num_rows, cols).unwrap()));
        assert_eq!(both[0], both[1], "{name}: {at}");
    }
    for (at, part, len) in of_a.vectors {
        let both = [a, b].map(|model| model.vector(at, part, len).unwrap());
        assert_eq!(both[0], both[1], "{name}: {at}");
    }
}

#[test]
fn every_folder_is_read_completely() {
    let models = fixtures("model");
    assert!(models.len() > 40, "{}", models.len());
    for model in models {
        let name = model["name"].as_str().unwrap();
        let checkpoint = open(&root().join(model["path"].as_str().unwrap()));
        take_all(&checkpoint);
        let written_by_mlx = !name.starts_with("hf-");
        assert_eq!(checkpoint.format() == Format::Mlx, written_by_mlx, "{name}");
        if let Some(scheme) = name.strip_prefix("quant-affine-") {
            let mut parts = scheme.split('-');
            let mut next = || parts.next().unwrap();
            let expected = format!("affine {}-bit group {}", next(), next());
            let encodings = checkpoint.encodings();
            assert_eq!(encodings.len(), 1, "{name}: {encodings:?}");
            assert_eq!(encodings[0].encoding, expected, "{name}");
        }
    }
}

#[test]
fn mixed_quantisation_is_told_apart_matrix_by_matrix() {
    let encodings = |name: &str, expected: &[(Role, &str)]| {
        let checkpoint = open(&root().join(name));
        for (at, rows, cols) in take_all(&checkpoint).matrices {
            let found = checkpoint.matrix(at, rows, cols).unwrap().view.encoding();
            let named = expected.iter().find(|row| row.0 == at.role);
            assert_eq!(found, named.unwrap_or(&expected[0]).1, "{name}: {at}");
        }
    };
    // The first row is the default; the gate is not listed anywhere.
    encodings(
        "quant-inferred",
        &[
            (Role::FfnGate, "affine 4-bit group 64"),
            (Role::AttnQ, "affine 3-bit group 32"),
            (Role::AttnK, "affine 8-bit group 128"),
            (Role::AttnV, "F32"),
            (Role::FfnUp, "affine 6-bit group 64"),
            (Role::FfnDown, "affine 5-bit group 32"),
            (Role::TokenEmbd, "affine 2-bit group 64"),
        ],
    );
    encodings(
        "quant-inferred-fp",
        &[
            (Role::FfnGate, "affine 4-bit group 64"),
            (Role::AttnQ, "mxfp4"),
            (Role::AttnK, "mxfp8"),
            (Role::FfnUp, "nvfp4"),
            (Role::FfnDown, "mxfp8"),
            (Role::TokenEmbd, "mxfp4"),
        ],
    );
    encodings(
        "quant-overrides",
        &[
            (Role::FfnGate, "affine 4-bit group 32"),
            (Role::AttnQ, "affine 8-bit group 64"),
            (Role::AttnK, "affine 8-bit group 32"),
            (Role::AttnV, "affine 6-bit group 64"),
            (Role::AttnOutput, "mxfp8"),
            (Role::FfnDown, "F32"),
        ],
    );
}

#[test]
fn gguf_files_hold_the_numbers_of_their_folders() {
    let files = fixtures("gguf");
    assert!(files.len() >= 8);
    for file in files {
        let name = file["name"].as_str().unwrap();
        let gguf = open(&root().join(file["path"].as_str().unwrap()));
        assert_eq!(gguf.format(), Format::Gguf);
        let folder = open(&root().join(file["golden"].as_str().unwrap()));
        assert_same(name, &gguf, &folder);
        let theta = |model: &Checkpoint| model.config().require::<f64>("rope_theta").unwrap();
        assert_eq!(theta(&gguf), theta(&folder), "{name}");
        let eps = |model: &Checkpoint| model.config().require::<f64>("rms_norm_eps").unwrap();
        assert_eq!(eps(&gguf), eps(&folder), "{name}");
    }
}

#[test]
fn stories_is_the_same_model_in_both_formats() {
    let Some(data) = test_data("stories260K") else { return };
    let gguf = open(&data.join("stories260K-f32.gguf"));
    let folder = open(&data.join("hf"));
    assert_eq!(folder.format(), Format::HuggingFace);
    assert_same("stories260K", &gguf, &folder);
    assert_eq!(gguf.num_parameters(), folder.num_parameters());
    assert_eq!(gguf.generation(), folder.generation());
    let tokenizer = gguf.gguf_tokenizer().unwrap().unwrap();
    assert_eq!((tokenizer.tokens.len(), tokenizer.scores.len()), (512, 512));
}

#[test]
fn vocabularies_of_published_models_are_read() {
    let Some(data) = test_data("vocab") else { return };
    let sizes = [("gpt-2", 50_257), ("qwen2", 151_936), ("mpt", 50_432), ("bert-bge", 30_522)];
    for (name, num_tokens) in sizes {
        let path = data.join(format!("ggml-vocab-{name}.gguf"));
        let checkpoint = Checkpoint::open(&path).unwrap();
        let tokenizer = checkpoint.gguf_tokenizer().unwrap().unwrap();
        assert_eq!(tokenizer.tokens.len(), num_tokens, "{name}");
        assert_eq!(tokenizer.token_types.len(), num_tokens, "{name}");
        assert_eq!(tokenizer.merges.is_empty(), tokenizer.model != "gpt2", "{name}");
    }
}
