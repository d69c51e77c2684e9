//! Whether two servers gave the same answers.

use serde::{Deserialize, Serialize};

use super::record::Record;
use super::{LevelRun, Measured};

/// Characters of a difference that are kept of each answer.
const EXCERPT_LEN: usize = 40;

/// How many answers of one server are those of another. Asked greedily for the same, servers of the
/// same weights should agree; where they do not, their speeds are those of different work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parity {
    /// Requests that both answered to the end.
    pub num_compared: usize,
    /// Those of them with the same text.
    pub num_same: usize,
    /// Requests that at least one of them did not answer to the end.
    pub num_unanswered: usize,
    /// The first difference.
    pub first_difference: Option<Difference>,
}

/// Where two answers part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which of the runs, from 0.
    pub round: usize,
    /// Which request of the run, from 0.
    pub request: usize,
    /// What differs: `text`, `reasoning` or `tool_calls`.
    pub part: String,
    /// The first character that differs, from 0; where one answer goes on and the other ends, the
    /// length of the shorter one.
    pub at: usize,
    /// What the first server wrote from there on, shortened.
    pub first: String,
    /// What the second one wrote, shortened.
    pub second: String,
}

impl Parity {
    /// Compares two servers' runs, round by round, request by request.
    pub fn of<'a>(first: &'a [LevelRun], second: &'a [LevelRun]) -> Self {
        let mut parity = Self::default();
        for round in 0..first.len().max(second.len()) {
            let measured = |runs: &'a [LevelRun]| {
                runs.get(round).map_or(&[][..], |run| run.measured.as_slice())
            };
            parity.add(round, measured(first), measured(second));
        }
        parity
    }

    /// Whether every answer of the one is the other's, and there were any.
    pub fn holds(&self) -> bool {
        self.num_compared > 0 && self.num_same == self.num_compared && self.num_unanswered == 0
    }

    fn add(&mut self, round: usize, first: &[Measured], second: &[Measured]) {
        let num_requests =
            first.iter().chain(second).map(|measured| measured.request + 1).max().unwrap_or(0);
        for request in 0..num_requests {
            match answer(first, request).zip(answer(second, request)) {
                Some((first, second)) => {
                    self.num_compared += 1;
                    match difference(first, second) {
                        None => self.num_same += 1,
                        Some((part, at, first, second)) => {
                            self.first_difference.get_or_insert(Difference {
                                round,
                                request,
                                part: part.to_owned(),
                                at,
                                first,
                                second,
                            });
                        }
                    }
                }
                None => self.num_unanswered += 1,
            }
        }
    }
}

fn answer(run: &[Measured], request: usize) -> Option<&Record> {
    let at = run.binary_search_by_key(&request, |measured| measured.request).ok()?;
    run[at].outcome.record()
}

/// Which part differs first, from which character on, and what each goes on with.
fn difference(first: &Record, second: &Record) -> Option<(&'static str, usize, String, String)> {
    let parts = [
        ("text", &first.text, &second.text),
        ("reasoning", &first.reasoning, &second.reasoning),
        ("tool_calls", &first.tool_calls, &second.tool_calls),
    ];
    let (part, first, second) = parts.into_iter().find(|(_, first, second)| first != second)?;
    let same = first.chars().zip(second.chars()).take_while(|(first, second)| first == second);
    let at = same.count();
    let rest = |text: &str| text.chars().skip(at).take(EXCERPT_LEN).collect();
    Some((part, at, rest(first), rest(second)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Ended, Failure, Fault, Outcome};
    use super::*;

    fn record(text: &str) -> Record {
        Record {
            lag: Duration::ZERO,
            chunks: Vec::new(),
            total: Duration::ZERO,
            finish_reason: None,
            fingerprint: None,
            usage: None,
            is_short: false,
            text: text.to_owned(),
            reasoning: String::new(),
            tool_calls: String::new(),
        }
    }

    /// A run with these answers, `None` where there is none.
    fn run(answers: &[Option<&str>]) -> LevelRun {
        let outcome = |text: &Option<&str>| match text {
            Some(text) => Outcome::Done(record(text)),
            None => {
                let (fault, after) = (Fault::Unfinished, Duration::ZERO);
                Outcome::Failed(Failure { fault, after, num_chunks: 0 })
            }
        };
        let measured = |(request, text)| Measured {
            request,
            due: Duration::ZERO,
            outcome: outcome(text),
            input_sha256: None,
        };
        LevelRun {
            warm_up: Vec::new(),
            measured: answers.iter().enumerate().map(measured).collect(),
            wall: Duration::ZERO,
            ended: Ended::Complete,
            inputs_sha256: String::new(),
        }
    }

    #[test]
    fn the_same_answers_pass() {
        let runs = [run(&[Some("a"), Some("b")]), run(&[Some("c")])];
        let parity = Parity::of(&runs, &runs.clone());
        assert_eq!((parity.num_compared, parity.num_same), (3, 3));
        assert!(parity.holds() && parity.first_difference.is_none());
    }

    #[test]
    fn the_first_difference_is_named() {
        let first = [run(&[Some("same")]), run(&[Some("same"), Some("café au lait"), Some("x")])];
        let second = [run(&[Some("same")]), run(&[Some("same"), Some("café noir"), Some("y")])];
        let parity = Parity::of(&first, &second);
        assert_eq!((parity.num_compared, parity.num_same), (4, 2));
        let difference = parity.first_difference.as_ref().unwrap();
        assert_eq!((difference.round, difference.request, difference.at), (1, 1, 5));
        assert_eq!((difference.first.as_str(), difference.second.as_str()), ("au lait", "noir"));
        assert!(!parity.holds());
    }

    #[test]
    fn an_answer_that_ends_sooner_differs_at_its_end() {
        let parity = Parity::of(&[run(&[Some("one two")])], &[run(&[Some("one")])]);
        let difference = parity.first_difference.unwrap();
        assert_eq!((difference.at, difference.first.as_str()), (3, " two"));
        assert_eq!(difference.second, "");
    }

    #[test]
    fn what_only_one_answered_is_counted() {
        let parity = Parity::of(&[run(&[Some("a"), None])], &[run(&[Some("a"), Some("b")])]);
        assert_eq!((parity.num_same, parity.num_unanswered), (1, 1));
        assert!(!parity.holds());
        let parity = Parity::of(&[run(&[Some("a")])], &[]);
        assert_eq!((parity.num_compared, parity.num_unanswered), (0, 1));
        assert!(!Parity::of(&[], &[]).holds());
    }

    #[test]
    fn reasoning_and_tool_calls_are_compared_too() {
        let first = Record { tool_calls: "f{}".to_owned(), ..record("a") };
        let second = Record { tool_calls: "g{}".to_owned(), ..record("a") };
        let expected = ("tool_calls", 0, "f{}".to_owned(), "g{}".to_owned());
        assert_eq!(difference(&first, &second), Some(expected));
        let second = Record { reasoning: "hm".to_owned(), ..first.clone() };
        assert_eq!(difference(&first, &second).map(|found| found.0), Some("reasoning"));
    }
}
