//! Broken and hostile GGUF files are refused, each for the right reason.

use russet_weights::{Checkpoint, Error, GgufError, Part, Role};
use tempfile::TempDir;

use crate::files::{Gguf, GgufTensor, llama_gguf, save};

/// A small file of everything: each kind of value, and tensors of three types.
fn small() -> Gguf {
    llama_gguf()
        .flag("tokenizer.ggml.add_bos_token", true)
        .text("tokenizer.ggml.model", "llama")
        .array("tokenizer.ggml.scores", 6, 3, &[0; 12])
        .raw("general.odd", 12, &1.5f64.to_le_bytes())
        .raw("general.small", 1, &[0xff])
        .floats("output_norm.weight", &[4], &[1.0, 2.0, 3.0, 4.0])
        .tensor("token_embd.weight", &[32, 2], 8, vec![1; 68])
        .tensor("blk.0.ffn_up.weight", &[4, 2], 1, vec![0; 16])
}

fn open(bytes: &[u8]) -> Result<Checkpoint, Error> {
    let folder = TempDir::new().unwrap();
    Checkpoint::open(&save(&folder, "model.gguf", bytes))
}

fn fault(bytes: &[u8]) -> GgufError {
    match open(bytes) {
        Err(Error::Gguf { fault, .. }) => fault,
        other => panic!("expected a GGUF fault, got {other:?}"),
    }
}

#[track_caller]
fn refused(file: &Gguf, message: &str) {
    let found = fault(&file.bytes()).to_string();
    assert!(found.contains(message), "{found}");
}

/// `small` with its first tensor changed.
fn with_tensor(change: impl FnOnce(&mut GgufTensor)) -> Gguf {
    let mut file = small();
    change(&mut file.tensors[0]);
    file
}

#[test]
fn the_small_file_opens() {
    let checkpoint = open(&small().bytes()).unwrap();
    assert_eq!(checkpoint.vector(Role::OutputNorm, Part::Weight, 4).unwrap(), [1., 2., 3., 4.]);
    assert_eq!(checkpoint.num_tensor_bytes(), 16 + 68 + 16);
    assert_eq!(checkpoint.num_parameters(), 4 + 64 + 8);
    let mut two = small();
    two.version = 2;
    open(&two.bytes()).unwrap();
}

#[test]
fn a_file_cut_anywhere_is_a_clean_error() {
    let bytes = small().bytes();
    let folder = TempDir::new().unwrap();
    for len in 0..bytes.len() {
        let path = save(&folder, "model.gguf", &bytes[..len]);
        match Checkpoint::open(&path) {
            Err(Error::Gguf { .. }) => {}
            other => panic!("cut to {len} of {} bytes: {other:?}", bytes.len()),
        }
    }
}

#[test]
fn a_file_with_any_byte_changed_does_not_panic() {
    let bytes = small().bytes();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.gguf");
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= [0x01, 0x80, 0xff][at % 3];
        std::fs::write(&path, &changed).unwrap();
        if let Ok(checkpoint) = Checkpoint::open(&path) {
            // Whatever opened can be read without a panic, too.
            let _ = checkpoint.gguf_tokenizer();
            let _ = checkpoint.matrix(Role::TokenEmbd, 2, 32);
            let _ = checkpoint.matrix(Role::FfnUp.at(0), 2, 4);
        }
    }
}

#[test]
fn other_versions_and_formats_are_named() {
    let with_version = |version: u32| {
        let mut file = small();
        file.version = version;
        fault(&file.bytes()).to_string()
    };
    assert!(with_version(1).contains("version 1 "), "{}", with_version(1));
    assert!(with_version(4).contains("version 4 "));
    assert!(with_version(3u32.swap_bytes()).contains("version 3, big-endian"));
    assert!(matches!(fault(b"PK\x03\x04...."), GgufError::Magic { .. }));
    assert!(matches!(fault(b""), GgufError::Truncated { .. }));
}

#[test]
fn counts_and_lengths_are_capped_before_anything_is_allocated() {
    for (at, what) in [(8, "the number of tensors"), (16, "the number of metadata keys")] {
        for count in [1u64 << 63, u64::MAX, 100_001] {
            let mut bytes = small().bytes();
            bytes[at..at + 8].copy_from_slice(&count.to_le_bytes());
            let found = fault(&bytes).to_string();
            assert!(found.contains(what) && found.contains(&count.to_string()), "{found}");
        }
    }
    for len in [1u64 << 63, u64::MAX, (1 << 20) + 1] {
        refused(&small().raw("general.x", 8, &len.to_le_bytes()), "length of a metadata value is");
        refused(&small().array("general.x", 8, 1, &len.to_le_bytes()), "length of a token is");
    }
    refused(&small().raw("general.x", 8, &9999u64.to_le_bytes()), "ends inside a metadata value");
    for len in [1u64 << 63, u64::MAX, 1 << 40] {
        for kind in [0, 4, 8, 12] {
            refused(&small().array("general.x", kind, len, &[]), "ends inside an array");
        }
    }
}

#[test]
fn values_are_checked() {
    refused(&small().raw("general.x", 13, &[]), "metadata key general.x: value type number 13");
    refused(&small().array("general.x", 9, 0, &[]), "array of arrays");
    refused(&small().raw("general.x", 7, &[2]), "a truth value is 2");
    refused(&small().array("general.x", 7, 2, &[1, 7]), "a truth value is 7");
    let latin1 = [&1u64.to_le_bytes()[..], &[0xe9]].concat();
    refused(&small().raw("general.x", 8, &latin1), "not UTF-8");
    refused(&small().array("general.x", 8, 1, &latin1), "not UTF-8");
    let twice = small().uint("general.x", 1).uint("general.x", 1);
    refused(&twice, "metadata key general.x occurs twice");
    for alignment in [0, 1, 4, 12, 33, 131_072] {
        refused(&small().uint("general.alignment", alignment), "general.alignment is");
    }
    refused(&small().text("general.alignment", "32"), "an unsigned integer expected");
    let long = small().array("llama.x", 0, 4097, &[0; 4097]);
    refused(&long, "the length of llama.x is 4097; at most 4096");
}

#[test]
fn the_alignment_of_the_file_is_used() {
    for alignment in [8, 64, 4096] {
        let mut file = small().uint("general.alignment", alignment);
        file.alignment = alignment as usize;
        let checkpoint = open(&file.bytes()).unwrap();
        let norm = checkpoint.vector(Role::OutputNorm, Part::Weight, 4).unwrap();
        assert_eq!(norm, [1., 2., 3., 4.], "{alignment}");
    }
}

#[test]
fn shapes_and_types_are_checked() {
    let dims = |dims: &[u64]| with_tensor(|tensor| tensor.dims = dims.to_vec());
    refused(&dims(&[]), "the number of dimensions of tensor output_norm.weight is 0");
    refused(&dims(&[1, 1, 1, 1, 1]), "the number of dimensions");
    refused(&dims(&[0]), "a dimension of tensor output_norm.weight is 0");
    refused(&dims(&[4, u64::MAX]), "a dimension of");
    refused(&dims(&[1 << 32, 1 << 31]), "the largest dimension");
    refused(&dims(&[i64::MAX as u64, i64::MAX as u64, 4]), "the largest dimension");
    refused(&dims(&[1 << 40]), "outside of its");
    let id = |id: u32| with_tensor(|tensor| tensor.type_id = id);
    refused(&id(16), "type IQ2_XXS is not read; accepted: F32, F16");
    refused(&id(4), "type Q4_2 is not read");
    refused(&id(u32::MAX), "type number 4294967295 is not read");
    refused(&id(2), "the row length of tensor output_norm.weight is 4; multiples of 32");
    refused(&small().floats("output_norm.weight", &[1], &[1.0]), "occurs twice");
}

#[test]
fn data_stays_inside_of_the_file_and_apart() {
    let offset = |offset: u64| with_tensor(|tensor| tensor.offset = Some(offset));
    refused(&offset(7), "the offset of tensor output_norm.weight is 7; multiples of 32");
    for far in [1 << 20, 1 << 63, u64::MAX - 31] {
        refused(&offset(far), "are outside of its");
    }
    refused(&offset(32), "overlap");
    refused(&offset(64), "tensors token_embd.weight and output_norm.weight overlap");
    // A file that ends with its header, though it lists tensors.
    let mut file = small();
    file.tensors.iter_mut().for_each(|tensor| tensor.data.clear());
    refused(&file, "outside of its");
}

#[test]
fn a_tokenizer_that_contradicts_itself_is_refused() {
    let tokenizer = |file: Gguf| match open(&file.bytes()).unwrap().gguf_tokenizer() {
        Err(Error::Gguf { fault, .. }) => fault.to_string(),
        other => panic!("{other:?}"),
    };
    let short = llama_gguf().text("tokenizer.ggml.model", "llama");
    let found = tokenizer(short.clone().array("tokenizer.ggml.scores", 6, 2, &[0; 8]));
    assert!(found.contains("2 values for 3 tokens"), "{found}");
    let found = tokenizer(short.clone().uint("tokenizer.ggml.eos_token_id", 3));
    assert!(found.contains("3 of 3 tokens"), "{found}");
    let found = tokenizer(short.uint("tokenizer.ggml.merges", 3));
    assert!(found.contains("an array of texts expected"), "{found}");
    let found = tokenizer(llama_gguf());
    assert!(found.contains("tokenizer.ggml.model is missing"), "{found}");
}

#[test]
fn split_files_belong_together() {
    let part = |number: u32, count: u32| {
        Gguf::new("llama")
            .raw("split.no", 2, &(number as u16).to_le_bytes())
            .raw("split.count", 2, &(count as u16).to_le_bytes())
            .raw("split.tensors.count", 5, &2u32.to_le_bytes())
    };
    let folder = TempDir::new().unwrap();
    let name = |number: usize| format!("m-{number:05}-of-00002.gguf");
    let first = part(0, 2).floats("output_norm.weight", &[1], &[1.0]);
    let second = part(1, 2).floats("blk.0.attn_norm.weight", &[1], &[2.0]);
    let path = save(&folder, &name(1), &first.bytes());
    let error = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(error.contains("m-00002-of-00002.gguf"), "{error}");
    let other = save(&folder, &name(2), &second.bytes());
    for path in [&path, &other] {
        let checkpoint = Checkpoint::open(path).unwrap();
        let norm = checkpoint.vector(Role::AttnNorm.at(0), Part::Weight, 1).unwrap();
        assert_eq!(norm, [2.0]);
        assert!(checkpoint.has(Role::OutputNorm, Part::Weight));
    }
    save(&folder, &name(2), &part(0, 2).bytes());
    let error = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(error.contains("split.no 0; expected split.no 1"), "{error}");
    save(&folder, &name(2), &part(1, 2).bytes());
    let error = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(error.contains("1 tensors; expected split.tensors.count 2"), "{error}");
    let renamed = save(&folder, "other.gguf", &first.bytes());
    let error = Checkpoint::open(&renamed).unwrap_err().to_string();
    assert!(error.contains("name \"other.gguf\""), "{error}");
}
