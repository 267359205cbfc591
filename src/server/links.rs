//! The connections, by their numbers: who the other sides are, and how far they keep up.
//!
//! Decides nothing. Invariant: those that lead to nodes are found without a walk over all clients.

use super::ask::Ask;
use super::output::Link;
use super::query::Line;
use crate::ids::NodeId;
use crate::time::{Instant, Step};
use crate::wire::message::Request;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the other side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// It has not said hello yet.
    Unknown,
    Client,
    Node(NodeId),
}

/// How far a node has told what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    /// All that it has is here, or was at some time since the connection began.
    pub(super) all: bool,
    /// How many records it has, as far as is known.
    pub(super) records: u64,
    /// Whether it came with many of the records that were here, or with as many others. Not known before it has said.
    pub(super) had_much: Option<bool>,
    /// As of which step the two have compared last.
    pub(super) cut: Option<Step>,
}

/// One connection's other side.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) who: Who,
    /// Did not answer in time, and has not been heard since.
    pub(super) unresponsive: bool,
    /// When it last brought or answered something, or was asked when it owed nothing.
    pub(super) heard: Instant,
    /// Bytes of messages that wait to be sent.
    pub(super) outbox: usize,
    /// Requests of the other side that have not been answered.
    pub(super) requests: usize,
    /// One of these may have a long answer.
    pub(super) awaits_long: bool,
    /// How far a node has told what it knows: `Reconcile` alone writes it.
    pub(super) progress: Progress,
    pub(super) asks: HashMap<u32, Ask>,
    pub(super) next_ask: u32,
}

impl Peer {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            who: Who::Unknown,
            unresponsive: false,
            heard: now,
            outbox: 0,
            requests: 0,
            awaits_long: false,
            progress: Progress::default(),
            asks: HashMap::new(),
            next_ask: 0,
        }
    }

    /// Of a node, or of a client.
    #[cfg(test)]
    pub(super) fn for_tests(node: Option<NodeId>) -> Self {
        let mut peer = Self::new(Instant::default());
        peer.who = node.map_or(Who::Client, Who::Node);
        peer
    }

    pub(super) fn is_client(&self) -> bool {
        self.who == Who::Client
    }

    pub(super) fn is_node(&self) -> bool {
        self.node().is_some()
    }

    pub(super) fn node(&self) -> Option<NodeId> {
        match self.who {
            Who::Node(node) => Some(node),
            Who::Unknown | Who::Client => None,
        }
    }

    pub(super) fn line(&self) -> Line {
        Line { is_node: self.is_node(), outbox: self.outbox }
    }

    /// Something was asked and accepted of this node, and is not finished.
    pub(super) fn is_busy(&self) -> bool {
        self.requests > 0 || self.outbox > 0
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Links {
    by_number: BTreeMap<Link, Peer>,
    nodes: BTreeSet<Link>,
}

impl Links {
    /// One more, of which nothing is known yet.
    pub(super) fn insert(&mut self, link: Link, peer: Peer) {
        self.by_number.insert(link, peer);
    }

    /// Whether its other side has said that it is a node.
    pub(super) fn leads_to_node(&self, link: Link) -> bool {
        self.get(link).is_some_and(Peer::is_node)
    }

    /// Whether it did not answer in time, and has not been heard since.
    pub(super) fn is_unresponsive(&self, link: Link) -> bool {
        self.get(link).is_some_and(|peer| peer.unresponsive)
    }

    /// It did not answer in time.
    pub(super) fn set_unresponsive(&mut self, link: Link) {
        if let Some(peer) = self.get_mut(link) {
            peer.unresponsive = true;
        }
    }

    /// It has brought something that was asked for, or answered.
    pub(super) fn hear(&mut self, link: Link, now: Instant) {
        if let Some(peer) = self.get_mut(link) {
            peer.unresponsive = false;
            peer.heard = now;
        }
    }

    /// When it was last heard, or asked when it owed nothing.
    pub(super) fn heard(&self, link: Link) -> Instant {
        self.get(link).map_or(Instant::default(), |peer| peer.heard)
    }

    /// It counts as heard then.
    pub(super) fn set_heard(&mut self, link: Link, heard: Instant) {
        if let Some(peer) = self.get_mut(link) {
            peer.heard = heard;
        }
    }

    /// A peer is asked something; the answer comes back with the number.
    pub(super) fn ask(&mut self, link: Link, ask: Ask) -> Request {
        let Some(peer) = self.get_mut(link) else {
            return 0;
        };
        peer.next_ask = peer.next_ask.wrapping_add(1);
        peer.asks.insert(peer.next_ask, ask);
        peer.next_ask
    }

    /// It has answered: why it was asked, if that is still of interest.
    pub(super) fn answered(&mut self, link: Link, request: Request, now: Instant) -> Option<Ask> {
        self.hear(link, now);
        self.get_mut(link)?.asks.remove(&request)
    }

    /// Its answer is not waited for any more. False if it has come.
    pub(super) fn forget_ask(&mut self, link: Link, request: Request) -> bool {
        self.get_mut(link).is_some_and(|peer| peer.asks.remove(&request).is_some())
    }

    /// It requests something; `long`: the answer may be as long as a frame.
    pub(super) fn begin_request(&mut self, link: Link, long: bool) {
        if let Some(peer) = self.get_mut(link) {
            peer.requests += 1;
            peer.awaits_long |= long;
        }
    }

    /// One of its requests is no longer under way.
    pub(super) fn end_request(&mut self, link: Link) {
        if let Some(peer) = self.get_mut(link) {
            peer.requests = peer.requests.saturating_sub(1);
            peer.awaits_long &= peer.requests > 0;
        }
    }

    /// It is a client's.
    pub(super) fn become_client(&mut self, link: Link) {
        if let Some(peer) = self.get_mut(link) {
            peer.who = Who::Client;
        }
    }

    /// It leads to a node.
    pub(super) fn become_node(&mut self, link: Link, node: NodeId) {
        if let Some(peer) = self.get_mut(link) {
            peer.who = Who::Node(node);
            self.nodes.insert(link);
        }
    }

    /// Bytes of messages that wait to be sent; 0 if it has ended.
    pub(super) fn outbox(&self, link: Link) -> usize {
        self.get(link).map_or(0, |peer| peer.outbox)
    }

    /// So many bytes of messages wait to be sent now.
    pub(super) fn set_outbox(&mut self, link: Link, bytes: usize) {
        if let Some(peer) = self.get_mut(link) {
            peer.outbox = bytes;
        }
    }

    /// So many bytes more will wait to be sent: counted before the connection has them.
    pub(super) fn grow_outbox(&mut self, link: Link, bytes: usize) {
        if let Some(peer) = self.get_mut(link) {
            peer.outbox += bytes;
        }
    }

    /// Whether it has been asked this, and has not answered.
    pub(super) fn is_asked(&self, link: Link, ask: Ask) -> bool {
        self.get(link).is_some_and(|peer| peer.asks.values().any(|other| *other == ask))
    }

    /// It is gone.
    pub(super) fn remove(&mut self, link: Link) -> Option<Peer> {
        self.nodes.remove(&link);
        self.by_number.remove(&link)
    }

    /// Whether it has not ended.
    pub(super) fn contains(&self, link: Link) -> bool {
        self.by_number.contains_key(&link)
    }

    pub(super) fn get(&self, link: Link) -> Option<&Peer> {
        self.by_number.get(&link)
    }

    pub(super) fn get_mut(&mut self, link: Link) -> Option<&mut Peer> {
        self.by_number.get_mut(&link)
    }

    /// Whether no node is connected.
    pub(super) fn has_no_node(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Those that lead to nodes.
    pub(super) fn nodes(&self) -> Vec<Link> {
        self.nodes.iter().copied().collect()
    }

    /// The same, and what is kept of them.
    pub(super) fn node_peers(&self) -> impl Iterator<Item = (Link, &Peer)> {
        self.nodes.iter().filter_map(|link| Some((*link, self.get(*link)?)))
    }

    /// Those of clients.
    pub(super) fn clients(&self) -> Vec<Link> {
        let clients = self.by_number.iter().filter(|(_, peer)| peer.is_client());
        clients.map(|(link, _)| *link).collect()
    }

    /// What is kept of each.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.by_number.values()
    }
}
