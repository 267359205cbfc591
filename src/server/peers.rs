//! The other sides of this node's connections: who they are, and what is under way with each.
//!
//! Invariant: everything kept for one connection has a bound.

use super::FileServer;
use super::ask::Ask;
use super::closing::Closing;
use super::comparison::Comparison;
use super::introduce::Introduction;
use super::output::Link;
use super::push::Push;
use super::query::Line;
use super::transfer::OFFERED_BYTES;
use super::vain::Vain;
use crate::crypto::keys;
use crate::ids::NodeId;
use crate::limits::{
    FRAME_BODY_MAX, GROUP_BYTES_MAX, HANDSHAKE_TIMEOUT, NODE_ADDRESSES_MAX, OUTBOX_HARD_MAX,
    OUTBOX_MAX, REQUESTS_MAX,
};
use crate::planted::{self, Bug};
use crate::time::{Instant, Now};
use crate::wire::message::{Hello, Message, Role};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

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

/// One connection's other side.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) who: Who,
    static_key: [u8; 32],
    /// Whom this node meant to reach; none if the other side dialled.
    dialled: Option<NodeId>,
    /// Where the other side dialled from.
    from: Option<IpAddr>,
    since: Instant,
    boot: u64,
    /// Did not answer in time, and has not been heard since.
    pub(super) silent: bool,
    /// When it last brought or answered something, or was asked when it owed nothing.
    pub(super) heard: Instant,
    /// Bytes of messages that wait to be sent.
    pub(super) outbox: usize,
    /// It takes records of files: false from when it says that its disk is full.
    pub(super) has_room: bool,
    /// Requests of the other side that have not been answered.
    pub(super) requests: usize,
    /// One of these may have a long answer.
    pub(super) awaits_long: bool,
    /// Blocks that it suspects, and that are to be looked at.
    pub(super) suspects: usize,
    pub(super) push: Push,
    pub(super) comparison: Comparison,
    pub(super) vain: Vain,
    pub(super) introduction: Introduction,
    pub(super) asks: HashMap<u32, Ask>,
    pub(super) next_ask: u32,
    /// When the next comparison is due, if this side begins it.
    pub(super) reconcile_at: Option<Instant>,
}

impl Peer {
    fn new(
        static_key: [u8; 32],
        (dialled, from): (Option<NodeId>, Option<IpAddr>),
        now: Instant,
    ) -> Self {
        Self {
            who: Who::Unknown,
            static_key,
            dialled,
            from,
            since: now,
            boot: 0,
            silent: false,
            heard: now,
            outbox: 0,
            has_room: true,
            requests: 0,
            awaits_long: false,
            suspects: 0,
            push: Push::default(),
            comparison: Comparison::default(),
            vain: Vain::default(),
            introduction: Introduction::default(),
            asks: HashMap::new(),
            next_ask: 0,
            reconcile_at: None,
        }
    }

    /// Of a node, or of a client.
    #[cfg(test)]
    pub(super) fn for_tests(node: Option<NodeId>) -> Self {
        let mut peer = Self::new([0; 32], (None, None), Instant::default());
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

    /// Whether a comparison may say more now.
    pub(super) fn may_compare(&self) -> bool {
        self.push.has_room() && self.outbox <= OUTBOX_MAX / 2
    }

    /// Something was asked and accepted of this node, and is not finished.
    pub(super) fn is_busy(&self) -> bool {
        self.requests > 0 || self.outbox > 0
    }
}

impl FileServer {
    /// A connection has been authenticated. `reached` is whom this node meant to reach by it, or from where it came.
    pub fn established(
        &mut self,
        now: Now,
        link: Link,
        static_key: [u8; 32],
        reached: (Option<NodeId>, Option<IpAddr>),
    ) {
        self.cx.now = now;
        self.cx.links.insert(link, Peer::new(static_key, reached, now.instant));
        // Who was dialled speaks first: a node that is not the one that was meant, or to which there is a connection, must
        // not give up a good one for this one.
        if reached.0.is_none() {
            self.say_hello(link);
        }
    }

    fn say_hello(&mut self, link: Link) {
        let hello = Hello {
            role: Role::Node,
            verify_key: self.setup.verify_key,
            boot: self.setup.boot,
            addresses: self.setup.addresses.clone(),
            store: self.store,
            group: self.cx.index.group,
            clock: self.cx.clock(),
        };
        self.send(link, Message::Hello(hello));
    }

    /// The other side says what it is.
    pub(super) fn hello(&mut self, now: Now, link: Link, hello: Hello) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        if peer.who != Who::Unknown {
            return self.close(now, link, Closing::HelloTwice);
        }
        if hello.role == Role::Client {
            peer.who = Who::Client;
        }
        // A client's clock moves nobody's: it is not one of the network's.
        if hello.role == Role::Node || planted::is_on(Bug::FollowClientClock) {
            self.cx.observe(hello.clock);
        }
        match hello.role {
            Role::Client => self.give_grants(link),
            Role::Node => self.hello_node(now, link, hello),
        }
    }

    fn hello_node(&mut self, now: Now, link: Link, hello: Hello) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let node = keys::node_id(&hello.verify_key, &peer.static_key);
        let (dialled, from) = (peer.dialled, peer.from);
        peer.boot = hello.boot;
        if node == self.setup.node {
            if let Some(dialled) = dialled {
                self.roster.forget_address(dialled, now.instant);
            }
            self.is_own_twin(hello.boot, &hello.addresses);
            return self.close(now, link, Closing::Itself);
        }
        if let Some(dialled) = dialled.filter(|dialled| *dialled != node) {
            self.roster.forget_address(dialled, now.instant);
            return self.close(now, link, Closing::OtherNode);
        }
        let is_probe = dialled.is_some() && self.dial_answered(now, node);
        // A node that was started anew has lost the connection that this side still has.
        let same = |peer: &Peer| peer.node() == Some(node) && peer.boot == hello.boot;
        let is_here = self.cx.links.node_peers().any(|(_, peer)| same(peer));
        if (is_probe && is_here) || !self.replaces_others(now, link, node) {
            return self.close(now, link, Closing::Duplicate);
        }
        if !self.admits_instance(now, link, node) {
            return self.close(now, link, Closing::TooManyInstances);
        }
        if dialled.is_some() {
            self.say_hello(link);
        }
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.who = Who::Node(node);
            self.cx.links.insert_node(link);
            self.calendar.told(link, hello.clock, now.instant);
        }
        log::info!("connected to node {} at {}", node.short(), hello.addresses.join(", "));
        let mut addresses = hello.addresses;
        addresses.extend(from.and_then(|from| observed(from, &addresses)));
        addresses.truncate(NODE_ADDRESSES_MAX);
        self.roster.connected(node, link, &addresses, now);
        self.introduce(now, link);
        self.push_grants(now, link);
        self.tell_room(link);
        // One of the two begins; what it finds is told to both.
        if self.setup.node < node {
            self.set_reconcile(now, link, Duration::ZERO);
        }
        self.has_news(now, link);
    }

    /// Two connections to one start of a node: both sides keep the same one. A node that dials anew has lost the old one,
    /// unless both dialled at once; then the one stays that the lesser id dialled.
    fn replaces_others(&mut self, now: Now, link: Link, node: NodeId) -> bool {
        let boot = self.cx.links.get(link).map(|peer| peer.boot);
        let same = |(other, peer): (Link, &Peer)| {
            let is_same = peer.node() == Some(node) && Some(peer.boot) == boot;
            (other != link && is_same).then_some(other)
        };
        let Some(other) = self.cx.links.node_peers().find_map(same) else {
            return true;
        };
        let (Some(old), Some(new)) = (self.cx.links.get(other), self.cx.links.get(link)) else {
            return true;
        };
        let at_once = now.instant.since(old.since) < HANDSHAKE_TIMEOUT;
        let we_dial = self.setup.node < node;
        if at_once
            && old.dialled.is_some() != new.dialled.is_some()
            && old.dialled.is_some() == we_dial
        {
            return false;
        }
        self.close(now, other, Closing::Replaced);
        true
    }

    /// A connection is gone.
    pub fn link_closed(&mut self, now: Now, link: Link) {
        self.cx.now = now;
        let Some(peer) = self.cx.links.remove(link) else {
            return;
        };
        self.transfer.link_closed(&mut self.cx, link);
        self.transferred(now);
        self.sweeps.link_closed(link);
        self.query.link_closed(&mut self.cx, link, &peer.asks);
        self.queried(now);
        self.pages_link_closed(now, link, &peer.asks);
        self.has_compared |= peer.comparison.is_informed();
        self.calendar.link_closed(link, now.instant);
        self.cx.news.forget(link);
        self.write.link_closed(link);
        if let Who::Node(node) = peer.who
            && !self.instance_closed(node, link)
            && self.roster.disconnected(node, link, now.instant)
        {
            log::info!("lost the connection to node {}", node.short());
            self.set_redial(now);
        }
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
            self.pump_push(now, link);
            self.pump_comparison(now, link);
            self.pump_introduction(link);
            self.query.resume(&mut self.cx, link);
            self.queried(now);
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
                + peer.push.held_bytes()
                + peer.comparison.held_bytes()
                + peer.vain.held_bytes()
        })
    }
}

/// Where a node that dialled can be dialled itself, should the name that it gives for itself lead nowhere: the address it
/// came from, with the port that it says.
fn observed(from: IpAddr, said: &[String]) -> Option<String> {
    let port: u16 = said.first()?.rsplit_once(':')?.1.parse().ok()?;
    let address = SocketAddr::new(from, port).to_string();
    (!said.contains(&address)).then_some(address)
}
