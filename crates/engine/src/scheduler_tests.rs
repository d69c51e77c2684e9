//! The scheduler alone: blocks, chunks, aborts.

use russet_decoder::CacheGroup;

use super::*;

fn info(reaches: &[Reach]) -> ModelInfo {
    let group = |&reach| CacheGroup { reach, layers: vec![0], block_bytes: 1 };
    ModelInfo {
        architecture: "fake",
        vocab_len: 10,
        hidden_len: 1,
        context_len: 100,
        num_layers: 1,
        block_len: 4,
        cache_groups: reaches.iter().map(group).collect(),
        weights_bytes: 0,
    }
}

fn sequence(id: u64, prompt_len: u32) -> Sequence {
    Sequence::new(SequenceId(id), (0..prompt_len).map(TokenId).collect())
}

/// First and last slot (excluded) of each step until a token can be chosen, which is then `token`.
fn prefill(scheduler: &mut Scheduler, token: u32) -> Vec<(usize, usize)> {
    let mut steps = Vec::new();
    loop {
        let Schedule { batch, .. } = scheduler.schedule().unwrap();
        scheduler.commit(&batch);
        let rows = &batch.sequences[0];
        steps.push((rows.cached_len, rows.cached_len + rows.rows.len()));
        if !batch.logits_rows.is_empty() {
            assert_eq!(batch.logits_rows, [rows.rows.len() - 1]);
            scheduler.push(rows.id, TokenId(token));
            return steps;
        }
    }
}

#[test]
fn prompts_are_computed_in_chunks() {
    let mut scheduler = Scheduler::new(&info(&[Reach::All]), 40, 8);
    scheduler.add(sequence(0, 20));
    assert_eq!(prefill(&mut scheduler, 1), [(0, 8), (8, 16), (16, 20)]);
    assert_eq!(prefill(&mut scheduler, 1), [(20, 21)]);
}

#[test]
fn a_chunk_may_be_longer_than_any_prompt() {
    let mut scheduler = Scheduler::new(&info(&[Reach::All, Reach::Window(4)]), 40, usize::MAX);
    scheduler.add(sequence(0, 20));
    assert_eq!(prefill(&mut scheduler, 1), [(0, 20)]);
    assert_eq!(prefill(&mut scheduler, 1), [(20, 21)]);
}

#[test]
fn sequences_run_one_at_a_time_in_order() {
    let mut scheduler = Scheduler::new(&info(&[Reach::All]), 40, 8);
    scheduler.add(sequence(0, 2));
    scheduler.add(sequence(1, 3));
    let first = scheduler.schedule().unwrap();
    let started = Started { id: SequenceId(0), prompt_len: 2, cached_len: 0 };
    assert_eq!(first.started, [started]);
    scheduler.commit(&first.batch);
    scheduler.push(SequenceId(0), TokenId(1));
    assert_eq!(scheduler.schedule().unwrap().started, []);
    scheduler.finish(SequenceId(0), Cached::Discard);
    assert_eq!(scheduler.schedule().unwrap().started[0].id, SequenceId(1));
    scheduler.finish(SequenceId(1), Cached::Discard);
    assert!(scheduler.schedule().is_none());
}

#[test]
fn an_equal_prompt_computes_its_last_token_again() {
    let mut scheduler = Scheduler::new(&info(&[Reach::All]), 40, 8);
    scheduler.add(sequence(0, 20));
    prefill(&mut scheduler, 1);
    scheduler.finish(SequenceId(0), Cached::Keep);
    scheduler.add(sequence(1, 20));
    assert_eq!(prefill(&mut scheduler, 1), [(19, 20)]);
}

#[test]
fn a_prefix_whose_window_slid_out_is_computed_again() {
    for (kept, reused) in [(Reach::Window(4), 0), (Reach::Window(20), 10)] {
        let mut scheduler = Scheduler::new(&info(&[Reach::All, kept]), 80, 8);
        scheduler.add(sequence(0, 24));
        prefill(&mut scheduler, 1);
        scheduler.finish(SequenceId(0), Cached::Keep);
        let mut other = sequence(1, 24);
        other.tokens[10] = TokenId(9);
        scheduler.add(other);
        assert_eq!(scheduler.schedule().unwrap().started[0].cached_len, reused, "{kept:?}");
    }
}

#[test]
fn failed_keys_and_values_are_not_reused() {
    let mut scheduler = Scheduler::new(&info(&[Reach::All]), 40, 8);
    scheduler.add(sequence(0, 20));
    prefill(&mut scheduler, 1);
    scheduler.finish(SequenceId(0), Cached::Discard);
    assert_eq!(scheduler.num_free_without_resident(), scheduler.num_blocks());
    scheduler.add(sequence(1, 20));
    assert_eq!(scheduler.schedule().unwrap().started[0].cached_len, 0);
}
