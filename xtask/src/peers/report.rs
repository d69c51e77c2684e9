//! The record as a page for people, and both written to files.

use std::fs;
use std::path::{Path, PathBuf};

use super::compare::{self, Line, SameFile, View};
use super::machine::Foreign;
use super::model::Name;
use super::probe::{BATCHES, Probe, Quantity};
use super::record::{DISTURBED, Omission, Record, Run, Spread};
use super::schedule::{Case, Neighbour};
use crate::error::Error;

/// The page: facts, ratios, all figures, and what is missing.
pub(super) fn markdown(record: &Record) -> String {
    let mut page = facts(record);
    for model in [Name::Starter, Name::Synth] {
        if record.runs.iter().any(|run| run.model == model) {
            page += &format!("\n## {model}\n\n{}", ratios(&compare::lines(record, model)));
            page += &same_files(&compare::same_file_lines(record, model));
            page += &figures(View { record, model });
        }
    }
    if !record.omissions.is_empty() {
        page += "\n## Not measured\n\n";
        let item = |omission: &Omission| format!("- {}: {}\n", omission.what, omission.why);
        page.extend(record.omissions.iter().map(item));
    }
    page
}

fn facts(record: &Record) -> String {
    let Record { date, machine, threads, rounds, .. } = record;
    let memory = machine.memory_gb.map_or_else(String::new, |gb| format!(", {gb} GB"));
    let mut page = format!("# Russet and its peers, {date}\n\n");
    page += &format!("- Machine: {}, {} cores{memory}", machine.cpu, machine.cores);
    page += &format!("; Linux {}\n", machine.kernel);
    for (engine, version) in &record.versions {
        page += &format!("- {engine}: {version}\n");
    }
    if let Some(commit) = &record.commit {
        page += &format!("- Checkout: {commit}\n");
    }
    page += &format!("- {threads} threads each; {rounds} rounds, engines alternated, medians\n");
    let bandwidths = record.runs.iter().flat_map(|run| run.bandwidth_gb_s).collect();
    if let Some(Spread { median, min, max, .. }) = Spread::new(bandwidths) {
        page += &format!("- Plain reading around the runs: {median:.0} GB/s ({min:.0}-{max:.0})\n");
    }
    let of = |share: fn(&Foreign) -> f64| {
        let shares = record.runs.iter().filter_map(|run| run.foreign.as_ref().map(share));
        Spread::new(shares.map(|share| 100.0 * share).collect())
    };
    if let Some((busy, stolen)) = of(|foreign| foreign.busy).zip(of(|foreign| foreign.stolen)) {
        page +=
            &format!("- Processor time of others: {:.1} % (at most {:.0})", busy.median, busy.max);
        page +=
            &format!("; stolen by the host: {:.1} % (at most {:.0})\n", stolen.median, stolen.max);
    }
    let disturbed = record.runs.iter().filter(|run| run.is_disturbed()).count();
    if disturbed > 0 {
        let (all, share) = (record.runs.len(), 100.0 * DISTURBED);
        page += &format!(
            "- **{disturbed} of {all} runs were disturbed**: others used over {share} %\n"
        );
    }
    page
}

fn ratios(lines: &[Line]) -> String {
    let mut table =
        "| row | Russet | compared with | its figure | ratio | target | met |\n".to_owned();
    table += "|---|---|---|---|---|---|---|\n";
    for line in lines {
        let ours = line.ours.map_or_else(dash, rate);
        let ratio = line.ratio.map_or_else(dash, |ratio| format!("{ratio:.2}"));
        let (name, figure) = match &line.other {
            Some(other) => (other.name.clone(), rate(other.rate)),
            None => (dash(), dash()),
        };
        let met = match line.is_met() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "-",
        };
        let (row, bound) = (&line.row, line.bound);
        table += &format!("| {row} | {ours} | {name} | {figure} | {ratio} | {bound} | {met} |\n");
    }
    table
}

fn same_files(lines: &[SameFile]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut table = "\nOn the same file:\n\n".to_owned();
    table +=
        "| row | file | Russet | fastest peer | its figure | ratio |\n|---|---|---|---|---|---|\n";
    for SameFile { quantity, encoding, ours, other } in lines {
        let (own, name, figure) = (rate(*ours), &other.name, rate(other.rate));
        let ratio = ours / other.rate;
        table += &format!("| {quantity} | {encoding} | {own} | {name} | {figure} | {ratio:.2} |\n");
    }
    table
}

fn dash() -> String {
    "-".to_owned()
}

fn rate(tokens_per_s: f64) -> String {
    let decimals = if tokens_per_s < 10.0 {
        2
    } else if tokens_per_s < 100.0 {
        1
    } else {
        0
    };
    format!("{tokens_per_s:.decimals$}")
}

/// A table of all contenders for each situation.
fn figures(view: View<'_>) -> String {
    let mut cases: Vec<Case> = Vec::new();
    for run in view.record.runs.iter().filter(|run| run.model == view.model) {
        if !cases.contains(&run.case) {
            cases.push(run.case);
        }
    }
    let mut page = String::new();
    for case in cases {
        page += &case_table(view, case);
    }
    page
}

fn case_table(view: View<'_>, case: Case) -> String {
    let quantities: Vec<Quantity> = match case.probe {
        Probe::Short => vec![Quantity::Prefill, Quantity::Decode],
        Probe::Long => vec![Quantity::PrefillLong, Quantity::DecodeDeep],
        Probe::Batches => BATCHES.map(Quantity::Batch).into(),
    };
    let threads = if case.threads == 1 { "1 thread" } else { &format!("{} threads", case.threads) };
    let beside = if case.neighbour == Neighbour::Busy { ", one core busy" } else { "" };
    let names: Vec<String> = quantities.iter().map(|quantity| format!(" {quantity} |")).collect();
    let mut table =
        format!("\nTokens per second, {threads}{beside}: median (least-most), runs\n\n");
    table += &format!("| |{}\n|---|{}\n", names.concat(), "---|".repeat(names.len()));
    for name in names_of(view, case) {
        table += &format!("| {name} |");
        for &quantity in &quantities {
            let mut found = view.contenders(case, quantity).into_iter();
            let own = found.find(|figures| figures.first.contender == name);
            table += &format!(" {} |", own.map_or_else(dash, |figures| cell(&figures.spread)));
        }
        table += "\n";
    }
    table
}

fn names_of(view: View<'_>, case: Case) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for Run { contender, .. } in view.record.in_case(view.model, case) {
        if !names.contains(contender) {
            names.push(contender.clone());
        }
    }
    names
}

fn cell(spread: &Spread) -> String {
    let Spread { median, min, max, len } = *spread;
    match len {
        1 => format!("{}, 1", rate(median)),
        _ => format!("{} ({}-{}), {len}", rate(median), rate(min), rate(max)),
    }
}

/// Writes the record and `page` into `folder` under a name that is free; gives the page's path.
pub(super) fn write(record: &Record, page: &str, folder: &Path) -> Result<PathBuf, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let stem = format!("{}-{}", record.date, slug(&record.machine.cpu));
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let mut stems = std::iter::once(stem.clone()).chain(numbered);
    let is_free = |stem: &String| !folder.join(format!("{stem}.md")).exists();
    let stem = stems.find(is_free).expect("a folder has fewer files than there are numbers");
    let (json, md) = (folder.join(format!("{stem}.json")), folder.join(format!("{stem}.md")));
    let text = serde_json::to_string_pretty(record)? + "\n";
    fs::write(&json, text).map_err(failed(&json))?;
    fs::write(&md, page).map_err(failed(&md))?;
    Ok(md)
}

/// The words of a processor's name, without its family and the signs of trade marks.
fn slug(cpu: &str) -> String {
    let name = cpu.split(" (family").next().unwrap_or_default().to_lowercase();
    let name = name.replace("(r)", " ").replace("(tm)", " ");
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::super::rows::Bound;
    use super::*;

    #[test]
    fn ratios_are_shown_with_their_targets() {
        let other = compare::Other { name: "ik_llama.cpp Q4_0 -rtr 1".to_owned(), rate: 256.4 };
        let line = |ours, ratio, bound| Line {
            row: "decode 128".to_owned(),
            ours,
            other: Some(other.clone()),
            ratio,
            bound,
        };
        let table = ratios(&[
            line(Some(400.0), Some(1.56), Bound::AtLeast(1.5)),
            line(Some(80.0), Some(1.4), Bound::AtMost(1.3)),
            line(None, None, Bound::AtLeast(1.5)),
        ]);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        let ik = "ik_llama.cpp Q4_0 -rtr 1 | 256";
        assert_eq!(rows[0], format!("| decode 128 | 400 | {ik} | 1.56 | ≥ 1.5 | yes |"));
        assert_eq!(rows[1], format!("| decode 128 | 80.0 | {ik} | 1.40 | ≤ 1.3 | **no** |"));
        assert_eq!(rows[2], format!("| decode 128 | - | {ik} | - | ≥ 1.5 | - |"));
    }

    #[test]
    fn files_that_both_read_have_a_table() {
        let other = compare::Other { name: "ik_llama.cpp Q4_0 -rtr 1".to_owned(), rate: 250.0 };
        let (quantity, encoding) = (Quantity::Batch(4), "Q4_0".to_owned());
        let table = same_files(&[SameFile { quantity, encoding, ours: 500.0, other }]);
        let row = "| decode 64, batch 4 | Q4_0 | 500 | ik_llama.cpp Q4_0 -rtr 1 | 250 | 2.00 |";
        assert_eq!(table.lines().last(), Some(row));
        assert_eq!(same_files(&[]), "");
    }

    #[test]
    fn cells_name_the_spread_and_the_number_of_runs() {
        let spread = |values: &[f64]| Spread::new(values.to_vec()).unwrap();
        assert_eq!(cell(&spread(&[100.2])), "100, 1");
        assert_eq!(cell(&spread(&[3.0, 1.0, 99.0])), "3.00 (1.00-99.0), 3");
        assert_eq!(cell(&spread(&[1.0, 2.0])), "1.50 (1.00-2.00), 2");
    }

    #[test]
    fn records_are_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let record = super::super::record::tests::record(Vec::new());
        let page = markdown(&record);
        assert!(
            page.contains("- Machine: AMD EPYC (family 25, model 17), 2 cores, 25 GB; Linux 6.1")
        );
        assert!(page.contains("- Russet: 0.1.0\n- Checkout: abc1234\n- 2 threads each; 3 rounds"));
        for name in ["2026-11-21-amd-epyc", "2026-11-21-amd-epyc-2"] {
            let path = write(&record, &page, folder.path()).unwrap();
            assert_eq!(path, folder.path().join(format!("{name}.md")));
            let text = fs::read_to_string(path.with_extension("json")).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["versions"]["russet"], "0.1.0");
        }
        assert_eq!(slug("Intel(R) Xeon(R) 6980P"), "intel-xeon-6980p");
    }
}
