//! A report of before, and what has become worse since.

use std::fmt;
use std::path::Path;

use super::level_report::title;
use super::{Better, Error, METRICS, Metric, Plan, Report, Row};

/// A report of before, and how much worse is still as good.
#[derive(Debug, Clone)]
pub struct Baseline {
    report: Report,
    tolerance_percent: f64,
}

/// A figure that has become worse by more than the tolerance.
#[derive(Debug, Clone, PartialEq)]
pub struct Regression {
    /// Whose.
    pub arm: String,
    /// Under which load.
    pub level: String,
    /// Which figure.
    pub figure: String,
    /// What it was.
    pub before: f64,
    /// What it is; `None` if it is not there any more.
    pub now: Option<f64>,
    /// How much worse would have been as good.
    pub tolerance_percent: f64,
}

impl fmt::Display for Regression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { arm, level, figure, before, .. } = self;
        write!(f, "{arm}, {level}: {figure} was {before:.3} and is ")?;
        match self.now {
            None => f.write_str("not there any more"),
            Some(now) if *before == 0.0 => write!(f, "{now:.3}"),
            Some(now) => {
                let percent = (now / before - 1.0) * 100.0;
                let tolerance = self.tolerance_percent;
                write!(f, "{now:.3} ({percent:+.1} %, tolerance {tolerance} %)")
            }
        }
    }
}

impl Baseline {
    /// Reads a JSON report. What is worse by less than the tolerance passes.
    ///
    /// # Errors
    /// [`Error::Report`]
    pub fn read(path: &Path, tolerance_percent: f64) -> Result<Self, Error> {
        Ok(Self { report: Report::read(path)?, tolerance_percent })
    }

    /// Refuses to compare with something else: before anything is measured.
    ///
    /// # Errors
    /// [`Error::OtherBaseline`] if it was asked something else, or if something of it is not to be
    /// measured.
    pub fn check(&self, plan: &Plan, arms: &[&str]) -> Result<(), Error> {
        let before = &self.report.plan;
        let missing_arm = self.report.arms.iter().find(|arm| !arms.contains(&arm.name.as_str()));
        let missing_load = before.loads.iter().find(|load| !plan.loads.contains(load));
        let problem = if before.prompts_sha256 != plan.prompts_sha256 {
            format!("its prompts were {}, and now are {}", before.prompts, plan.prompts)
        } else if before.output != plan.output {
            format!("its answers were {}, and now are {}", before.output_text(), plan.output_text())
        } else if let Some(arm) = missing_arm {
            format!("its arm `{}` does not take part", arm.name)
        } else if let Some(load) = missing_load {
            format!("its level of {} is not asked for", title(load))
        } else {
            return Ok(());
        };
        Err(Error::OtherBaseline { problem })
    }

    /// What a reader has to know of the two machines.
    pub fn note(&self, now: &Report) -> String {
        let cpu = |report: &Report| report.machine.cpu.clone().unwrap_or_default();
        let (before, today) = (cpu(&self.report), cpu(now));
        let begun = &self.report.begun;
        let percent = self.tolerance_percent;
        let mut note = format!("held against a report of {begun}, tolerance {percent} %");
        if before != today {
            note += &format!("; that was on another processor, `{before}` instead of `{today}`");
        }
        note
    }

    /// Every figure that is worse by more than the tolerance: medians, failures and memory.
    pub fn regressions(&self, now: &Report) -> Vec<Regression> {
        let mut found = Vec::new();
        for level in &self.report.levels {
            let same = now.levels.iter().find(|other| other.load == level.load);
            let rows = same.map_or(&[][..], |level| &level.rows);
            for before in &level.rows {
                let row = rows.iter().find(|row| row.arm == before.arm);
                let figures = figures(before).into_iter();
                found.extend(figures.filter_map(|(figure, better, value)| {
                    let now = row.and_then(|row| find(row, &figure));
                    self.is_worse(better, value, now).then(|| Regression {
                        arm: before.arm.clone(),
                        level: level.title(),
                        figure,
                        before: value,
                        now,
                        tolerance_percent: self.tolerance_percent,
                    })
                }));
            }
        }
        found
    }

    fn is_worse(&self, better: Better, before: f64, now: Option<f64>) -> bool {
        let Some(now) = now else { return true };
        let tolerance = self.tolerance_percent / 100.0;
        match better {
            Better::Lower => now > before * (1.0 + tolerance),
            Better::Higher => now < before * (1.0 - tolerance),
        }
    }
}

/// The figures of a row that may become worse, by name.
fn figures(row: &Row) -> Vec<(String, Better, f64)> {
    let median =
        |metric: &Metric| Some((metric.name.to_owned(), metric.better, metric.median(&row.stats)?));
    let mut figures: Vec<_> = METRICS.iter().filter_map(median).collect();
    if row.stats.num_requests > 0 {
        let failed = row.num_failed() as f64 / row.stats.num_requests as f64;
        figures.push(("failed part of requests".to_owned(), Better::Lower, failed));
    }
    if let Some(used) = row.footprint {
        figures.push(("peak memory in MB".to_owned(), Better::Lower, used.peak_bytes as f64 / 1e6));
    }
    figures
}

fn find(row: &Row, figure: &str) -> Option<f64> {
    figures(row).into_iter().find(|(name, ..)| name == figure).map(|(_, _, value)| value)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn baseline(tolerance_percent: f64) -> Baseline {
        Baseline { report: sample::report_of(2), tolerance_percent }
    }

    fn names(regressions: &[Regression]) -> Vec<String> {
        regressions.iter().map(|found| format!("{} {}", found.arm, found.figure)).collect()
    }

    #[test]
    fn the_same_is_no_regression() {
        assert!(baseline(0.0).regressions(&sample::report_of(2)).is_empty());
        // Faster is none either.
        assert!(baseline(0.0).regressions(&sample::report_of(1)).is_empty());
    }

    #[test]
    fn what_is_slower_than_tolerated_is_named() {
        let now = sample::report_of(3);
        let found = baseline(10.0).regressions(&now);
        let all: Vec<String> =
            METRICS.iter().map(|metric| format!("llama {}", metric.name)).collect();
        assert_eq!(names(&found), all);
        let text = found[0].to_string();
        assert!(text.starts_with("llama, 2 clients: ttft_ms was 20.000 and is 30.000"), "{text}");
        assert!(text.ends_with("(+50.0 %, tolerance 10 %)"), "{text}");
        // Times are half as long again, speeds a third less.
        let only_times = baseline(40.0).regressions(&now);
        assert_eq!(names(&only_times), all[..3]);
        assert!(baseline(60.0).regressions(&now).is_empty());
    }

    #[test]
    fn failures_memory_and_missing_figures_are_regressions() {
        let mut now = sample::report_of(2);
        now.levels[0].rows[0].stats.num_done -= 1;
        now.levels[0].rows[0].footprint.as_mut().unwrap().peak_bytes *= 2;
        now.levels[0].rows[1].stats.decode_tok_s = None;
        let found = baseline(10.0).regressions(&now);
        let expected =
            ["native failed part of requests", "native peak memory in MB", "llama decode_tok_s"];
        assert_eq!(names(&found), expected);
        assert!(found[0].to_string().ends_with("was 0.000 and is 0.250"), "{}", found[0]);
        assert!(found[2].to_string().ends_with("not there any more"), "{}", found[2]);
        now.levels.clear();
        assert!(baseline(10.0).regressions(&now).len() > 12);
    }

    #[test]
    fn another_benchmark_is_refused_before_it_runs() {
        let plan = sample::report().plan;
        let refused =
            |plan: &Plan, arms: &[&str]| baseline(10.0).check(plan, arms).unwrap_err().to_string();
        assert!(baseline(10.0).check(&plan, &["llama", "native", "more"]).is_ok());
        assert!(refused(&plan, &["native"]).contains("`llama`"));
        let mut other = plan.clone();
        other.loads = vec![crate::load::Load::Rate { per_s: 1.0, seed: 0 }];
        assert!(refused(&other, &["native", "llama"]).contains("2 clients"));
        other = plan.clone();
        other.output = crate::load::OutputLen::AtMost(11.try_into().unwrap());
        assert!(refused(&other, &["native", "llama"]).contains("11 tokens at most"));
        other.prompts_sha256.clear();
        assert!(refused(&other, &["native", "llama"]).contains("prompts"));
    }

    #[test]
    fn the_note_names_date_tolerance_and_another_processor() {
        let mut now = sample::report();
        let note = baseline(10.0).note(&now);
        assert!(note.contains("2026-11-22") && note.ends_with("tolerance 10 %"), "{note}");
        now.machine.cpu = Some("Another".to_owned());
        assert!(baseline(10.0).note(&now).contains("`A CPU` instead of `Another`"));
    }
}
