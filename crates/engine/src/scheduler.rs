//! Which rows the next step computes: waiting and running sequences and free blocks in, a batch
//! out. Pure data; it never sees the model.

use std::collections::VecDeque;

use russet_decoder::{
    Batch, Input, Mask, ModelInfo, Position, Reach, Row, SequenceId, SequenceRows, TokenId,
};

use crate::blocks::{BlockPool, BlockTable, blocks_needed};
use crate::sequence::Sequence;

/// Runs sequences one at a time, first come first served, over the block pools of all groups.
///
/// The last sequence's blocks stay until the next one starts, which reuses what both begin with.
#[derive(Debug)]
pub(crate) struct Scheduler {
    block_len: usize,
    prefill_chunk: usize,
    groups: Vec<Group>,
    waiting: VecDeque<Sequence>,
    running: Option<Sequence>,
    resident: Option<Sequence>,
}

/// Layers that keep and forget the same tokens.
#[derive(Debug)]
struct Group {
    reach: Reach,
    pool: BlockPool,
}

/// One step.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) batch: Batch,
    /// Sequences whose first step this is.
    pub(crate) started: Vec<Started>,
}

/// A sequence whose turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) id: SequenceId,
    pub(crate) prompt_len: usize,
    /// Prompt tokens that need no computing.
    pub(crate) cached_len: usize,
}

/// What becomes of a finished sequence's keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cached {
    /// The next sequence may reuse them.
    Keep,
    /// They may be wrong: a step failed.
    Discard,
}

impl Scheduler {
    /// A scheduler for sequences of up to `cache_tokens`.
    pub(crate) fn new(info: &ModelInfo, cache_tokens: usize, prefill_chunk: usize) -> Self {
        let block_len = info.block_len;
        let group = |reach| {
            let num_blocks = blocks_needed(reach, cache_tokens, prefill_chunk, block_len);
            Group { reach, pool: BlockPool::new(num_blocks) }
        };
        Self {
            block_len,
            prefill_chunk,
            groups: info.cache_groups.iter().map(|g| group(g.reach)).collect(),
            waiting: VecDeque::new(),
            running: None,
            resident: None,
        }
    }

    /// Blocks in each group's pool.
    pub(crate) fn num_blocks(&self) -> Vec<usize> {
        self.groups.iter().map(|group| group.pool.num_blocks()).collect()
    }

    /// Appends a sequence to those that wait.
    pub(crate) fn add(&mut self, sequence: Sequence) {
        self.waiting.push_back(sequence);
    }

    /// The next step; `None` if there is nothing to do.
    pub(crate) fn schedule(&mut self) -> Option<Schedule> {
        let started = self.start_next();
        let sequence = self.running.as_mut()?;
        let chunk_end = sequence.cached_len.saturating_add(self.prefill_chunk);
        let end = sequence.tokens.len().min(chunk_end);
        for (group, table) in self.groups.iter_mut().zip(&mut sequence.tables) {
            table.slide(&mut group.pool, group.reach, sequence.cached_len, self.block_len);
            table.grow(&mut group.pool, end, self.block_len);
        }
        Some(Schedule { batch: batch(sequence, end), started: started.into_iter().collect() })
    }

    /// Records that `batch` was computed.
    pub(crate) fn commit(&mut self, batch: &Batch) {
        for rows in &batch.sequences {
            if let Some(sequence) = self.running.as_mut().filter(|s| s.id == rows.id) {
                sequence.cached_len += rows.rows.len();
            }
        }
    }

    /// Appends a chosen token to a running sequence.
    pub(crate) fn push(&mut self, id: SequenceId, token: TokenId) {
        let sequence = self.running.as_mut().filter(|s| s.id == id);
        let sequence = sequence.expect("a token is chosen for a running sequence");
        sequence.tokens.push(token);
    }

    /// Removes a sequence, whether it waits or runs.
    pub(crate) fn finish(&mut self, id: SequenceId, cached: Cached) {
        self.waiting.retain(|sequence| sequence.id != id);
        let Some(mut sequence) = self.running.take_if(|s| s.id == id) else { return };
        match cached {
            Cached::Keep => self.resident = Some(sequence),
            Cached::Discard => self.release(&mut sequence.tables),
        }
    }

    /// Moves the first waiting sequence to the empty running place.
    fn start_next(&mut self) -> Option<Started> {
        if self.running.is_some() {
            return None;
        }
        let mut sequence = self.waiting.pop_front()?;
        (sequence.tables, sequence.cached_len) = self.reuse(&sequence.tokens);
        let (id, prompt_len, cached_len) = (sequence.id, sequence.prompt_len, sequence.cached_len);
        self.running = Some(sequence);
        Some(Started { id, prompt_len, cached_len })
    }

    /// The tables of what the resident sequence and `prompt` begin with, and its length.
    ///
    /// At least one token is left to compute, whose logits choose the first token of the output.
    fn reuse(&mut self, prompt: &[TokenId]) -> (Vec<BlockTable>, usize) {
        let empty = || self.groups.iter().map(|_| BlockTable::default()).collect();
        let Some(resident) = self.resident.take() else { return (empty(), 0) };
        let len = resident.common_len(prompt).min(prompt.len() - 1);
        let mut tables = resident.tables;
        let here = |(table, group): (&BlockTable, &Group)| {
            table.reaches_back_from(len, group.reach, self.block_len)
        };
        if len == 0 || !tables.iter().zip(&self.groups).all(here) {
            self.release(&mut tables);
            return (tables, 0);
        }
        for (table, group) in tables.iter_mut().zip(&mut self.groups) {
            table.truncate(&mut group.pool, len, self.block_len);
        }
        (tables, len)
    }

    /// Free blocks of each group, once nothing is kept for reuse.
    #[cfg(test)]
    pub(crate) fn num_free_without_resident(&mut self) -> Vec<usize> {
        if let Some(mut resident) = self.resident.take() {
            self.release(&mut resident.tables);
        }
        self.groups.iter().map(|group| group.pool.num_free()).collect()
    }

    fn release(&mut self, tables: &mut [BlockTable]) {
        for (table, group) in tables.iter_mut().zip(&mut self.groups) {
            table.release(&mut group.pool);
        }
    }
}

/// The rows of `sequence` from its first token that is not cached up to `end`.
fn batch(sequence: &Sequence, end: usize) -> Batch {
    let first = sequence.cached_len;
    let row = |at: usize| Row {
        input: Input::Token(sequence.tokens[at]),
        position: Position::text(u32::try_from(at).expect("admission keeps sequences short")),
    };
    let rows: Vec<Row> = (first..end).map(row).collect();
    let last = rows.len() - 1;
    let tables = sequence.tables.iter().map(|table| table.blocks().to_vec()).collect();
    Batch {
        sequences: vec![SequenceRows {
            id: sequence.id,
            rows: 0..rows.len(),
            cached_len: first,
            tables,
            mask: Mask::Causal,
        }],
        rows,
        logits_rows: if end == sequence.tokens.len() { vec![last] } else { Vec::new() },
        ..Batch::default()
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
