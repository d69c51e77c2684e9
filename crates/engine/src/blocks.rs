//! KV blocks: the pool of a cache group and the block table of a sequence.

use russet_decoder::{BlockId, Reach};

/// The free blocks of one cache group.
#[derive(Debug)]
pub(crate) struct BlockPool {
    free: Vec<BlockId>,
    num_blocks: usize,
}

/// The blocks of one sequence in one cache group.
#[derive(Debug, Default)]
pub(crate) struct BlockTable {
    /// The block of each `block_len` slots. Entries before `first_kept` were given back.
    blocks: Vec<BlockId>,
    first_kept: usize,
}

impl BlockPool {
    pub(crate) fn new(num_blocks: usize) -> Self {
        let num = u32::try_from(num_blocks).expect("start keeps pools below 2^32 blocks");
        Self { free: (0..num).rev().map(BlockId).collect(), num_blocks }
    }

    pub(crate) fn num_blocks(&self) -> usize {
        self.num_blocks
    }

    #[cfg(test)]
    pub(crate) fn num_free(&self) -> usize {
        self.free.len()
    }

    fn take(&mut self) -> BlockId {
        self.free.pop().expect("admission leaves room for every admitted sequence")
    }
}

impl BlockTable {
    pub(crate) fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }

    /// Covers slots up to `len` with blocks.
    pub(crate) fn grow(&mut self, pool: &mut BlockPool, len: usize, block_len: usize) {
        while self.blocks.len() < len.div_ceil(block_len) {
            self.blocks.push(pool.take());
        }
    }

    /// Gives back the blocks that no row from slot `at` on can see.
    pub(crate) fn slide(
        &mut self,
        pool: &mut BlockPool,
        reach: Reach,
        at: usize,
        block_len: usize,
    ) {
        let first = (reach.first_slot(at) / block_len).min(self.blocks.len());
        if first > self.first_kept {
            pool.free.extend(&self.blocks[self.first_kept..first]);
            self.first_kept = first;
        }
    }

    /// Whether all that a row at slot `at` can see is still here.
    pub(crate) fn reaches_back_from(&self, at: usize, reach: Reach, block_len: usize) -> bool {
        reach.first_slot(at) / block_len >= self.first_kept
    }

    /// Gives back the blocks beyond slot `len`.
    pub(crate) fn truncate(&mut self, pool: &mut BlockPool, len: usize, block_len: usize) {
        let keep = len.div_ceil(block_len).max(self.first_kept);
        if keep < self.blocks.len() {
            pool.free.extend(self.blocks.drain(keep..));
        }
    }

    /// Gives everything back.
    pub(crate) fn release(&mut self, pool: &mut BlockPool) {
        pool.free.extend(self.blocks.drain(..).skip(self.first_kept));
        self.first_kept = 0;
    }
}

/// Blocks that a sequence of `cache_tokens` needs at once in a group of `reach`, computed in
/// chunks of `prefill_chunk`.
pub(crate) fn blocks_needed(
    reach: Reach,
    cache_tokens: usize,
    prefill_chunk: usize,
    block_len: usize,
) -> usize {
    let all = cache_tokens.div_ceil(block_len);
    match reach {
        Reach::All => all,
        // What the first row of a chunk sees, the chunk, and one block cut at both ends.
        Reach::Window(n) | Reach::Chunk(n) => {
            all.min(n.saturating_add(prefill_chunk).div_ceil(block_len).saturating_add(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_LEN: usize = 4;

    #[test]
    fn a_table_takes_and_gives_back_exactly_what_it_covers() {
        let mut pool = BlockPool::new(8);
        let mut table = BlockTable::default();
        table.grow(&mut pool, 17, BLOCK_LEN);
        assert_eq!((table.blocks().len(), pool.num_free()), (5, 3));
        table.grow(&mut pool, 20, BLOCK_LEN);
        assert_eq!(pool.num_free(), 3);
        table.truncate(&mut pool, 8, BLOCK_LEN);
        assert_eq!((table.blocks().len(), pool.num_free()), (2, 6));
        table.release(&mut pool);
        assert_eq!((table.blocks().len(), pool.num_free()), (0, 8));
    }

    #[test]
    fn blocks_slide_out_of_a_window_once() {
        let (mut pool, mut table) = (BlockPool::new(8), BlockTable::default());
        table.grow(&mut pool, 32, BLOCK_LEN);
        let window = Reach::Window(6);
        table.slide(&mut pool, window, 5, BLOCK_LEN);
        assert_eq!(pool.num_free(), 0);
        // A row at slot 17 sees slots 12 to 17: blocks 0 to 2 are behind it.
        table.slide(&mut pool, window, 17, BLOCK_LEN);
        table.slide(&mut pool, window, 17, BLOCK_LEN);
        assert_eq!(pool.num_free(), 3);
        assert!(table.reaches_back_from(17, window, BLOCK_LEN));
        assert!(!table.reaches_back_from(16, window, BLOCK_LEN));
        table.release(&mut pool);
        assert_eq!(pool.num_free(), 8);
    }

    #[test]
    fn window_pools_hold_every_chunk_at_every_offset() {
        for window in 1..20 {
            for chunk in 1..20 {
                let needed = blocks_needed(Reach::Window(window), 200, chunk, BLOCK_LEN);
                let (mut pool, mut table) = (BlockPool::new(needed), BlockTable::default());
                let mut at = 0;
                while at < 200 {
                    table.slide(&mut pool, Reach::Window(window), at, BLOCK_LEN);
                    at = (at + chunk).min(200);
                    table.grow(&mut pool, at, BLOCK_LEN);
                }
            }
        }
    }
}
