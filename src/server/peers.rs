//! The other sides of this node's connections: who they are, and what is under way with each.
//!
//! Invariant: everything kept for one connection has a bound.

use super::FileServer;
use super::ask::Ask;
use super::members::{Event, Reached};
use super::output::Link;
use super::query::Line;
use super::transfer::OFFERED_BYTES;
use crate::ids::NodeId;
use crate::limits::{FRAME_BODY_MAX, GROUP_BYTES_MAX, OUTBOX_HARD_MAX, OUTBOX_MAX, REQUESTS_MAX};
use crate::planted::{self, Bug};
use crate::time::{Instant, Now};
use std::collections::HashMap;

/// Bytes that wait for workers to check them, or for the disk to say what of them it has; with more, nothing is read.
const CHECKS_BYTES_MAX: usize = GROUP_BYTES_MAX / 2;
/// One read of a connection that sends leaves.
const READ_MAX: usize = 256 * 1024;
/// What is kept of a request, but for what it brought.
const REQUEST_BYTES: usize = 300;
/// Requests under way of a connection that has one among them whose answer may be as long as a frame.
const LONG_ANSWERS_MAX: usize = (OUTBOX_HARD_MAX - OUTBOX_MAX) / FRAME_BODY_MAX / 2;

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
}

/// One connection's other side.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) who: Who,
    /// Did not answer in time, and has not been heard since.
    pub(super) silent: bool,
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
    fn new(now: Instant) -> Self {
        Self {
            who: Who::Unknown,
            silent: false,
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

impl FileServer {
    /// A connection has been authenticated.
    pub fn established(&mut self, now: Now, link: Link, static_key: [u8; 32], reached: Reached) {
        self.cx.now = now;
        self.cx.links.insert(link, Peer::new(now.instant));
        self.members.established(&mut self.cx, link, static_key, reached);
    }

    /// An attempt to reach a node has ended without a connection.
    pub fn dial_failed(&mut self, now: Now, node: NodeId) {
        self.cx.now = now;
        self.members.dial_failed(&mut self.cx, node);
    }

    /// What the membership has to tell.
    pub(super) fn met(&mut self) {
        while let Some(event) = self.members.poll_event() {
            match event {
                Event::Hello { link, hello } => self.members.admit(&mut self.cx, link, hello),
                Event::Connected { link } => {
                    self.reconcile.connected(&mut self.cx, link);
                    self.tell_room(link);
                    self.has_news(link);
                }
                Event::Ended { link, why } => self.close(link, why),
            }
        }
    }

    /// A connection is gone.
    pub fn link_closed(&mut self, now: Now, link: Link) {
        self.cx.now = now;
        let Some(peer) = self.cx.links.remove(link) else {
            return;
        };
        self.transfer.link_closed(&mut self.cx, link);
        self.transferred();
        self.scrub.link_closed(link);
        self.query.link_closed(&mut self.cx, link, &peer.asks);
        self.queried();
        self.pages_link_closed(link, &peer.asks);
        self.has_compared |= peer.progress.all;
        self.reconcile.link_closed(link);
        self.arrivals.link_closed(link);
        self.cx.news.forget(link);
        self.write.link_closed(link);
        self.members.link_closed(&mut self.cx, link, peer.node());
    }

    /// A message was queued: so many bytes wait on the connection now. Known at once, not when the socket next takes
    /// some, since a client that asks and does not read must be stopped by what waits for it.
    pub fn outbox_grown(&mut self, link: Link, bytes: usize) {
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.outbox = bytes;
        }
    }

    /// How many bytes of messages wait on a connection, of which some have been sent.
    pub fn outbox_level(&mut self, now: Now, link: Link, bytes: usize) {
        self.cx.now = now;
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        peer.outbox = bytes;
        if bytes < OUTBOX_MAX / 2 {
            self.reconcile.pump_push(&mut self.cx, link);
            self.reconcile.pump(&mut self.cx, link);
            self.compared();
            self.members.pump(&mut self.cx, link);
            self.query.resume(&mut self.cx, link);
            self.queried();
        }
    }

    /// Whether anything more of this connection is taken in: read, and handed on. A node's outbox does not count, so that
    /// two full ones can't wait for each other; its requests do, which are answered without a question to anybody.
    #[must_use]
    pub fn wants_read(&self, link: Link) -> bool {
        let Some(peer) = self.cx.links.get(link) else {
            return true;
        };
        let is_long = peer.awaits_long && !peer.is_node();
        let requests_max = if is_long { LONG_ANSWERS_MAX } else { REQUESTS_MAX };
        let is_counted = !peer.is_node() || !planted::is_on(Bug::UncountedNodes);
        let full = (peer.requests >= requests_max && is_counted)
            || (peer.outbox > OUTBOX_MAX && !peer.is_node());
        let [congested, no_room] = self.is_tight();
        let sends_leaves = self.transfer.is_owed_by(link);
        let waits = congested || full || (no_room && sends_leaves);
        !waits
    }

    /// Whether more has come than the workers and the disk keep up with, so that nothing is taken from anybody; and
    /// whether there is no memory for one more leaf, so that nothing is taken from those who send any.
    #[must_use]
    pub fn is_tight(&self) -> [bool; 2] {
        let congested = self.write.is_congested() || self.cx.checking > CHECKS_BYTES_MAX;
        [congested, self.cx.memory.is_full()]
    }

    /// See `Node::read_max`.
    #[must_use]
    pub fn read_max(&self, link: Link) -> usize {
        let large = self.cx.links.leads_to_node(link) || self.transfer.is_owed_by(link);
        if large { READ_MAX } else { READ_MAX / 8 }
    }

    /// About what is kept in memory on behalf of a connection, leaves apart, which have a budget of their own.
    #[must_use]
    pub fn held_bytes(&self, link: Link) -> usize {
        self.cx.links.get(link).map_or(0, |peer| {
            self.write.offered_by(link) * OFFERED_BYTES
                + self.transfer.held_bytes(link)
                + peer.requests * REQUEST_BYTES
                + self.reconcile.held_bytes(link)
                + self.arrivals.held_bytes(link)
        })
    }
}
