//! The report for terminals and as Markdown, and what both have in common with HTML.

use super::cells::in_markdown;
use super::{ArmReport, Machine, Report, tables};

impl Report {
    /// The report for a terminal: for each backend its start, its model, and a line for each load.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n", self.title(), self.circumstances());
        for arm in &self.arms {
            let startup = match tables::startup(arm) {
                seconds if seconds.is_empty() => String::new(),
                seconds => format!("  startup_s {seconds}"),
            };
            let memory = arm.peak_bytes.map_or_else(String::new, |bytes| {
                format!("  peak_mb {}", tables::megabytes(bytes))
            });
            let (name, model) = (&arm.name, &arm.model_id);
            text += &format!("\nbackend {name}{startup}{memory}  model_id {model}\n");
            text += &tables::short(self, &arm.name).text();
        }
        text += "\nms: median (95th percentile), tok/s: median\n";
        text += &paragraph("Compared with the first", &self.differences());
        text += &paragraph("Same answers?", &self.parity_lines());
        text + &paragraph("What to know", &self.remarks())
    }

    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n", in_markdown(&self.title()));
        text += &format!("{}\n\n", in_markdown(&self.circumstances()));
        text += &tables::arms(self).markdown();
        let sections = [
            ("What to know", self.remarks()),
            ("Compared", self.differences()),
            ("Same answers?", self.parity_lines()),
        ];
        for (title, lines) in sections.iter().filter(|(_, lines)| !lines.is_empty()) {
            text += &format!("\n## {title}\n\n");
            text.extend(lines.iter().map(|line| format!("- {}\n", in_markdown(line))));
        }
        for level in &self.levels {
            text += &format!("\n## {}\n\n", level.title());
            text += &tables::circumstances(level).markdown();
            text += "\n";
            text += &tables::full(level).markdown();
        }
        text += "\n## How it was run\n\n";
        text.extend(self.how_lines().iter().map(|line| format!("- {}\n", in_markdown(line))));
        for arm in self.arms.iter().filter(|arm| !arm.command.is_empty()) {
            let (name, command) = (in_markdown(&arm.name), in_markdown(&arm.command_line()));
            text += &format!("- {name}: {command}\n");
        }
        text
    }

    pub(super) fn title(&self) -> String {
        let names: Vec<&str> = self.arms.iter().map(|arm| arm.name.as_str()).collect();
        format!("{}, measured {}", names.join(" beside "), self.begun)
    }

    /// Machine, prompts and lengths in one line.
    pub(super) fn circumstances(&self) -> String {
        let Machine { cpu, cores, logical_cores, memory_bytes, os, arch, load_average } =
            &self.machine;
        let cpu = cpu.as_deref().unwrap_or(arch);
        let memory = memory_bytes
            .map_or_else(String::new, |bytes| format!(", {:.1} GB", bytes as f64 / 1e9));
        let load = load_average.map_or_else(String::new, |load| format!(", load {load:.2} before"));
        let rounds = self.plan.rounds;
        let (prompts, output) = (&self.plan.prompts, self.plan.output_text());
        format!(
            "{cpu}, {cores} cores ({logical_cores} logical){memory}, {os}{load}; Russet {}; \
             prompts {prompts}; answers {output}; {rounds} rounds in turn",
            self.russet
        )
    }

    /// What was run, but for the commands.
    pub(super) fn how_lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("prompts: {} (sha256 {})", self.plan.prompts, self.plan.prompts_sha256),
            format!("answers: {}, chosen greedily (temperature 0)", self.plan.output_text()),
            format!(
                "each level ran {} times on each arm, in turn; what warmed a run up is not counted",
                self.plan.rounds
            ),
        ];
        lines.extend(self.levels.iter().map(|level| {
            let (requests, warm_up) = (level.requests_per_round, level.warm_up_per_round);
            format!("{}: {requests} requests a round after {warm_up} to warm up", level.title())
        }));
        lines.extend(self.arms.iter().map(|arm| {
            let started = match arm.command.is_empty() {
                true => "ran already".to_owned(),
                false => format!("was ready when {}", arm.ready_when),
            };
            let (name, url, model) = (&arm.name, &arm.base_url, &arm.request_model);
            format!("{name}: at {url}, model `{model}`, {started}")
        }));
        lines
    }
}

impl ArmReport {
    /// The command for people, with the variables that were set before it.
    pub(super) fn command_line(&self) -> String {
        let variables = self.env.iter().map(|(name, value)| quoted(&format!("{name}={value}")));
        let words = self.command.iter().map(|word| quoted(word));
        variables.chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// As a shell would take it as one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn paragraph(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines = lines.iter().map(|line| format!("  {line}\n"));
    format!("\n{title}\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::sample;

    #[test]
    fn a_terminal_shows_each_backend_with_a_line_for_each_load() {
        let text = sample::report().text();
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| line.starts_with("backend native")).unwrap();
        assert_eq!(lines[at], "backend native  startup_s 0.250  model_id Some-Model-native");
        assert!(lines[at + 1].starts_with("concurrency  requests  errors"), "{text}");
        assert!(lines[at + 2].starts_with("2 clients"), "{text}");
        for part in ["backend llama", "Compared with the first", "Same answers?", "  a note"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn markdown_has_every_section_and_figure() {
        let mut report = sample::report();
        report.arms[0].command = vec!["srv".to_owned(), "a b".to_owned()];
        report.arms[0].env.insert("K".to_owned(), "it's".to_owned());
        let text = report.markdown();
        for part in
            ["## What to know", "## 2 clients", "| batch\\_tok\\_s | llama |", "sha256 abab"]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(text.contains("- native: 'K=it'\\\\''s' srv 'a b'\n"), "{text}");
    }

    #[test]
    fn servers_that_ran_already_have_no_start() {
        let mut report = sample::report();
        report.arms[0].startup_s = None;
        assert!(report.text().contains("backend native  model_id"));
        assert!(report.how_lines().iter().any(|line| line.ends_with("ran already")));
    }
}
