//! Which steps a bench asks of a model, seen by a model that writes them down.
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

use std::num::NonZeroUsize;

use russet_bench::{Bench, Costs, Error, Grid, Kind, Row, Settings, Stage, Test};
use russet_decoder::{
    Batch, BlockId, CacheGroup, Input, Model, ModelError, ModelInfo, ModelOutput, Reach, TokenId,
};

const VOCAB_LEN: usize = 50;
const BLOCK_LEN: usize = 4;

/// After token `t` comes `t + 1`, unless the model fails.
struct Recorder {
    info: ModelInfo,
    num_blocks: Vec<usize>,
    batches: Vec<Batch>,
    logit: f32,
}

impl Recorder {
    fn new() -> Self {
        let group = |reach| CacheGroup { reach, layers: vec![0], block_bytes: 16 };
        let info = ModelInfo {
            architecture: "fake",
            vocab_len: VOCAB_LEN,
            hidden_len: 1,
            context_len: 64,
            num_layers: 2,
            block_len: BLOCK_LEN,
            cache_groups: vec![group(Reach::All), group(Reach::Window(6))],
            weights_bytes: 1000,
        };
        Self { info, num_blocks: Vec::new(), batches: Vec::new(), logit: 1.0 }
    }
}

impl Model for Recorder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn allocate_cache(&mut self, num_blocks: &[usize]) -> Result<(), ModelError> {
        assert!(self.num_blocks.is_empty(), "one cache serves all rows");
        self.num_blocks = num_blocks.to_vec();
        Ok(())
    }

    fn forward(&mut self, batch: &Batch) -> Result<ModelOutput, ModelError> {
        let mut logits = vec![0.0; batch.logits_rows.len() * VOCAB_LEN];
        for (row, logits) in batch.logits_rows.iter().zip(logits.chunks_exact_mut(VOCAB_LEN)) {
            let next = (token(batch, *row).0 as usize + 1) % VOCAB_LEN;
            logits.fill(-self.logit.abs());
            logits[next] = self.logit;
        }
        self.batches.push(batch.clone());
        Ok(ModelOutput { logits, hidden: Vec::new() })
    }

    fn copy_block(&mut self, _: usize, _: BlockId, _: BlockId) {
        panic!("a bench copies no block")
    }

    fn read_block(&self, _: usize, _: BlockId) -> Vec<u8> {
        panic!("a bench saves no block")
    }

    fn write_block(&mut self, _: usize, _: BlockId, _: &[u8]) -> Result<(), ModelError> {
        panic!("a bench restores no block")
    }
}

fn token(batch: &Batch, row: usize) -> TokenId {
    let Input::Token(token) = batch.rows[row].input else { panic!("a bench knows tokens only") };
    token
}

fn settings(repetitions: usize) -> Settings {
    Settings {
        prefill_chunk: NonZeroUsize::new(8).unwrap(),
        repetitions: NonZeroUsize::new(repetitions).unwrap(),
        context_len: 64,
        threads: NonZeroUsize::MIN,
        free_bytes: Some(8 << 20),
        costs: Costs { layer_parameters: 1, head_parameters: 1, step_bytes: 1 },
    }
}

fn prefill(num_tokens: usize, depth: usize) -> Test {
    Test { kind: Kind::Prefill, num_tokens, depth, batch: 1 }
}

fn decode(num_tokens: usize, depth: usize, batch: usize) -> Test {
    Test { kind: Kind::Decode, num_tokens, depth, batch }
}

/// Runs the tests once (and once untimed) and checks what holds for every step.
fn run(tests: &[Test]) -> (Vec<Row>, Recorder) {
    let mut model = Recorder::new();
    let mut bench = Bench::new(&mut model, tests, settings(1)).unwrap();
    let rows = tests.iter().map(|test| bench.run(test, &mut |_| {}).unwrap()).collect();
    model.batches.iter().for_each(|batch| check(batch, &model.num_blocks));
    (rows, model)
}

/// Sequences tile the rows, stand where they are cached, and own their blocks.
fn check(batch: &Batch, num_blocks: &[usize]) {
    let mut end = 0;
    let mut used = vec![Vec::new(); num_blocks.len()];
    for sequence in &batch.sequences {
        assert_eq!(sequence.rows.start, end);
        end = sequence.rows.end;
        for (i, row) in batch.rows[sequence.rows.clone()].iter().enumerate() {
            assert_eq!(row.position.time as usize, sequence.cached_len + i);
        }
        let num_slots = sequence.cached_len + sequence.rows.len();
        for (group, table) in sequence.tables.iter().enumerate() {
            assert!(table.len() * BLOCK_LEN >= num_slots);
            used[group].extend_from_slice(table);
        }
    }
    assert_eq!(end, batch.rows.len());
    assert!((0..end).all(|row| (token(batch, row).0 as usize) < VOCAB_LEN));
    for (blocks, num) in used.iter_mut().zip(num_blocks) {
        let total = blocks.len();
        blocks.sort_unstable();
        blocks.dedup();
        assert_eq!(blocks.len(), total, "a block has one owner");
        assert!(blocks.iter().all(|block| (block.0 as usize) < *num));
    }
}

/// Of each step: for each sequence what was cached and how many rows follow; how many logits.
fn shapes(batches: &[Batch]) -> Vec<(Vec<(usize, usize)>, usize)> {
    let shape = |batch: &Batch| {
        let sequences = batch.sequences.iter().map(|s| (s.cached_len, s.rows.len()));
        (sequences.collect(), batch.logits_rows.len())
    };
    batches.iter().map(shape).collect()
}

#[test]
fn a_prompt_is_read_in_chunks_with_logits_for_its_last_row() {
    let (rows, model) = run(&[prefill(19, 0)]);
    let once = [(vec![(0, 8)], 0), (vec![(8, 8)], 0), (vec![(16, 3)], 1)];
    assert_eq!(shapes(&model.batches), [once.clone(), once].concat());
    assert_eq!(model.batches[2].logits_rows, [2]);
    assert_eq!(model.num_blocks, [5, 5]);
    assert_eq!((rows[0].prompt, rows[0].generated, rows[0].seconds.len()), (19, 0, 1));
    assert_eq!(rows[0].bandwidth_gb_s, None);
}

#[test]
fn the_text_is_the_same_whatever_the_row_and_differs_between_sequences() {
    let text = |batches: &[Batch]| -> Vec<u32> {
        let tokens = |batch: &Batch| (0..batch.rows.len()).map(|row| token(batch, row).0).collect();
        batches.iter().flat_map(|batch| -> Vec<u32> { tokens(batch) }).collect()
    };
    let (_, long) = run(&[prefill(24, 0)]);
    let (_, deep) = run(&[prefill(8, 16)]);
    assert_eq!(text(&long.batches[..3]), text(&deep.batches[..3]));
    let (_, two) = run(&[decode(1, 24, 2)]);
    assert_eq!(text(&two.batches[..3]), text(&long.batches[..3]));
    assert_ne!(text(&two.batches[3..6]), text(&long.batches[..3]));
}

#[test]
fn decoding_starts_over_from_the_same_depth_and_takes_the_likeliest() {
    let (rows, model) = run(&[decode(3, 10, 2)]);
    let context = [(vec![(0, 8)], 0), (vec![(8, 2)], 0)];
    let steps = [10, 11, 12].map(|at| (vec![(at, 1), (at, 1)], 2));
    let expected = [&context[..], &context[..], &steps[..], &steps[..]].concat();
    assert_eq!(shapes(&model.batches), expected);
    for steps in model.batches[4..].chunks(3) {
        for pair in steps.windows(2) {
            for row in 0..2 {
                let next = (token(&pair[0], row).0 + 1) % VOCAB_LEN as u32;
                assert_eq!(token(&pair[1], row).0, next);
            }
        }
    }
    let ids: Vec<u64> = model.batches[4].sequences.iter().map(|s| s.id.0).collect();
    assert_eq!(ids, [0, 1]);
    assert_eq!((rows[0].prompt, rows[0].generated, rows[0].batch), (0, 3, 2));
    assert!(rows[0].bandwidth_gb_s.unwrap().measured > 0.0);
}

#[test]
fn a_context_is_computed_once_for_the_rows_that_share_it() {
    let (_, model) = run(&[decode(2, 8, 1), decode(2, 8, 2), prefill(4, 8), prefill(4, 12)]);
    let (one, two) = (|at| (vec![(at, 1)], 1), |at| (vec![(at, 1), (at, 1)], 2));
    let context = (vec![(0, 8)], 0);
    let expected = [
        vec![context.clone(), one(8), one(9), one(8), one(9)],
        vec![context, two(8), two(9), two(8), two(9)],
        // The prompt of the first row is the context of the second.
        vec![(vec![(8, 4)], 1); 2],
        vec![(vec![(12, 4)], 1); 2],
    ];
    assert_eq!(shapes(&model.batches), expected.concat());
}

#[test]
fn tokens_that_were_generated_are_not_taken_for_the_text() {
    let (_, model) = run(&[prefill(8, 0), decode(2, 0, 1), prefill(8, 4)]);
    let expected = [
        vec![(vec![(0, 8)], 1); 2],
        [0, 1, 0, 1].map(|at| (vec![(at, 1)], 1)).to_vec(),
        vec![(vec![(0, 4)], 0)],
        vec![(vec![(4, 8)], 1); 2],
    ];
    assert_eq!(shapes(&model.batches), expected.concat());
}

#[test]
fn one_cache_holds_the_longest_of_each_sequence() {
    let tests = [prefill(10, 20), decode(5, 0, 3)];
    let (_, model) = run(&tests);
    assert_eq!(model.num_blocks, [8 + 2 + 2; 2]);
    let bytes = 12 * 2 * 16;
    let with = |free_bytes| {
        let settings = Settings { free_bytes: Some(free_bytes), ..settings(1) };
        Bench::new(&mut Recorder::new(), &tests, settings).map(|_| ())
    };
    assert!(with(bytes).is_ok());
    let refused = with(bytes - 1).unwrap_err();
    assert!(matches!(refused, Error::Memory { cache_bytes, .. } if cache_bytes == bytes));
}

#[test]
fn rows_are_repeated_and_watched() {
    let mut model = Recorder::new();
    let tests = [decode(2, 4, 1)];
    let mut bench = Bench::new(&mut model, &tests, settings(3)).unwrap();
    let mut stages = Vec::new();
    let row = bench.run(&tests[0], &mut |stage| stages.push(stage)).unwrap();
    assert_eq!(row.seconds.len(), 3);
    let expected = [Stage::Context, Stage::WarmUp];
    assert_eq!(stages[..2], expected);
    assert_eq!(stages[2..], [0, 1, 2].map(Stage::Repetition));
    assert_eq!(model.batches.len(), 1 + 4 * 2);
}

#[test]
fn rows_that_cannot_be_measured_are_named() {
    let refusal = |tests: &[Test]| {
        let mut model = Recorder::new();
        Bench::new(&mut model, tests, settings(1)).err().unwrap()
    };
    assert!(matches!(refusal(&[]), Error::NoRows));
    let long = refusal(&[prefill(64, 0), decode(1, 64, 1)]).to_string();
    assert!(["tg1 @ d64", "65", "64"].iter().all(|word| long.contains(word)), "{long}");
    let endless = Grid {
        prompt_lens: vec![usize::MAX],
        generation_lens: vec![],
        depths: vec![1],
        batches: vec![1],
    };
    assert!(matches!(refusal(&endless.tests()), Error::Context { .. }));
}

#[test]
fn logits_without_a_finite_value_end_the_row() {
    let mut model = Recorder { logit: f32::INFINITY, ..Recorder::new() };
    let tests = [decode(2, 4, 1)];
    let mut bench = Bench::new(&mut model, &tests, settings(1)).unwrap();
    let error = bench.run(&tests[0], &mut |_| {}).err().unwrap();
    assert!(matches!(error, Error::Logits { num_tokens: 5, .. }), "{error}");
}
