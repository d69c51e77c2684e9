//! Runs the rows on a model and times them.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use russet_decoder::{Model, ModelError, ModelInfo, ModelOutput, TokenId};
use russet_kernels::LogitKernels;

use crate::bandwidth::ReadProbe;
use crate::report::Spread;
use crate::sequences::{Logits, Sequences, blocks_of_each};
use crate::{Costs, Error, Kind, Row, Test};

/// How long the bandwidth is measured, around each timed run.
const PROBE_TIME: Duration = Duration::from_millis(150);

/// Memory that is read to measure the bandwidth, several times the caches of today's CPUs.
const PROBE_BYTES: usize = 512 << 20;

/// How rows are measured.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Most prompt tokens of a step.
    pub prefill_chunk: NonZeroUsize,
    /// Timed runs of each row, after one that is not.
    pub repetitions: NonZeroUsize,
    /// Longest sequence that a row may need.
    pub context_len: usize,
    /// Threads that the model computes with; as many measure the bandwidth.
    pub threads: NonZeroUsize,
    /// Memory that may be taken; `None` where the system does not say.
    pub free_bytes: Option<usize>,
    /// What the model's tokens cost.
    pub costs: Costs,
}

/// What is going on within a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The context is put in the cache, untimed.
    Context,
    /// The run before the timed ones.
    WarmUp,
    /// This timed run, from 0.
    Repetition(usize),
}

/// A model made ready for some rows.
pub struct Bench<'a> {
    model: &'a mut dyn Model,
    settings: Settings,
    sequences: Sequences,
    /// `None` when no row decodes.
    probe: Option<ReadProbe>,
}

impl<'a> Bench<'a> {
    /// Allocates a cache for all of `tests`, dropping what the model has cached.
    ///
    /// Errors if there is no row, a row exceeds the context, or memory is short.
    pub fn new(
        model: &'a mut dyn Model,
        tests: &[Test],
        settings: Settings,
    ) -> Result<Self, Error> {
        if tests.is_empty() {
            return Err(Error::NoRows);
        }
        let context_len = settings.context_len;
        if let Some(test) = tests.iter().find(|test| test.num_slots() > context_len) {
            let num_tokens = test.num_slots();
            return Err(Error::Context { test: test.to_string(), num_tokens, context_len });
        }
        let free_bytes = settings.free_bytes.unwrap_or(usize::MAX);
        let cache_bytes = cache_bytes(tests, model.info());
        if cache_bytes > free_bytes {
            return Err(Error::Memory { cache_bytes, free_bytes });
        }
        let sequences = Sequences::new(tests, model.info(), settings.prefill_chunk);
        let num_groups = model.info().cache_groups.len();
        model.allocate_cache(&vec![sequences.num_blocks(); num_groups]).map_err(Error::Cache)?;
        let decodes = tests.iter().any(|test| test.kind == Kind::Decode);
        let probe = || ReadProbe::new(PROBE_BYTES.min(free_bytes / 8), settings.threads);
        let probe = decodes.then(probe).transpose()?;
        Ok(Self { model, settings, sequences, probe })
    }

    /// Measures one of the tests that the bench was made for, telling `watch` how far it is.
    ///
    /// The context is computed where it is not in the cache yet. Then the row runs once untimed and
    /// [`Settings::repetitions`] times timed, each from the same depth. Before and after each timed
    /// run of a decode row the bandwidth is measured; as of the runs the median counts, since the
    /// memory of shared hosts changes its speed within seconds.
    pub fn run(&mut self, test: &Test, watch: &mut dyn FnMut(Stage)) -> Result<Row, Error> {
        watch(Stage::Context);
        let filled = self.sequences.fill(self.model, test);
        filled.map_err(|source| step_error(test, source))?;
        watch(Stage::WarmUp);
        self.repeat(test)?;
        let mut bandwidths: Vec<f64> = self.bandwidth(test).into_iter().collect();
        let mut seconds = Vec::new();
        for repetition in 0..self.settings.repetitions.get() {
            watch(Stage::Repetition(repetition));
            let start = Instant::now();
            self.repeat(test)?;
            seconds.push(start.elapsed().as_secs_f64());
            bandwidths.extend(self.bandwidth(test));
        }
        let bandwidth = (!bandwidths.is_empty()).then(|| Spread::new(bandwidths).median);
        Ok(Row::new(test, seconds, bandwidth, (&self.settings, self.model.info())))
    }

    /// Bytes per second; `None` where they do not matter.
    fn bandwidth(&self, test: &Test) -> Option<f64> {
        let probe = self.probe.as_ref().filter(|_| test.kind == Kind::Decode);
        probe.map(|probe| probe.measure(PROBE_TIME))
    }

    fn repeat(&mut self, test: &Test) -> Result<(), Error> {
        match test.kind {
            Kind::Prefill => {
                let tokens = test.depth..test.num_slots();
                let done = self.sequences.prefill(self.model, 0, tokens, Logits::OfLastRow);
                done.map_err(|source| step_error(test, source))
            }
            Kind::Decode => self.decode(test),
        }
    }

    /// Greedy decoding, the sequences in step.
    fn decode(&mut self, test: &Test) -> Result<(), Error> {
        let first = |sequence| self.sequences.token(sequence, test.depth);
        let mut tokens: Vec<TokenId> = (0..test.batch).map(first).collect();
        let (vocab_len, kernels) = (self.model.info().vocab_len, LogitKernels::best());
        for cached_len in test.depth..test.num_slots() {
            let logits = self.sequences.decode(self.model, &tokens, cached_len);
            let logits = logits.map_err(|source| step_error(test, source))?;
            let likeliest = |logits| likeliest(kernels, logits);
            let best: Option<Vec<TokenId>> =
                logits.chunks_exact(vocab_len).map(likeliest).collect();
            let (name, num_tokens) = (|| test.to_string(), cached_len + 1);
            tokens = best.ok_or_else(|| Error::Logits { test: name(), num_tokens })?;
            self.model.recycle(ModelOutput { logits, ..ModelOutput::default() });
        }
        Ok(())
    }
}

/// The first of the highest logits; `None` where none is finite.
fn likeliest(kernels: LogitKernels, logits: &[f32]) -> Option<TokenId> {
    let largest = kernels.argmax(logits);
    let id = u32::try_from(largest.index).expect("vocabularies are below 2^32 tokens");
    largest.value.is_finite().then_some(TokenId(id))
}

/// Bytes of KV cache that the rows need: all of them run in one cache.
fn cache_bytes(tests: &[Test], info: &ModelInfo) -> usize {
    let num_blocks: usize = blocks_of_each(tests, info.block_len).into_iter().sum();
    let block_bytes: usize = info.cache_groups.iter().map(|group| group.block_bytes).sum();
    num_blocks.saturating_mul(block_bytes)
}

fn step_error(test: &Test, source: ModelError) -> Error {
    Error::Step { test: test.to_string(), source }
}
