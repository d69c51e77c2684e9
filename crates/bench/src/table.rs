//! Rows for people: a Markdown table whose lines can be printed as the rows come.

use crate::{Row, Test};

const NAMES: [&str; 7] =
    ["test", "threads", "tok/s", "min to max", "GB/s", "of bandwidth", "GOP/s"];

/// A table wide enough for some tests.
#[derive(Debug, Clone)]
pub struct Table {
    widths: [usize; NAMES.len()],
}

impl Table {
    /// For rows of `tests`.
    pub fn new(tests: &[Test]) -> Self {
        let mut widths = NAMES.map(str::len);
        let names = tests.iter().map(|test| test.to_string().len());
        widths[0] = names.max().unwrap_or(0).max(widths[0]);
        widths[2] = 8;
        widths[3] = 18;
        widths[4] = 6;
        widths[6] = 8;
        Self { widths }
    }

    /// The names of the columns and the line below them.
    pub fn heading(&self) -> String {
        let rule = self.widths.iter().enumerate().map(|(i, &width)| match i {
            0 => "-".repeat(width + 2),
            _ => "-".repeat(width + 1) + ":",
        });
        let rule: Vec<String> = rule.collect();
        format!("{}\n|{}|", self.line(NAMES.map(str::to_owned)), rule.join("|"))
    }

    /// The line of a row.
    pub fn row(&self, row: &Row) -> String {
        let speed = row.tokens_per_s;
        let (read, fraction) = match row.bandwidth_gb_s {
            None => Default::default(),
            Some(b) => (format!("{:.1}", b.read), format!("{:.0} %", b.fraction * 100.0)),
        };
        self.line([
            row.test.clone(),
            row.threads.to_string(),
            format!("{:.1}", speed.median),
            format!("{:.1} to {:.1}", speed.min, speed.max),
            read,
            fraction,
            format!("{:.0}", row.giga_operations_per_s),
        ])
    }

    fn line(&self, cells: [String; NAMES.len()]) -> String {
        let aligned = cells.iter().zip(self.widths).enumerate().map(|(i, (cell, width))| match i {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        let aligned: Vec<String> = aligned.collect();
        format!("| {} |", aligned.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bandwidth, Kind, Spread};

    #[test]
    fn lines_are_equally_wide_and_leave_unknown_cells_empty() {
        let test = Test { kind: Kind::Decode, num_tokens: 64, depth: 1024, batch: 8 };
        let mut row = Row {
            test: test.to_string(),
            kind: test.kind,
            prompt: 0,
            generated: 64,
            depth: 1024,
            batch: 8,
            threads: 1,
            tokens_per_s: Spread { median: 100.06, min: 99.0, max: 1234.5 },
            seconds: vec![],
            bytes_per_token: Some(1.0),
            bandwidth_gb_s: Some(Bandwidth { read: 20.04, measured: 40.0, fraction: 0.501 }),
            giga_operations_per_s: 77.7,
        };
        let table = Table::new(&[test]);
        let cells = |line: &str| -> Vec<String> {
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let line = table.row(&row);
        let expected =
            ["", "tg64 x8 @ d1024", "1", "100.1", "99.0 to 1234.5", "20.0", "50 %", "78", ""];
        assert_eq!(cells(&line), expected);
        row.bandwidth_gb_s = None;
        assert_eq!(cells(&table.row(&row))[5..7], ["", ""]);
        let widths: Vec<usize> = table.heading().lines().map(str::len).collect();
        assert_eq!(widths, [line.len(); 2]);
    }
}
