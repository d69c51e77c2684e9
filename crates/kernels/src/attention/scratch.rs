//! The buffers of a thread that computes attention.

use std::cell::RefCell;

use super::groups::Group;
use super::spans::{Span, Spans};
use super::{CHUNK_LEN, NUM_LANES, Partials, Tile};
use crate::kv::KvType;
use crate::pair::{Pair, pack};

/// Slots of a panel of widened keys or values: it stays in the first-level cache at usual sizes.
pub(crate) const PANEL_LEN: usize = 64;

/// Buffers that grow to the largest tile seen and are kept.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) spans: Spans,
    /// Scores, then weights, by line and slot of the chunk.
    pub(crate) scores: Vec<[f32; CHUNK_LEN]>,
    /// Where keys and values are bf16, the queries of the tile and the weights of the chunk too.
    pub(crate) pairs: Pairs,
    /// Which lines are multiplied with which slots.
    pub(crate) plan: Vec<(Group, Span)>,
    /// Keys `[k_dim][PANEL_LEN]` or values `[PANEL_LEN][stride]`, widened.
    pub(crate) panel: Vec<f32>,
    /// What the current chunk gives.
    pub(crate) part: Partials,
    /// The chunks merged so far.
    pub(crate) total: Partials,
    first_slot: usize,
}

/// Queries and weights as pairs, by line; empty where they are multiplied as `f32`.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    queries: Vec<Pair>,
    /// Pairs of a query.
    query_len: usize,
    weights: Vec<[Pair; CHUNK_LEN / 2]>,
}

impl Pairs {
    /// Rounds the queries of a tile.
    fn take_queries(&mut self, tile: &Tile<'_>) {
        self.query_len = tile.layout().k_dim.div_ceil(2);
        self.queries.resize(tile.num_lines() * self.query_len, Pair::default());
        for (line, pairs) in self.queries.chunks_exact_mut(self.query_len).enumerate() {
            pack(tile.query(line), pairs);
        }
        let weights_len = self.weights.len().max(tile.num_lines());
        self.weights.resize(weights_len, [Pair::default(); CHUNK_LEN / 2]);
    }

    /// The weights of a line, to be written.
    pub(crate) fn weights_mut(&mut self, line: usize) -> &mut [Pair; CHUNK_LEN / 2] {
        &mut self.weights[line]
    }

    pub(crate) fn query(&self, line: usize) -> &[Pair] {
        self.queries.chunks_exact(self.query_len.max(1)).nth(line).unwrap_or_default()
    }

    pub(crate) fn weights(&self, line: usize) -> &[Pair] {
        self.weights.get(line).map_or(&[], |weights| weights)
    }
}

impl Scratch {
    /// Gives `work` the buffers of this thread.
    pub(crate) fn with<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        SCRATCH.with_borrow_mut(work)
    }

    /// Prepares for the chunks of `tile`.
    pub(crate) fn begin_tile(&mut self, tile: &Tile<'_>) {
        let layout = tile.layout();
        self.total.reset(tile.num_lines(), layout.v_dim);
        let scores_len = self.scores.len().max(tile.num_lines());
        self.scores.resize(scores_len, [0.0; CHUNK_LEN]);
        let widest = layout.k_dim.max(layout.v_dim.next_multiple_of(NUM_LANES));
        self.panel.resize(self.panel.len().max(PANEL_LEN * widest), 0.0);
        if layout.dtype == KvType::BF16 {
            self.pairs.take_queries(tile);
        }
    }

    /// Empties `part` and finds what each row sees of `chunk`.
    pub(crate) fn begin_chunk(&mut self, tile: &Tile<'_>, chunk: usize) {
        self.first_slot = chunk * CHUNK_LEN;
        self.spans.clip(tile.rows(), chunk);
        self.part.reset(tile.num_lines(), tile.layout().v_dim);
    }

    /// The first slot of the current chunk.
    pub(crate) fn first_slot(&self) -> usize {
        self.first_slot
    }
}
