//! `info --backends`: which backends can serve a model, and why the others cannot.

use anyhow::Result;
use russet_backends::{Candidate, Election, Installed, elect};
use russet_hub::Hub;
use serde::Serialize;

use crate::settings::InfoSettings;
use crate::{console, described};

#[derive(Serialize)]
struct Row {
    backend: &'static str,
    verdict: &'static str,
    /// Its program.
    program: Option<String>,
    reasons: Vec<String>,
}

/// Prints a row for each backend, the most wanted first.
pub(super) fn show(hub: &Hub, settings: &InfoSettings) -> Result<()> {
    let described = described::describe(hub, &settings.model, None)?;
    let installed = settings.backend.programs().find();
    let election = elect(&described.model, &[], &installed, settings.backend.backend);
    let rows: Vec<Row> =
        election.candidates.iter().map(|candidate| row(&election, candidate, &installed)).collect();
    if settings.json {
        console::line(format_args!("{}", serde_json::to_string_pretty(&rows)?))?;
        return Ok(());
    }
    print(&rows)?;
    match (election.elected(), election.forced) {
        (Some(_), _) => {}
        (None, Some(forced)) => console::note(format_args!("{forced} cannot serve this model")),
        (None, None) => console::note(format_args!("no backend can serve this model")),
    }
    Ok(())
}

fn row(election: &Election, candidate: &Candidate, installed: &Installed) -> Row {
    let backend = candidate.backend;
    let program = installed.program(backend).and_then(|found| found.as_ref().ok());
    let verdict = match election.elected() == Some(backend) {
        true => "elected",
        false if candidate.refusals.is_empty() => "possible",
        false => "no",
    };
    let program = program.map(ToString::to_string);
    Row { backend: backend.name(), verdict, program, reasons: candidate.reasons() }
}

fn print(rows: &[Row]) -> std::io::Result<()> {
    for row in rows {
        let mut remarks = row.reasons.clone();
        if row.reasons.is_empty() {
            remarks.extend(row.program.clone());
        }
        let (backend, verdict) = (row.backend, row.verdict);
        let first = remarks.first().map_or("", String::as_str);
        let line = format!("{backend:<8} {verdict:<9} {first}");
        console::line(format_args!("{}", line.trim_end()))?;
        for remark in remarks.iter().skip(1) {
            console::line(format_args!("{:18} {remark}", ""))?;
        }
    }
    Ok(())
}
