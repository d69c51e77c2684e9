//! The tables of a report, the same in every form.

use super::cells::Cells;
use super::{ArmReport, LevelReport, METRICS, Metric, Report, Row};
use crate::load::Summary;

/// Columns of a short table after the load, before and after the figures.
const COUNTS: [&str; 2] = ["requests", "errors"];
const USES: [&str; 2] = ["peak_mb", "cores"];

/// Who took part.
pub(super) fn arms(report: &Report) -> Cells {
    let head = ["backend", "launcher", "model_id", "family", "weights", "version", "startup_s"];
    let head: Vec<&str> = head.into_iter().chain(["peak_mb"]).collect();
    let mut cells = Cells::new(&head, 6);
    cells.rows.extend(report.arms.iter().map(|arm| {
        vec![
            arm.name.clone(),
            arm.launcher.clone(),
            arm.model_id.clone(),
            arm.family.clone(),
            arm.quantisation.clone().unwrap_or_default(),
            arm.version.clone().unwrap_or_default(),
            startup(arm),
            arm.peak_bytes.map_or_else(String::new, megabytes),
        ]
    }));
    cells
}

/// The time to start in seconds, if the arm was started.
pub(super) fn startup(arm: &ArmReport) -> String {
    arm.startup_s.map_or_else(String::new, |seconds| format!("{seconds:.3}"))
}

/// One arm under every load: medians, of times also the 95th percentile.
pub(super) fn short(report: &Report, arm: &str) -> Cells {
    let names = METRICS.iter().map(|metric| metric.name);
    let head: Vec<&str> =
        ["concurrency"].into_iter().chain(COUNTS).chain(names).chain(USES).collect();
    let mut cells = Cells::new(&head, 1);
    for level in &report.levels {
        let rows = level.rows.iter().filter(|row| row.arm == arm);
        cells.rows.extend(rows.map(|row| {
            let figures = METRICS.iter().map(|metric| short_figure(metric, row));
            let line = [level.title()].into_iter().chain(counts(row)).chain(figures);
            line.chain(uses(row)).collect()
        }));
    }
    cells
}

/// All arms under one load, one figure: mean and percentiles.
pub(super) fn full(level: &LevelReport) -> Cells {
    let head = ["figure", "arm", "n", "mean", "p50", "p95", "p99", "min", "max"];
    let mut cells = Cells::new(&head, 2);
    for metric in &METRICS {
        cells.rows.extend(level.rows.iter().map(|row| {
            let mut line = vec![metric.name.to_owned(), row.arm.clone()];
            line.extend(spelled((metric.of)(&row.stats)));
            line
        }));
    }
    cells
}

/// What surrounds the figures of one load.
pub(super) fn circumstances(level: &LevelReport) -> Cells {
    let head: Vec<&str> = ["arm", "prefix cache"]
        .into_iter()
        .chain(COUNTS)
        .chain(USES)
        .chain(["same answers"])
        .collect();
    let mut cells = Cells::new(&head, 2);
    cells.rows.extend(level.rows.iter().map(|row| {
        let same = row.parity.as_ref().map_or_else(
            || "reference".to_owned(),
            |parity| format!("{} of {}", parity.num_same, parity.num_compared),
        );
        let first = [row.arm.clone(), row.prefix_cache.clone()];
        first.into_iter().chain(counts(row)).chain(uses(row)).chain([same]).collect()
    }));
    cells
}

fn counts(row: &Row) -> [String; 2] {
    [row.stats.num_requests.to_string(), row.num_failed().to_string()]
}

fn uses(row: &Row) -> [String; 2] {
    let cores = row.footprint.and_then(|used| used.cores());
    [
        row.footprint.map_or_else(String::new, |used| megabytes(used.peak_bytes)),
        cores.map_or_else(String::new, |cores| format!("{cores:.2}")),
    ]
}

fn short_figure(metric: &Metric, row: &Row) -> String {
    match ((metric.of)(&row.stats), metric.unit()) {
        (None, _) => "-".to_owned(),
        (Some(figure), "ms") => format!("{:.1} ({:.1})", figure.p50, figure.p95),
        (Some(figure), _) => format!("{:.1}", figure.p50),
    }
}

fn spelled(figure: Option<Summary>) -> Vec<String> {
    let Some(figure) = figure else { return vec!["-".to_owned(); 7] };
    let Summary { n, mean, p50, p95, p99, min, max } = figure;
    let values = [mean, p50, p95, p99, min, max].map(|value| format!("{value:.2}"));
    [n.to_string()].into_iter().chain(values).collect()
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_row_is_as_long_as_its_head() {
        let report = sample::report();
        let level = &report.levels[0];
        let tables = [arms(&report), short(&report, "llama"), full(level), circumstances(level)];
        for cells in tables {
            assert!(!cells.rows.is_empty());
            assert!(cells.rows.iter().all(|row| row.len() == cells.head.len()), "{cells:?}");
        }
    }

    #[test]
    fn a_short_row_has_medians_and_the_95th_percentile_of_times() {
        let cells = short(&sample::report(), "native");
        let cell = |name: &str| {
            let at = cells.head.iter().position(|head| head == name).unwrap();
            cells.rows[0][at].as_str()
        };
        assert_eq!(
            (cell("concurrency"), cell("requests"), cell("errors")),
            ("2 clients", "4", "0")
        );
        assert_eq!((cell("ttft_ms"), cell("decode_tok_s")), ("10.0 (11.0)", "909.1"));
        assert_eq!((cell("peak_mb"), cell("cores")), ("200", "1.50"));
    }

    #[test]
    fn what_is_unknown_is_shown_as_such() {
        let mut report = sample::report();
        let row = &mut report.levels[0].rows[1];
        row.stats.ttft_ms = None;
        let short = short(&report, "llama");
        assert_eq!((short.rows[0][3].as_str(), short.rows[0][9].as_str()), ("-", ""));
        let full = full(&report.levels[0]);
        assert_eq!(full.rows[1][..4], ["ttft_ms", "llama", "-", "-"].map(str::to_owned));
    }
}
