//! What the engine does between two forward passes of one sequence: mostly sampling.
//!
//! `cargo bench -p russet-engine --bench sampling [-- FILTER]` prints the median and the best
//! microseconds for each vocabulary, shape of the distribution and way of choosing.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use russet_decoder::{
    Batch, BlockId, CacheGroup, Model, ModelError, ModelInfo, ModelOutput, Reach,
};
use russet_engine::{
    Engine, EngineSettings, Event, FinishReason, Request, SamplingParams, StopRule, TokenId,
};

const NUM_TOKENS: usize = 400;
const NUM_POSITIONS: usize = 8;

/// The probability of the n-th likeliest token is as `n^-exponent`.
const SHAPES: [(&str, f32); 3] = [("sharp", 2.5), ("usual", 1.6), ("flat", 1.05)];

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!("{:<40} {:>10} {:>10}", "us per token", "median", "best");
    for vocab_len in [49_152, 151_936] {
        for (shape, exponent) in SHAPES {
            let positions: Vec<_> =
                (0..NUM_POSITIONS).map(|seed| logits(vocab_len, exponent, seed as u64)).collect();
            for (way, sampling, logprobs) in ways() {
                let name = format!("{vocab_len} {shape} {way}");
                if filter.as_ref().is_none_or(|filter| name.contains(filter)) {
                    let gaps = gaps(positions.clone(), sampling, logprobs);
                    println!("{name:<40} {:>10.1} {:>10.1}", gaps[gaps.len() / 2], gaps[0]);
                }
            }
        }
    }
}

fn ways() -> Vec<(&'static str, SamplingParams, Option<usize>)> {
    let plain = || SamplingParams { seed: Some(1), ..SamplingParams::default() };
    vec![
        ("greedy", SamplingParams::greedy(), None),
        ("greedy, 5 logprobs", SamplingParams::greedy(), Some(5)),
        ("temperature 0.8", SamplingParams { temperature: 0.8, ..plain() }, None),
        ("top-k 40", SamplingParams { top_k: 40, ..plain() }, None),
        ("top-p 0.95", SamplingParams { top_p: 0.95, ..plain() }, None),
        ("min-p 0.05", SamplingParams { min_p: 0.05, ..plain() }, None),
        ("top-k 40, top-p 0.95", SamplingParams { top_k: 40, top_p: 0.95, ..plain() }, None),
        ("top-p 0.95, 5 logprobs", SamplingParams { top_p: 0.95, ..plain() }, Some(5)),
    ]
}

/// Logits of such a distribution, its tokens in a random order.
fn logits(vocab_len: usize, exponent: f32, seed: u64) -> Vec<f32> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut logits: Vec<f32> =
        (0..vocab_len).map(|rank| 20.0 - exponent * (rank as f32 + 1.0).ln()).collect();
    for i in (1..vocab_len).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        logits.swap(i, (state % (i as u64 + 1)) as usize);
    }
    logits
}

/// Microseconds between the forward passes, ascending.
fn gaps(positions: Vec<Vec<f32>>, sampling: SamplingParams, logprobs: Option<usize>) -> Vec<f64> {
    let gaps = Arc::new(Mutex::new(Vec::new()));
    let engine = Engine::start(Box::new(Fixed::new(positions, gaps.clone())), Default::default());
    let engine = engine.expect("the settings are the default ones");
    let request = Request {
        prompt: vec![TokenId(1)],
        max_tokens: NUM_TOKENS,
        sampling,
        stop: StopRule::Never,
        logprobs,
    };
    let mut events = engine.handle().submit(request).expect("the queue is empty");
    // Nobody waits while tokens come, so that none of them wakes a thread.
    engine.finish();
    let last = std::iter::from_fn(|| events.wait()).last();
    assert!(matches!(last, Some(Event::Finished { reason: FinishReason::Length, .. })), "{last:?}");
    let mut gaps = std::mem::take(&mut *gaps.lock().expect("the engine has ended"));
    gaps.sort_by(f64::total_cmp);
    gaps
}

/// A model that gives the same logits over and over.
struct Fixed {
    info: ModelInfo,
    positions: Vec<Vec<f32>>,
    num_steps: usize,
    ended: Option<Instant>,
    gaps: Arc<Mutex<Vec<f64>>>,
}

impl Fixed {
    fn new(positions: Vec<Vec<f32>>, gaps: Arc<Mutex<Vec<f64>>>) -> Self {
        let info = ModelInfo {
            architecture: "fixed",
            vocab_len: positions[0].len(),
            hidden_len: 1,
            context_len: EngineSettings::default().cache_tokens,
            num_layers: 1,
            block_len: 32,
            cache_groups: vec![CacheGroup { reach: Reach::All, layers: vec![0], block_bytes: 1 }],
            weights_bytes: 0,
        };
        Self { info, positions, num_steps: 0, ended: None, gaps }
    }
}

impl Model for Fixed {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn allocate_cache(&mut self, _: &[usize]) -> Result<(), ModelError> {
        Ok(())
    }

    fn forward(&mut self, _: &Batch) -> Result<ModelOutput, ModelError> {
        if let Some(ended) = self.ended {
            let gap = ended.elapsed().as_secs_f64() * 1e6;
            self.gaps.lock().expect("nobody panics with it").push(gap);
        }
        let logits = self.positions[self.num_steps % self.positions.len()].clone();
        self.num_steps += 1;
        self.ended = Some(Instant::now());
        Ok(ModelOutput { logits, hidden: Vec::new() })
    }

    fn copy_block(&mut self, _: usize, _: BlockId, _: BlockId) {}

    fn read_block(&self, _: usize, _: BlockId) -> Vec<u8> {
        vec![0]
    }

    fn write_block(&mut self, _: usize, _: BlockId, _: &[u8]) -> Result<(), ModelError> {
        Ok(())
    }
}
