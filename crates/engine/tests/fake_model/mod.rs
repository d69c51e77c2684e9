//! A model without weights that remembers tokens instead of keys and values.
//!
//! It keeps what it is told to write in blocks like a real one, reads the history of a row back
//! through the block tables, and asks a function for that history's logits. Reading a slot that
//! holds anything but that sequence's token at that place panics.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use russet_decoder::{
    Batch, BlockId, CacheGroup, Input, Model, ModelError, ModelInfo, ModelOutput, Reach,
    SequenceId, SequenceRows, TokenId,
};

/// Gives the logits that follow a history.
pub(crate) type Logits = Box<dyn FnMut(&[TokenId]) -> Result<Vec<f32>, ModelError> + Send>;

pub(crate) struct FakeModel {
    info: ModelInfo,
    /// Of each group, the token and its place that each slot of the pool holds.
    slots: Vec<Vec<Option<(usize, TokenId)>>>,
    /// How far each sequence was written.
    written: HashMap<SequenceId, usize>,
    /// All tokens of the sequence being computed.
    history: Vec<TokenId>,
    num_steps: Arc<AtomicUsize>,
    logits: Logits,
}

impl FakeModel {
    pub(crate) fn new(vocab_len: usize, logits: Logits) -> Self {
        let group = |reach| CacheGroup { reach, layers: vec![0], block_bytes: 4 };
        let info = ModelInfo {
            architecture: "fake",
            vocab_len,
            hidden_len: 1,
            context_len: 4096,
            num_layers: 2,
            block_len: 4,
            cache_groups: vec![group(Reach::All), group(Reach::Window(6))],
            weights_bytes: 0,
        };
        Self {
            info,
            slots: Vec::new(),
            written: HashMap::new(),
            history: Vec::new(),
            num_steps: Arc::default(),
            logits,
        }
    }

    /// Counts the steps that were begun.
    pub(crate) fn num_steps(&self) -> Arc<AtomicUsize> {
        self.num_steps.clone()
    }

    fn slot(&self, table: &[BlockId], at: usize) -> usize {
        let block_len = self.info.block_len;
        table[at / block_len].0 as usize * block_len + at % block_len
    }

    /// Writes the rows' tokens to their slots, which must follow what was written before.
    fn write(&mut self, batch: &Batch, rows: &SequenceRows) {
        if let Some(&written) = self.written.get(&rows.id) {
            assert_eq!(rows.cached_len, written, "a slot was left out or written twice");
        }
        for (i, row) in batch.rows[rows.rows.clone()].iter().enumerate() {
            let Input::Token(token) = row.input else { panic!("only tokens are scheduled") };
            let at = rows.cached_len + i;
            assert_eq!(row.position.time as usize, at);
            for (group, table) in rows.tables.iter().enumerate() {
                let slot = self.slot(table, at);
                self.slots[group][slot] = Some((at, token));
            }
        }
        self.written.insert(rows.id, rows.cached_len + rows.rows.len());
    }

    /// The tokens that a row sees, through every group's table.
    fn read(&mut self, rows: &SequenceRows, i: usize) {
        self.history.clear();
        let groups: Vec<Reach> = self.info.cache_groups.iter().map(|g| g.reach).collect();
        for (group, reach) in groups.into_iter().enumerate() {
            for at in rows.visible(i, reach).into_iter().flatten().map(|at| at as usize) {
                let found = self.slots[group][self.slot(&rows.tables[group], at)];
                let (place, token) = found.expect("a row sees only slots that were written");
                assert_eq!(place, at, "a block of another place or sequence");
                if group == 0 {
                    self.history.push(token);
                }
                assert_eq!(self.history[at], token, "the groups hold different tokens");
            }
        }
    }

    fn check(&self, batch: &Batch) {
        let mut end = 0;
        for sequence in &batch.sequences {
            assert_eq!(sequence.rows.start, end, "sequences tile the rows");
            assert!(!sequence.rows.is_empty());
            assert_eq!(sequence.tables.len(), self.slots.len());
            end = sequence.rows.end;
        }
        assert_eq!(end, batch.rows.len());
        assert!(batch.logits_rows.is_sorted());
        assert!(batch.logits_rows.iter().all(|&row| row < end));
    }
}

impl Model for FakeModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn allocate_cache(&mut self, num_blocks: &[usize]) -> Result<(), ModelError> {
        let block_len = self.info.block_len;
        self.slots = num_blocks.iter().map(|num| vec![None; num * block_len]).collect();
        Ok(())
    }

    fn forward(&mut self, batch: &Batch) -> Result<ModelOutput, ModelError> {
        self.num_steps.fetch_add(1, Ordering::SeqCst);
        self.check(batch);
        let mut logits = Vec::new();
        for rows in &batch.sequences {
            self.write(batch, rows);
            for i in 0..rows.rows.len() {
                if batch.logits_rows.contains(&(rows.rows.start + i)) {
                    self.read(rows, i);
                    logits.extend((self.logits)(&self.history)?);
                }
            }
        }
        Ok(ModelOutput { logits, hidden: Vec::new() })
    }

    fn copy_block(&mut self, group: usize, from: BlockId, to: BlockId) {
        let block_len = self.info.block_len;
        let from = from.0 as usize * block_len;
        self.slots[group].copy_within(from..from + block_len, to.0 as usize * block_len);
    }

    fn read_block(&self, _: usize, _: BlockId) -> Vec<u8> {
        panic!("blocks are not saved yet")
    }

    fn write_block(&mut self, _: usize, _: BlockId, _: &[u8]) -> Result<(), ModelError> {
        panic!("blocks are not restored yet")
    }
}

/// Logits that look random and depend on every token of the history.
pub(crate) fn hashed_logits(history: &[TokenId], vocab_len: usize) -> Vec<f32> {
    let seed = history.iter().fold(1, |hash, token| mix(hash ^ u64::from(token.0)));
    (0..vocab_len as u64).map(|id| (mix(seed ^ id << 32) >> 40) as f32 / 2e6).collect()
}

/// A step of SplitMix64: Steele et al., <https://doi.org/10.1145/2714064.2660195>.
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
