//! Whether and when a program that ended is started again.

use std::time::Duration;

use super::spec::doubled;
use super::{Spec, WhenEnded};

/// What happened to one program so far.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    was_ready: bool,
    /// Since the program last was stable.
    in_a_row: u32,
    /// Since the program last was ready.
    pub(super) failed_starts: u32,
    last_pause: Duration,
}

/// The next start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Restart {
    pub(super) attempt: u32,
    pub(super) pause: Duration,
}

impl Restarts {
    /// After a run that was ready for so long, or never: the next start, if there is one.
    pub(super) fn after(&mut self, ready_for: Option<Duration>, spec: &Spec) -> Option<Restart> {
        let timing = &spec.timing;
        match ready_for {
            Some(time) => {
                self.was_ready = true;
                self.failed_starts = 0;
                if time >= timing.stable_after {
                    self.in_a_row = 0;
                }
            }
            None => self.failed_starts += 1,
        }
        // What never worked will hardly do so the next time.
        if !self.was_ready || self.failed_starts >= spec.max_failed_starts {
            return None;
        }
        if spec.when_ended == WhenEnded::GiveUp {
            return None;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last_pause = match self.in_a_row {
            1 => timing.restart_first,
            _ => doubled(self.last_pause, timing.restart_max),
        };
        Some(Restart { attempt: self.in_a_row, pause: self.last_pause })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::Guard;
    use super::super::guard::Kind;
    use super::*;
    use crate::Launcher;

    const NOT_LONG: Option<Duration> = Some(Duration::from_secs(59));

    fn spec() -> Spec {
        let launcher = Launcher { program: PathBuf::from("program"), arguments: Vec::new() };
        let guard = Guard { launcher: launcher.clone(), kind: Kind::Stay };
        Spec::new(guard, launcher, |_| Vec::new())
    }

    #[test]
    fn the_first_start_is_not_repeated() {
        assert_eq!(Restarts::default().after(None, &spec()), None);
    }

    #[test]
    fn what_is_to_stay_ended_does() {
        let spec = Spec { when_ended: WhenEnded::GiveUp, ..spec() };
        assert_eq!(Restarts::default().after(NOT_LONG, &spec), None);
    }

    #[test]
    fn pauses_grow_until_the_program_is_stable() {
        let mut restarts = Restarts::default();
        let mut next = |ready_for| {
            let Restart { attempt, pause } = restarts.after(ready_for, &spec()).unwrap();
            (attempt, pause.as_millis())
        };
        let pauses = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000];
        for (attempt, pause) in (1..).zip(pauses) {
            assert_eq!(next(NOT_LONG), (attempt, pause));
        }
        assert_eq!(next(Some(Duration::from_secs(60))), (1, 500));
        assert_eq!(next(NOT_LONG), (2, 1000));
    }

    #[test]
    fn failed_starts_in_a_row_are_counted() {
        let mut restarts = Restarts::default();
        for _ in 0..2 {
            assert!(restarts.after(NOT_LONG, &spec()).is_some());
            for _ in 1..5 {
                assert!(restarts.after(None, &spec()).is_some());
            }
        }
        assert_eq!(restarts.after(None, &spec()), None);
        assert_eq!(restarts.failed_starts, 5);
    }
}
