//! A table before it has a form: text, Markdown or HTML.

/// A table before it has a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cells {
    pub(super) head: Vec<String>,
    /// Each as long as the head.
    pub(super) rows: Vec<Vec<String>>,
    /// How many of the first columns are words; the rest are numbers.
    pub(super) num_words: usize,
}

impl Cells {
    pub(super) fn new(head: &[&str], num_words: usize) -> Self {
        let head = head.iter().map(ToString::to_string).collect();
        Self { head, rows: Vec::new(), num_words }
    }

    /// Columns of equal width, for terminals.
    pub(super) fn text(&self) -> String {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width = |at: usize| all().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| {
                if at < self.num_words {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        all().map(line).collect()
    }

    pub(super) fn markdown(&self) -> String {
        let rule = (0..self.head.len()).map(|at| if at < self.num_words { "---" } else { "---:" });
        let rule: Vec<String> = rule.map(str::to_owned).collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().map(|cell| in_markdown(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rows: String = self.rows.iter().map(line).collect();
        line(&self.head) + &line(&rule) + &rows
    }

    pub(super) fn html(&self) -> String {
        let line = |row: &Vec<String>, tag: &str| {
            let cells = row.iter().enumerate().map(|(at, cell)| {
                let class = if at < self.num_words { "" } else { " class=\"n\"" };
                format!("<{tag}{class}>{}</{tag}>", in_html(cell))
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(|row| line(row, "td")).collect();
        let head = line(&self.head, "th");
        format!(
            "<div class=\"wide\"><table>\n<thead>{head}</thead>\n\
             <tbody>\n{rows}</tbody></table></div>\n"
        )
    }
}

/// Text that means nothing to Markdown, on one line.
pub(super) fn in_markdown(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '<' | '[' | ']' => safe.extend(['\\', c]),
            '\n' | '\r' => safe.push(' '),
            _ => safe.push(c),
        }
    }
    safe
}

/// Text that means nothing to HTML, in elements and in quoted attributes.
pub(super) fn in_html(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> Cells {
        let mut cells = Cells::new(&["arm", "ms"], 1);
        cells.rows.push(vec!["a|<b>".to_owned(), "1.5".to_owned()]);
        cells.rows.push(vec!["é".to_owned(), "100.0".to_owned()]);
        cells
    }

    #[test]
    fn text_is_aligned_by_characters() {
        assert_eq!(cells().text(), "arm       ms\na|<b>    1.5\né      100.0\n");
    }

    #[test]
    fn markdown_keeps_its_columns() {
        let expected = "| arm | ms |\n| --- | ---: |\n| a\\|\\<b> | 1.5 |\n| é | 100.0 |\n";
        assert_eq!(cells().markdown(), expected);
        assert_eq!(in_markdown("a\nb_c*"), "a b\\_c\\*");
    }

    #[test]
    fn html_is_escaped() {
        let html = cells().html();
        assert!(html.contains("<td>a|&lt;b&gt;</td><td class=\"n\">1.5</td>"), "{html}");
        assert_eq!(in_html("\"'&"), "&quot;&#39;&amp;");
    }
}
