//! Members: who the other sides are, which nodes are known, and who is dialled.
//!
//! A machine. Knows no record and no block. Invariants: of two connections to one start of a node one is kept, and of one
//! key no more than `INSTANCES_MAX` starts are connected; what another says of a node is a candidate at most, and what is passed on is a node's own signed words, after it has answered there.

mod address_book;
mod calendar;
mod candidates;
mod event;
mod introduction;
mod met;
mod presences;
mod remembered;
#[cfg(test)]
mod tests;
mod twins;
mod writing;

pub(super) use event::Event;
pub use met::Reached;
pub use remembered::{Remembered, read_peers};

use super::ask::Ask;
use super::closing::Closing;
use super::context::Context;
use super::links::{Peer, Who};
use super::output::{Link, Output};
use super::setup::Setup;
use super::timers::Timer;
use crate::crypto::keys;
use crate::ids::{NodeId, StoreId};
use crate::limits::{
    HANDSHAKE_TIMEOUT, INSTANCE_ANSWER, INSTANCES_MAX, NODE_ADDRESSES_MAX, SEEN_WRITTEN_AFTER,
};
use crate::seeded::{self, Bug};
use crate::time::{Instant, Now};
use crate::wire::message::{Hello, Member, Message, PeerAddress, Request, Role};
use crate::wire::presence::Presence;
use address_book::AddressBook;
use calendar::Calendar;
use introduction::Introduction;
use met::{Met, observed};
use rand::RngExt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use twins::Twins;
use writing::Writing;

/// See the module.
#[derive(Debug)]
pub(super) struct Members {
    node: NodeId,
    verify_key: [u8; 32],
    boot: u64,
    addresses: Vec<String>,
    presence: Presence,
    began_ms: u64,
    store: StoreId,
    book: AddressBook,
    twins: Twins,
    calendar: Calendar,
    by_link: BTreeMap<Link, Met>,
    writing: Writing,
    events: VecDeque<Event>,
}

impl Members {
    /// Nobody is connected. `store`: which data folder it is.
    pub(super) fn new(setup: Setup, store: StoreId, now: Instant) -> Self {
        Self {
            node: setup.node,
            verify_key: setup.verify_key,
            boot: setup.boot,
            book: AddressBook::new(setup.node, &setup.peers, &setup.remembered, now),
            addresses: setup.addresses,
            presence: setup.presence,
            began_ms: setup.began_ms,
            store,
            twins: Twins::default(),
            calendar: Calendar::default(),
            by_link: BTreeMap::new(),
            writing: Writing::default(),
            events: VecDeque::new(),
        }
    }

    /// What has happened, for the rest of the server.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The time, with the calendar that counts: if this machine's is plainly wrong, what the others say.
    pub(super) fn correct(&self, now: Now) -> Now {
        self.calendar.correct(now)
    }

    /// The calendar by which things expire; none if it is wrong.
    pub(super) fn prudent(&self, now: Now) -> Option<u64> {
        self.calendar.prudent(now)
    }

    /// What a node's calendar shows, as far as it has said.
    pub(super) fn calendar_of(&self, link: Link, now: Instant) -> Option<u64> {
        self.calendar.of(link, now)
    }

    /// A connection has been authenticated.
    pub(super) fn established(
        &mut self,
        cx: &mut Context,
        link: Link,
        static_key: [u8; 32],
        reached: Reached,
    ) {
        let (since, introduction) = (cx.now.instant, Introduction::default());
        let (boot, goes_on) = (0, false);
        let met = Met { static_key, reached, since, boot, introduction, goes_on };
        self.by_link.insert(link, met);
        // Who was dialled speaks first: a node that is not the one that was meant, or to which there is a connection, must
        // not give up a good one for this one.
        if reached.dialled().is_none() {
            self.say_hello(cx, link);
        }
    }

    fn say_hello(&self, cx: &mut Context, link: Link) {
        let hello = Hello {
            role: Role::Node,
            verify_key: self.verify_key,
            boot: self.boot,
            addresses: self.addresses.clone(),
            store: self.store,
            group: cx.index.group,
            clock: cx.clock(),
        };
        cx.send(link, Message::Hello(hello));
    }

    /// The other side says what it is.
    pub(super) fn hello(&mut self, cx: &mut Context, link: Link, hello: Hello) {
        // None if it has ended.
        let Some(peer) = cx.links.get(link) else {
            return;
        };
        if peer.who != Who::Unknown {
            return self.end(link, Closing::HelloTwice);
        }
        // A client's clock moves nobody's: it is not one of the network's.
        if hello.role == Role::Node || seeded::is_on(Bug::FollowClientClock) {
            cx.observe(hello.clock);
        }
        match hello.role {
            Role::Client => {
                cx.links.become_client(link);
                cx.give_grants(link);
            }
            Role::Node => self.hello_node(cx, link, hello),
        }
    }

    fn hello_node(&mut self, cx: &mut Context, link: Link, hello: Hello) {
        let met = self.by_link.get_mut(&link).expect("it was established");
        let node = keys::node_id(&hello.verify_key, &met.static_key);
        let dialled = met.reached.dialled();
        met.boot = hello.boot;
        if node == self.node {
            let only = dialled.and_then(|it| self.book.forget_address(it, cx.now.instant));
            if hello.boot != self.boot {
                self.twins.found_own(node, &hello.addresses);
            } else if let (Some(dialled), Some(address)) = (dialled, only) {
                warn_of_itself(dialled, &address);
            }
            return self.end(link, Closing::Itself);
        }
        if let Some(dialled) = dialled.filter(|dialled| *dialled != node) {
            self.book.forget_address(dialled, cx.now.instant);
            return self.end(link, Closing::OtherNode);
        }
        let is_probe = dialled.is_some() && self.dial_answered(cx, node);
        let same = self.same_start(cx, link, node);
        // A node that was started anew has lost the connection that this side still has.
        let is_duplicate = same.is_some_and(|same| is_probe || self.keeps(cx, same, link, node));
        if is_duplicate {
            return self.end(link, Closing::Duplicate);
        }
        if let Some(same) = same {
            self.end(same, Closing::Replaced);
        }
        self.events.push_back(Event::Hello { link, hello });
    }

    /// Another connection to the same start of a node.
    fn same_start(&self, cx: &Context, link: Link, node: NodeId) -> Option<Link> {
        let boot_of = |link: Link| self.by_link.get(&link).map(|met| met.boot);
        let boot = boot_of(link);
        let is_same = |(other, peer): &(Link, &Peer)| {
            *other != link && peer.node() == Some(node) && boot_of(*other) == boot
        };
        cx.links.node_peers().find(is_same).map(|(other, _)| other)
    }

    /// Of two connections to one start of a node both sides keep the same one. A node that dials anew has lost the old one,
    /// unless both dialled at once; then the one stays that the lesser id dialled. Whether that is the old one.
    fn keeps(&self, cx: &Context, old: Link, new: Link, node: NodeId) -> bool {
        // One of them has just ended: there is nothing to choose.
        let (Some(old), Some(new)) = (self.by_link.get(&old), self.by_link.get(&new)) else {
            return false;
        };
        let at_once = cx.now.instant.since(old.since) < HANDSHAKE_TIMEOUT;
        let we_dial = self.node < node;
        let dialled = |met: &Met| met.reached.dialled().is_some();
        at_once && dialled(old) != dialled(new) && dialled(old) == we_dial
    }

    /// A node has said hello, and what it replaces has ended: from now on the connection leads to it, if there are not too
    /// many of it.
    pub(super) fn admit(&mut self, cx: &mut Context, link: Link, hello: Hello) {
        // None if it has ended meanwhile.
        let Some(met) = self.by_link.get(&link) else {
            return;
        };
        let node = keys::node_id(&hello.verify_key, &met.static_key);
        let (reached, goes_on) = (met.reached, met.goes_on);
        if !self.admits_instance(cx, link, node) {
            return self.end(link, Closing::TooManyInstances);
        }
        if reached.dialled().is_some() {
            self.say_hello(cx, link);
        }
        cx.links.become_node(link, node);
        self.calendar.told(link, hello.clock, cx.now.instant);
        // Of one that goes on where another has ended it has been said.
        let level = if goes_on { log::Level::Debug } else { log::Level::Info };
        log::log!(level, "connected to node {} at {}", node.short(), hello.addresses.join(", "));
        let mut addresses = hello.addresses;
        addresses.extend(reached.from().and_then(|from| observed(from, &addresses)));
        addresses.truncate(NODE_ADDRESSES_MAX);
        self.book.connected(node, link, &addresses, cx.now);
        self.writing.soon(cx);
        self.set_redial(cx);
        self.introduce(cx, link);
        self.events.push_back(Event::Connected { link });
    }

    /// Another start of a node that is connected has said hello. Whether it may stay; if so the others are asked whether
    /// they are still there.
    fn admits_instance(&mut self, cx: &mut Context, link: Link, node: NodeId) -> bool {
        let others = links_of(cx, node, link);
        if seeded::is_on(Bug::TwinsFight) {
            others.into_iter().for_each(|other| self.end(other, Closing::Replaced));
            return true;
        }
        if others.len() >= INSTANCES_MAX {
            return false;
        }
        for other in others {
            // One question at a time: whoever connects again and again makes nobody say more than that.
            if cx.links.is_asked(other, Ask::Instance) {
                continue;
            }
            let request = cx.links.ask(other, Ask::Instance);
            cx.send(other, Message::Status { request });
            cx.after(INSTANCE_ANSWER, Timer::Instance(other, request));
        }
        true
    }

    /// A connection whose node has another one since has answered.
    pub(super) fn instance_answered(&mut self, cx: &Context, link: Link) {
        let node = cx.links.get(link).and_then(Peer::node);
        // The other one has gone meanwhile.
        let Some(node) = node.filter(|node| !links_of(cx, *node, link).is_empty()) else {
            return;
        };
        self.twins.found(node, || self.book.addresses_of(&node));
    }

    /// It was to answer until now.
    pub(super) fn instance_due(&mut self, cx: &mut Context, link: Link, request: Request) {
        if cx.links.forget_ask(link, request) {
            self.end(link, Closing::NoAnswer);
        }
    }

    /// A connection is gone. `node`: to whom it led, if to a node.
    pub(super) fn link_closed(&mut self, cx: &mut Context, link: Link, node: Option<NodeId>) {
        let met = self.by_link.remove(&link);
        self.calendar.link_closed(link, cx.now.instant);
        // It was a client's, or had not said what it is.
        let Some(node) = node else {
            return;
        };
        let others = links_of(cx, node, link);
        if others.len() < 2 {
            self.twins.parted(&node);
        }
        if let Some(other) = others.first() {
            self.book.goes_by(node, link, *other);
        } else if self.book.disconnected(node, link, cx.now) {
            if !met.is_some_and(|met| self.goes_on_elsewhere(&met.static_key)) {
                log::info!("lost the connection to node {}", node.short());
            }
            self.set_redial(cx);
            self.writing.within(cx, SEEN_WRITTEN_AFTER);
        }
    }

    /// Whether another connection to the node of one that has ended is being made, as when both dial at once: then the
    /// node is not lost, and it need not be said that it is connected again.
    fn goes_on_elsewhere(&mut self, static_key: &[u8; 32]) -> bool {
        let same = self.by_link.values_mut().filter(|met| met.static_key == *static_key);
        same.map(|met| met.goes_on = true).count() > 0
    }

    /// Sees to it that whoever is known is dialled. `are_given`: the operator has named some, who are to be written down.
    pub(super) fn start(&mut self, cx: &mut Context, are_given: bool) {
        self.set_redial(cx);
        if are_given {
            self.writing.within(cx, Duration::ZERO);
        }
    }

    /// Dials whoever is due, and sets the time of the next.
    pub(super) fn redial(&mut self, cx: &mut Context) {
        for peer in self.book.due(cx.now.instant) {
            cx.output(Output::Dial(peer));
        }
        self.set_redial(cx);
    }

    /// Sees to it that whoever is due next is dialled then.
    fn set_redial(&mut self, cx: &mut Context) {
        if let Some(delay) = self.book.next_redial(cx.now.instant) {
            cx.after(delay, Timer::Redial);
        }
    }

    /// An attempt to reach a node has ended without a connection.
    pub(super) fn dial_failed(&mut self, cx: &mut Context, node: NodeId, why: &str) {
        let jitter = cx.rng.random_range(0.5..1.0);
        self.book.note_trouble(&node, why);
        if let Some(addresses) = self.book.failed(node, jitter, cx.now.instant) {
            let node = node.short();
            log::warn!(
                "node {node} at {addresses}: unreachable (down, moved or another network): {why}; retrying"
            );
        }
        if !seeded::is_on(Bug::LoseRedial) {
            self.set_redial(cx);
        }
    }

    /// A node has answered where it was dialled: the others may be told. True if that was only to be seen.
    fn dial_answered(&mut self, cx: &mut Context, node: NodeId) -> bool {
        let is_probe = self.book.answered(node, cx.now);
        self.writing.soon(cx);
        self.pass_presence_on(cx, node);
        is_probe
    }

    /// Writes down who is known, if that is due.
    pub(super) fn write_down(&mut self, cx: &mut Context) {
        self.writing.write_if_due(cx, &self.book);
    }

    /// The node stops: writes down when the others were last seen.
    pub(super) fn write_last(&mut self, cx: &mut Context) {
        if self.book.count() > 0 {
            self.writing.within(cx, Duration::ZERO);
            self.writing.write_if_due(cx, &self.book);
        }
    }

    /// It is written down, or cannot be.
    pub(super) fn written_down(&mut self) {
        self.writing.ended();
    }

    /// Whether something is still being written.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_under_way()
    }

    /// When this node began its network, in milliseconds since 1970, if it knows no other node; 0 otherwise.
    pub(super) fn began_ms(&self) -> u64 {
        if self.book.count() == 0 { self.began_ms } else { 0 }
    }

    /// This node, and its best address.
    pub(super) fn own(&self) -> PeerAddress {
        let address = self.addresses.first().cloned().unwrap_or_default();
        PeerAddress { node: self.node, address }
    }

    /// A node, and the best address at which it has answered; empty if none.
    pub(super) fn address_of(&self, node: NodeId) -> PeerAddress {
        PeerAddress { node, address: self.book.address_of(&node) }
    }

    /// How many nodes are known.
    pub(super) fn count(&self) -> u32 {
        self.book.count()
    }

    /// The nodes that are known: those connected first, should there be more than one message holds.
    pub(super) fn list(&self, now_ms: u64) -> Vec<Member> {
        let mut members = self.book.members(now_ms);
        members.sort_by_key(|member| (!member.connected, member.peer.clone()));
        members
    }

    /// Nodes of which two run with one key, a few of them.
    pub(super) fn twins(&self) -> Vec<NodeId> {
        self.twins.told()
    }

    /// A peer tells who it is, and whom it knows.
    pub(super) fn learn(&mut self, cx: &mut Context, link: Link, peers: Vec<Presence>) {
        // None if it has ended.
        let Some(source) = cx.links.get(link).and_then(Peer::node) else {
            return;
        };
        match self.judge_presences(cx, source, peers) {
            Ok(()) => self.set_redial(cx),
            Err(why) => self.end(link, why),
        }
    }

    fn end(&mut self, link: Link, why: Closing) {
        self.events.push_back(Event::Ended { link, why });
    }
}

/// All that is known of a node leads here: whoever gave it to this node is to know.
fn warn_of_itself(dialled: NodeId, address: &str) {
    log::warn!(
        "node {} at {address}: that address leads to this node itself, and no other address of that node is known; take a \
         new ticket where that node tells how others reach it (dfsd --advertise HOST:PORT), and join again (--join TICKET)",
        dialled.short()
    );
}

/// How many nodes are connected; twins count once.
pub(super) fn connected(cx: &Context) -> usize {
    cx.links.node_peers().filter_map(|(_, peer)| peer.node()).collect::<BTreeSet<_>>().len()
}

/// The connections to a node, but for this one.
fn links_of(cx: &Context, node: NodeId, but: Link) -> Vec<Link> {
    let same = cx.links.node_peers().filter(|(_, peer)| peer.node() == Some(node));
    same.map(|(link, _)| link).filter(|link| *link != but).collect()
}
