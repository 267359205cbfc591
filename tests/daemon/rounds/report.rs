//! The report of kill rounds: a line a network in a file, summed over all runs that appended to it.
//!
//! Knows no daemon. Invariant: a network whose line stands in the file is not run again.

use std::fs::{self, File};
use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;
use std::time::Instant;

/// What the rounds of one network came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) seed: u64,
    pub(super) rounds: u64,
    pub(super) acknowledged: u64,
    pub(super) doubtful: u64,
    pub(super) losses: u64,
}

/// All networks so far.
pub(super) struct Report {
    batches: Vec<Batch>,
    first: u64,
    path: Option<PathBuf>,
    begun: Instant,
}

impl Report {
    /// Goes on from what an earlier run has left in `DFSD_REPORT`, if anything.
    pub(super) fn open(first: u64) -> Self {
        let path = std::env::var_os("DFSD_REPORT").filter(|path| !path.is_empty());
        let path = path.map(PathBuf::from);
        let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let batches = text.lines().filter_map(parse).collect();
        Self { batches, first, path, begun: Instant::now() }
    }

    pub(super) fn rounds(&self) -> u64 {
        self.batches.iter().map(|batch| batch.rounds).sum()
    }

    /// The first that has not been run.
    pub(super) fn next_seed(&self) -> u64 {
        let last = self.batches.iter().map(|batch| batch.seed).max();
        last.map_or(self.first, |last| self.first.max(last + 1))
    }

    pub(super) fn add(&mut self, batch: &Batch) {
        self.batches.push(*batch);
        let Some(path) = &self.path else { return };
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{}", line(batch)).unwrap();
    }

    /// A live line, for a person who watches.
    pub(super) fn tick(&self, seed: u64, round: u64, (acknowledged, doubtful): (u64, u64)) {
        if stderr().is_terminal() {
            let all = self.rounds() + round;
            let seconds = self.begun.elapsed().as_secs();
            eprint!(
                "\rround {all}, network {seed}: {acknowledged} acknowledged, {doubtful} in doubt, {seconds} s "
            );
        }
    }

    pub(super) fn summary(&self) {
        let sum = |field: fn(&Batch) -> u64| self.batches.iter().map(field).sum::<u64>();
        println!(
            "{} rounds of kill -9 on {} networks, seeds {} to {}: {} acknowledged, {} in doubt, {} lost; {:.1} s of this run",
            self.rounds(),
            self.batches.len(),
            self.batches.first().map_or(0, |batch| batch.seed),
            self.next_seed() - 1,
            sum(|batch| batch.acknowledged),
            sum(|batch| batch.doubtful),
            sum(|batch| batch.losses),
            self.begun.elapsed().as_secs_f32(),
        );
    }
}

fn line(batch: &Batch) -> String {
    let Batch { seed, rounds, acknowledged, doubtful, losses } = batch;
    format!(
        "seed {seed} rounds {rounds} acknowledged {acknowledged} doubtful {doubtful} losses {losses}"
    )
}

fn parse(line: &str) -> Option<Batch> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let field = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse().ok()
    };
    Some(Batch {
        seed: field("seed")?,
        rounds: field("rounds")?,
        acknowledged: field("acknowledged")?,
        doubtful: field("doubtful")?,
        losses: field("losses")?,
    })
}

#[test]
fn a_line_says_what_it_was_made_of() {
    let batch = Batch { seed: 3, rounds: 100, acknowledged: 9_000, doubtful: 70, losses: 1 };
    assert_eq!(parse(&line(&batch)), Some(batch));
    assert_eq!(parse("nothing of the kind"), None);
}
