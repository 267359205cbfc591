//! Schedule: when a cycle of collection begins.
//!
//! A mark reads all records, so it waits until there is something to gain: many of them have expired, or some have and the
//! last mark is over for many times as long as it took. Whatever else has become garbage without anybody's knowing is found
//! by one cycle after things have been written and some time has passed. Keeps numbers only. Invariant: where nothing has
//! been written or expired since the last cycle none begins, but for what was relied on then, or was too young.

use super::Void;
use crate::limits::SERVED_IDLE;
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::time::Instant;
use std::time::Duration;

/// After a start others go first.
pub(super) const AFTER_START: Duration = Duration::from_secs(10);
/// Between two cycles.
const GAP: Duration = Duration::from_secs(1);
/// It is many if it is one record of so many.
const SHARE: u64 = 8;
/// So many times as long as a mark takes it is waited before the next, if something is suspected.
const REST: u32 = 16;
/// And if nothing is.
const LONG_REST: u32 = 64;
/// If nothing is, it is waited for this long at least, or for the grace.
const QUIET_MIN: Duration = Duration::from_secs(60);
/// And no longer for the grace than this.
const QUIET_MAX: Duration = Duration::from_hours(1);
/// After a mark that was void it is waited for this long, twice as long after each further one, so many times.
const VOID: Duration = Duration::from_secs(10);
const VOID_DOUBLINGS: u32 = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Schedule {
    /// How many records had expired, and which group was the last, when the last cycle began.
    expired: u64,
    group: u64,
    began: Instant,
    /// How long the last mark took.
    took: Duration,
    ended: Instant,
    /// There may be garbage, whether records have expired or not.
    suspected: bool,
    /// Something was left since somebody relied on it.
    relied: bool,
    /// Marks that were void, one after the other, and the last group that was durable then, if they are void as long as
    /// nothing is written.
    voids: u32,
    void_group: Option<u64>,
    /// When what was spared for who reads it may go.
    read_until: Option<Instant>,
    /// When what was never named is a step of time older, and how long that step is.
    ages_at: Option<Instant>,
    /// How long such a step was when that was reckoned.
    step: Duration,
}

impl Schedule {
    /// A start does not know what is garbage.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            expired: 0,
            group: 0,
            began: now,
            took: Duration::ZERO,
            ended: now,
            suspected: true,
            relied: false,
            voids: 0,
            void_group: None,
            read_until: None,
            ages_at: None,
            step: Duration::ZERO,
        }
    }

    /// Looks what has happened.
    pub(super) fn watch(&mut self, cx: &mut Context) {
        self.suspected |= cx.reliance.take_let_down();
        // With a grace it is seen when that is over.
        let has_grace = !cx.index.settings.grace.is_zero();
        self.suspected |=
            cx.reliance.take_left() && !has_grace && cx.index.holdings.unnamed().0 > 0;
        if self.relied && cx.reliance.may_advance(&cx.index.holdings) {
            self.relied = false;
            self.suspected = true;
        }
        let step = step_of_time(cx);
        let before = self.step;
        let has_changed = self.ages_at.is_some()
            && std::mem::replace(&mut self.step, step) != step
            && !seeded::is_on(Bug::KeepGrace);
        if has_changed && step > before {
            // What is young has aged by shorter steps than it is to.
            cx.index.holdings.grow_young();
        }
        let is_first = cx.index.holdings.take_came_young() && self.ages_at.is_none();
        if has_changed || is_first {
            (self.ages_at, self.step) = (Some(cx.now.instant + step), step);
        }
        if self.ages_at.is_some_and(|at| at <= cx.now.instant) {
            self.suspected |= cx.index.holdings.grow_older();
            let goes_on = cx.index.holdings.has_young();
            self.ages_at = goes_on.then(|| cx.now.instant + step);
        }
    }

    /// There may be garbage.
    pub(super) fn suspect(&mut self) {
        self.suspected = true;
    }

    /// When `watch` is to be called at the latest.
    pub(super) fn ages_at(&self) -> Option<Instant> {
        self.ages_at
    }

    /// When the next cycle is to begin, as far as is known now.
    pub(super) fn due(&self, cx: &Context) -> Option<Instant> {
        if self.void_group == Some(cx.index.group) {
            return None;
        }
        let expired = cx.index.catalog.expirations() - self.expired;
        let wait = if expired > 0 && expired.saturating_mul(SHARE) >= cx.index.catalog.records() {
            GAP
        } else if expired > 0 || self.suspected {
            GAP.max(self.took * REST)
        } else if cx.index.group != self.group {
            quiet(cx).max(self.took * LONG_REST)
        } else {
            return self.read_until;
        };
        let void = match self.voids {
            0 => Duration::ZERO,
            voids => VOID * (1 << (voids - 1).min(VOID_DOUBLINGS)),
        };
        Some(self.ended + wait.max(void))
    }

    /// A cycle begins.
    pub(super) fn begin(&mut self, cx: &Context) {
        self.expired = cx.index.catalog.expirations();
        self.group = cx.index.group;
        self.began = cx.now.instant;
        self.suspected = false;
        self.relied = false;
        self.void_group = None;
    }

    /// Its mark has come by everything. `spares`: also by what nobody needs but who reads it.
    pub(super) fn marked(&mut self, cx: &Context, spares: bool) {
        self.read_until = spares.then(|| cx.now.instant + SERVED_IDLE);
        self.took = cx.now.instant.since(self.began);
        self.voids = 0;
    }

    /// Its mark was void, and what was suspected is.
    pub(super) fn void(&mut self, cx: &Context, why: Void) {
        self.voids = self.voids.saturating_add(1);
        self.suspected = true;
        self.ended = cx.now.instant;
        self.void_group = match why {
            Void::Damaged | Void::Page => Some(cx.index.group),
            Void::Unread => None,
        };
    }

    /// It has swept. `relied`: not all that was not marked.
    pub(super) fn end(&mut self, cx: &Context, relied: bool) {
        self.ended = cx.now.instant;
        self.relied = relied;
    }
}

/// What was never named is young for two to three of these.
pub(super) fn step_of_time(cx: &Context) -> Duration {
    (cx.index.settings.grace / 2).max(GAP)
}

fn quiet(cx: &Context) -> Duration {
    cx.index.settings.grace.clamp(QUIET_MIN, QUIET_MAX)
}

#[cfg(test)]
impl Schedule {
    /// When the last cycle began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }
}
