//! Timers: what is due, and when.
//!
//! Knows no clock. Invariant: what is due at one time comes in the order in which it was set. Timers are never cancelled:
//! one that is out of date finds nothing to do.

use super::ask::PageAsked;
use super::output::Link;
use crate::time::Instant;
use std::collections::BTreeMap;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The open group has waited long enough.
    Window,
    /// Has this connection, of which leaves were wanted, been unresponsive?
    Unresponsive(Link),
    /// Does this node bring what is wanted of it fast enough?
    Pace(Link),
    /// Whoever has not answered for this query will not be waited for.
    Query(u64),
    /// A peer was asked for a page.
    PageAsked(PageAsked),
    /// Try again what could not be fetched.
    Retry,
    /// Tell this peer that something has come which it may have asked for.
    News(Link),
    /// Some peer is due to be dialled.
    Redial,
    /// Go on with what this peer is to be sent.
    Push(Link),
    /// Compare with this peer.
    Reconcile(Link),
    /// Is this connection still there, whose node has another one? It was asked by this.
    Instance(Link, u32),
    /// Write the peers down.
    PeersFile,
    /// Does anybody not take what was read for him?
    Stalled,
    /// The disk had no room: has it now?
    Room,
    /// The compaction goes on.
    Compact,
    /// Something has expired.
    Expire,
    /// Go on with collection.
    Collect,
    /// Stop waiting for work to finish.
    Drain,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Timers {
    next_serial: u64,
    due: BTreeMap<(Instant, u64), Timer>,
}

impl Timers {
    /// One more.
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.next_serial += 1;
        self.due.insert((at, self.next_serial), timer);
    }

    /// When the first is due.
    pub(super) fn first(&self) -> Option<Instant> {
        self.due.keys().next().map(|(instant, _)| *instant)
    }

    /// The first of those that are due, and when it was.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        let first = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some((first.key().0, first.remove()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_nothing_before_its_time() {
        let mut timers = Timers::default();
        timers.set(Instant(7), Timer::Retry);
        timers.set(Instant(5), Timer::Redial);
        timers.set(Instant(7), Timer::Stalled);
        assert_eq!(timers.first(), Some(Instant(5)));
        assert_eq!(timers.take_due(Instant(4)), None);
        assert_eq!(timers.take_due(Instant(7)), Some((Instant(5), Timer::Redial)));
        assert_eq!(timers.take_due(Instant(7)), Some((Instant(7), Timer::Retry)));
        assert_eq!(timers.take_due(Instant(7)), Some((Instant(7), Timer::Stalled)));
        assert_eq!((timers.take_due(Instant(9)), timers.first()), (None, None));
    }
}
