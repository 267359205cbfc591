//! Pace: how fast a node brings what was asked of it.
//!
//! One that drips is left for another, which is asked for the leaves that have not come: leaves are independent. It is
//! remembered as slow for a while, and asked last. Invariant: nobody is left, however slow, for want of another.

use super::fetch::{Fetch, Stage};
use super::output::Link;
use super::peers::Peer;
use super::want::Interest;
use super::{FileServer, Timer};
use crate::ids::Address;
use crate::limits::{LEAVES_A_SECOND_MIN, PACE_PERIOD, PACE_PERIOD_ALONE, SLOW_FORGIVEN};
use crate::planted::{self, Bug};
use crate::time::{Instant, Now};
use std::collections::BTreeSet;
use std::time::Duration;

/// The pace of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    /// Since when leaves are counted: all the time some were waited for.
    from: Instant,
    /// Leaves that came since.
    leaves: u32,
    /// When it was last found slow.
    slow: Option<Instant>,
    /// A timer looks after it.
    watched: bool,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { from: now, leaves: 0, slow: None, watched: false }
    }

    /// Counting begins: something was asked of one that owed nothing.
    pub(super) fn begin(&mut self, now: Instant) {
        self.from = now;
        self.leaves = 0;
    }

    /// So many leaves have come, or were said not to be there.
    pub(super) fn bring(&mut self, leaves: u8) {
        self.leaves = self.leaves.saturating_add(leaves.into());
    }

    /// Whether it was slow not long ago.
    pub(super) fn is_slow(&self, now: Instant) -> bool {
        self.slow.is_some_and(|slow| now.since(slow) < SLOW_FORGIVEN)
    }

    /// Judges what has come in at least this time; false if it is too early to say. Counting begins anew.
    fn judge(&mut self, now: Instant, period: Duration) -> bool {
        let elapsed = now.since(self.from);
        if elapsed < period {
            return false;
        }
        let least = u128::from(LEAVES_A_SECOND_MIN) * elapsed.as_millis() / 1000;
        let is_slow = u128::from(self.leaves) < least;
        self.slow = is_slow.then_some(now);
        self.begin(now);
        is_slow
    }
}

impl FileServer {
    /// Something is asked of a connection that owed nothing.
    pub(super) fn watch_pace(&mut self, now: Now, link: Link) {
        let Some(peer) = self.peers.get_mut(&link).filter(|peer| peer.is_node()) else {
            return;
        };
        peer.pace.begin(now.instant);
        if !std::mem::replace(&mut peer.pace.watched, true) {
            self.after(now, PACE_PERIOD, Timer::Pace(link));
        }
    }

    /// A node of which leaves are wanted may bring them so slowly that another is asked instead. It is judged sooner while
    /// somebody waits for what it is to bring, and not while it is this node that takes nothing.
    pub(super) fn check_pace(&mut self, now: Now, link: Link) {
        let is_tight = self.is_tight().contains(&true);
        let owed = |fetch: &Fetch| fetch.source == Some(link) && fetch.stage == Stage::Asking;
        let is_read = |interest: &Interest| matches!(interest, Interest::Read(_));
        let mut fetches = self.fetches.by_address.values();
        let is_waited_for = fetches.any(|fetch| owed(fetch) && fetch.interests.iter().any(is_read));
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        peer.pace.watched = false;
        if peer.credit.outstanding == 0 || planted::is_on(Bug::TrustSlowSource) {
            return;
        }
        peer.pace.watched = true;
        let period = if is_waited_for { PACE_PERIOD } else { PACE_PERIOD_ALONE };
        if is_tight {
            peer.pace.begin(now.instant);
        } else if peer.pace.judge(now.instant, period) {
            log::debug!("connection {link} is slow; others are asked for what it has not brought");
            let fetches = self.fetches.by_address.iter().filter(|(_, fetch)| owed(fetch));
            let owed: BTreeSet<Address> = fetches.map(|(address, _)| *address).collect();
            self.leave_slow(now, link, owed);
        }
        self.after(now, PACE_PERIOD, Timer::Pace(link));
    }

    /// Gives fetches of a slow node to others, as far as there are any that may have the block.
    pub(super) fn leave_slow(&mut self, now: Now, link: Link, mut owed: BTreeSet<Address>) {
        let is_better = |(other, peer): &(&Link, &Peer)| {
            **other != link && peer.is_node() && !peer.silent && !peer.pace.is_slow(now.instant)
        };
        let better: Vec<Link> =
            self.peers.iter().filter(is_better).map(|(other, _)| *other).collect();
        owed.retain(|address| {
            let fetch = self.fetches.by_address.get(address);
            fetch.is_some_and(|fetch| better.iter().any(|other| !fetch.tried.contains(other)))
        });
        if owed.is_empty() {
            return;
        }
        self.give_up_runs(link, |run| owed.contains(&run.address));
        for address in owed {
            self.assign(now, address, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_brings_too_little_in_a_period_is_slow_until_it_is_forgiven() {
        let at = |millis: u64| Instant(millis * 1000);
        let mut pace = Pace::new(at(0));
        pace.bring(9);
        assert!(!pace.judge(at(999), PACE_PERIOD), "it is too early to say");
        assert!(pace.judge(at(1000), PACE_PERIOD) && pace.is_slow(at(1000)));
        pace.bring(10);
        assert!(!pace.judge(at(2000), PACE_PERIOD) && !pace.is_slow(at(2000)));
        assert!(pace.judge(at(3000), PACE_PERIOD));
        assert!(pace.is_slow(at(62_999)) && !pace.is_slow(at(63_000)));
    }
}
