//! The schedule: which operation comes next, when it is meant to begin, and when there are enough.
//!
//! Knows no connection. Invariant: of one seed the operations are the same, whatever they meet; a key is read or deleted only
//! once it was stored.

use super::amount::Amount;
use super::args::{Load, Workload};
use super::choice::Chooser;
use super::content::{self, Content};
use crate::time::Instant;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::collections::VecDeque;
use std::time::Duration;

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlannedOp {
    /// Store this version of this key.
    Put(Content),
    /// Read this key.
    Get(u64),
    /// Delete this key.
    Delete(u64),
    /// List all names.
    List,
}

impl PlannedOp {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Put(_) => "put",
            Self::Get(_) => "get",
            Self::Delete(_) => "delete",
            Self::List => "list",
        }
    }
}

/// What bounds a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) ops: Option<u64>,
    pub(super) duration: Option<Duration>,
    /// Operations a second, of an open loop.
    pub(super) rate: Option<f64>,
}

impl Bounds {
    pub(super) fn of(load: &Load) -> Self {
        let usual = load.ops.is_none().then_some(Duration::from_secs(10));
        Self { ops: load.ops, duration: load.duration.or(usual), rate: load.rate }
    }

    /// So many operations, as fast as they go.
    pub(super) fn count(ops: u64) -> Self {
        Self { ops: Some(ops), duration: None, rate: None }
    }
}

/// All keys of a run, and the operations that concern them.
#[derive(Debug)]
pub(super) struct Schedule {
    seed: u64,
    amount: Amount,
    rng: ChaCha8Rng,
    /// The newest version of each key that was begun.
    versions: Vec<u64>,
    chooser: Chooser,
    /// Keys that were stored and that nobody but a deletion will ask for.
    doomed: VecDeque<u64>,
    prepared: u64,
    to_delete: u64,
}

impl Schedule {
    pub(super) fn new(load: &Load, keys: u64) -> Self {
        let count = usize::try_from(keys).unwrap_or(usize::MAX).max(1);
        Self {
            seed: load.seed,
            amount: load.size,
            rng: ChaCha8Rng::seed_from_u64(load.seed),
            versions: Vec::new(),
            chooser: Chooser::new(load.popularity, count),
            doomed: VecDeque::new(),
            prepared: keys,
            to_delete: 0,
        }
    }

    pub(super) fn name(&self, key: u64) -> Vec<u8> {
        content::name(self.seed, key)
    }

    /// How many names there are.
    pub(super) fn names(&self) -> u64 {
        self.versions.len() as u64
    }

    /// A version's bytes, of which even the size depends on nothing but the seed.
    pub(super) fn content(&self, key: u64, version: u64) -> Content {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ key.rotate_left(20) ^ version << 48);
        Content { seed: self.seed, key, version, size: self.amount.draw(&mut rng) }
    }

    /// The versions of a key that a reader may see, newest first.
    pub(super) fn candidates(&self, key: u64) -> impl Iterator<Item = Content> {
        let newest = usize::try_from(key).ok().and_then(|key| self.versions.get(key));
        let newest = newest.copied().unwrap_or(0);
        (1..=newest).rev().map(move |version| self.content(key, version))
    }

    /// A key that nobody has stored yet.
    pub(super) fn put_new(&mut self) -> PlannedOp {
        let key = self.versions.len() as u64;
        self.versions.push(1);
        PlannedOp::Put(self.content(key, 1))
    }

    /// A put is durable.
    pub(super) fn stored(&mut self, key: u64) {
        if key >= self.prepared {
            self.doomed.push_back(key);
        }
    }

    /// The next op of this workload; none if there is nothing left to do it to.
    pub(super) fn next(&mut self, workload: Workload) -> Option<PlannedOp> {
        match workload {
            Workload::Put => Some(self.put_new()),
            Workload::Get | Workload::Idle => Some(self.get()),
            Workload::Overwrite => Some(self.overwrite()),
            Workload::List => Some(PlannedOp::List),
            Workload::Delete => {
                let key = self.to_delete;
                self.to_delete += 1;
                (key < self.prepared).then_some(PlannedOp::Delete(key))
            }
            Workload::Mixed => Some(match self.rng.random_range(0..100) {
                0..65 => self.get(),
                65..85 => self.put_new(),
                85..95 => self.overwrite(),
                _ => match self.doomed.pop_front() {
                    Some(key) => PlannedOp::Delete(key),
                    None => self.get(),
                },
            }),
            // A connection is its own op.
            Workload::Connect => None,
        }
    }

    fn get(&mut self) -> PlannedOp {
        PlannedOp::Get(self.chooser.draw(&mut self.rng) as u64)
    }

    fn overwrite(&mut self) -> PlannedOp {
        let key = self.chooser.draw(&mut self.rng);
        self.versions[key] += 1;
        PlannedOp::Put(self.content(key as u64, self.versions[key]))
    }
}

/// When operations are meant to begin.
#[derive(Debug)]
pub(super) struct Clock {
    bounds: Bounds,
    start: Instant,
    begun: u64,
}

impl Clock {
    pub(super) fn new(bounds: Bounds, start: Instant) -> Self {
        Self { bounds, start, begun: 0 }
    }

    /// When the next operation is meant to begin; none if there are enough.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        if self.bounds.ops.is_some_and(|ops| self.begun >= ops) {
            return None;
        }
        let at = match self.bounds.rate {
            #[allow(clippy::cast_precision_loss, reason = "2^52 operations take too long")]
            Some(rate) => self.start + Duration::from_secs_f64(self.begun as f64 / rate),
            None => now,
        };
        self.end().is_none_or(|end| at < end).then_some(at)
    }

    /// When no more operations are begun.
    pub(super) fn end(&self) -> Option<Instant> {
        self.bounds.duration.map(|duration| self.start + duration)
    }

    /// One was begun.
    pub(super) fn begun(&mut self) {
        self.begun += 1;
    }

    /// So many are meant in all, if that is known.
    pub(super) fn whole(&self) -> Option<u64> {
        self.bounds.ops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_keeps_its_intended_times() {
        let bounds = Bounds { ops: Some(3), duration: None, rate: Some(100.0) };
        let mut clock = Clock::new(bounds, Instant(1_000_000));
        let mut intended = Vec::new();
        // However late it is.
        while let Some(at) = clock.next(Instant(9_000_000)) {
            intended.push(at.0);
            clock.begun();
        }
        assert_eq!(intended, [1_000_000, 1_010_000, 1_020_000]);
    }

    #[test]
    fn a_closed_loop_ends_with_its_time() {
        let bounds = Bounds { ops: None, duration: Some(Duration::from_secs(1)), rate: None };
        let clock = Clock::new(bounds, Instant(0));
        assert_eq!(clock.next(Instant(999_999)), Some(Instant(999_999)));
        assert_eq!(clock.next(Instant(1_000_000)), None);
    }
}
