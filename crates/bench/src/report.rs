//! A row's figures: speeds, and what of the machine they use.

use russet_decoder::{ModelInfo, Reach};
use serde::Serialize;

use crate::{Kind, Settings, Test};

/// What a model's tokens cost, as the shapes of its matrices say.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// Parameters of the matrices that every token is multiplied with.
    pub layer_parameters: u64,
    /// Parameters of the matrix that makes logits.
    pub head_parameters: u64,
    /// Bytes of packed weights that a step with logits reads.
    pub step_bytes: u64,
}

/// The figures of one row. Its serialised form is what `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The row's name.
    pub test: String,
    /// What is measured.
    pub kind: Kind,
    /// Prompt tokens that are read; 0 when decoding.
    pub prompt: usize,
    /// Tokens that each sequence generates; 0 in prefill.
    #[serde(rename = "gen")]
    pub generated: usize,
    /// Tokens in each sequence's cache before.
    pub depth: usize,
    /// Sequences.
    pub batch: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Tokens of all sequences per second.
    pub tokens_per_s: Spread,
    /// What each repetition took.
    pub seconds: Vec<f64>,
    /// Weights and keys and values that a token needs read, on average; decoding only.
    pub bytes_per_token: Option<f64>,
    /// How fast they are read; decoding only.
    pub bandwidth_gb_s: Option<Bandwidth>,
    /// Multiplications and additions with the matrices, at the median; attention is not counted.
    pub giga_operations_per_s: f64,
}

/// The middle and the ends of some figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// As many are above as below.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

/// Bandwidth in 10⁹ bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bandwidth {
    /// What decoding reads at its median speed.
    pub read: f64,
    /// What plain reading reaches beside it.
    pub measured: f64,
    /// The one as a part of the other. Above 1 what is read came from caches.
    pub fraction: f64,
}

impl Row {
    /// From what was measured; `measured_bytes_per_s` goes with decoding.
    pub(crate) fn new(
        test: &Test,
        seconds: Vec<f64>,
        measured_bytes_per_s: Option<f64>,
        (settings, info): (&Settings, &ModelInfo),
    ) -> Self {
        let costs = &settings.costs;
        let total = test.total_tokens() as f64;
        let tokens_per_s = Spread::new(seconds.iter().map(|seconds| total / seconds).collect());
        let decodes = test.kind == Kind::Decode;
        let bytes_per_token = decodes.then(|| bytes_per_token(test, costs, info));
        let read = bytes_per_token.map(|bytes| bytes * tokens_per_s.median);
        Self {
            test: test.to_string(),
            kind: test.kind,
            prompt: if decodes { 0 } else { test.num_tokens },
            generated: if decodes { test.num_tokens } else { 0 },
            depth: test.depth,
            batch: test.batch,
            threads: settings.threads.get(),
            tokens_per_s,
            seconds,
            bytes_per_token,
            bandwidth_gb_s: read.zip(measured_bytes_per_s).map(|(read, measured)| Bandwidth {
                read: read / 1e9,
                measured: measured / 1e9,
                fraction: read / measured,
            }),
            giga_operations_per_s: operations(test, costs) / total * tokens_per_s.median / 1e9,
        }
    }
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (min, max) = (values[0], values[values.len() - 1]);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Self { median, min, max }
    }
}

/// The weights are read once a step for all sequences, keys and values for each.
fn bytes_per_token(test: &Test, costs: &Costs, info: &ModelInfo) -> f64 {
    let visible = |reach: Reach| {
        let at_each = test.depth..test.num_slots();
        at_each.map(|at| at + 1 - reach.first_slot(at)).sum::<usize>() as f64
    };
    let slots = info.cache_groups.iter().map(|group| {
        let slot_bytes = group.block_bytes as f64 / info.block_len as f64;
        visible(group.reach) * slot_bytes
    });
    costs.step_bytes as f64 / test.batch as f64 + slots.sum::<f64>() / test.num_tokens as f64
}

/// Two for each parameter and row. A prompt's last token alone meets the head.
fn operations(test: &Test, costs: &Costs) -> f64 {
    let total = test.total_tokens() as f64;
    let head_rows = match test.kind {
        Kind::Prefill => test.batch as f64,
        Kind::Decode => total,
    };
    2.0 * (costs.layer_parameters as f64 * total + costs.head_parameters as f64 * head_rows)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use russet_decoder::CacheGroup;

    use super::*;

    const COSTS: Costs = Costs { layer_parameters: 100, head_parameters: 10, step_bytes: 400 };

    fn info() -> ModelInfo {
        let group = |reach| CacheGroup { reach, layers: vec![0], block_bytes: 16 };
        ModelInfo {
            architecture: "fake",
            vocab_len: 8,
            hidden_len: 1,
            context_len: 64,
            num_layers: 2,
            block_len: 4,
            cache_groups: vec![group(Reach::All), group(Reach::Window(3))],
            weights_bytes: 400,
        }
    }

    fn row(kind: Kind, seconds: Vec<f64>) -> Row {
        let test = Test { kind, num_tokens: 2, depth: 6, batch: 2 };
        let settings = Settings {
            prefill_chunk: NonZeroUsize::MIN,
            repetitions: NonZeroUsize::MIN,
            context_len: 64,
            threads: NonZeroUsize::MIN,
            free_bytes: None,
            costs: COSTS,
        };
        Row::new(&test, seconds, Some(1e3), (&settings, &info()))
    }

    #[test]
    fn decoding_reads_weights_once_and_what_each_sequence_sees() {
        let row = row(Kind::Decode, vec![4.0, 1.0, 2.0]);
        assert_eq!(row.tokens_per_s, Spread { median: 2.0, min: 1.0, max: 4.0 });
        // 4 bytes a slot: 7 and 8 slots of all, 3 and 3 of the window.
        let bytes = 400.0 / 2.0 + 4.0 * (15.0 + 6.0) / 2.0;
        assert_eq!(row.bytes_per_token, Some(bytes));
        let bandwidth = row.bandwidth_gb_s.unwrap();
        assert_eq!(bandwidth.fraction, bytes * 2.0 / 1e3);
        assert_eq!((row.prompt, row.generated), (0, 2));
        assert_eq!(row.giga_operations_per_s, 2.0 * 110.0 * 2.0 / 1e9);
    }

    #[test]
    fn a_prompt_meets_the_head_once() {
        let row = row(Kind::Prefill, vec![1.0, 2.0]);
        assert_eq!(row.tokens_per_s.median, 3.0);
        assert_eq!((row.bytes_per_token, row.bandwidth_gb_s), (None, None));
        assert_eq!(row.giga_operations_per_s, 2.0 * (400.0 + 20.0) / 4.0 * 3.0 / 1e9);
    }

    #[test]
    fn the_serialised_names_are_those_that_other_programs_read() {
        let value = serde_json::to_value(row(Kind::Decode, vec![1.0])).unwrap();
        assert_eq!((&value["test"], &value["kind"]), (&"tg2 x2 @ d6".into(), &"decode".into()));
        for (name, expected) in
            [("prompt", 0), ("gen", 2), ("depth", 6), ("batch", 2), ("threads", 1)]
        {
            assert_eq!(value[name], expected, "{name}");
        }
        assert_eq!(value["tokens_per_s"]["median"], 4.0);
        assert_eq!(value["seconds"], serde_json::json!([1.0]));
    }
}
