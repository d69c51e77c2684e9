//! What becomes of the report: the terminal, and files.

use std::path::Path;

use anyhow::{Context, Result};
use russet_bench::servers::Report;

use crate::console;
use crate::settings::ReportSettings;

/// Prints the report, and writes its files if they were asked for.
pub(super) fn show(report: &Report, settings: &ReportSettings) -> Result<()> {
    if let Some(folder) = &settings.out {
        write(report, folder)?;
    }
    match settings.json {
        true => console::line(format_args!("{}", serde_json::to_string_pretty(report)?))?,
        false => console::line(format_args!("{}", report.text().trim_end()))?,
    }
    if let Some(folder) = &settings.out {
        console::note(format_args!("reports are in {}", folder.display()));
    }
    Ok(())
}

fn write(report: &Report, folder: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    let files = [
        ("report.json", json),
        ("report.csv", report.csv()),
        ("report.md", report.markdown()),
        ("report.html", report.html()),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
