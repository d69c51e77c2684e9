//! The report as one page that needs nothing else: no script, no font, no picture from anywhere.

use super::cells::in_html;
use super::chart::{chart, colour};
use super::{METRICS, Report, tables};

/// Every colour of a bar has a contrast of at least 4.5 to 1 on its ground; bars stand in the order
/// of their key, so that they are told apart without colours too.
const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#fff;--text:#1c1e21;--soft:#5b616a;--line:#d9dce1;\
--c0:#0b62c4;--c1:#c2510c;--c2:#12794f;--c3:#8a3fb3;\
--c4:#8a6d00;--c5:#b3285a;--c6:#0b7a86;--c7:#5a5f66}
@media(prefers-color-scheme:dark){:root{--ground:#14161a;\
--text:#e6e8eb;--soft:#a2a9b3;--line:#363b43;\
--c0:#6aaeff;--c1:#ff9d5c;--c2:#55cf97;--c3:#cf9cf0;\
--c4:#e3c04a;--c5:#ff86b0;--c6:#5fd0dc;--c7:#b4bac3}}
body{margin:0 auto;max-width:64rem;padding:1.5rem;background:var(--ground);color:var(--text);\
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.6rem}h2{margin-top:2.5rem;font-size:1.25rem}h3{margin-bottom:.25rem;font-size:1rem}
.soft{color:var(--soft)}.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem}
th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line);text-align:left;\
vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
svg{width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:var(--soft)}
svg .x,svg .v{text-anchor:middle}svg .y{text-anchor:end}svg .v{fill:var(--text);font-size:11px}
svg .g{stroke:var(--line);fill:none}svg .r{stroke:var(--text);fill:none}
.key{display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:2px}
.keys span+span{margin-left:1.25rem}code{font-size:.85rem;overflow-wrap:anywhere}
";

impl Report {
    /// The report as a page of HTML.
    pub fn html(&self) -> String {
        let title = self.title();
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>{0}</title>\n<style>\n{STYLE}{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
            in_html(&title),
            colours()
        );
        page += &format!("<p class=\"soft\">{}</p>\n", in_html(&self.circumstances()));
        page += &tables::arms(self).html();
        page += &list("What to know", &self.remarks());
        page += &list("Compared", &self.differences());
        page += &list("Same answers?", &self.parity_lines());
        page += &self.charts();
        for level in &self.levels {
            page += &format!("<h2>{}</h2>\n", in_html(&level.title()));
            page += &tables::circumstances(level).html();
            page += &tables::full(level).html();
        }
        page + &self.how() + "</body>\n</html>\n"
    }

    fn charts(&self) -> String {
        let keys = self.arms.iter().map(|arm| {
            let (number, name) = (colour(self, &arm.name), in_html(&arm.name));
            format!("<span><i class=\"key b{number}\"></i>{name}</span>")
        });
        let mut html = format!(
            "<h2>Figures</h2>\n<p class=\"keys\">{}</p>\n<p class=\"soft\">Bars are medians of all \
             requests; the line at a bar's end goes from its lowest round to its highest.</p>\n",
            keys.collect::<String>()
        );
        for metric in &METRICS {
            let Some(chart) = chart(self, metric) else { continue };
            let better = match metric.better {
                super::Better::Lower => "lower is better",
                super::Better::Higher => "higher is better",
            };
            let (name, unit) = (in_html(metric.title), metric.unit());
            html += &format!("<h3>{name}, {unit} ({better})</h3>\n{chart}");
        }
        html
    }

    /// What was run, so that others can run it again.
    fn how(&self) -> String {
        let mut html = "<h2>How it was run</h2>\n<ul>\n".to_owned();
        for line in self.how_lines() {
            html += &format!("<li>{}</li>\n", in_html(&line));
        }
        for arm in self.arms.iter().filter(|arm| !arm.command.is_empty()) {
            let (name, command) = (in_html(&arm.name), in_html(&arm.command_line()));
            html += &format!("<li>{name}: <code>{command}</code></li>\n");
        }
        html + "</ul>\n"
    }
}

fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let items = lines.iter().map(|line| format!("<li>{}</li>\n", in_html(line)));
    format!("<h2>{title}</h2>\n<ul>\n{}</ul>\n", items.collect::<String>())
}

/// The classes of bars and of their keys.
fn colours() -> String {
    let class = |at| format!(".a{at}{{fill:var(--c{at})}}.b{at}{{background:var(--c{at})}}\n");
    (0..super::chart::NUM_COLOURS).map(class).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;

    #[test]
    fn the_page_needs_nothing_from_anywhere() {
        let mut report = sample::report();
        report.arms[0].base_url.clear();
        report.arms[1].base_url.clear();
        let page = report.html();
        for word in ["<script", "http", "url(", "@import", " src=", " href="] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        assert!(page.contains("prefers-color-scheme:dark"));
        assert_eq!(page.matches("<svg").count(), 6);
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }

    #[test]
    fn whatever_comes_from_outside_is_escaped() {
        let mut report = sample::report();
        let evil = "<img src=x onerror=alert(1)>\"'&";
        for arm in &mut report.arms {
            arm.name = evil.to_owned();
            arm.model_id = evil.to_owned();
            arm.command = vec![evil.to_owned()];
            arm.died = Some(evil.to_owned());
            arm.version = Some(evil.to_owned());
        }
        report.notes.push(evil.to_owned());
        report.machine.cpu = Some(evil.to_owned());
        report.plan.prompts = evil.to_owned();
        let row = &mut report.levels[0].rows[1];
        row.arm = evil.to_owned();
        row.parity.as_mut().unwrap().first_difference.as_mut().unwrap().second = evil.to_owned();
        let failed = row.requests.iter_mut().find_map(|request| request.error.as_mut());
        failed.unwrap().message = evil.to_owned();
        let page = report.html();
        assert!(!page.contains("<img") && page.contains("&lt;img src=x"), "{page}");
    }
}
