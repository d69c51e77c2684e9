//! Both formats read back with Russet's own reader and compared number by number.

use half::f16;
use russet_tensor::{GgmlType, MatrixData, MatrixView};
use russet_weights::{Checkpoint, Format, Part, Role, RoleAt};

use super::*;

#[test]
fn mlx_and_q4_1_hold_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let mut shape = Shape::TINY;
    shape.layers = 2;
    let files = write(&shape, folder.path()).unwrap();
    let [mlx, q4_1, q4_0] =
        [&files.mlx, &files.q4_1, &files.q4_0].map(|path| Checkpoint::open(path).unwrap());
    assert_eq!((mlx.format(), q4_1.format()), (Format::Mlx, Format::Gguf));
    for (at, [num_rows, cols], heads) in matrices(&shape) {
        let [mlx, q4_1, q4_0] = [&mlx, &q4_1, &q4_0]
            .map(|checkpoint| checkpoint.matrix(at, num_rows, cols).unwrap().view);
        assert_eq!(mlx.encoding(), "affine 4-bit group 32", "{at}");
        let [mlx, q4_1, q4_0] = [mlx, q4_1, q4_0].map(|view| rows(&view));
        assert_eq!(mlx, in_halves(&q4_1, heads), "{at}");
        for (fine, coarse) in q4_1.concat().iter().zip(q4_0.concat()) {
            assert!((fine - coarse).abs() < 0.03, "{at}: {fine} in Q4_1, {coarse} in Q4_0");
        }
        assert_deviation(&mlx.concat(), at);
    }
    for at in [Role::OutputNorm.into(), Role::AttnNorm.at(1), Role::FfnNorm.at(0)] {
        for checkpoint in [&mlx, &q4_1, &q4_0] {
            let norm = checkpoint.vector(at, Part::Weight, shape.hidden).unwrap();
            assert_eq!(norm, vec![1.0; shape.hidden], "{at}");
        }
    }
}

#[test]
fn both_formats_have_the_same_settings() {
    let folder = tempfile::tempdir().unwrap();
    let files = write(&Shape::TINY, folder.path()).unwrap();
    let keys = [
        ("hidden_size", 64),
        ("num_hidden_layers", 1),
        ("intermediate_size", 128),
        ("num_attention_heads", 4),
        ("num_key_value_heads", 2),
        ("head_dim", 16),
        ("vocab_size", 320),
        ("rope_theta", 100_000),
    ];
    for path in [&files.mlx, &files.q4_1, &files.q4_0] {
        let checkpoint = Checkpoint::open(path).unwrap();
        let config = checkpoint.config();
        for (key, expected) in keys {
            // In GGUF the size of a head is the rotated part of it.
            let other = if key == "head_dim" { "rope_dim" } else { key };
            let key = if config.contains(key) { key } else { other };
            let found: f64 = config.require(key).unwrap();
            assert_eq!(found, f64::from(expected), "{key} of {}", path.display());
        }
        assert!(config.require::<bool>("tie_word_embeddings").unwrap());
    }
}

#[test]
fn writing_again_gives_the_same_bytes() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [first, second] = folders.each_ref().map(|dir| write(&Shape::TINY, dir.path()).unwrap());
    // The second time over what is there.
    let again = write(&Shape::TINY, folders[0].path()).unwrap();
    let bytes = |files: &Files| {
        let weights = files.mlx.join("model.safetensors");
        [&files.q4_1, &files.q4_0, &weights].map(|path| fs::read(path).unwrap())
    };
    assert!(bytes(&again) == bytes(&second) && bytes(&first) == bytes(&second));
}

/// Every matrix: its shape, and its heads if GGUF reorders its rows.
fn matrices(shape: &Shape) -> Vec<(RoleAt, [usize; 2], Option<usize>)> {
    let (hidden, ffn) = (shape.hidden, shape.ffn);
    let (q, kv) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    let mut found = vec![(Role::TokenEmbd.into(), [shape.vocab, hidden], None)];
    for layer in 0..shape.layers {
        found.extend([
            (Role::AttnQ.at(layer), [q, hidden], Some(shape.heads)),
            (Role::AttnK.at(layer), [kv, hidden], Some(shape.kv_heads)),
            (Role::AttnV.at(layer), [kv, hidden], None),
            (Role::AttnOutput.at(layer), [hidden, q], None),
            (Role::FfnGate.at(layer), [ffn, hidden], None),
            (Role::FfnUp.at(layer), [ffn, hidden], None),
            (Role::FfnDown.at(layer), [hidden, ffn], None),
        ]);
    }
    found
}

/// Rows in the order of Hugging Face's files, where a rotary pair is half a head apart, from rows
/// in the order of llama.cpp's files, where it is adjacent.
fn in_halves(rows: &[Vec<f32>], heads: Option<usize>) -> Vec<Vec<f32>> {
    let Some(heads) = heads else { return rows.to_vec() };
    let by_head = rows.chunks(rows.len() / heads);
    let halves = by_head.flat_map(|head| {
        let first = head.iter().step_by(2);
        first.chain(head.iter().skip(1).step_by(2))
    });
    halves.cloned().collect()
}

/// The stored rows, in the order of the file.
fn rows(view: &MatrixView<'_>) -> Vec<Vec<f32>> {
    let row = |row: usize| match view.data {
        MatrixData::Ggml { ty, bytes } => {
            let bytes = &bytes[row * ty.row_bytes(view.cols)..][..ty.row_bytes(view.cols)];
            bytes.chunks_exact(ty.block_bytes()).flat_map(|block| ggml_values(ty, block)).collect()
        }
        MatrixData::Affine { codes, scales, biases, .. } => {
            let group = |col| (row * view.cols + col) / 32;
            let code = |col| codes[(row * view.cols + col) / 2] >> (4 * (col % 2)) & 15;
            let value =
                |col| f32::from(code(col)) * scales.get(group(col)) + biases.get(group(col));
            (0..view.cols).map(value).collect()
        }
        _ => panic!("{} was not written", view.encoding()),
    };
    (0..view.rows).map(row).collect()
}

/// A block of 32 elements by ggml's definition of its type.
fn ggml_values(ty: GgmlType, block: &[u8]) -> [f32; 32] {
    let float = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let (bias, codes) = match ty {
        GgmlType::Q4_1 => (float(2), &block[4..]),
        GgmlType::Q4_0 => (-8.0 * float(0), &block[2..]),
        other => panic!("{other} was not written"),
    };
    let code = |i: usize| if i < 16 { codes[i] & 15 } else { codes[i - 16] >> 4 };
    std::array::from_fn(|i| f32::from(code(i)) * float(0) + bias)
}

fn assert_deviation(values: &[f32], at: RoleAt) {
    let squares: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
    let deviation = (squares / values.len() as f64).sqrt();
    assert!((deviation - f64::from(SIGMA)).abs() < 0.001, "{at}: deviation {deviation}");
}
