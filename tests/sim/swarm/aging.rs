//! Aging: in most runs a network keeps little of the past, and time passes between bouts of load: so that versions expire,
//! blocks are collected and logs compacted under every fault.
//!
//! Runs nothing. Invariant: what it says depends on the seed alone, by dice of its own, so that the rest of a plan is what it
//! was.

use dfsd::limits::{EXPIRY_STEP, SUPERSEDED_MIN};
use dfsd::wire::settings::Setting;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// The load goes on for so long at most before the next step of the calendar, by which things expire.
const BEFORE_STEP_MS: u64 = 1_500;

/// What a network is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) struct Keeps {
    pub retention: Duration,
    pub grace: Duration,
}

impl Keeps {
    fn of(dice: &mut ChaCha8Rng) -> Self {
        let retention = [0, 0, 0, 15, 40, 90][dice.random_range(0..6)];
        let grace = [0, 0, 10, 60][dice.random_range(0..4)];
        Self { retention: Duration::from_secs(retention), grace: Duration::from_secs(grace) }
    }

    pub(super) fn settings(self) -> Vec<Setting> {
        vec![Setting::Retention(self.retention), Setting::Grace(self.grace)]
    }

    /// After this long a version that was superseded has expired, by a node's own calendar.
    pub(super) fn life(self) -> Duration {
        self.retention.max(SUPERSEDED_MIN) + EXPIRY_STEP
    }

    /// After this long what nobody has ever named is collected, if nothing goes on.
    pub(super) fn all_gone(self) -> Duration {
        self.life() + self.grace.max(Duration::from_secs(60)) * 2
    }
}

/// The time that passes between two bouts of load.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Leap {
    /// It ends so long before a step.
    pub before_step: Duration,
    /// Faults that have begun pass after it, and not in it.
    pub holds_faults: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Aging {
    /// Before the load.
    pub first: Keeps,
    /// After the first leap.
    pub then: Option<Keeps>,
    pub leaps: Vec<Leap>,
    /// In the end it is waited for longer than anybody counts on what he was served.
    pub waits_long: bool,
}

impl Aging {
    /// The aging of a seed, if it has one.
    pub(super) fn of(seed: u64) -> Option<Self> {
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ 0xa9e0_0000_0000_0000);
        if dice.random_range(0..5) == 0 {
            return None;
        }
        let first = Keeps::of(&mut dice);
        let then = (dice.random_range(0..3) == 0).then(|| Keeps::of(&mut dice));
        let leaps = (0..dice.random_range(1..3)).map(|_| Leap {
            before_step: Duration::from_millis(dice.random_range(0..BEFORE_STEP_MS)),
            holds_faults: dice.random_bool(0.5),
        });
        let leaps = leaps.collect();
        Some(Self { first, then, leaps, waits_long: dice.random_range(0..4) == 0 })
    }

    /// What is set at last.
    pub(super) fn last(&self) -> Keeps {
        self.then.unwrap_or(self.first)
    }
}
