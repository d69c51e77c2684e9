//! A batch checked against the model, with what all layers share: visible slots and rotary tables.

use std::ops::Range;

use crate::{
    Batch, Input, ModelError, ModelInfo, ModelSpec, Position, Reach, Rope, RopeTable, SequenceRows,
};

/// One layer's KV geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvSpec {
    /// Tokens in a block.
    pub block_len: usize,
    /// Key and value heads.
    pub num_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

/// A step that is known to be computable.
pub struct Step<'a> {
    /// What to compute.
    pub batch: &'a Batch,
    /// Width of the hidden state.
    pub hidden_len: usize,
    /// What the layers of each cache group share.
    pub groups: Vec<StepGroup>,
    /// The rows' rotations, per [`ModelSpec::ropes`].
    pub ropes: Vec<StepRope<'a>>,
}

/// What the layers of one cache group share in a step.
pub struct StepGroup {
    /// Per sequence of the batch: its block table.
    pub tables: Vec<Vec<u32>>,
    /// Per row: the slots it sees, ascending and disjoint.
    pub visible: Vec<Vec<Range<u32>>>,
}

/// A rotary embedding at a step's positions.
pub struct StepRope<'a> {
    /// Which dimensions rotate.
    pub rope: &'a Rope,
    /// By how much, per row.
    pub table: RopeTable,
}

impl<'a> Step<'a> {
    /// Checks `batch` against the model and precomputes what its layers share.
    ///
    /// `num_blocks[g]` is the size of each cache group's pool.
    pub fn new(
        batch: &'a Batch,
        spec: &'a ModelSpec,
        info: &ModelInfo,
        num_blocks: &[usize],
    ) -> Result<Self, ModelError> {
        check_inputs(batch, info)?;
        check_tables(batch, info, num_blocks)?;
        let positions: Vec<Position> = batch.rows.iter().map(|row| row.position).collect();
        Ok(Self {
            batch,
            hidden_len: spec.hidden_len,
            groups: (0..info.cache_groups.len())
                .map(|g| StepGroup::new(batch, g, info.cache_groups[g].reach))
                .collect(),
            ropes: spec
                .ropes
                .iter()
                .map(|rope| StepRope { rope, table: rope.table(&positions) })
                .collect(),
        })
    }
}

impl StepGroup {
    fn new(batch: &Batch, group: usize, reach: Reach) -> Self {
        let raw = |s: &SequenceRows| s.tables[group].iter().map(|block| block.0).collect();
        let rows = batch.sequences.iter().flat_map(|s| (0..s.rows.len()).map(move |i| (s, i)));
        Self {
            tables: batch.sequences.iter().map(raw).collect(),
            visible: rows.map(|(sequence, i)| sequence.visible(i, reach)).collect(),
        }
    }
}

fn check_inputs(batch: &Batch, info: &ModelInfo) -> Result<(), ModelError> {
    let available = batch.embeddings.len() / info.hidden_len;
    for row in &batch.rows {
        match row.input {
            Input::Token(token) if token.0 as usize >= info.vocab_len => {
                return Err(ModelError::Token { token: token.0, vocab_len: info.vocab_len });
            }
            Input::Embedding(row) if row >= available => {
                return Err(ModelError::Embedding { row, available });
            }
            Input::Token(_) | Input::Embedding(_) => {}
        }
    }
    Ok(())
}

/// Every slot that a row reads or writes has a block of the pool.
fn check_tables(batch: &Batch, info: &ModelInfo, num_blocks: &[usize]) -> Result<(), ModelError> {
    for sequence in &batch.sequences {
        for (group, cache) in info.cache_groups.iter().enumerate() {
            let first = cache.reach.first_slot(sequence.cached_len);
            let last = sequence.cached_len + sequence.rows.len();
            let table = sequence.tables.get(group).map_or(&[][..], Vec::as_slice);
            for index in first / info.block_len..last.div_ceil(info.block_len) {
                if table.get(index).is_none_or(|b| b.0 as usize >= num_blocks[group]) {
                    let slot = index * info.block_len;
                    return Err(ModelError::BlockTable {
                        group,
                        slot,
                        num_blocks: num_blocks[group],
                    });
                }
            }
        }
    }
    Ok(())
}
