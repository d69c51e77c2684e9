//! Several servers under the same levels, in turn.

use std::num::NonZeroUsize;

use super::{Cancel, Client, Ended, Error, Level, LevelRun, Parity, Prompts};

/// Several servers under the same levels, in turn: what a machine's speed does in the meantime
/// meets all of them.
#[derive(Debug)]
pub struct Comparison {
    clients: Vec<Client>,
    prompts: Prompts,
    rounds: NonZeroUsize,
}

/// Which run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn<'a> {
    /// Which of the levels, from 0.
    pub level: usize,
    /// Which round of it, from 0.
    pub round: usize,
    /// Name of the server.
    pub arm: &'a str,
}

/// What became of one level.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedLevel {
    /// The level as it was in the first round.
    pub level: Level,
    /// One for each server, in their order.
    pub arms: Vec<ComparedArm>,
    /// Whether all servers ran all rounds to the end.
    pub ended: Ended,
}

/// One server's runs of a level.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedArm {
    /// The server's name.
    pub name: String,
    /// Its runs by round.
    pub runs: Vec<LevelRun>,
    /// Its answers beside the first server's; of the first one itself there is none.
    pub parity: Option<Parity>,
}

impl Comparison {
    /// Errors if there are fewer than two servers, or two of one name.
    pub fn new(
        clients: Vec<Client>,
        prompts: Prompts,
        rounds: NonZeroUsize,
    ) -> Result<Self, Error> {
        let names: Vec<&str> = clients.iter().map(|client| client.arm().name.as_str()).collect();
        if names.len() < 2 {
            return Err(Error::TooFewArms { found: names.len() });
        }
        if let Some(at) = (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
            return Err(Error::SameName { name: names[at].to_owned() });
        }
        Ok(Self { clients, prompts, rounds })
    }

    /// Runs each level on the servers in turn, A B A B for two rounds of two, and tells `watch`
    /// whose turn it is.
    ///
    /// In each round all are asked the same, and no prompt of one round or level comes in another.
    /// A level's [`first_conversation`](Level::first_conversation) is raised as far as that needs.
    /// Once cancelled, what has been measured is returned; the level that was under way says so and
    /// later ones are missing.
    pub async fn run(
        &self,
        levels: &[Level],
        cancel: &Cancel,
        watch: &mut (dyn FnMut(Turn<'_>) + Send),
    ) -> Result<Vec<ComparedLevel>, Error> {
        let mut compared = Vec::new();
        let mut next_conversation = 0;
        for (number, level) in levels.iter().enumerate() {
            if cancel.is_cancelled() {
                break;
            }
            let first_conversation = level.first_conversation.max(next_conversation);
            let level = Level { first_conversation, ..*level };
            let mut announce = |round, arm: &str| watch(Turn { level: number, round, arm });
            compared.push(self.run_level(level, cancel, &mut announce).await?);
            let num_rounds = self.rounds.get() as u64;
            next_conversation =
                first_conversation + num_rounds * level.num_conversations(&self.prompts);
        }
        Ok(compared)
    }

    async fn run_level(
        &self,
        level: Level,
        cancel: &Cancel,
        announce: &mut (dyn FnMut(usize, &str) + Send),
    ) -> Result<ComparedLevel, Error> {
        let mut runs: Vec<Vec<LevelRun>> = vec![Vec::new(); self.clients.len()];
        let mut this_round = level;
        let mut num_runs = 0;
        for round in 0..self.rounds.get() {
            for (client, runs) in self.clients.iter().zip(&mut runs) {
                if cancel.is_cancelled() {
                    break;
                }
                announce(round, &client.arm().name);
                runs.push(this_round.run(client, &self.prompts, cancel).await?);
                num_runs += 1;
            }
            this_round.first_conversation += level.num_conversations(&self.prompts);
        }
        let num_missing = self.rounds.get() * self.clients.len() - num_runs;
        let ended = ended(&level, runs.iter().flatten(), num_missing);
        let parity: Vec<Option<Parity>> = (0..runs.len())
            .map(|arm| (arm > 0).then(|| Parity::of(&runs[0], &runs[arm])))
            .collect();
        let names = self.clients.iter().map(|client| client.arm().name.clone());
        let arms = names.zip(runs).zip(parity);
        let arms = arms.map(|((name, runs), parity)| ComparedArm { name, runs, parity });
        Ok(ComparedLevel { level, arms: arms.collect(), ended })
    }
}

/// Early if any run was, or is missing altogether.
fn ended<'a>(level: &Level, runs: impl Iterator<Item = &'a LevelRun>, num_missing: usize) -> Ended {
    let mut is_early = num_missing > 0;
    let mut all_unsent = num_missing * level.requests.get();
    for run in runs {
        if let Ended::Early { unsent } = run.ended {
            is_early = true;
            all_unsent += unsent;
        }
    }
    if is_early { Ended::Early { unsent: all_unsent } } else { Ended::Complete }
}
