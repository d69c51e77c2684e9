//! A chart of one figure: bars for each arm under each load, as SVG inside a page.

use std::fmt::Write;

use super::cells::in_html;
use super::contrast::{range, rounds};
use super::{Metric, Report, Row};

/// Sizes in the chart's own units, which the page scales.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 28.0;
/// Lines across at most.
const NUM_LINES: usize = 5;
/// Colours that the page's style has; more arms than these take them again.
pub(super) const NUM_COLOURS: usize = 8;

/// The chart of one figure; `None` if nobody has it.
pub(super) fn chart(report: &Report, metric: &Metric) -> Option<String> {
    let value = |row: &Row| metric.median(&row.stats);
    let highest = |row: &Row| {
        let of_rounds = range(&rounds(metric, row)).map_or(0.0, |[_, max]| max);
        of_rounds.max(value(row).unwrap_or(0.0))
    };
    let rows = || report.levels.iter().flat_map(|level| &level.rows);
    let top = rows().map(highest).fold(0.0, f64::max);
    if top <= 0.0 || rows().all(|row| value(row).is_none()) {
        return None;
    }
    let step = step(top);
    let scale = Scale { top: (top / step).ceil() * step };
    let mut svg = String::new();
    let label = in_html(&format!("{} in {}", metric.title, metric.unit()));
    // Writing to a string does not fail.
    let _ =
        writeln!(svg, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">");
    svg += &lines(&scale, step);
    let group_width = (WIDTH - LEFT) / report.levels.len() as f64;
    for (at, level) in report.levels.iter().enumerate() {
        let left = LEFT + at as f64 * group_width;
        let _ = writeln!(
            svg,
            "<text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left + group_width / 2.0,
            HEIGHT - 8.0,
            in_html(&level.title())
        );
        let bar_width = group_width * 0.8 / level.rows.len() as f64;
        for (arm, row) in level.rows.iter().enumerate() {
            let bar = Bar {
                left: left + group_width * 0.1 + arm as f64 * bar_width,
                width: bar_width * 0.9,
                colour: colour(report, &row.arm),
            };
            svg += &bar.draw(&scale, metric, row);
        }
    }
    Some(svg + "</svg>\n")
}

/// The number of an arm's colour in the page's style.
pub(super) fn colour(report: &Report, arm: &str) -> usize {
    report.arms.iter().position(|other| other.name == arm).unwrap_or(0) % NUM_COLOURS
}

struct Scale {
    top: f64,
}

impl Scale {
    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)
    }
}

struct Bar {
    left: f64,
    width: f64,
    colour: usize,
}

impl Bar {
    /// The bar is the median, the line through its end goes from the lowest round to the highest.
    fn draw(&self, scale: &Scale, metric: &Metric, row: &Row) -> String {
        let (left, width) = (self.left, self.width);
        let middle = left + width / 2.0;
        let Some(median) = metric.median(&row.stats) else {
            let y = scale.y(0.0) - 4.0;
            return format!("<text class=\"v\" x=\"{middle:.1}\" y=\"{y:.1}\">-</text>\n");
        };
        let (y, zero) = (scale.y(median), scale.y(0.0));
        let title = in_html(&format!("{}: {median:.2} {}", row.arm, metric.unit()));
        let mut svg = format!(
            "<rect class=\"a{}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{:.1}\"><title>{title}</title></rect>\n",
            self.colour,
            zero - y
        );
        let mut above = y;
        if let Some([min, max]) = range(&rounds(metric, row)).filter(|[min, max]| min < max) {
            let (low, high) = (scale.y(min), scale.y(max));
            above = y.min(high);
            let _ = writeln!(
                svg,
                "<path class=\"r\" d=\"M{middle:.1} {low:.1}V{high:.1}M{:.1} {low:.1}h8M{:.1} \
                 {high:.1}h8\"/>",
                middle - 4.0,
                middle - 4.0
            );
        }
        let _ = writeln!(
            svg,
            "<text class=\"v\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            above - 3.0,
            short(median)
        );
        svg
    }
}

fn lines(scale: &Scale, step: f64) -> String {
    let mut svg = String::new();
    let num = (scale.top / step).round() as usize;
    for at in 0..=num {
        let value = at as f64 * step;
        let y = scale.y(value);
        let _ = writeln!(
            svg,
            "<path class=\"g\" d=\"M{LEFT} {y:.1}H{WIDTH}\"/><text class=\"y\" x=\"{:.1}\" \
             y=\"{:.1}\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            short(value)
        );
    }
    svg
}

/// A round number, so that few lines go across: 1, 2 or 5 times a power of ten.
fn step(top: f64) -> f64 {
    let least = top / NUM_LINES as f64;
    let power = 10.0_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= least);
    factor.unwrap_or(10.0) * power
}

/// With as many digits as a chart has room for.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 || value == value.round() => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{METRICS, sample};
    use super::*;

    #[test]
    fn lines_across_are_round_and_few() {
        for (top, expected) in [(22.0, 5.0), (1000.0, 200.0), (0.03, 0.01), (7.0, 2.0), (5.0, 1.0)]
        {
            assert!((step(top) / expected - 1.0).abs() < 1e-9, "{top}: {}", step(top));
        }
    }

    #[test]
    fn a_bar_for_each_arm_and_load_as_high_as_its_figure() {
        let report = sample::report();
        let svg = chart(&report, &METRICS[0]).unwrap();
        let rects: Vec<&str> = svg.lines().filter(|line| line.starts_with("<rect")).collect();
        assert_eq!(rects.len(), 2);
        let height = |rect: &str| -> f64 {
            let after = rect.split_once(" height=\"").unwrap().1;
            after.split('"').next().unwrap().parse().unwrap()
        };
        assert!((height(rects[1]) / height(rects[0]) - 2.0).abs() < 0.01, "{rects:?}");
        assert!(rects[0].contains("class=\"a0\"") && rects[1].contains("class=\"a1\""));
        assert!(rects[1].contains("llama: 20.00 ms"));
        assert_eq!(svg.matches("class=\"r\"").count(), 2, "both have a range");
    }

    #[test]
    fn names_are_escaped_and_nothing_gives_no_chart() {
        let mut report = sample::report();
        report.levels[0].rows[0].arm = "<a&b>".to_owned();
        let svg = chart(&report, &METRICS[0]).unwrap();
        assert!(svg.contains("&lt;a&amp;b&gt;: ") && !svg.contains("<a&b>"));
        report.levels.clear();
        assert_eq!(chart(&report, &METRICS[0]), None);
    }

    #[test]
    fn a_missing_figure_is_no_bar_of_height_zero() {
        let mut report = sample::report();
        report.levels[0].rows[1].stats.ttft_ms = None;
        let svg = chart(&report, &METRICS[0]).unwrap();
        assert_eq!((svg.matches("<rect").count(), svg.matches(">-</text>").count()), (1, 1));
    }
}
