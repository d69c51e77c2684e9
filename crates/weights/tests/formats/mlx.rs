//! Which quantisation a matrix of MLX has: the shapes decide, what is listed for it must agree.

use russet_tensor::{FpFormat, MatrixData};
use russet_weights::{Checkpoint, Role};
use tempfile::TempDir;

use crate::files::{Safetensors, folder};

const ROWS: usize = 2;
const COLS: usize = 128;

/// The head as affine codes of `bits` in groups of `group`.
fn affine(bits: usize, group: usize) -> Safetensors {
    let (words, groups) = (COLS * bits / 32, COLS / group);
    Safetensors::mlx()
        .add("lm_head.weight", "U32", &[ROWS, words], &vec![0x5a; ROWS * words * 4])
        .add("lm_head.scales", "F16", &[ROWS, groups], &vec![0; ROWS * groups * 2])
        .add("lm_head.biases", "F16", &[ROWS, groups], &vec![0; ROWS * groups * 2])
}

/// The head as codes of `bits` with a byte of scale a group of `group`.
fn fp(bits: usize, group: usize) -> Safetensors {
    let (words, groups) = (COLS * bits / 32, COLS / group);
    Safetensors::mlx()
        .add("lm_head.weight", "U32", &[ROWS, words], &vec![0x5a; ROWS * words * 4])
        .add("lm_head.scales", "U8", &[ROWS, groups], &vec![0x7f; ROWS * groups])
}

/// The folder, whose map stays valid while it is open, and the encoding or the refusal.
fn encoding(quantization: &str, tensors: &Safetensors) -> String {
    let folder: TempDir = folder(&format!(r#"{{"quantization": {quantization}}}"#), tensors);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let found = checkpoint.matrix(Role::Output, ROWS, COLS);
    found.map_or_else(|error| error.to_string(), |source| source.view.encoding())
}

#[test]
fn every_width_and_group_is_told_from_the_shapes() {
    for bits in [2, 3, 4, 5, 6, 8] {
        for group in [32, 64, 128] {
            let expected = format!("affine {bits}-bit group {group}");
            // The default for all modules may be another.
            for default in [r#"{"bits": 4, "group_size": 64}"#, r#"{"bits": 2}"#, "{}"] {
                assert_eq!(encoding(default, &affine(bits, group)), expected);
            }
            let listed = format!(r#"{{"lm_head": {{"bits": {bits}, "group_size": {group}}}}}"#);
            assert_eq!(encoding(&listed, &affine(bits, group)), expected);
        }
    }
    for (bits, group, name) in [(4, 32, "mxfp4"), (8, 32, "mxfp8"), (4, 16, "nvfp4")] {
        assert_eq!(encoding(r#"{"bits": 4}"#, &fp(bits, group)), name);
        let listed = format!(r#"{{"lm_head": {{"mode": "{name}"}}}}"#);
        assert_eq!(encoding(&listed, &fp(bits, group)), name);
    }
}

#[test]
fn what_is_listed_for_the_module_must_agree() {
    let contradicted = |listed: &str, tensors: &Safetensors, expected: &str| {
        let found = encoding(&format!(r#"{{"lm_head": {listed}}}"#), tensors);
        let expected = format!("tensor lm_head.weight: the configuration lists {expected}");
        assert_eq!(found, expected);
    };
    let eight = "affine 8-bit group 64, the file has affine 4-bit group 64";
    contradicted(r#"{"bits": 8}"#, &affine(4, 64), eight);
    // A missing group is the default of 64.
    let sixty_four = "affine 4-bit group 64, the file has affine 4-bit group 32";
    contradicted(r#"{"bits": 4, "group_size": null}"#, &affine(4, 32), sixty_four);
    contradicted("{}", &fp(4, 32), "affine 4-bit group 64, the file has mxfp4");
    contradicted("false", &affine(4, 64), "not quantised, the file has affine 4-bit group 64");
    let dense = Safetensors::mlx().floats("lm_head.weight", &[ROWS, COLS], &[0.0; ROWS * COLS]);
    contradicted(r#"{"bits": 4}"#, &dense, "affine 4-bit group 64, the file has F32, no scales");
    assert_eq!(encoding(r#"{"lm_head": false}"#, &dense), "F32");
    assert_eq!(encoding(r#"{"bits": 4}"#, &dense), "F32");
}

#[test]
fn shapes_that_mlx_does_not_write_are_refused() {
    let refused = |tensors: Safetensors, message: &str| {
        let found = encoding("{}", &tensors);
        assert!(found.contains(message), "{found}");
    };
    let no_scheme = "are no MLX quantisation of 128 columns";
    refused(affine(7, 32), no_scheme);
    refused(affine(4, 16), no_scheme);
    refused(fp(8, 16), no_scheme);
    refused(fp(2, 32), no_scheme);
    let weight = |rows: usize| {
        Safetensors::mlx().add("lm_head.weight", "U32", &[rows, 16], &vec![0; rows * 64])
    };
    let scales = [0; 8];
    refused(weight(3).add("lm_head.scales", "F16", &[2, 2], &scales), "shape [3, 16], [2, 16]");
    refused(weight(2).add("lm_head.scales", "F16", &[4], &scales), no_scheme);
    refused(weight(2).add("lm_head.scales", "F16", &[2, 0], &[]), no_scheme);
    refused(weight(2).add("lm_head.scales", "F16", &[2, 3], &[0; 12]), no_scheme);
    refused(weight(2).add("lm_head.scales", "F16", &[2, 2], &scales), "lm_head.biases: biases");
    refused(weight(2).add("lm_head.scales", "I8", &[2, 4], &scales), "scales: type I8");
    let mixed = weight(2).add("lm_head.scales", "F16", &[2, 2], &scales).add(
        "lm_head.biases",
        "F16",
        &[1, 4],
        &scales,
    );
    refused(mixed, "lm_head.biases: shape [1, 4], [2, 2] expected");
    refused(fp(4, 32).add("lm_head.biases", "U8", &[2, 4], &scales), "none beside this mode");
    refused(affine(4, 32).floats("lm_head.global_scale", &[], &[1.0]), "none beside this mode");
    let floats = Safetensors::mlx().floats("lm_head.weight", &[2, 16], &[0.0; 32]).add(
        "lm_head.scales",
        "F16",
        &[2, 2],
        &scales,
    );
    refused(floats, "type F32 is not read here; accepted: U32 beside scales");
}

#[test]
fn tensors_of_no_rows_but_endless_columns_are_harmless() {
    let tensors = Safetensors::mlx().add("lm_head.weight", "U32", &[0, 1 << 62], &[]).add(
        "lm_head.scales",
        "F16",
        &[0, 1 << 62],
        &[],
    );
    let folder = folder("{}", &tensors);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.num_parameters(), 0);
    assert_eq!(checkpoint.encodings()[0].encoding, "unknown");
    checkpoint.matrix(Role::Output, 0, COLS).unwrap_err();
    checkpoint.matrix(Role::Output, 0, 1 << 62).unwrap_err();
}

#[test]
fn the_scale_of_a_whole_tensor_is_read() {
    for shape in [&[][..], &[1]] {
        let tensors = fp(4, 16).floats("lm_head.global_scale", shape, &[2.5]);
        let folder = folder(r#"{"quantization": {"mode": "nvfp4"}}"#, &tensors);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let source = checkpoint.matrix(Role::Output, ROWS, COLS).unwrap();
        let MatrixData::Fp { format: FpFormat::Nvfp4, global_scale, .. } = source.view.data else {
            panic!("{}", source.view.encoding());
        };
        assert_eq!(global_scale, Some(2.5));
        // Every part counts as taken.
        checkpoint.finish().unwrap();
    }
}

#[test]
fn sizes_count_what_codes_stand_for() {
    let tensors = affine(6, 32).floats("model.norm.weight", &[5], &[0.0; 5]);
    let folder = folder(r#"{"quantization": {"bits": 6, "group_size": 32}}"#, &tensors);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.num_parameters(), (ROWS * COLS + 5) as u64);
    let [matrices] = &checkpoint.encodings()[..] else { panic!("one encoding") };
    assert_eq!(matrices.encoding, "affine 6-bit group 32");
    assert_eq!((matrices.num_matrices, matrices.num_bytes), (1, 2 * 96 + 2 * 16));
}

#[test]
fn released_tensors_read_as_before() {
    let folder = folder("{}", &affine(4, 64));
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let codes = || match checkpoint.matrix(Role::Output, ROWS, COLS).unwrap().view.data {
        MatrixData::Affine { codes, .. } => codes,
        other => panic!("{other:?}"),
    };
    assert_eq!(codes(), [0x5a; ROWS * COLS / 2]);
    checkpoint.release_consumed();
    checkpoint.release_consumed();
    assert_eq!(codes(), [0x5a; ROWS * COLS / 2]);
}
