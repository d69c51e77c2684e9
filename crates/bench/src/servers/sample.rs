//! A report for tests: two arms, two rounds of two requests, one of which failed.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{ArmReport, Footprint, LevelReport, Machine, Plan, Report};
use crate::load::{
    ComparedArm, ComparedLevel, Ended, Failure, Fault, Level, LevelRun, Load, Measured, Outcome,
    OutputLen, Parity, Record, Stats, Usage,
};

const REUSE: &str = "no prompt comes twice";

/// An answer of 11 tokens: 10 ms for the first one and 10 ms for the rest, in times `scale`.
fn answer(scale: f64, text: &str, cached_tokens: Option<u64>) -> Outcome {
    let ms = |ms: f64| Duration::from_secs_f64(ms * scale / 1e3);
    Outcome::Done(Record {
        lag: Duration::ZERO,
        chunks: vec![ms(10.0), ms(20.0)],
        total: ms(25.0),
        finish_reason: Some("length".to_owned()),
        fingerprint: cached_tokens.map(|_| "v1".to_owned()),
        usage: Some(Usage { prompt_tokens: Some(40), completion_tokens: Some(11), cached_tokens }),
        is_short: false,
        text: text.to_owned(),
        reasoning: String::new(),
        tool_calls: String::new(),
    })
}

fn run(round: usize, scale: f64, outcomes: [Outcome; 2]) -> LevelRun {
    let measured = |(request, outcome)| Measured {
        request,
        due: Duration::ZERO,
        outcome,
        input_sha256: Some([round as u8; 32]),
    };
    LevelRun {
        warm_up: Vec::new(),
        measured: outcomes.into_iter().enumerate().map(measured).collect(),
        wall: Duration::from_secs_f64(0.05 * scale),
        ended: Ended::Complete,
        inputs_sha256: format!("{round:02}").repeat(32),
    }
}

/// What was measured, the second arm `slowness` times as slow as the first one.
pub(super) fn compared(slowness: u32) -> ComparedLevel {
    let slow = f64::from(slowness);
    let cached = |scale| answer(scale, "same", Some(3));
    let first =
        vec![run(0, 1.0, [cached(1.0), cached(1.0)]), run(1, 1.1, [cached(1.1), cached(1.1)])];
    let uncached = |scale, text| answer(scale * slow, text, None);
    let fault = Fault::Connect("refused".to_owned());
    let failed = Outcome::Failed(Failure { fault, after: Duration::from_millis(1), num_chunks: 0 });
    let second = vec![
        run(0, slow, [uncached(1.0, "same"), uncached(1.0, "sane")]),
        run(1, 1.1 * slow, [uncached(1.1, "same"), failed]),
    ];
    let parity = Some(Parity::of(&first, &second));
    let arm = |name: &str, runs, parity| ComparedArm { name: name.to_owned(), runs, parity };
    let clients = NonZeroUsize::new(2).unwrap();
    ComparedLevel {
        level: Level {
            load: Load::Clients(clients),
            requests: clients,
            warm_up: 2,
            output: output(),
            first_conversation: 0,
        },
        arms: vec![arm("native", first, None), arm("llama", second, parity)],
        ended: Ended::Complete,
    }
}

fn output() -> OutputLen {
    OutputLen::Exact(11.try_into().unwrap())
}

/// The report of a slowness of 2.
pub(super) fn report() -> Report {
    report_of(2)
}

pub(super) fn report_of(slowness: u32) -> Report {
    let used = Footprint { peak_bytes: 200_000_000, cpu_s: 3.0, wall_s: 2.0 };
    let compared = compared(slowness);
    let level = LevelReport::of(&compared, REUSE, &[Some(used), None]);
    let arm = |name: &str, launcher: &str| ArmReport {
        name: name.to_owned(),
        launcher: launcher.to_owned(),
        model_id: format!("Some-Model-{name}"),
        family: "Some-Model".to_owned(),
        base_url: "http://127.0.0.1:81/v1".to_owned(),
        startup_s: Some(0.25),
        ready_when: "GET /health answers 200".to_owned(),
        ..ArmReport::default()
    };
    Report {
        russet: "0.1.0".to_owned(),
        begun: "2026-11-22 08:00:00 UTC".to_owned(),
        is_complete: true,
        machine: Machine { cpu: Some("A CPU".to_owned()), cores: 2, ..Machine::default() },
        plan: Plan {
            prompts: "unique: \"Hello\"".to_owned(),
            prompts_sha256: "ab".repeat(32),
            reuse: REUSE.to_owned(),
            output: output(),
            rounds: 2,
            loads: vec![level.load],
        },
        arms: vec![arm("native", "russet"), arm("llama", "llama")],
        levels: vec![level],
        notes: vec!["a note".to_owned()],
    }
}

/// Figures of no request.
pub(super) fn nothing() -> Stats {
    Stats::of_runs(&[])
}
