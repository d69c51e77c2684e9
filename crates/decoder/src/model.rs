//! The engine's view of a model: `Batch` in, logits out, over a block pool.

use crate::{Batch, BlockId, Reach};

/// One loaded model. The engine calls it from one thread.
pub trait Model: Send {
    /// Sizes that the engine schedules by.
    fn info(&self) -> &ModelInfo;

    /// Makes room for `num_blocks[g]` KV blocks in each cache group, dropping what was cached.
    fn allocate_cache(&mut self, num_blocks: &[usize]) -> Result<(), ModelError>;

    /// Computes one step: writes the rows' keys and values to their slots and returns what the
    /// batch asks for.
    ///
    /// A row's results do not depend on the other sequences of the batch or on how its sequence was
    /// cut into steps, bit for bit.
    fn forward(&mut self, batch: &Batch) -> Result<ModelOutput, ModelError>;

    /// Takes back what a step returned, so that the next finds the memory.
    fn recycle(&mut self, _output: ModelOutput) {}

    /// Copies one block over another in every layer of `group`.
    fn copy_block(&mut self, group: usize, from: BlockId, to: BlockId);

    /// The contents of a block, all layers of `group` in order: [`CacheGroup::block_bytes`] bytes.
    fn read_block(&self, group: usize, block: BlockId) -> Vec<u8>;

    /// Restores what [`Model::read_block`] returned.
    fn write_block(&mut self, group: usize, block: BlockId, bytes: &[u8])
    -> Result<(), ModelError>;
}

/// Sizes of a loaded model.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    /// The architecture's name in [`crate::architectures`].
    pub architecture: &'static str,
    /// Tokens in the vocabulary, the width of the logits.
    pub vocab_len: usize,
    /// Width of the hidden state.
    pub hidden_len: usize,
    /// The longest sequence the model was made for.
    pub context_len: usize,
    /// Layers this instance runs (fewer than the model's in a pipeline stage).
    pub num_layers: usize,
    /// Tokens in a KV block, the same for every group.
    pub block_len: usize,
    /// Layers grouped by what they may forget; each group has its own pool and block tables.
    pub cache_groups: Vec<CacheGroup>,
    /// Bytes of packed weights resident in memory.
    pub weights_bytes: usize,
}

impl ModelInfo {
    /// Bytes of KV cache that one token takes over all groups while it is in every layer's reach.
    pub fn kv_bytes_per_token(&self) -> usize {
        self.cache_groups.iter().map(|g| g.block_bytes).sum::<usize>() / self.block_len
    }
}

/// Layers that keep and forget the same tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheGroup {
    /// What its layers look back on; blocks wholly before it can be freed.
    pub reach: Reach,
    /// The layers, ascending.
    pub layers: Vec<usize>,
    /// Bytes of one block over all its layers.
    pub block_bytes: usize,
}

/// What a step returns, in the order of the batch's lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelOutput {
    /// `[logits_rows.len(), vocab_len]`
    pub logits: Vec<f32>,
    /// `[hidden_rows.len(), hidden_len]`: after the last layer this instance runs, before the final
    /// norm.
    pub hidden: Vec<f32>,
}

/// A step that could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A token id beyond the vocabulary.
    #[error("token {token} is outside the vocabulary of {vocab_len}")]
    Token {
        /// The id found.
        token: u32,
        /// Ids accepted are below this.
        vocab_len: usize,
    },
    /// A supplied embedding that is not there.
    #[error("embedding row {row} of {available} supplied")]
    Embedding {
        /// The row asked for.
        row: usize,
        /// Rows in the batch.
        available: usize,
    },
    /// Tokens given to a pipeline stage that takes hidden states.
    #[error("the stage from layer {first_layer} takes hidden states, not tokens")]
    TokensInLaterStage {
        /// The stage's first layer.
        first_layer: usize,
    },
    /// Logits asked of a pipeline stage without the head.
    #[error("the stage up to layer {last_layer} has no head to compute logits with")]
    LogitsInEarlierStage {
        /// The stage's last layer.
        last_layer: usize,
    },
    /// A block table that does not cover its sequence's slots, or names a block beyond the pool.
    #[error("cache group {group}: slot {slot} has no block in a pool of {num_blocks}")]
    BlockTable {
        /// The cache group.
        group: usize,
        /// The slot that has no block.
        slot: usize,
        /// Blocks in the pool.
        num_blocks: usize,
    },
    /// Saved block contents of the wrong size.
    #[error("a block of cache group {group} has {expected} bytes, {found} given")]
    BlockBytes {
        /// The cache group.
        group: usize,
        /// Bytes given.
        found: usize,
        /// Bytes of a block.
        expected: usize,
    },
    /// The device has no cache of such blocks.
    #[error("blocks of {found} tokens; this KV type takes multiples of {multiple}")]
    BlockLen {
        /// Tokens of a block.
        found: usize,
        /// What it takes multiples of.
        multiple: usize,
    },
    /// The cache could not be allocated.
    #[error("no memory for the KV cache: {bytes} bytes were asked for")]
    CacheMemory {
        /// Bytes asked for.
        bytes: usize,
    },
}
