//! What one seed means: how many nodes, which faults, how long, how much load.
//!
//! Runs nothing. Invariant: a plan depends on the seed alone, by a generator of its own, so that more dice in the world
//! do not change the plans.

use super::adversary::Adversary;
use super::aging::Aging;
use super::bulk::Bulk;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// Whether all that is promised must hold in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Promise {
    /// The faults are such as the product promises to survive.
    Kept,
    /// More is destroyed than that: what is lost may be lost, but nothing false, secret or half may be shown.
    Beyond,
}

/// One kind of fault. A seed has some of them: with all at once, some would hide what others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::sim) enum Kind {
    Kill,
    PowerCut,
    Stop,
    Partition,
    OneWay,
    SlowLine,
    Reset,
    HalfOpen,
    Freeze,
    SlowPeer,
    SlowDisk,
    DiskFull,
    NoSpaceOnce,
    DiskError,
    Skew,
    Jump,
    Rot,
    LostWrite,
    Misdirected,
    Wipe,
    Late,
}

impl Kind {
    pub(in crate::sim) const ALL: [Self; 21] = [
        Self::Kill,
        Self::PowerCut,
        Self::Stop,
        Self::Partition,
        Self::OneWay,
        Self::SlowLine,
        Self::Reset,
        Self::HalfOpen,
        Self::Freeze,
        Self::SlowPeer,
        Self::SlowDisk,
        Self::DiskFull,
        Self::NoSpaceOnce,
        Self::DiskError,
        Self::Skew,
        Self::Jump,
        Self::Rot,
        Self::LostWrite,
        Self::Misdirected,
        Self::Wipe,
        Self::Late,
    ];

    /// Whether it lets a disk say that what it did not do is done.
    fn lies(self) -> bool {
        matches!(self, Self::LostWrite | Self::Misdirected)
    }

    /// Whether it destroys what a disk has said is durable.
    pub(in crate::sim) fn destroys(self) -> bool {
        matches!(self, Self::Rot | Self::LostWrite | Self::Misdirected | Self::Wipe)
    }
}

/// How much a client asks for.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Mix {
    /// Names that all clients share.
    pub names: usize,
    /// Of a hundred puts, so many have more than a block.
    pub large: usize,
    /// Of a hundred operations, so many delete.
    pub deletes: usize,
    /// Of a hundred operations, so many read.
    pub reads: usize,
}

/// All that a seed decides before the run.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Plan {
    pub seed: u64,
    /// From the start; `Kind::Late` adds one.
    pub nodes: usize,
    pub clients: usize,
    /// How long there are load and faults.
    pub length: Duration,
    pub kinds: Vec<Kind>,
    /// Between two faults, at most.
    pub gap: Duration,
    pub promise: Promise,
    pub mix: Mix,
    pub adversary: Option<Adversary>,
    pub aging: Option<Aging>,
    /// Whether loops do at once what they can, as those of daemons, or leave all to workers.
    pub at_once: bool,
}

/// As long as nobody says otherwise; most are cut to half of it, since more seeds find more than longer ones.
const LENGTH_MS: std::ops::Range<u64> = 2_000..8_000;

impl Plan {
    pub(in crate::sim) fn of(seed: u64, seconds: Option<u64>) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed_0000_0000_0000);
        let nodes = 3 + [0, 0, 0, 0, 1, 1, 2, 3, 4, 2][dice.random_range(0..10)];
        let length = match seconds {
            Some(seconds) => Duration::from_secs(seconds),
            None => Duration::from_millis(dice.random_range(LENGTH_MS)),
        };
        let mut kinds = Kind::ALL.to_vec();
        kinds.shuffle(&mut dice);
        kinds.truncate([0, 1, 2, 3, 3, 4, 5, 6, 8, 12][dice.random_range(0..10)]);
        if dice.random_range(0..3) > 0 {
            // A lie takes a seed's liveness away.
            kinds.retain(|kind| !kind.lies());
        }
        kinds.sort_unstable();
        let promise = match dice.random_range(0..4) {
            // A write that is lost when only this disk has it is more than is promised.
            _ if kinds.iter().any(|kind| kind.lies()) => Promise::Beyond,
            0 if kinds.iter().any(|kind| kind.destroys()) => Promise::Beyond,
            _ => Promise::Kept,
        };
        let mut plan = Self {
            seed,
            nodes,
            clients: dice.random_range(2..6),
            length,
            kinds,
            gap: Duration::from_millis([50, 200, 500, 1_000, 2_000][dice.random_range(0..5)]),
            promise,
            mix: Mix {
                names: [2, 4, 8, 20][dice.random_range(0..4)],
                large: [0, 1, 2, 5][dice.random_range(0..4)],
                deletes: [0, 10, 25][dice.random_range(0..3)],
                reads: [5, 30, 60][dice.random_range(0..3)],
            },
            adversary: Adversary::of(seed),
            aging: Aging::of(seed),
            at_once: ChaCha8Rng::seed_from_u64(seed ^ 0x10ca_1000_0000_0000).random_bool(0.5),
        };
        if Bulk::of(seed).is_some() {
            // Much of it is to be on its way when somebody takes nothing.
            let kind = [Kind::Partition, Kind::Freeze, Kind::SlowPeer][dice.random_range(0..3)];
            plan.kinds = vec![kind];
            plan.gap = Duration::from_millis(200);
            plan.promise = Promise::Kept;
        }
        if seconds.is_none() && dice.random_range(0..4) > 0 {
            plan.length /= 2;
        }
        plan
    }

    /// The same without time that passes, as before there was such.
    pub(in crate::sim) fn without_aging(self) -> Self {
        Self { aging: None, ..self }
    }
}
