//! The address book: which nodes are known, where they have answered, and when each is dialled next.
//!
//! Knows no connection but by its number. Invariants: a place of a node is one where it has answered itself, or one that
//! the operator gave; a known node that is not connected always has a next time to be dialled, however often that has
//! failed; one dial at a time goes to a node, and to an address.

use super::candidates::Candidates;
use super::remembered::Remembered;
use crate::ids::NodeId;
use crate::limits::{
    FORGET_AFTER, HANDSHAKE_TIMEOUT, NODE_ADDRESSES_MAX, PEERS_MAX, REDIAL_DEAD, REDIAL_FIRST,
    REDIAL_LAST, REDIAL_SHARE, TROUBLE_MAX,
};
use crate::seeded::{self, Bug};
use crate::server::output::Link;
use crate::time::{Instant, Now};
use crate::wire::message::{Member, PeerAddress};
use crate::wire::presence::Presence;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be dialled then; the delay after a further failure; not connected since.
    Away {
        at: Instant,
        delay: Duration,
        since: Instant,
    },
    Connected(Link),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    address: String,
    /// This node itself was found there. If not, the operator said so.
    answered: bool,
}

/// By what a node is known, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    /// The operator has named it.
    Named,
    /// It is connected, by a dial of its own.
    Connected,
    /// It has answered when it was dialled.
    Answered,
}

#[derive(Debug)]
struct Known {
    places: Vec<Place>,
    next_place: usize,
    last_seen_ms: u64,
    /// Where and why it could not be reached when it was last dialled; empty since it was reached.
    trouble: String,
    state: State,
    /// What it says of itself, and whether the others have been told.
    presence: Option<Presence>,
    told: bool,
}

impl Known {
    fn new(now: Instant) -> Self {
        Self {
            places: Vec::new(),
            next_place: 0,
            last_seen_ms: 0,
            trouble: String::new(),
            state: State::Away { at: now, delay: REDIAL_FIRST, since: now },
            presence: None,
            told: false,
        }
    }

    fn addresses(&self) -> String {
        let addresses = self.places.iter().map(|place| place.address.as_str());
        addresses.collect::<Vec<_>>().join(", ")
    }

    fn right(&self) -> Right {
        match self.state {
            _ if self.places.iter().any(|place| place.answered) => Right::Answered,
            State::Connected(_) => Right::Connected,
            State::Away { .. } => Right::Named,
        }
    }

    /// Where it has answered, best first; empty if nowhere.
    fn address(&self) -> String {
        let mut answered = self.places.iter().filter(|place| place.answered);
        answered.next().map(|place| place.address.clone()).unwrap_or_default()
    }

    fn has_answered(&self, address: &str) -> bool {
        self.places.iter().any(|place| place.answered && place.address == address)
    }

    fn add(&mut self, at: usize, address: &str, answered: bool) {
        let before = self.places.iter().position(|place| place.address == address);
        let before = before.map(|index| self.places.remove(index).answered);
        let place =
            Place { address: address.to_owned(), answered: answered || before == Some(true) };
        self.places.insert(at.min(self.places.len()), place);
        self.places.truncate(NODE_ADDRESSES_MAX);
        self.next_place = 0;
    }
}

/// A dial under way.
#[derive(Debug)]
struct Dial {
    address: String,
    /// Given up then, should nobody say what became of it.
    until: Instant,
    /// The node was connected when it began: it is only to be seen whether it answers there.
    is_probe: bool,
}

/// The nodes known.
#[derive(Debug)]
pub(super) struct AddressBook {
    me: NodeId,
    nodes: BTreeMap<NodeId, Known>,
    candidates: Candidates,
    dials: BTreeMap<NodeId, Dial>,
    /// A timer is set for then, or earlier.
    redial_at: Option<Instant>,
}

impl AddressBook {
    pub(super) fn new(
        me: NodeId,
        given: &[PeerAddress],
        remembered: &[Remembered],
        now: Instant,
    ) -> Self {
        let candidates = Candidates::new(now);
        let (nodes, dials) = (BTreeMap::new(), BTreeMap::new());
        let mut book = Self { me, nodes, candidates, dials, redial_at: None };
        for peer in given {
            book.remember(peer, 0, now);
        }
        for Remembered { peer, last_seen_ms } in remembered {
            book.remember(peer, *last_seen_ms, now);
        }
        book
    }

    /// Takes note of what the operator or an earlier run says.
    pub(super) fn remember(&mut self, peer: &PeerAddress, last_seen_ms: u64, now: Instant) {
        if peer.address.is_empty() || !self.has_place_for(peer.node, Right::Named) {
            return;
        }
        let known = self.nodes.entry(peer.node).or_insert_with(|| Known::new(now));
        known.last_seen_ms = known.last_seen_ms.max(last_seen_ms);
        if !known.places.iter().any(|place| place.address == peer.address) {
            known.add(usize::MAX, &peer.address, last_seen_ms > 0);
        }
    }

    /// Whether a node is known or can become so: who has a better right takes the place of who has a lesser one.
    fn has_place_for(&mut self, node: NodeId, right: Right) -> bool {
        if node == self.me || self.nodes.contains_key(&node) || self.nodes.len() < PEERS_MAX {
            return node != self.me;
        }
        let least = self.nodes.iter().min_by_key(|(_, known)| known.right());
        let least = least.filter(|(_, known)| known.right() < right).map(|(node, _)| *node);
        least.is_some_and(|least| self.nodes.remove(&least).is_some())
    }

    /// A node is connected, and says that it can be dialled at these addresses, best first, or we guess so. Those where it
    /// has not answered are candidates; where it has, they stand in its order, before what it does not name any more.
    pub(super) fn connected(&mut self, node: NodeId, link: Link, said: &[String], now: Now) {
        if !self.has_place_for(node, Right::Connected) {
            return;
        }
        let known = self.nodes.entry(node).or_insert_with(|| Known::new(now.instant));
        known.state = State::Connected(link);
        known.last_seen_ms = now.wall_ms;
        known.trouble.clear();
        let rank = |place: &Place| said.iter().position(|said| *said == place.address);
        known.places.sort_by_key(|place| rank(place).unwrap_or(usize::MAX));
        known.next_place = 0;
        let named = |address: &&String| !address.is_empty() && !known.has_answered(address);
        let unproven: Vec<String> = said.iter().filter(named).cloned().collect();
        // Where its best address is known, the guess and the others are not looked at.
        if said.first().is_none_or(|best| !known.has_answered(best)) {
            self.candidates.claim(node, node, 0, &unproven, now.instant);
        }
    }

    /// A node has answered where it was dialled. True if that was only to be seen.
    pub(super) fn answered(&mut self, node: NodeId, now: Now) -> bool {
        // None if it was given up meanwhile.
        let Some(dial) = self.dials.remove(&node) else {
            return false;
        };
        self.candidates.answered(&node, &dial.address);
        if self.has_place_for(node, Right::Answered) {
            let known = self.nodes.entry(node).or_insert_with(|| Known::new(now.instant));
            known.add(0, &dial.address, true);
            known.last_seen_ms = now.wall_ms;
            known.trouble.clear();
        }
        dial.is_probe
    }

    /// True if this was the node's connection. A node that never answered where we dialled it is not known any more.
    pub(super) fn disconnected(&mut self, node: NodeId, link: Link, now: Now) -> bool {
        // None if there was no place for it among those that are known.
        let Some(known) = self.nodes.get_mut(&node) else {
            return false;
        };
        if known.state != State::Connected(link) {
            return false;
        }
        if known.places.is_empty() {
            self.nodes.remove(&node);
        } else {
            let since = now.instant;
            known.last_seen_ms = now.wall_ms;
            known.state = State::Away { at: since + REDIAL_FIRST, delay: REDIAL_FIRST, since };
        }
        true
    }

    /// One connection of a node is gone, and this one is left.
    pub(super) fn goes_by(&mut self, node: NodeId, gone: Link, left: Link) {
        if let Some(known) = self.nodes.get_mut(&node)
            && known.state == State::Connected(gone)
        {
            known.state = State::Connected(left);
        }
    }

    /// Where a node may be, for people.
    pub(super) fn addresses_of(&self, node: &NodeId) -> String {
        self.nodes.get(node).map(Known::addresses).unwrap_or_default()
    }

    /// Somebody else answers where this node was dialled, or this node itself: it is not there. The address, if none is left
    /// now and the node is not known any more.
    pub(super) fn forget_address(&mut self, node: NodeId, now: Instant) -> Option<String> {
        // None if it was given up meanwhile.
        let dial = self.dials.remove(&node)?;
        self.candidates.failed(&node, &dial.address, now);
        // None if it was only a candidate.
        let known = self.nodes.get_mut(&node)?;
        known.places.retain(|place| place.address != dial.address);
        known.next_place = 0;
        match &mut known.state {
            State::Away { .. } if known.places.is_empty() => {
                self.nodes.remove(&node);
                return Some(dial.address);
            }
            State::Away { at, .. } => *at = now + REDIAL_FIRST,
            State::Connected(_) => {}
        }
        None
    }

    /// Why the dial that is under way does not lead to the node, for people. Of a mere candidate nothing is noted.
    pub(super) fn note_trouble(&mut self, node: &NodeId, why: &str) {
        let (Some(dial), Some(known)) = (self.dials.get(node), self.nodes.get_mut(node)) else {
            return;
        };
        if known.has_place(&dial.address) {
            known.trouble = format!("{}: {why}", dial.address);
            known.trouble.truncate(known.trouble.floor_char_boundary(TROUBLE_MAX));
        }
    }

    /// Whoever is to be dialled now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<PeerAddress> {
        let over = self.dials.iter().filter(|(_, dial)| dial.until <= now);
        for node in over.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.failed(node, 1.0, now);
        }
        let mut busy: BTreeSet<String> =
            self.dials.values().map(|dial| dial.address.clone()).collect();
        let mut due = Vec::new();
        let until = now + HANDSHAKE_TIMEOUT * 2;
        for (node, known) in &mut self.nodes {
            // One that is connected is not dialled.
            let State::Away { at, .. } = &mut known.state else {
                continue;
            };
            let index = known.next_place % known.places.len().max(1);
            // It is not due yet, or has no address.
            let Some(place) = known.places.get(index).filter(|_| *at <= now) else {
                continue;
            };
            if self.dials.contains_key(node) || !busy.insert(place.address.clone()) {
                *at = now + REDIAL_FIRST;
                continue;
            }
            known.next_place = index + 1;
            *at = until;
            let address = place.address.clone();
            self.dials.insert(*node, Dial { address: address.clone(), until, is_probe: false });
            due.push(PeerAddress { node: *node, address });
        }
        let dials = &mut self.dials;
        let free = |dials: &BTreeMap<NodeId, Dial>, node: &NodeId, address: &str| {
            !dials.contains_key(node) && !dials.values().any(|dial| dial.address == address)
        };
        while let Some(peer) = self.candidates.next(now, |node, address| free(dials, node, address))
        {
            let known = self.nodes.get(&peer.node);
            let is_probe = known.is_some_and(|known| matches!(known.state, State::Connected(_)));
            dials.insert(peer.node, Dial { address: peer.address.clone(), until, is_probe });
            due.push(peer);
        }
        due
    }

    /// After how long a timer is to be set for whoever is due next, if none is set for that time or an earlier one.
    pub(super) fn next_redial(&mut self, now: Instant) -> Option<Duration> {
        let is_over = |at: Instant| at <= now && !seeded::is_on(Bug::LoseRedial);
        if self.redial_at.is_some_and(is_over) {
            self.redial_at = None;
        }
        let due = self.next_due(now)?;
        if self.redial_at.is_some_and(|at| due >= at) {
            return None;
        }
        let delay = due.since(now).max(Duration::from_millis(1));
        self.redial_at = Some(now + delay);
        Some(delay)
    }

    /// What another says of a node, and that node has signed: a candidate.
    pub(super) fn claim(&mut self, source: NodeId, node: NodeId, said: &Presence, now: Instant) {
        self.candidates.claim(source, node, said.counter, &said.addresses, now);
    }

    /// When the next node is due.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        let away = self.nodes.values().filter_map(|known| match known.state {
            State::Away { at, .. } => Some(at),
            State::Connected(_) => None,
        });
        away.chain(self.candidates.next_due(now)).min()
    }

    /// A dial has ended without a connection. The addresses of a node that has just come to be dialled rarely.
    pub(super) fn failed(&mut self, node: NodeId, jitter: f64, now: Instant) -> Option<String> {
        let dial = self.dials.remove(&node)?;
        let newest = self.nodes.values().map(|known| known.last_seen_ms).max().unwrap_or(0);
        let known = self.nodes.get_mut(&node);
        // Where the operator or the node itself has been right before is no rumour.
        let Some(known) = known.filter(|known| known.has_place(&dial.address)) else {
            self.candidates.failed(&node, &dial.address, now);
            return None;
        };
        // It has dialled this node meanwhile.
        let State::Away { at, delay, since } = &mut known.state else {
            return None;
        };
        let last = *delay;
        let cap = (now.since(*since) / REDIAL_SHARE).clamp(REDIAL_LAST, REDIAL_DEAD);
        *at = now + last.mul_f64(jitter).max(REDIAL_FIRST);
        *delay = (last * 2).min(cap);
        let is_dead = known.last_seen_ms > 0
            && Duration::from_millis(newest.saturating_sub(known.last_seen_ms)) > FORGET_AFTER;
        if is_dead {
            // Judged by when others were seen: a node that was away itself, or whose calendar is wrong, forgets nobody.
            self.nodes.remove(&node);
            return None;
        }
        // Once an outage, and not while nodes are still being started.
        let is_long = last < REDIAL_LAST && last * 2 >= REDIAL_LAST;
        is_long.then(|| known.addresses())
    }

    /// What a connected node says and signs of itself, and has not said before.
    pub(super) fn introduces_itself(&mut self, node: NodeId, presence: Presence) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.told = false;
            known.presence = Some(presence);
        }
    }

    /// Whether a connected node says something new of itself.
    pub(super) fn is_news(&self, node: &NodeId, presence: &Presence) -> bool {
        let old = self.nodes.get(node).and_then(|known| known.presence.as_ref());
        old.is_none_or(|old| old.counter < presence.counter)
    }

    /// Whether a presence that another passes on tells something new, and may be a candidate.
    pub(super) fn wants(&self, source: NodeId, node: NodeId, presence: &Presence) -> bool {
        let is_known = |known: &Known| {
            let old = known.presence.as_ref().is_some_and(|old| old.counter >= presence.counter);
            let best = presence.addresses.first();
            old || matches!(known.state, State::Connected(_))
                || best.is_none_or(|best| known.has_answered(best))
        };
        node != self.me
            && !self.nodes.get(&node).is_some_and(is_known)
            && self.candidates.takes(source, &node, presence.counter)
    }

    /// What may be passed on of a node: its own words, when it has answered where it says that it is best reached.
    pub(super) fn passed_on(&self, node: &NodeId) -> Option<&Presence> {
        let known = self.nodes.get(node)?;
        known.presence.as_ref().filter(|presence| {
            presence.addresses.first().is_some_and(|best| known.has_answered(best))
        })
    }

    /// The same, if the others have not been told; they are now.
    pub(super) fn untold(&mut self, node: &NodeId) -> Option<Presence> {
        let presence = self.passed_on(node)?.clone();
        let known = self.nodes.get_mut(node)?;
        (!std::mem::replace(&mut known.told, true)).then_some(presence)
    }

    /// The next few that may be passed on, after a node, in order.
    pub(super) fn passed_on_after(
        &self,
        after: Option<NodeId>,
        count: usize,
    ) -> Vec<(NodeId, Presence)> {
        let nodes = self.nodes.range((after.map_or(Unbounded, Excluded), Unbounded));
        let passed_on = nodes.filter_map(|(node, _)| Some((*node, self.passed_on(node)?.clone())));
        passed_on.take(count).collect()
    }

    /// The best address at which the node has answered; empty if none.
    pub(super) fn address_of(&self, node: &NodeId) -> String {
        self.nodes.get(node).map(Known::address).unwrap_or_default()
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn is_anybody_connected(&self) -> bool {
        self.nodes.values().any(Known::is_connected)
    }

    pub(super) fn members(&self, now_ms: u64) -> Vec<Member> {
        let member = |(node, known): (&NodeId, &Known)| Member {
            peer: PeerAddress { node: *node, address: known.address() },
            connected: known.is_connected(),
            last_seen_ms: known.seen_ms(now_ms),
            trouble: known.trouble.clone(),
        };
        self.nodes.iter().map(member).collect()
    }

    /// One line a node: id, last seen (ms since 1970), places.
    pub(super) fn text(&self, now_ms: u64) -> String {
        let placed = self.nodes.iter().filter(|(_, known)| !known.places.is_empty());
        let line = |(node, known): (&NodeId, &Known)| {
            let places = known.places.iter().map(|place| place.address.as_str());
            let places = places.collect::<Vec<_>>().join(" ");
            format!("{node} {} {places}\n", known.seen_ms(now_ms))
        };
        placed.map(line).collect()
    }
}

impl Known {
    fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// When it was last seen: now, if it is connected.
    fn seen_ms(&self, now_ms: u64) -> u64 {
        if self.is_connected() { now_ms } else { self.last_seen_ms }
    }

    fn has_place(&self, address: &str) -> bool {
        self.places.iter().any(|place| place.address == address)
    }
}

#[cfg(test)]
mod tests;
