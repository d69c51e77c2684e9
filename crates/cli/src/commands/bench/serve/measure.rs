//! The measurement: levels and rounds, whose turn it is, and what each engine uses meanwhile.

use std::num::NonZeroUsize;

use anyhow::Result;
use russet_bench::load::{Cancel, ComparedLevel, Comparison, Ended, Level, Load, Turn};
use russet_bench::servers::{Footprint, Meter};

use super::start::Engine;
use crate::progress::Steps;
use crate::settings::Planned;

/// What was measured.
pub(super) struct Measured {
    pub(super) levels: Vec<ComparedLevel>,
    /// What each engine used under each level.
    pub(super) footprints: Vec<Vec<Option<Footprint>>>,
    /// Whether nobody stopped it.
    pub(super) is_complete: bool,
}

/// Runs every level on every engine, in turn.
pub(super) async fn all(
    engines: &[Engine],
    planned: &Planned,
    cancel: &Cancel,
) -> Result<Measured> {
    let levels = levels(planned);
    let clients = engines.iter().map(|engine| engine.client.clone()).collect();
    let comparison = Comparison::new(clients, planned.prompts.clone(), planned.rounds)?;
    let mut watch = Watch {
        engines,
        meter: Meter::new()?,
        bar: Steps::new(levels.len() * planned.rounds.get() * engines.len()),
        rounds: planned.rounds,
        loads: &planned.plan.loads,
        footprints: vec![vec![None; engines.len()]; levels.len()],
        current: None,
    };
    let ran = comparison.run(&levels, cancel, &mut |turn| watch.begin(turn)).await;
    let footprints = watch.end();
    let ran = ran?;
    let all_ran = ran.len() == levels.len();
    let is_complete = all_ran && ran.iter().all(|level| level.ended == Ended::Complete);
    Ok(Measured { levels: ran, footprints, is_complete })
}

fn levels(planned: &Planned) -> Vec<Level> {
    let turns = planned.prompts.num_turns();
    let loads = planned.plan.loads.iter().zip(&planned.conversations);
    let level = |(&load, &(measured, warm_up)): (&Load, &(NonZeroUsize, usize))| Level {
        load,
        requests: measured.saturating_mul(turns),
        warm_up: warm_up.saturating_mul(turns.get()),
        output: planned.plan.output,
        first_conversation: 0,
    };
    loads.map(level).collect()
}

struct Watch<'a> {
    engines: &'a [Engine],
    meter: Meter,
    bar: Steps,
    rounds: NonZeroUsize,
    loads: &'a [Load],
    footprints: Vec<Vec<Option<Footprint>>>,
    /// The level and the engine that are running.
    current: Option<(usize, usize)>,
}

impl Watch<'_> {
    fn begin(&mut self, turn: Turn<'_>) {
        let engine = self.engines.iter().position(|engine| engine.name() == turn.arm);
        let group = engine.and_then(|engine| self.engines[engine].group());
        self.end_turn(group);
        self.current = engine.map(|engine| (turn.level, engine));
        let load = match self.loads[turn.level] {
            Load::Clients(clients) => format!("concurrency {clients}"),
            Load::Rate { per_s, .. } => format!("{per_s} requests/s"),
        };
        let (round, rounds, arm) = (turn.round + 1, self.rounds, turn.arm);
        self.bar.say(format!("{load}, round {round} of {rounds}: {arm}"));
    }

    /// What the running engine used counts as its own; from now on `next` is watched.
    fn end_turn(&mut self, next: Option<u32>) {
        let used = self.meter.watch(next);
        let Some((level, engine)) = self.current.take() else { return };
        self.bar.step();
        let sum = &mut self.footprints[level][engine];
        *sum = match (*sum, used) {
            (Some(before), Some(used)) => Some(before.and(used)),
            (before, used) => before.or(used),
        };
    }

    fn end(mut self) -> Vec<Vec<Option<Footprint>>> {
        self.end_turn(None);
        self.bar.finish();
        self.footprints
    }
}
