//! The roster: which nodes are known, where, and when each is dialled next.
//!
//! Knows no connection but by its number. Invariant: a known node that is not connected always has a next time to be
//! dialled, however often that has failed.

use super::output::{Link, Output};
use super::work::Job;
use super::{FileServer, Pending, Timer};
use crate::ids::NodeId;
use crate::limits::{
    HANDSHAKE_TIMEOUT, MESSAGE_PEERS_MAX, NODE_ADDRESSES_MAX, PEERS_MAX, REDIAL_FIRST, REDIAL_LAST,
};
use crate::planted::{self, Bug};
use crate::store::job;
use crate::time::{Instant, Now};
use crate::wire::message::{Member, Message, PeerAddress};
use rand::RngExt;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be dialled then; the delay after a further failure.
    Waiting {
        at: Instant,
        delay: Duration,
    },
    /// Being dialled; given up then, should nobody say what became of it.
    Dialling {
        until: Instant,
        delay: Duration,
    },
    Connected(Link),
}

#[derive(Debug)]
struct Known {
    addresses: Vec<String>,
    next_address: usize,
    last_seen_ms: u64,
    state: State,
}

/// The nodes known.
#[derive(Debug)]
pub(super) struct Roster {
    me: NodeId,
    nodes: BTreeMap<NodeId, Known>,
    /// A timer is set for then, or earlier.
    redial_at: Option<Instant>,
}

impl Roster {
    pub(super) fn new(me: NodeId, peers: &[PeerAddress], now: Instant) -> Self {
        let mut roster = Self { me, nodes: BTreeMap::new(), redial_at: None };
        for peer in peers {
            roster.learn(peer, now);
        }
        roster
    }

    /// Takes note of an address. True if it is new.
    fn learn(&mut self, peer: &PeerAddress, now: Instant) -> bool {
        let full = self.nodes.len() >= PEERS_MAX && !self.nodes.contains_key(&peer.node);
        if peer.node == self.me || peer.address.is_empty() || full {
            return false;
        }
        let known = self.nodes.entry(peer.node).or_insert_with(|| Known {
            addresses: Vec::new(),
            next_address: 0,
            last_seen_ms: 0,
            state: State::Waiting { at: now, delay: REDIAL_FIRST },
        });
        if known.addresses.contains(&peer.address) {
            return false;
        }
        if known.addresses.len() == NODE_ADDRESSES_MAX {
            known.addresses.pop();
        }
        known.addresses.insert(0, peer.address.clone());
        known.next_address = 0;
        true
    }

    /// A node is connected, and has said where it is; the best address first. Others are told of the first, so that
    /// it stands before any that was heard from somebody else, however long either has been known.
    pub(super) fn connected(&mut self, node: NodeId, link: Link, addresses: &[String], now: Now) {
        for address in addresses {
            self.learn(&PeerAddress { node, address: address.clone() }, now.instant);
        }
        if let Some(known) = self.nodes.get_mut(&node) {
            let before = std::mem::take(&mut known.addresses);
            let others = before.into_iter().filter(|address| !addresses.contains(address));
            let mut seen = BTreeSet::new();
            let all = addresses.iter().filter(|address| !address.is_empty()).cloned().chain(others);
            let all = all.filter(|address| seen.insert(address.clone()));
            known.addresses = all.take(NODE_ADDRESSES_MAX).collect();
            known.next_address = 0;
            known.state = State::Connected(link);
            known.last_seen_ms = now.wall_ms;
        }
    }

    /// True if this was the node's connection.
    pub(super) fn disconnected(&mut self, node: NodeId, link: Link, now: Instant) -> bool {
        match self.nodes.get_mut(&node) {
            Some(known) if known.state == State::Connected(link) => {
                known.state = State::Waiting { at: now + REDIAL_FIRST, delay: REDIAL_FIRST };
                true
            }
            Some(_) | None => false,
        }
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
        self.nodes.get(node).map(|known| known.addresses.join(", ")).unwrap_or_default()
    }

    /// A node's id was this node's own under another name: nothing is there to be dialled.
    pub(super) fn forget_address_of_self(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    /// Another node, with these addresses, answers where this one was dialled: it is not there. Should it live elsewhere it
    /// will tell.
    pub(super) fn forget_address(&mut self, node: NodeId, others: &[String]) {
        let Some(known) = self.nodes.get_mut(&node) else {
            return;
        };
        let before = known.addresses.len();
        known.addresses.retain(|address| !others.contains(address));
        if known.addresses.len() == before && before > 0 {
            // It goes by further names: the one that was dialled is the one before the next.
            known.addresses.remove((known.next_address + before - 1) % before);
        }
        known.next_address = 0;
        if known.addresses.is_empty() {
            self.nodes.remove(&node);
        }
    }

    /// The node's best known address; empty if none.
    pub(super) fn address_of(&self, node: &NodeId) -> String {
        let known = self.nodes.get(node);
        known.and_then(|known| known.addresses.first()).cloned().unwrap_or_default()
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Best addresses of all.
    fn addresses(&self) -> Vec<PeerAddress> {
        let known = self.nodes.iter().flat_map(|(node, known)| {
            known
                .addresses
                .first()
                .map(|address| PeerAddress { node: *node, address: address.clone() })
        });
        known.collect()
    }

    pub(super) fn members(&self) -> Vec<Member> {
        let member = |(node, known): (&NodeId, &Known)| Member {
            peer: PeerAddress {
                node: *node,
                address: known.addresses.first().cloned().unwrap_or_default(),
            },
            connected: matches!(known.state, State::Connected(_)),
            last_seen_ms: known.last_seen_ms,
        };
        self.nodes.iter().map(member).collect()
    }

    /// When the next node is due.
    fn next_due(&self) -> Option<Instant> {
        let due = self.nodes.values().filter_map(|known| match known.state {
            State::Waiting { at, .. } => Some(at),
            State::Dialling { until, .. } => Some(until),
            State::Connected(_) => None,
        });
        due.min()
    }
}

impl FileServer {
    /// Dials whoever is due, and sets the time of the next.
    pub(super) fn redial(&mut self, now: Now) {
        for (node, known) in &mut self.roster.nodes {
            let delay = match known.state {
                State::Waiting { at, delay } if at <= now.instant => delay,
                State::Dialling { until, delay } if until <= now.instant => delay,
                State::Waiting { .. } | State::Dialling { .. } | State::Connected(_) => continue,
            };
            let index = known.next_address % known.addresses.len().max(1);
            let Some(address) = known.addresses.get(index) else {
                continue;
            };
            known.next_address = index + 1;
            known.state = State::Dialling { until: now.instant + HANDSHAKE_TIMEOUT * 2, delay };
            let peer = PeerAddress { node: *node, address: address.clone() };
            self.outputs.push_back(Output::Dial(peer));
        }
        self.set_redial(now);
    }

    /// Sees to it that whoever is due next is dialled then.
    pub(super) fn set_redial(&mut self, now: Now) {
        let is_over = |at: Instant| at <= now.instant && !planted::is_on(Bug::LoseRedial);
        if self.roster.redial_at.is_some_and(is_over) {
            self.roster.redial_at = None;
        }
        let Some(due) = self.roster.next_due() else {
            return;
        };
        if self.roster.redial_at.is_none_or(|at| due < at) {
            let delay = due.since(now.instant).max(Duration::from_millis(1));
            self.roster.redial_at = Some(now.instant + delay);
            self.after(now, delay, Timer::Redial);
        }
    }

    /// An attempt to reach a node has ended without a connection.
    pub fn dial_failed(&mut self, now: Now, node: NodeId) {
        let jitter = self.rng.random_range(0.5..1.0);
        let Some(known) = self.roster.nodes.get_mut(&node) else {
            return;
        };
        if let State::Dialling { delay, .. } = known.state {
            let at = now.instant + delay.mul_f64(jitter).max(REDIAL_FIRST);
            let next = (delay * 2).min(REDIAL_LAST);
            known.state = State::Waiting { at, delay: next };
            // Once an outage, and not while nodes are still being started.
            if next == REDIAL_LAST && delay < REDIAL_LAST {
                let (node, addresses) = (node.short(), known.addresses.join(", "));
                log::warn!(
                    "node {node} at {addresses} has not been reached: it is down, or elsewhere, or of another network; \
                     it is tried again and again"
                );
            }
            if !planted::is_on(Bug::LoseRedial) {
                self.set_redial(now);
            }
        }
    }

    /// Tells a new peer whom we know, and those whom we know of the new peer.
    pub(super) fn introduce(&mut self, link: Link, node: NodeId) {
        if planted::is_on(Bug::IntroduceNobody) {
            return;
        }
        let mut peers = self.roster.addresses();
        let new = peers.iter().find(|peer| peer.node == node).cloned();
        peers.retain(|peer| peer.node != node);
        for peers in peers.chunks(MESSAGE_PEERS_MAX) {
            self.send(link, Message::Peers { peers: peers.to_vec() });
        }
        let Some(new) = new else { return };
        for other in self.node_links() {
            if other != link {
                self.send(other, Message::Peers { peers: vec![new.clone()] });
            }
        }
    }

    /// A peer tells whom it knows. What is new is dialled at once.
    pub(super) fn learn_peers(&mut self, now: Now, peers: &[PeerAddress]) {
        let mut new = false;
        for peer in peers {
            new |= self.roster.learn(peer, now.instant);
        }
        if new {
            self.set_redial(now);
            self.after(now, Duration::from_millis(200), Timer::PeersFile);
        }
    }

    /// One line a node: id, last seen (ms since 1970), addresses.
    pub(super) fn write_peers(&mut self) {
        let mut text = String::new();
        for (node, known) in &self.roster.nodes {
            text += &format!("{node} {} {}\n", known.last_seen_ms, known.addresses.join(" "));
        }
        let ticket = self.ticket(Pending::PeersFile);
        self.job(Job::Disk(job::Job::WritePeers { ticket, text }));
    }
}

/// Reads what `write_peers` wrote. A line that is damaged is left out: the others tell of that node again.
#[must_use]
pub fn read_peers(text: &str) -> Vec<PeerAddress> {
    let mut peers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(Ok(node)) = words.next().map(str::parse::<NodeId>) else {
            continue;
        };
        let addresses: Vec<_> = words.skip(1).collect();
        for address in addresses.into_iter().rev() {
            peers.extend(PeerAddress::read(node, address));
        }
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(node: u8, address: &str) -> PeerAddress {
        PeerAddress { node: NodeId([node; 32]), address: address.to_owned() }
    }

    fn addresses<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.map(str::to_owned).to_vec()
    }

    #[test]
    fn what_a_node_says_of_itself_stands_before_what_was_heard_or_guessed() {
        let now = Now::default();
        let mut roster = Roster::new(NodeId([1; 32]), &[peer(2, "two:7400")], now.instant);
        let said = addresses(["two:7400", "10.0.0.2:7400"]);
        roster.connected(NodeId([2; 32]), 4, &[&said[..], &said[..]].concat(), now);
        assert_eq!(roster.nodes[&NodeId([2; 32])].addresses, said, "each is kept once");
        roster.connected(NodeId([2; 32]), 5, &said, now);
        assert_eq!(roster.nodes[&NodeId([2; 32])].addresses, said);
        assert!(roster.learn(&peer(2, "elsewhere:7400"), now.instant));
        assert_eq!(roster.address_of(&NodeId([2; 32])), "elsewhere:7400", "it may have moved");
        roster.connected(NodeId([2; 32]), 6, &said, now);
        let expected = addresses(["two:7400", "10.0.0.2:7400", "elsewhere:7400"]);
        assert_eq!(roster.nodes[&NodeId([2; 32])].addresses, expected);
        assert_eq!(roster.addresses(), [peer(2, "two:7400")]);
    }

    #[test]
    fn a_node_that_says_no_address_is_known_by_none() {
        let now = Now::default();
        let mut roster = Roster::new(NodeId([1; 32]), &[], now.instant);
        roster.connected(NodeId([2; 32]), 5, &addresses([""]), now);
        assert_eq!((roster.count(), roster.addresses()), (0, vec![]));
    }

    #[test]
    fn what_no_message_could_carry_is_no_address() {
        let node = "11".repeat(32);
        let read = |address: &str| read_peers(&format!("{node} 5 {address}"));
        assert_eq!(read("host:7400").len(), 1);
        assert_eq!(read("host:7400\u{e}"), []);
        assert_eq!(read(&"a".repeat(10_000)), []);
    }
}
