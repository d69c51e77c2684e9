//! Reads the recorded logits in `tests/fixtures` and runs models the ways an engine would.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use russet_decoder::{
    Batch, BlockId, Decoder, Input, LoadOptions, Mask, Model, Position, Row, SequenceId,
    SequenceRows, TokenId,
};
use russet_device_cpu::{CpuDevice, CpuOptions, KvType, Precision};
use safetensors::SafeTensors;

pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"))
}

/// What mlx-lm computed.
pub(crate) struct Golden {
    pub(crate) input_ids: Vec<u32>,
    /// `[input_ids.len(), vocab_len]`
    pub(crate) logits: Vec<f32>,
    pub(crate) greedy: Vec<u32>,
    /// `[greedy.len(), vocab_len]`
    pub(crate) decode_logits: Vec<f32>,
}

impl Golden {
    pub(crate) fn read(name: &str) -> Self {
        let bytes = std::fs::read(fixtures().join(name).join("golden.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let ids = |name| i32s(tensors.tensor(name).unwrap().data());
        let floats = |name| f32s(tensors.tensor(name).unwrap().data());
        Self {
            input_ids: ids("input_ids"),
            logits: floats("logits"),
            greedy: ids("greedy"),
            decode_logits: floats("decode_logits"),
        }
    }

    pub(crate) fn vocab_len(&self) -> usize {
        self.logits.len() / self.input_ids.len()
    }
}

fn i32s(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
}

pub(crate) fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// A loaded fixture with room for two sequences of 128 tokens.
pub(crate) fn load(
    path: &str,
    precision: Precision,
    layers: Option<std::ops::Range<usize>>,
) -> CpuModel {
    // Short blocks, so that short prompts fill several.
    let (kv_type, block_len) = match precision {
        Precision::Exact => (KvType::F32, 4),
        Precision::Fine => (KvType::F16, 4),
        Precision::Balanced | Precision::Fast => (KvType::BF16, 16),
    };
    let threads = NonZeroUsize::new(2).unwrap();
    let options = CpuOptions { threads, isa: None, precision, kv_type };
    let checkpoint = russet_decoder::open(&fixtures().join(path)).unwrap();
    let device = CpuDevice::new(options).unwrap();
    let load = LoadOptions { block_len, layers };
    let mut model = russet_decoder::load(&checkpoint, device, &load)
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    let groups = model.info().cache_groups.len();
    model.allocate_cache(&vec![64; groups]).unwrap();
    model
}

pub(crate) type CpuModel = Decoder<CpuDevice>;

/// The rows `ids` of sequence `id` after `cached_len` others; sequence 1 uses other blocks than
/// sequence 0, out of order.
pub(crate) fn sequence(
    model: &CpuModel,
    id: u64,
    cached_len: usize,
    rows: std::ops::Range<usize>,
) -> SequenceRows {
    let block = |i: u32| BlockId(if id == 0 { i } else { 63 - i });
    let table: Vec<BlockId> = (0..32).map(block).collect();
    let tables = vec![table; model.info().cache_groups.len()];
    SequenceRows { id: SequenceId(id), rows, cached_len, tables, mask: Mask::Causal }
}

pub(crate) fn token_rows(ids: &[u32], cached_len: usize) -> Vec<Row> {
    let row = |(i, &id): (usize, &u32)| Row {
        input: Input::Token(TokenId(id)),
        position: Position::text((cached_len + i) as u32),
    };
    ids.iter().enumerate().map(row).collect()
}

/// One step of one sequence, logits of every row.
pub(crate) fn step(model: &mut CpuModel, id: u64, cached_len: usize, ids: &[u32]) -> Vec<f32> {
    let batch = Batch {
        rows: token_rows(ids, cached_len),
        sequences: vec![sequence(model, id, cached_len, 0..ids.len())],
        logits_rows: (0..ids.len()).collect(),
        ..Batch::default()
    };
    model.forward(&batch).unwrap().logits
}

/// The largest difference, relative to the largest magnitude expected.
pub(crate) fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0f32, |m, d| if d.is_nan() { f32::INFINITY } else { m.max(d) }) / largest
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}
