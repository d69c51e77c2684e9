//! Which rows are measured: lengths by depths by batches.

use std::fmt;

use serde::Serialize;

/// What a row measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Reading a prompt in chunks, logits for its last token.
    Prefill,
    /// Writing tokens one by one, each the likeliest after those before it.
    Decode,
}

/// One row of the measurement. Displays as `llama-bench` names it, the number of sequences added:
/// `pp512`, `pp512 @ d4096`, `tg64 x8 @ d1024`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Test {
    /// What is measured.
    pub kind: Kind,
    /// Tokens that each sequence reads or writes.
    pub num_tokens: usize,
    /// Tokens that are in each sequence's cache before.
    pub depth: usize,
    /// Sequences that a step computes together.
    pub batch: usize,
}

impl Test {
    /// Slots that each sequence needs.
    pub(crate) fn num_slots(&self) -> usize {
        self.depth.saturating_add(self.num_tokens)
    }

    /// Tokens of one repetition over all sequences.
    pub(crate) fn total_tokens(&self) -> usize {
        self.num_tokens * self.batch
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = match self.kind {
            Kind::Prefill => "pp",
            Kind::Decode => "tg",
        };
        let mut name = format!("{short}{}", self.num_tokens);
        if self.batch > 1 {
            name += &format!(" x{}", self.batch);
        }
        if self.depth > 0 {
            name += &format!(" @ d{}", self.depth);
        }
        f.pad(&name)
    }
}

/// Lists whose combinations are the rows. A length of 0 gives no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Tokens of a prompt.
    pub prompt_lens: Vec<usize>,
    /// Tokens to generate.
    pub generation_lens: Vec<usize>,
    /// Tokens in the cache before.
    pub depths: Vec<usize>,
    /// Sequences that decode together; prompts are read one at a time.
    pub batches: Vec<usize>,
}

impl Grid {
    /// The rows: for each depth the prompts, then the generations for each batch.
    pub fn tests(&self) -> Vec<Test> {
        self.depths.iter().flat_map(|&depth| self.tests_at(depth)).collect()
    }

    fn tests_at(&self, depth: usize) -> impl Iterator<Item = Test> {
        let prefill = self.prompt_lens.iter().map(move |&num_tokens| Test {
            kind: Kind::Prefill,
            num_tokens,
            depth,
            batch: 1,
        });
        let decode = self.generation_lens.iter().flat_map(move |&num_tokens| {
            let test = move |&batch: &usize| Test { kind: Kind::Decode, num_tokens, depth, batch };
            self.batches.iter().map(test)
        });
        prefill.chain(decode).filter(|test| test.num_tokens > 0 && test.batch > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_by_depth_and_carry_their_names() {
        let grid = Grid {
            prompt_lens: vec![512, 0],
            generation_lens: vec![128, 64],
            depths: vec![0, 4096],
            batches: vec![1, 8],
        };
        let names: Vec<String> = grid.tests().iter().map(Test::to_string).collect();
        let shallow = ["pp512", "tg128", "tg128 x8", "tg64", "tg64 x8"];
        assert_eq!(names[..5], shallow);
        assert_eq!(names[5..], shallow.map(|name| format!("{name} @ d4096")));
    }

    #[test]
    fn a_length_of_zero_gives_no_row() {
        let grid = Grid {
            prompt_lens: vec![0],
            generation_lens: vec![0],
            depths: vec![0, 1],
            batches: vec![1],
        };
        assert!(grid.tests().is_empty());
    }
}
