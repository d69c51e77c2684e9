//! The report as CSV (RFC 4180): a line for each arm under each load.

use super::{ArmReport, LevelReport, METRICS, Report, Row};
use crate::load::{Load, Summary};

const FIRST: &[&str] = &[
    "arm",
    "launcher",
    "model_id",
    "family",
    "version",
    "startup_s",
    "clients",
    "requests_per_s",
    "rounds",
    "requests",
    "failed",
    "short",
    "uncounted",
];
const LAST: &[&str] = &[
    "prompt_tokens_mean",
    "cached_tokens_mean",
    "completion_tokens_mean",
    "peak_bytes",
    "cpu_s",
    "wall_s",
    "answers_same",
    "answers_compared",
    "prefix_cache",
    "inputs_sha256",
];
const PARTS: [&str; 5] = ["n", "mean", "p50", "p95", "p99"];

impl Report {
    /// The report as CSV, without its single requests.
    pub fn csv(&self) -> String {
        let figures =
            METRICS.iter().flat_map(|metric| PARTS.map(|part| format!("{}_{part}", metric.name)));
        let first = FIRST.iter().map(ToString::to_string);
        let head = first.chain(figures).chain(LAST.iter().map(ToString::to_string));
        let mut csv = line(head);
        for level in &self.levels {
            for row in &level.rows {
                let unknown = ArmReport::default();
                let arm = self.arms.iter().find(|arm| arm.name == row.arm).unwrap_or(&unknown);
                let figures = METRICS.iter().flat_map(|metric| parts((metric.of)(&row.stats)));
                csv += &line(
                    first_fields(arm, level, row).into_iter().chain(figures).chain(last(row)),
                );
            }
        }
        csv
    }
}

fn first_fields(arm: &ArmReport, level: &LevelReport, row: &Row) -> Vec<String> {
    let (clients, rate) = match level.load {
        Load::Clients(clients) => (clients.to_string(), String::new()),
        Load::Rate { per_s, .. } => (String::new(), per_s.to_string()),
    };
    vec![
        row.arm.clone(),
        arm.launcher.clone(),
        arm.model_id.clone(),
        arm.family.clone(),
        arm.version.clone().unwrap_or_default(),
        number(arm.startup_s),
        clients,
        rate,
        row.rounds.len().to_string(),
        row.stats.num_requests.to_string(),
        row.num_failed().to_string(),
        row.stats.num_short.to_string(),
        row.stats.num_uncounted.to_string(),
    ]
}

fn last(row: &Row) -> Vec<String> {
    let mean = |summary: Option<Summary>| number(summary.map(|summary| summary.mean));
    let used = row.footprint;
    let parity = row.parity.as_ref();
    let count = |count: Option<usize>| count.map_or_else(String::new, |count| count.to_string());
    vec![
        mean(row.stats.prompt_tokens),
        mean(row.stats.cached_tokens),
        mean(row.stats.completion_tokens),
        used.map_or_else(String::new, |used| used.peak_bytes.to_string()),
        number(used.map(|used| used.cpu_s)),
        number(used.map(|used| used.wall_s)),
        count(parity.map(|parity| parity.num_same)),
        count(parity.map(|parity| parity.num_compared)),
        row.prefix_cache.clone(),
        row.inputs_sha256.join(" "),
    ]
}

fn parts(figure: Option<Summary>) -> [String; PARTS.len()] {
    match figure {
        None => Default::default(),
        Some(Summary { n, mean, p50, p95, p99, .. }) => {
            [n.to_string(), mean.to_string(), p50.to_string(), p95.to_string(), p99.to_string()]
        }
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn line(fields: impl Iterator<Item = String>) -> String {
    fields.map(|field| quoted(&field)).collect::<Vec<_>>().join(",") + "\r\n"
}

/// In quotation marks if it has to be.
fn quoted(field: &str) -> String {
    if !field.contains(['"', ',', '\r', '\n']) {
        return field.to_owned();
    }
    format!("\"{}\"", field.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_have_to_be() {
        assert_eq!(quoted("a b;c"), "a b;c");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"hi\"\n"), "\"say \"\"hi\"\"\n\"");
    }

    #[test]
    fn every_arm_and_load_has_a_line() {
        let mut report = sample::report();
        report.arms[0].model_id = "a \"b\", c".to_owned();
        let csv = report.csv();
        let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 3);
        let num_columns = FIRST.len() + METRICS.len() * PARTS.len() + LAST.len();
        assert_eq!(lines[0].split(',').count(), num_columns);
        assert!(
            lines[1].starts_with("native,russet,\"a \"\"b\"\", c\",Some-Model,,0.25,2,,2,4,0,")
        );
        assert!(lines[2].starts_with("llama,llama,Some-Model-llama,Some-Model,,0.25,2,,2,4,1,"));
        let cell = |line: &str, name: &str| {
            let at = lines[0].split(',').position(|head| head == name).unwrap();
            line.split(',').nth(at).unwrap().to_owned()
        };
        assert_eq!(cell(lines[2], "ttft_ms_p50"), "20");
        assert_eq!(
            (cell(lines[2], "ttft_ms_n"), cell(lines[2], "answers_same")),
            ("3".into(), "2".into())
        );
        assert_eq!(cell(lines[2], "peak_bytes"), "");
    }
}
