//! What a report says in sentences: what went wrong, what differs, what to know.

use super::{Contrast, LevelReport, Report, Row};
use crate::load::{OutputLen, Parity};

/// What a report says in sentences, in every form of it.
impl Report {
    /// What a reader has to know before believing the figures.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.notes.clone();
        if !self.is_complete {
            remarks.push(
                "it was stopped early: the last level lacks requests, later ones lack \
                          altogether"
                    .to_owned(),
            );
        }
        for arm in &self.arms {
            if let Some(how) = &arm.died {
                remarks.push(format!("{} ended before it was stopped: {how}", arm.name));
            }
        }
        for level in &self.levels {
            let title = level.title();
            let of_rows = level.rows.iter().flat_map(|row| {
                [failures(row), warm_up_failures(row), self.short(row), uncounted(row)]
            });
            remarks.extend(of_rows.flatten().map(|remark| format!("{title}: {remark}")));
            remarks.extend(other_inputs(level).map(|remark| format!("{title}: {remark}")));
        }
        remarks
    }

    /// Each arm but the first beside the first, level by level.
    pub fn differences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for level in &self.levels {
            for row in level.rows.iter().skip(1) {
                let of_row = level.contrasts.iter().filter(|contrast| contrast.arm == row.arm);
                let figures: Vec<String> = of_row.map(Contrast::to_string).collect();
                let figures =
                    if figures.is_empty() { "no figures".into() } else { figures.join(", ") };
                let (title, reference) = (level.title(), &level.rows[0].arm);
                lines.push(format!("{title}: {} as a part of {reference}: {figures}", row.arm));
            }
        }
        lines
    }

    /// Whether the arms gave the same answers, level by level.
    pub fn parity_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for level in &self.levels {
            for row in &level.rows {
                let Some(parity) = &row.parity else { continue };
                let (title, reference) = (level.title(), &level.rows[0].arm);
                let text = parity_text(parity);
                lines.push(format!("{title}: {} beside {reference}: {text}", row.arm));
            }
        }
        lines
    }

    fn short(&self, row: &Row) -> Option<String> {
        let OutputLen::Exact(len) = self.plan.output else { return None };
        let (short, done) = (row.stats.num_short, row.stats.num_done);
        (short > 0)
            .then(|| format!("{}: {short} of {done} answers ended before {len} tokens", row.arm))
    }
}

fn failures(row: &Row) -> Option<String> {
    let first = row.requests.iter().find_map(|request| request.error.as_ref())?;
    let kinds = row.stats.failures.iter().map(|(kind, count)| format!("{kind} {count}"));
    let kinds: Vec<String> = kinds.collect();
    let (failed, all) = (row.num_failed(), row.stats.num_requests);
    let (arm, kinds, message) = (&row.arm, kinds.join(", "), &first.message);
    Some(format!(
        "{arm}: {failed} of {all} requests failed ({kinds}), the first because: {message}"
    ))
}

fn warm_up_failures(row: &Row) -> Option<String> {
    let failed: usize = row.stats.warm_up_failures.values().sum();
    (failed > 0).then(|| format!("{}: {failed} requests of the warm-up failed", row.arm))
}

fn uncounted(row: &Row) -> Option<String> {
    let uncounted = row.stats.num_uncounted;
    (uncounted > 0)
        .then(|| format!("{}: the server did not count the tokens of {uncounted} answers", row.arm))
}

/// Arms that were asked something else than the first one, as happens where later turns carry other
/// answers.
fn other_inputs(level: &LevelReport) -> impl Iterator<Item = String> {
    let others = level.rows.iter().skip(1).filter(|row| {
        // What was not sent, as after an early end, was not asked differently.
        let input = |row: &Row, round, request| {
            let mut requests = row.requests.iter();
            let found = requests.find(|one| (one.round, one.request) == (round, request));
            found.and_then(|one| one.input_sha256.clone())
        };
        row.requests.iter().any(|one| {
            let first = input(&level.rows[0], one.round, one.request);
            first.zip(one.input_sha256.as_ref()).is_some_and(|(first, other)| first != *other)
        })
    });
    others.map(|row| {
        format!("{} was not asked exactly the same: its conversations went another way", row.arm)
    })
}

fn parity_text(parity: &Parity) -> String {
    let Parity { num_compared, num_same, num_unanswered, first_difference } = parity;
    let mut text = if *num_compared == 0 {
        "no answers to compare".to_owned()
    } else if parity.holds() {
        format!("all {num_compared} answers are the same")
    } else {
        format!("{num_same} of {num_compared} answers are the same")
    };
    if *num_unanswered > 0 {
        text += &format!(", {num_unanswered} requests lack one");
    }
    if let Some(difference) = first_difference {
        let (part, at) = (&difference.part, difference.at);
        let (round, request) = (difference.round + 1, difference.request + 1);
        let (first, second) = (&difference.first, &difference.second);
        text += &format!(
            "; the {part} of request {request} in round {round} parts after {at} characters: \
             {first:?} there, {second:?} here"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::other_inputs;

    #[test]
    fn failures_are_told_with_kind_and_reason() {
        let mut report = sample::report();
        report.is_complete = false;
        report.arms[1].died = Some("signal: 9".to_owned());
        report.levels[0].rows[0].stats.num_short = 2;
        report.levels[0].rows[0].stats.num_uncounted = 1;
        report.levels[0].rows[0].requests[1].input_sha256 = Some("other".to_owned());
        let remarks = report.remarks();
        let expected = [
            "a note",
            "it was stopped early",
            "llama ended before it was stopped: signal: 9",
            "2 clients: native: 2 of 4 answers ended before 11 tokens",
            "2 clients: native: the server did not count the tokens of 1 answers",
            "2 clients: llama: 1 of 4 requests failed (connect 1), the first because: no con",
            "2 clients: llama was not asked exactly the same",
        ];
        assert_eq!(remarks.len(), expected.len(), "{remarks:#?}");
        for (remark, expected) in remarks.iter().zip(expected) {
            assert!(remark.starts_with(expected), "{remark}");
        }
    }

    #[test]
    fn what_was_not_sent_was_not_asked_differently() {
        let mut report = sample::report();
        report.levels[0].rows[1].requests.pop();
        report.levels[0].rows[1].requests[0].input_sha256 = None;
        assert_eq!(other_inputs(&report.levels[0]).count(), 0);
    }

    #[test]
    fn a_report_in_order_has_its_notes_only() {
        let mut report = sample::report();
        report.levels[0].rows[1] = report.levels[0].rows[0].clone();
        assert_eq!(report.remarks(), ["a note"]);
    }

    #[test]
    fn differences_come_with_their_noise() {
        let lines = sample::report().differences();
        assert_eq!(lines.len(), 1);
        let parts = [
            "2 clients: llama as a part of native: ttft_ms 2.00 (too few rounds to tell)",
            "batch_tok_s",
        ];
        assert!(parts.iter().all(|part| lines[0].contains(part)), "{lines:?}");
    }

    #[test]
    fn the_point_where_answers_part_is_shown() {
        let lines = sample::report().parity_lines();
        let expected = "2 clients: llama beside native: 2 of 3 answers are the same, 1 requests \
                        lack one; the text of request 2 in round 1 parts after 2 characters: \
                        \"me\" there, \"ne\" here";
        assert_eq!(lines, [expected]);
    }
}
