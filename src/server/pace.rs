//! Pace: how fast those who were asked for leaves bring them.
//!
//! One that drips, or withholds what somebody waits for, is left for another, which is asked for the leaves that have not
//! come: leaves are independent. Of a node that is remembered for a while, by who it is, and it is asked last. Invariant:
//! nobody is left, however slow, for want of another.

use super::FileServer;
use super::fetch::{Fetch, Stage};
use super::output::Link;
use super::peers::{Peer, Run};
use super::timers::Timer;
use crate::ids::{Address, NodeId};
use crate::limits::{
    LEAVES_A_SECOND_MIN, PACE_PERIOD, PACE_PERIOD_ALONE, PEERS_MAX, RUN_PATIENCE, SLOW_FORGIVEN,
};
use crate::planted::{self, Bug};
use crate::time::{Instant, Now};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The pace of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    /// Since when leaves are counted: all the time some were waited for, and taken.
    from: Instant,
    /// Leaves that came since.
    leaves: u32,
    /// When this node last took nothing of it: what was asked before then is not late yet.
    paused: Instant,
    /// A timer looks after it.
    watched: bool,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { from: now, leaves: 0, paused: now, watched: false }
    }

    /// Counting begins: something was asked of one that owed nothing.
    fn begin(&mut self, now: Instant) {
        self.from = now;
        self.leaves = 0;
    }

    /// Nothing is taken of it, whatever it sends.
    fn pause(&mut self, now: Instant) {
        self.begin(now);
        self.paused = now;
    }

    /// So many leaves have come, or were said not to be there.
    pub(super) fn bring(&mut self, leaves: u8) {
        self.leaves = self.leaves.saturating_add(leaves.into());
    }

    /// Whether too little has come, in at least this time; none if it is too early to say. Counting begins anew.
    fn judge(&mut self, now: Instant, period: Duration) -> Option<bool> {
        let elapsed = now.since(self.from);
        if elapsed < period {
            return None;
        }
        let least = u128::from(LEAVES_A_SECOND_MIN) * elapsed.as_millis() / 1000;
        let is_slow = u128::from(self.leaves) < least;
        self.begin(now);
        Some(is_slow)
    }

    /// Whether what was asked for then should have come, if all was taken that came.
    fn is_late(&self, now: Instant, asked: Instant) -> bool {
        now.since(asked.max(self.paused)) >= RUN_PATIENCE && !planted::is_on(Bug::TrustWithheld)
    }
}

/// Nodes that were slow not long ago. A new connection to one changes nothing.
#[derive(Debug, Default)]
pub(super) struct SlowNodes(BTreeMap<NodeId, Instant>);

impl SlowNodes {
    /// A node was found slow. Of too many the one is forgotten for which that is longest ago.
    fn insert(&mut self, node: NodeId, now: Instant) {
        if planted::is_on(Bug::ForgetSlow) {
            return;
        }
        self.0.insert(node, now);
        if self.0.len() > PEERS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, since)| **since).map(|(node, _)| *node);
            oldest.map(|node| self.0.remove(&node));
        }
    }

    /// It was not slow.
    fn remove(&mut self, node: &NodeId) {
        self.0.remove(node);
    }

    fn contains(&self, node: &NodeId, now: Instant) -> bool {
        self.0.get(node).is_some_and(|since| now.since(*since) < SLOW_FORGIVEN)
    }
}

impl FileServer {
    /// Whether this is a node that was slow not long ago.
    pub(super) fn is_slow(&self, peer: &Peer, now: Now) -> bool {
        peer.node().is_some_and(|node| self.slow.contains(&node, now.instant))
    }

    /// Something is asked of a connection that owed nothing.
    pub(super) fn watch_pace(&mut self, now: Now, link: Link) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        peer.pace.begin(now.instant);
        if !std::mem::replace(&mut peer.pace.watched, true) {
            self.after(now, PACE_PERIOD, Timer::Pace(link));
        }
    }

    /// A connection of which leaves are wanted may bring them so slowly that another is asked instead. It is judged sooner
    /// while somebody waits for what it is to bring; a client, which sends what it puts, only then.
    pub(super) fn check_pace(&mut self, now: Now, link: Link) {
        let takes = self.wants_read(link);
        let fetches = self.fetches.by_address.iter();
        let owes = |fetch: &Fetch| fetch.source == Some(link) && fetch.stage == Stage::Asking;
        let owed: Vec<_> = fetches.filter(|(_, fetch)| owes(fetch)).collect();
        let waited = owed.iter().filter(|(_, fetch)| fetch.others_wait(link));
        let waited: BTreeSet<Address> = waited.map(|(address, _)| **address).collect();
        let owed: BTreeSet<Address> = owed.into_iter().map(|(address, _)| *address).collect();
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        peer.pace.watched = peer.credit.outstanding > 0 && !planted::is_on(Bug::TrustSlowSource);
        if !peer.pace.watched {
            return;
        }
        self.after(now, PACE_PERIOD, Timer::Pace(link));
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        if !takes {
            return peer.pace.pause(now.instant);
        }
        let mut late = peer.credit.runs.iter().chain(&peer.credit.current);
        let is_waited = |run: &Run| run.pass.is_some() || waited.contains(&run.address);
        let withholds =
            late.any(|run| run.live && is_waited(run) && peer.pace.is_late(now.instant, run.asked));
        let mut runs = peer.credit.runs.iter().chain(&peer.credit.current);
        let is_waited_for = !waited.is_empty() || runs.any(|run| run.live && run.pass.is_some());
        let period = if is_waited_for { PACE_PERIOD } else { PACE_PERIOD_ALONE };
        // What is passed on comes as fast as its readers take it.
        let is_slow = peer.pace.judge(now.instant, period).filter(|_| !owed.is_empty());
        let Some(node) = peer.node() else {
            if withholds || is_slow == Some(true) {
                self.leave_slow(now, link, waited);
            }
            return;
        };
        if withholds || is_slow == Some(true) {
            log::debug!("connection {link} is slow; others are asked for what it has not brought");
            self.slow.insert(node, now.instant);
            self.leave_slow(now, link, owed);
            self.leave_passes(now, link);
        } else if is_slow == Some(false) {
            self.slow.remove(&node);
        }
    }

    /// Gives fetches of one that is slow to others, as far as there are any that may have the block; to those first that
    /// have shown that they bring what is asked of them.
    pub(super) fn leave_slow(&mut self, now: Now, link: Link, owed: BTreeSet<Address>) {
        let is_better = |(other, peer): &(Link, &Peer)| {
            *other != link && !peer.silent && !self.is_slow(peer, now)
        };
        let better: Vec<Link> =
            self.cx.links.node_peers().filter(is_better).map(|(link, _)| link).collect();
        for address in owed {
            let Some(fetch) = self.fetches.by_address.get(&address) else {
                continue;
            };
            let untried = better.iter().filter(|other| !fetch.tried.contains(other));
            let next = untried.min_by_key(|other| {
                let credit = self.cx.links.get(**other).map(|peer| &peer.credit);
                credit.map(|credit| (!credit.proven, credit.queue.len(), credit.outstanding))
            });
            if let Some(&next) = next {
                self.give_up_runs(link, |run| run.address == address && run.pass.is_none());
                self.assign(now, address, Some(next));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant(millis * 1000)
    }

    #[test]
    fn too_little_in_a_period_is_slow() {
        let mut pace = Pace::new(at(0));
        pace.bring(9);
        assert_eq!(pace.judge(at(999), PACE_PERIOD), None, "it is too early to say");
        assert_eq!(pace.judge(at(1000), PACE_PERIOD), Some(true));
        pace.bring(10);
        assert_eq!(pace.judge(at(2000), PACE_PERIOD), Some(false));
        pace.bring(10);
        pace.pause(at(2500));
        assert_eq!(pace.judge(at(3400), PACE_PERIOD), None);
        assert!(!pace.is_late(at(5499), at(1)) && pace.is_late(at(5500), at(1)));
    }

    #[test]
    fn who_was_slow_is_forgiven_in_time_and_forgotten_for_others() {
        let mut slow = SlowNodes::default();
        let node = |number: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            NodeId(id)
        };
        slow.insert(node(0), at(1000));
        assert!(slow.contains(&node(0), at(60_999)) && !slow.contains(&node(0), at(61_000)));
        assert!(!slow.contains(&node(1), at(1000)));
        for number in 1..=PEERS_MAX {
            slow.insert(node(number), at(1001));
        }
        assert!(!slow.contains(&node(0), at(1001)) && slow.contains(&node(PEERS_MAX), at(1001)));
        slow.remove(&node(7));
        assert!(!slow.contains(&node(7), at(1001)));
    }
}
