//! Pace: how fast one who was asked for leaves brings them, and which nodes were slow.
//!
//! Knows nothing of what was asked. Invariant: a node that was slow is remembered for a while, by who it is, so that a new
//! connection changes nothing.

use crate::ids::NodeId;
use crate::limits::{LEAVES_A_SECOND_MIN, PEERS_MAX, RANGE_TIMEOUT, SLOW_FORGIVEN};
use crate::seeded::{self, Bug};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// The pace of one connection.
#[derive(Debug, Default)]
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
    /// Counting begins: something was asked of one that owed nothing.
    pub(super) fn begin(&mut self, now: Instant) {
        self.from = now;
        self.leaves = 0;
    }

    /// Nothing is taken of it, whatever it sends.
    pub(super) fn pause(&mut self, now: Instant) {
        self.begin(now);
        self.paused = now;
    }

    /// So many leaves have come, or were said not to be there.
    pub(super) fn bring(&mut self, leaves: u8) {
        self.leaves = self.leaves.saturating_add(leaves.into());
    }

    /// Whether too little has come, in at least this time; none if it is too early to say. Counting begins anew.
    pub(super) fn judge(&mut self, now: Instant, period: Duration) -> Option<bool> {
        let elapsed = now.since(self.from);
        if elapsed < period {
            return None;
        }
        let least = u128::from(LEAVES_A_SECOND_MIN) * elapsed.as_millis() / 1000;
        let is_slow = u128::from(self.leaves) < least;
        self.begin(now);
        Some(is_slow)
    }

    /// A timer is to look after it, if none does.
    pub(super) fn watch(&mut self) -> bool {
        !std::mem::replace(&mut self.watched, true)
    }

    /// A timer looks after it from now on, or none.
    pub(super) fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
    }

    /// Whether what was asked for then should have come, if all was taken that came.
    pub(super) fn is_late(&self, now: Instant, asked: Instant) -> bool {
        now.since(asked.max(self.paused)) >= RANGE_TIMEOUT && !seeded::is_on(Bug::TrustWithheld)
    }
}

/// Nodes that were slow not long ago.
#[derive(Debug, Default)]
pub(super) struct SlowNodes(BTreeMap<NodeId, Instant>);

impl SlowNodes {
    /// A node was found slow. Of too many the one is forgotten for which that is longest ago.
    pub(super) fn insert(&mut self, node: NodeId, now: Instant) {
        if seeded::is_on(Bug::ForgetSlow) {
            return;
        }
        self.0.insert(node, now);
        if self.0.len() > PEERS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, since)| **since).map(|(node, _)| *node);
            oldest.map(|node| self.0.remove(&node));
        }
    }

    /// It was not slow.
    pub(super) fn remove(&mut self, node: &NodeId) {
        self.0.remove(node);
    }

    pub(super) fn contains(&self, node: &NodeId, now: Instant) -> bool {
        self.0.get(node).is_some_and(|since| now.since(*since) < SLOW_FORGIVEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PACE_PERIOD;

    fn at(millis: u64) -> Instant {
        Instant(millis * 1000)
    }

    #[test]
    fn too_little_in_a_period_is_slow() {
        let mut pace = Pace::default();
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
