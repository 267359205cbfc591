//! Deadlines: for how long each operation may wait for the node.
//!
//! Knows no operation but by what is said of it here. Invariant: an operation that waits ends `OPERATION_TIMEOUT` after
//! it last came on; what moves for others puts that off, but only as long as it may lie ahead of what this one waits for,
//! and no longer than a slow line takes to carry it.

use crate::limits::{OPERATION_AHEAD, OPERATION_RATE, OPERATION_TIMEOUT};
use crate::seeded::{self, Bug};
use crate::time::Instant;
use std::time::Duration;

/// What has moved on a connection, for all its operations together.
#[derive(Debug)]
pub(super) struct Traffic {
    bytes: u64,
    last: Instant,
}

impl Traffic {
    pub(super) fn new(now: Instant) -> Self {
        Self { bytes: 0, last: now }
    }

    /// So many bytes of some operation came or left.
    pub(super) fn note(&mut self, now: Instant, bytes: usize) {
        self.bytes += bytes as u64;
        self.last = now;
    }

    /// For so long until now nobody could see what moves.
    pub(super) fn put_off(&mut self, now: Instant, away: Duration) {
        self.last = (self.last + away).min(now);
    }
}

/// What an operation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    ForProgram,
    ForNode {
        /// Bytes that the node owes to it and to others.
        ahead: u64,
    },
}

/// One operation's.
#[derive(Debug)]
pub(super) struct Deadline {
    /// It waits for the node, and not for the program.
    waits: bool,
    /// Since when it waits, or when it last came on.
    since: Instant,
    /// Until when others were served that may have been before it.
    excused: Instant,
    /// What had moved by `since`.
    moved: u64,
    /// Bytes that the node owed to others then.
    ahead: u64,
}

impl Deadline {
    /// Of an operation that begins.
    pub(super) fn new(now: Instant, traffic: &Traffic) -> Self {
        Self { waits: false, since: now, excused: now, moved: traffic.bytes, ahead: 0 }
    }

    /// It has come on; the node owes it and others so many bytes.
    pub(super) fn came_on(&mut self, now: Instant, traffic: &Traffic, ahead: u64) {
        *self = Self { waits: self.waits, ahead, ..Self::new(now, traffic) };
    }

    /// Whether it waits for the node from now on. Looks at what has moved for others, too.
    pub(super) fn update(&mut self, now: Instant, traffic: &Traffic, wait: Wait) {
        match wait {
            Wait::ForNode { ahead } if !self.waits => self.came_on(now, traffic, ahead),
            Wait::ForNode { .. } | Wait::ForProgram => {}
        }
        self.waits = wait != Wait::ForProgram;
        let others = traffic.bytes - self.moved;
        if others <= self.ahead + OPERATION_AHEAD || seeded::is_on(Bug::ExcuseBusy) {
            let carried = Duration::from_millis(others * 1000 / OPERATION_RATE);
            let latest = self.since + carried;
            let trusts = seeded::is_on(Bug::ExcuseTrickle);
            self.excused = if trusts { traffic.last } else { traffic.last.min(latest) };
        }
    }

    /// For so long until now nobody could see what the node did. What came meanwhile has been counted when it came.
    pub(super) fn put_off(&mut self, now: Instant, away: Duration) {
        self.since = (self.since + away).min(now);
        self.excused = (self.excused + away).min(now);
    }

    /// When it has waited for long enough; `None` if it does not wait.
    pub(super) fn at(&self) -> Option<Instant> {
        self.waits.then(|| self.since.max(self.excused) + OPERATION_TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant(1);

    fn after(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    /// An operation that waits from the start, while so many bytes a second move for others: when it ends.
    fn ends(ahead: u64, bytes_per_second: usize) -> u64 {
        let mut traffic = Traffic::new(START);
        let mut deadline = Deadline::new(START, &traffic);
        deadline.update(START, &traffic, Wait::ForNode { ahead });
        let silent = |second: &u64| {
            let now = after(*second);
            deadline.update(now, &traffic, Wait::ForNode { ahead });
            let is_due = deadline.at().is_some_and(|at| at <= now);
            if bytes_per_second > 0 {
                traffic.note(now, bytes_per_second);
            }
            is_due
        };
        (0..1_000_000).find(silent).expect("it ends")
    }

    #[test]
    fn an_operation_waits_no_longer_than_for_what_may_lie_ahead() {
        let silence = OPERATION_TIMEOUT.as_secs();
        assert_eq!(ends(0, 0), silence);
        assert_eq!(ends(1 << 40, 0), silence, "nothing moves");
        let fast = usize::try_from(OPERATION_AHEAD).unwrap();
        assert!(ends(0, fast) <= silence + 1, "more than can lie ahead");
        assert!(ends(4 * OPERATION_AHEAD, fast) <= silence + 6);
        let (rate, seconds) = (4 * OPERATION_RATE, OPERATION_AHEAD / (4 * OPERATION_RATE));
        let end = ends(0, usize::try_from(rate).unwrap());
        assert!((seconds..=seconds + silence + 1).contains(&end), "what lies ahead is waited for");
    }

    #[test]
    fn a_trickle_for_others_excuses_little() {
        let silence = OPERATION_TIMEOUT.as_secs();
        assert!(ends(1 << 40, usize::try_from(OPERATION_RATE / 2).unwrap()) <= 2 * silence + 1);
        assert!(ends(1 << 40, 1) <= silence + 1);
    }

    #[test]
    fn who_does_not_wait_is_not_late_and_time_away_is_not_the_nodes() {
        let traffic = Traffic::new(START);
        let mut deadline = Deadline::new(START, &traffic);
        assert_eq!(deadline.at(), None);
        deadline.update(after(100), &traffic, Wait::ForNode { ahead: 0 });
        assert_eq!(deadline.at(), Some(after(100) + OPERATION_TIMEOUT));
        deadline.put_off(after(150), Duration::from_secs(50));
        assert_eq!(deadline.at(), Some(after(150) + OPERATION_TIMEOUT));
        deadline.update(after(155), &traffic, Wait::ForProgram);
        assert_eq!(deadline.at(), None);
    }

    #[test]
    fn what_came_during_a_pause_is_not_excused_twice() {
        let mut traffic = Traffic::new(START);
        let mut deadline = Deadline::new(START, &traffic);
        let wait = Wait::ForNode { ahead: 0 };
        deadline.update(START, &traffic, wait);
        traffic.note(after(59), 1);
        deadline.came_on(after(59), &traffic, 0);
        let pause = Duration::from_secs(60);
        traffic.put_off(after(60), pause);
        deadline.put_off(after(60), pause);
        deadline.update(after(60), &traffic, wait);
        assert_eq!(deadline.at(), Some(after(70)));
    }
}
