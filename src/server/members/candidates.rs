//! Candidates: addresses at which nodes are said to be and have not answered yet.
//!
//! Knows no connection, and passes nothing on: what answers leaves this table for the address book. Invariant: they are few, in
//! all and of one source; dials are few in a time, one at a time to an address, and ever rarer after failures: who has
//! failed a few times gives way to who is new. An address that does not answer is left alone for ever longer, whoever
//! names it.

use crate::ids::NodeId;
use crate::limits::{
    CANDIDATE_ATTEMPTS, CANDIDATE_BURST, CANDIDATE_FIRST, CANDIDATE_LAST, CANDIDATE_PERIOD,
    CANDIDATES_MAX, CANDIDATES_PER_SOURCE_MAX, FORGET_AFTER, NODE_ADDRESSES_MAX,
};
use crate::seeded::{self, Bug};
use crate::time::Instant;
use crate::wire::message::PeerAddress;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

#[derive(Debug)]
struct Claim {
    /// Who said so.
    source: NodeId,
    /// Not tried yet in this round, and tried.
    addresses: VecDeque<String>,
    /// Which of these are left in this round.
    left: usize,
    rounds: u32,
    at: Instant,
    since: Instant,
    /// The counter of the presence that says so; none if a guess does.
    counter: u64,
}

/// An address that did not answer.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    until: Instant,
    delay: Duration,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Candidates {
    claims: BTreeMap<NodeId, Claim>,
    refusals: BTreeMap<String, Refusal>,
    /// Dials that may begin now, and since when they are counted.
    tokens: u32,
    counted: Instant,
}

impl Candidates {
    pub(super) fn new(now: Instant) -> Self {
        let (claims, refusals) = (BTreeMap::new(), BTreeMap::new());
        Self { claims, refusals, tokens: CANDIDATE_BURST, counted: now }
    }

    /// Whether a claim of this source, of this counter, would be taken: asked before its signature is looked at.
    pub(super) fn takes(&self, source: NodeId, node: &NodeId, counter: u64) -> bool {
        match self.claims.get(node) {
            Some(claim) => counter > claim.counter || source == *node,
            None => {
                let own = self.count_of(source);
                let fullest = || self.fullest().map_or(0, |(_, count)| count);
                let has_place = || self.claims.len() < CANDIDATES_MAX || self.hopeless().is_some();
                own < CANDIDATES_PER_SOURCE_MAX && (has_place() || own + 1 < fullest())
            }
        }
    }

    /// A node is said to be at these addresses.
    pub(super) fn claim(
        &mut self,
        source: NodeId,
        node: NodeId,
        counter: u64,
        addresses: &[String],
        now: Instant,
    ) {
        if addresses.is_empty() || !self.takes(source, &node, counter) {
            return;
        }
        if self.claims.len() >= CANDIDATES_MAX && !self.claims.contains_key(&node) {
            self.make_room();
        }
        let addresses: VecDeque<_> = addresses.iter().take(NODE_ADDRESSES_MAX).cloned().collect();
        let left = addresses.len();
        let (rounds, at, since) = (0, now, now);
        let claim = Claim { source, addresses, left, rounds, at, since, counter };
        self.claims.insert(node, claim);
    }

    fn count_of(&self, source: NodeId) -> usize {
        self.claims.values().filter(|claim| claim.source == source).count()
    }

    fn fullest(&self) -> Option<(NodeId, usize)> {
        let mut counts: BTreeMap<NodeId, usize> = BTreeMap::new();
        for claim in self.claims.values() {
            *counts.entry(claim.source).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count)
    }

    /// The claim that was tried in vain most often, and more than a few times.
    fn hopeless(&self) -> Option<NodeId> {
        let hopeless = self.claims.iter().filter(|(_, claim)| claim.rounds >= CANDIDATE_ATTEMPTS);
        hopeless.max_by_key(|(_, claim)| (claim.rounds, claim.at)).map(|(node, _)| *node)
    }

    /// One goes: one that is hopeless, or of the source with most of them the one that would be dialled last.
    fn make_room(&mut self) {
        if let Some(hopeless) = self.hopeless() {
            self.claims.remove(&hopeless);
            return;
        }
        // None if there are none at all.
        let Some((source, _)) = self.fullest() else {
            return;
        };
        let of_source = self.claims.iter().filter(|(_, claim)| claim.source == source);
        let last =
            of_source.max_by_key(|(_, claim)| (claim.rounds, claim.at)).map(|(node, _)| *node);
        if let Some(last) = last {
            self.claims.remove(&last);
        }
    }

    /// Dials that have become permitted since they were last counted.
    fn refill(&mut self, now: Instant) {
        while self.tokens < CANDIDATE_BURST && now.since(self.counted) >= CANDIDATE_PERIOD {
            self.tokens += 1;
            self.counted = self.counted + CANDIDATE_PERIOD;
        }
        if self.tokens == CANDIDATE_BURST {
            self.counted = now;
        }
    }

    /// The next to be dialled now, if one may be. `is_free` says whether neither the node nor the address is being dialled.
    pub(super) fn next(
        &mut self,
        now: Instant,
        is_free: impl Fn(&NodeId, &str) -> bool,
    ) -> Option<PeerAddress> {
        self.refill(now);
        let unbounded = seeded::is_on(Bug::DialUnbounded);
        if self.tokens == 0 && !unbounded {
            return None;
        }
        let refusals = &self.refusals;
        let may = |address: &str| {
            unbounded || refusals.get(address).is_none_or(|refusal| refusal.until <= now)
        };
        let due = self.claims.iter_mut().filter(|(_, claim)| claim.at <= now);
        let mut due = due.filter(|(node, claim)| {
            claim.addresses.front().is_some_and(|address| may(address) && is_free(node, address))
        });
        let (node, claim) = due.next()?;
        let address = claim.addresses.front()?.clone();
        claim.at = now + CANDIDATE_FIRST;
        self.tokens = self.tokens.saturating_sub(1);
        Some(PeerAddress { node: *node, address })
    }

    /// When something may be due. An address that others' dials keep busy is looked at again in a while.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let refused = |claim: &Claim| {
            let refusal = claim.addresses.front().and_then(|address| self.refusals.get(address));
            refusal.map_or(claim.at, |refusal| refusal.until.max(claim.at))
        };
        let due = self.claims.values().map(refused).min()?;
        let permitted = if self.tokens == 0 { self.counted + CANDIDATE_PERIOD } else { now };
        Some(due.max(permitted).max(now + CANDIDATE_PERIOD / 10))
    }

    /// The node did not answer there. The next of its addresses is tried, and all again later, a few times.
    pub(super) fn failed(&mut self, node: &NodeId, address: &str, now: Instant) {
        self.refuse(address, now);
        // None if it was no candidate, or gave way to another.
        let Some(claim) = self.claims.get_mut(node) else {
            return;
        };
        if claim.addresses.front().is_some_and(|first| first == address) {
            claim.addresses.rotate_left(1);
            claim.left = claim.left.saturating_sub(1);
        }
        claim.at = now;
        if claim.left == 0 {
            claim.left = claim.addresses.len();
            claim.at = now + (CANDIDATE_FIRST * 4_u32.pow(claim.rounds.min(8))).min(CANDIDATE_LAST);
            claim.rounds += 1;
        }
        if now.since(claim.since) >= FORGET_AFTER {
            self.claims.remove(node);
        }
    }

    fn refuse(&mut self, address: &str, now: Instant) {
        let before = self.refusals.get(address).map(|refusal| refusal.delay * 4);
        let delay = before.unwrap_or(CANDIDATE_FIRST).min(CANDIDATE_LAST);
        if self.refusals.len() >= CANDIDATES_MAX && before.is_none() {
            let soonest = self.refusals.iter().min_by_key(|(_, refusal)| refusal.until);
            if let Some(soonest) = soonest.map(|(address, _)| address.clone()) {
                self.refusals.remove(&soonest);
            }
        }
        self.refusals.insert(address.to_owned(), Refusal { until: now + delay, delay });
    }

    /// The node has answered at one of them: its claim is settled, and the dial is not counted, so that an honest network
    /// is found as fast as it answers.
    pub(super) fn answered(&mut self, node: &NodeId, address: &str) {
        self.claims.remove(node);
        self.refusals.remove(address);
        self.tokens = (self.tokens + 1).min(CANDIDATE_BURST);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.claims.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant(1);

    fn id(number: usize) -> NodeId {
        let mut id = NodeId([0; 32]);
        id.0[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    fn claim(candidates: &mut Candidates, source: usize, node: usize, address: &str) {
        candidates.claim(id(source), id(node), 1, &[address.to_owned()], START);
    }

    #[test]
    fn one_source_claims_little_and_crowds_out_nobody_who_claims_less() {
        let mut candidates = Candidates::new(START);
        for node in 0..1000 {
            claim(&mut candidates, 1, 10_000 + node, "a:1");
        }
        assert_eq!(candidates.len(), CANDIDATES_PER_SOURCE_MAX);
        for node in 0..CANDIDATES_MAX * 2 {
            claim(&mut candidates, 2 + node / CANDIDATES_PER_SOURCE_MAX, 20_000 + node, "b:1");
        }
        assert_eq!(candidates.len(), CANDIDATES_MAX);
        claim(&mut candidates, 5000, 1, "c:1");
        assert_eq!(candidates.len(), CANDIDATES_MAX);
        assert!(candidates.claims.contains_key(&id(1)), "an honest one comes in");
    }

    #[test]
    fn an_address_that_does_not_answer_is_left_alone_whoever_names_it() {
        let mut candidates = Candidates::new(START);
        for node in 0..CANDIDATES_PER_SOURCE_MAX {
            claim(&mut candidates, 1, node, "victim:1");
        }
        let (mut dials, mut now) = (0, START);
        while now < START + Duration::from_secs(3600) {
            while let Some(peer) = candidates.next(now, |_, _| true) {
                dials += 1;
                candidates.failed(&peer.node, &peer.address, now);
            }
            now = now + Duration::from_secs(1);
        }
        assert!((2..=5).contains(&dials), "{dials} dials in an hour");
    }

    #[test]
    fn who_does_not_answer_is_tried_ever_more_rarely_and_forgotten_in_the_end() {
        let mut candidates = Candidates::new(START);
        for node in 0..CANDIDATES_PER_SOURCE_MAX {
            claim(&mut candidates, 1, node, &format!("victim:{node}"));
        }
        let (mut dials, mut now) = (0, START);
        while let Some(peer) = candidates.next(now, |_, _| true) {
            dials += 1;
            candidates.failed(&peer.node, &peer.address, now);
        }
        assert_eq!(dials, CANDIDATE_BURST, "at once");
        while candidates.len() > 0 {
            now = candidates.next_due(now).unwrap().max(now);
            while let Some(peer) = candidates.next(now, |_, _| true) {
                dials += 1;
                candidates.failed(&peer.node, &peer.address, now);
            }
        }
        assert!(now > START + FORGET_AFTER, "who was cut off for a day is found again");
        let hours = FORGET_AFTER.as_secs() / CANDIDATE_LAST.as_secs();
        let most = CANDIDATES_PER_SOURCE_MAX as u64 * (hours + 4);
        assert!(u64::from(dials) <= most, "{dials} dials");
    }

    #[test]
    fn who_has_failed_gives_way_to_who_is_new() {
        let mut candidates = Candidates::new(START);
        for node in 0..CANDIDATES_MAX {
            claim(&mut candidates, 1000 + node, 10_000 + node, &format!("victim:{node}"));
        }
        claim(&mut candidates, 1, 1, "new:1");
        assert!(!candidates.claims.contains_key(&id(1)), "none has failed yet");
        let mut now = START;
        while candidates.hopeless().is_none() {
            now = candidates.next_due(now).unwrap().max(now);
            while let Some(peer) = candidates.next(now, |_, _| true) {
                candidates.failed(&peer.node, &peer.address, now);
            }
        }
        claim(&mut candidates, 1, 1, "new:1");
        assert!(candidates.claims.contains_key(&id(1)));
        assert_eq!(candidates.len(), CANDIDATES_MAX);
    }

    #[test]
    fn who_answers_costs_nothing() {
        let mut candidates = Candidates::new(START);
        for node in 0..1000 {
            claim(&mut candidates, node / 10, 5000 + node, &format!("host:{node}"));
            let peer = candidates.next(START, |_, _| true).unwrap();
            candidates.answered(&peer.node, &peer.address);
        }
        assert_eq!(candidates.len(), 0);
    }
}
