//! Broken and hostile folders of safetensors files are refused, each for the right reason.

use russet_weights::{Checkpoint, Error, Format, Part, Role, SafetensorsError};
use tempfile::TempDir;

use crate::files::{Safetensors, folder, save};

const CONFIG: &str = r#"{"model_type": "llama"}"#;

fn small() -> Safetensors {
    Safetensors::default().floats("model.norm.weight", &[4], &[1.0, 2.0, 3.0, 4.0]).add(
        "model.embed_tokens.weight",
        "BF16",
        &[2, 2],
        &[0, 0, 0x80, 0x3f, 0, 0x40, 0x40, 0x40],
    )
}

/// A folder whose weight file is exactly `bytes`.
fn open(bytes: &[u8]) -> Result<Checkpoint, Error> {
    let folder = folder(CONFIG, &Safetensors::default());
    save(&folder, "model.safetensors", bytes);
    Checkpoint::open(folder.path())
}

fn fault(bytes: &[u8]) -> SafetensorsError {
    match open(bytes) {
        Err(Error::Safetensors { fault, .. }) => fault,
        other => panic!("expected a safetensors fault, got {other:?}"),
    }
}

fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn refusal(folder: &TempDir) -> String {
    Checkpoint::open(folder.path()).unwrap_err().to_string()
}

#[test]
fn the_small_folder_opens() {
    let folder = folder(CONFIG, &small());
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.format(), Format::HuggingFace);
    assert_eq!(checkpoint.vector(Role::OutputNorm, Part::Weight, 4).unwrap(), [1., 2., 3., 4.]);
    assert_eq!((checkpoint.num_parameters(), checkpoint.num_tensor_bytes()), (8, 24));
    let said_mlx = crate::files::folder(CONFIG, &Safetensors::mlx());
    assert_eq!(Checkpoint::open(said_mlx.path()).unwrap().format(), Format::Mlx);
}

#[test]
fn a_file_cut_anywhere_is_a_clean_error() {
    let bytes = small().bytes();
    for len in 0..bytes.len() {
        let fault = fault(&bytes[..len]);
        assert!(matches!(fault, SafetensorsError::Header { .. }), "cut to {len}: {fault}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(fault(&longer), SafetensorsError::Header { .. }));
}

#[test]
fn a_file_with_any_byte_changed_does_not_panic() {
    let bytes = small().bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= [0x01, 0x80, 0xff][at % 3];
        if let Ok(checkpoint) = open(&changed) {
            let _ = checkpoint.vector(Role::OutputNorm, Part::Weight, 4);
            let _ = checkpoint.matrix(Role::TokenEmbd, 2, 2);
        }
    }
}

#[test]
fn headers_are_capped() {
    for length in [1u64 << 63, u64::MAX, (16 << 20) + 1] {
        let found = fault(&length.to_le_bytes());
        let expected = SafetensorsError::HeaderTooLarge { found: length, accepted: 16 << 20 };
        assert_eq!(found, expected);
    }
    let entry = |i: usize| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
    let entries: Vec<String> = (0..100_010).map(entry).collect();
    let found = fault(&with_header(&format!("{{{}}}", entries.join(",")), &[]));
    assert_eq!(found, SafetensorsError::TooManyTensors { accepted: 100_000 });
}

#[test]
fn lying_headers_are_refused() {
    let entry = |shape: &str, offsets: &str| {
        format!(r#""a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let refused = [
        // Shape and offsets disagree, run past the end, run backwards, or overflow.
        entry("[2]", "[0,4]"),
        entry("[4]", "[0,16]"),
        entry("[1]", "[8,4]"),
        entry("[1]", "[4,8]"),
        entry("[-1]", "[0,8]"),
        entry("[9223372036854775808,2]", "[0,8]"),
        entry("[4611686018427387904]", "[0,8]"),
        entry("[2]", "[0,18446744073709551615]"),
        // Two tensors in the same bytes.
        format!("{},{}", entry("[2]", "[0,8]"), entry("[1]", "[4,8]").replace("\"a\"", "\"b\"")),
        // The same name twice, with different bytes.
        format!("{},{}", entry("[1]", "[0,4]"), entry("[1]", "[4,8]")),
        entry("[1,1,1,1,1,1,1,1,2]", "[0,8]"),
        r#""a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}"#.into(),
        r#""a":{"dtype":"F32"}"#.into(),
        r#""a":3"#.into(),
        "\"a\":".to_owned() + &"[".repeat(4000),
    ];
    for entry in refused {
        let found = fault(&with_header(&format!("{{{entry}}}"), &[0; 8]));
        assert!(matches!(found, SafetensorsError::Header { .. }), "{entry}: {found}");
    }
    for header in ["", "[]", "{", "null", "\u{0}"] {
        assert!(matches!(fault(&with_header(header, &[])), SafetensorsError::Header { .. }));
    }
}

#[test]
fn element_types_that_no_weight_has_are_named() {
    for dtype in ["F64", "I64", "F8_E4M3", "BOOL"] {
        let bytes = vec![0; if dtype.contains("64") { 16 } else { 2 }];
        let tensors = Safetensors::default().add("model.norm.weight", dtype, &[2], &bytes).add(
            "lm_head.weight",
            dtype,
            &[1, 2],
            &bytes,
        );
        let folder = folder(CONFIG, &tensors);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let vector = checkpoint.vector(Role::OutputNorm, Part::Weight, 2).unwrap_err().to_string();
        assert_eq!(
            vector,
            format!(
                "tensor model.norm.weight: type {dtype} is not read here; accepted: F32, F16, BF16"
            )
        );
        let matrix = checkpoint.matrix(Role::Output, 1, 2).unwrap_err().to_string();
        assert!(matrix.contains(&format!("lm_head.weight: type {dtype} is not read")), "{matrix}");
    }
}

#[test]
fn missing_files_are_named() {
    let empty = TempDir::new().unwrap();
    assert!(refusal(&empty).contains("a folder without config.json"));
    save(&empty, "config.json", CONFIG.as_bytes());
    assert!(refusal(&empty).contains("model.safetensors is missing"));
    save(&empty, "pytorch_model.bin", b"");
    assert!(refusal(&empty).contains("pickled weights only"));
    let absent = Checkpoint::open(&empty.path().join("absent")).unwrap_err();
    assert!(matches!(absent, Error::Io { .. }));
}

#[test]
fn missing_shards_are_named() {
    let shard = |number: usize| format!("model-{number:05}-of-00003.safetensors");
    let folder = TempDir::new().unwrap();
    save(&folder, "config.json", CONFIG.as_bytes());
    for number in [1, 3] {
        let name = format!("t{number}");
        let bytes = Safetensors::default().floats(&name, &[1], &[0.0]).bytes();
        save(&folder, &shard(number), &bytes);
    }
    assert!(refusal(&folder).ends_with("model-00002-of-00003.safetensors is missing"));
    save(&folder, &shard(2), &small().bytes());
    Checkpoint::open(folder.path()).unwrap();
    let index = |files: &str| {
        let index = format!(r#"{{"weight_map": {{{files}}}}}"#);
        save(&folder, "model.safetensors.index.json", index.as_bytes());
    };
    index(r#""a": "model-extra.safetensors""#);
    assert!(refusal(&folder).ends_with("model-extra.safetensors is missing"));
    for name in ["../model.safetensors", "a/b.safetensors", "", "a\\\\b", "\\u0000"] {
        index(&format!(r#""a": "{name}""#));
        assert!(refusal(&folder).contains("the index names the file"), "{name}");
    }
    index("");
    save(&folder, "model.safetensors", &small().bytes());
    assert!(refusal(&folder).contains("is also in"), "{}", refusal(&folder));
}

#[test]
fn code_and_foreign_quantisation_are_refused() {
    let refuse = |config: &str, message: &str| {
        let found = refusal(&folder(config, &small()));
        assert!(found.contains(message), "{found}");
    };
    refuse(r#"{"model_file": "model.py"}"#, r#"custom code ("model.py"), which is never run"#);
    refuse(r#"{"quantization_config": {"quant_method": "gptq"}}"#, "\"gptq\" is not supported");
    refuse(r#"{"text_config": {"quantization_config": {"quant_method": "fp8"}}}"#, "\"fp8\"");
    refuse("{", "config.json: not JSON");
    refuse("[1]", "not a JSON object");
    let modelopt = folder(CONFIG, &small());
    save(&modelopt, "hf_quant_config.json", br#"{"quantization": {"quant_algo": "NVFP4"}}"#);
    assert!(refusal(&modelopt).contains("NVFP4"), "{}", refusal(&modelopt));
}
