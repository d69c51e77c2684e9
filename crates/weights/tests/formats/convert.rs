//! GGUF files become MLX folders without changing a weight.

use half::f16;
use russet_tensor::{MatrixData, RowMap};
use russet_weights::{
    ArchLayout, Checkpoint, Error, Format, MatrixSource, Part, QkRows, Role, RoleAt,
    TokenizerFiles, WriteError, write_mlx_from_gguf,
};
use tempfile::TempDir;

use crate::files::{Gguf, llama_gguf, test_data};

const TOKENIZER: TokenizerFiles<'static> =
    TokenizerFiles { tokenizer_json: "{}", tokenizer_config_json: "{\"a\": 1}" };

/// `rows` rows of one block each, of a type with `head` f16 numbers in front of `codes` bytes.
fn blocks(rows: usize, head: usize, codes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for row in 0..rows {
        for number in 0..head {
            let value = 0.013 * (row + 1) as f32 * if number == 0 { -1.0 } else { 2.7 };
            out.extend(f16::from_f32(value).to_le_bytes());
        }
        out.extend((0..codes).map(|i| (i * 37 + row * 11) as u8));
    }
    out
}

fn model() -> Gguf {
    let dims = |rows: u64| [32, rows];
    llama_gguf()
        .uint("tokenizer.ggml.eos_token_id", 2)
        .tensor("token_embd.weight", &dims(3), 8, blocks(3, 1, 32))
        .floats("output_norm.weight", &[2], &[0.1, 0.2])
        .tensor("blk.0.attn_q.weight", &dims(8), 3, blocks(8, 2, 16))
        .tensor("blk.0.attn_k.weight", &dims(4), 2, blocks(4, 1, 16))
        .tensor("blk.0.attn_v.weight", &dims(4), 3, blocks(4, 2, 16))
        .tensor("blk.0.attn_output.weight", &[2, 1], 1, vec![0, 0x3c, 0, 0x40])
        .floats("blk.0.attn_q.bias", &[8], &[0.0; 8])
        .floats("blk.0.attn_k.bias", &[4], &[0.0, 1.0, 2.0, 3.0])
        .floats("blk.0.attn_v.bias", &[4], &[0.0; 4])
        .floats("blk.0.attn_output.bias", &[1], &[0.0])
        .tensor("blk.0.ffn_down.weight", &[2, 1], 1, vec![0, 0x3c, 0, 0x40])
}

fn f16_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Element `col` of row `row`, by the definitions of ggml and of MLX.
fn value(source: &MatrixSource<'_>, row: usize, col: usize) -> f32 {
    let view = &source.view;
    let row = source.row_map.source_row(row, view.rows);
    match view.data {
        MatrixData::Dense(floats) => floats.get(row * view.cols + col),
        MatrixData::Ggml { ty, bytes } => {
            let row_bytes = ty.row_bytes(view.cols);
            let block = &bytes[row * row_bytes + col / 32 * ty.block_bytes()..];
            let (scale, i) = (f16_at(block, 0), col % 32);
            let nibble = |codes: &[u8]| f32::from(codes[i % 16] >> (i / 16 * 4) & 15);
            match ty.to_string().as_str() {
                "Q4_0" => scale * (nibble(&block[2..]) - 8.0),
                "Q4_1" => scale * nibble(&block[4..]) + f16_at(block, 2),
                "Q8_0" => scale * f32::from(block[2 + i] as i8),
                other => panic!("{other}"),
            }
        }
        MatrixData::Affine { bits, group, codes, scales, biases } => {
            let at = row * bits.row_bytes(view.cols) + col * bits.get() / 8;
            let shift = col * bits.get() % 8;
            let code = codes[at] >> shift & ((1u16 << bits.get()) - 1) as u8;
            let group = row * (view.cols / group) + col / group;
            f32::from(code) * scales.get(group) + biases.get(group)
        }
        MatrixData::Fp { .. } => panic!("not written"),
    }
}

fn assert_same(at: RoleAt, (rows, cols): (usize, usize), a: &Checkpoint, b: &Checkpoint) {
    let (a, b) = (a.matrix(at, rows, cols).unwrap(), b.matrix(at, rows, cols).unwrap());
    assert_eq!(b.row_map, RowMap::Identity);
    for row in 0..rows {
        for col in 0..cols {
            assert_eq!(value(&a, row, col), value(&b, row, col), "{at} {row} {col}");
        }
    }
}

#[test]
fn every_weight_stays_the_same_number() {
    let folder = TempDir::new().unwrap();
    let (path, out) = (model().save(&folder), folder.path().join("out"));
    let mut heard = Vec::new();
    let written =
        write_mlx_from_gguf(&path, &out, TOKENIZER, &mut |done, total| heard.push((done, total)))
            .unwrap();
    assert_eq!(heard[0], (0, written.num_tensor_bytes));
    assert_eq!(heard[heard.len() - 1], (written.num_tensor_bytes, written.num_tensor_bytes));
    assert_eq!(written.num_tensors, 4 * 3 + 7);
    let layout = ArchLayout { gguf_qk_rows: QkRows::Pairs, ..ArchLayout::default() };
    let gguf = Checkpoint::open(&path).unwrap().with_layout(layout);
    let mlx = Checkpoint::open(&out).unwrap();
    assert_eq!(mlx.format(), Format::Mlx);
    assert_eq!(mlx.num_parameters(), gguf.num_parameters());
    assert_same(Role::TokenEmbd.into(), (3, 32), &gguf, &mlx);
    assert_same(Role::AttnQ.at(0), (8, 32), &gguf, &mlx);
    assert_same(Role::AttnK.at(0), (4, 32), &gguf, &mlx);
    assert_same(Role::AttnV.at(0), (4, 32), &gguf, &mlx);
    assert_same(Role::FfnDown.at(0), (1, 2), &gguf, &mlx);
    for (at, part, len) in
        [(Role::OutputNorm.into(), Part::Weight, 2), (Role::AttnK.at(0), Part::Bias, 4)]
    {
        let both = [&gguf, &mlx].map(|model| model.vector(at, part, len).unwrap());
        assert_eq!(both[0], both[1], "{at}");
    }
    let config = mlx.config();
    assert_eq!(config.model_type().unwrap(), "llama");
    assert!(config.require::<bool>("tie_word_embeddings").unwrap());
    assert!(config.require::<bool>("attention_bias").unwrap());
    assert!(!config.require::<bool>("mlp_bias").unwrap());
    assert_eq!(config.require::<usize>("head_dim").unwrap(), 4);
    assert_eq!(mlx.generation().eos_token_ids, [2]);
    assert_eq!(std::fs::read_to_string(out.join("tokenizer.json")).unwrap(), "{}");
}

#[test]
fn a_failed_conversion_leaves_nothing_behind() {
    let refuse = |file: Gguf| {
        let folder = TempDir::new().unwrap();
        let path = file.save(&folder);
        let out = folder.path().join("out");
        let error = write_mlx_from_gguf(&path, &out, TOKENIZER, &mut |_, _| {}).unwrap_err();
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        error
    };
    let not_exact = |error: Error, name: &str| match error {
        Error::Write(WriteError::NotExact { name: found, .. }) => assert_eq!(found, name),
        other => panic!("{other}"),
    };
    // A bias of -128 * 1000 is beyond float16, which shows only while writing.
    let mut loud = blocks(1, 1, 32);
    loud[..2].copy_from_slice(&f16::from_f32(1000.0).to_le_bytes());
    let file = model().tensor("output.weight", &[32, 1], 8, loud);
    not_exact(refuse(file), "lm_head.biases");
    let file = model().tensor("output.weight", &[32, 1], 6, vec![0; 22]);
    not_exact(refuse(file), "output.weight");
    let file = model().floats("rope_freqs.weight", &[1], &[1.0]);
    not_exact(refuse(file), "rope_freqs.weight");
    // The flag of config.json stands for four projections in every layer.
    let mut some = model();
    some.tensors.retain(|tensor| tensor.name != "blk.0.attn_v.bias");
    not_exact(refuse(some), "model.layers.0.self_attn.k_proj.bias");
    let Error::Unused { keys, .. } = refuse(model().uint("llama.expert_count", 8)) else {
        panic!("an unknown key was dropped")
    };
    assert_eq!(keys, ["llama.expert_count"]);
    let partial = refuse(model().uint("llama.rope.dimension_count", 2)).to_string();
    assert!(partial.contains("rope_dim: 2 is not supported"), "{partial}");
    let other = refuse(Gguf::new("qwen2")).to_string();
    assert_eq!(other, "architecture qwen2 is not converted; accepted: llama");
}

/// In a container every process may have the same number, also one that was killed.
#[test]
fn what_a_killed_process_left_does_not_matter() {
    let folder = TempDir::new().unwrap();
    let (path, out) = (model().save(&folder), folder.path().join("out"));
    let left = folder.path().join(format!("out.partial-{}-0", std::process::id()));
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("config.json"), "{").unwrap();
    write_mlx_from_gguf(&path, &out, TOKENIZER, &mut |_, _| {}).unwrap();
    Checkpoint::open(&out).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn an_existing_folder_is_never_touched() {
    let folder = TempDir::new().unwrap();
    let path = model().save(&folder);
    let error = write_mlx_from_gguf(&path, folder.path(), TOKENIZER, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::Write(WriteError::Exists { .. })));
    assert!(path.exists());
}

#[test]
fn stories_can_be_converted() {
    let Some(data) = test_data("stories260K") else { return };
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("stories");
    let gguf = data.join("stories260K-f32.gguf");
    write_mlx_from_gguf(&gguf, &out, TOKENIZER, &mut |_, _| {}).unwrap();
    let (ours, theirs) =
        (Checkpoint::open(&out).unwrap(), Checkpoint::open(&data.join("hf")).unwrap());
    for (role, rows, cols) in [(Role::AttnQ, 64, 64), (Role::AttnK, 32, 64), (Role::FfnUp, 172, 64)]
    {
        let both = [&ours, &theirs].map(|m| m.matrix(role.at(4), rows, cols).unwrap().view.data);
        let [MatrixData::Dense(ours), MatrixData::Dense(theirs)] = both else { panic!("dense") };
        assert_eq!(ours.bytes(), theirs.bytes(), "{role:?}");
    }
}
