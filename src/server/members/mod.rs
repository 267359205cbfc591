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
#[cfg(test)]
mod tests;
mod twins;

pub use address_book::{Remembered, read_peers};
pub(super) use event::Event;
pub use met::Reached;

use super::ask::Ask;
use super::closing::Closing;
use super::context::Context;
use super::links::{Peer, Who};
use super::output::{Link, Output};
use super::setup::Setup;
use super::timers::Timer;
use super::work::Job;
use crate::crypto::keys;
use crate::ids::{NodeId, StoreId};
use crate::keyring::presence::{holds, subject};
use crate::limits::{
    HANDSHAKE_TIMEOUT, INSTANCE_ANSWER, INSTANCES_MAX, MESSAGE_PRESENCES_MAX, NODE_ADDRESSES_MAX,
    OUTBOX_MAX,
};
use crate::seeded::{self, Bug};
use crate::time::{Instant, Now};
use crate::wire::message::{Hello, Member, Message, PeerAddress, Request, Role};
use crate::wire::presence::Presence;
use address_book::AddressBook;
use calendar::Calendar;
use introduction::{Introduction, length};
use met::{Met, observed};
use rand::RngExt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use twins::Twins;

/// The file of peers is written so long after a change, with what changed meanwhile.
const WRITE_AFTER: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug)]
pub(super) struct Members {
    node: NodeId,
    verify_key: [u8; 32],
    boot: u64,
    addresses: Vec<String>,
    presence: Presence,
    store: StoreId,
    book: AddressBook,
    twins: Twins,
    calendar: Calendar,
    by_link: BTreeMap<Link, Met>,
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
            store,
            twins: Twins::default(),
            calendar: Calendar::default(),
            by_link: BTreeMap::new(),
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

    /// A connection has been authenticated.
    pub(super) fn established(
        &mut self,
        cx: &mut Context,
        link: Link,
        static_key: [u8; 32],
        reached: Reached,
    ) {
        let (since, introduction) = (cx.now.instant, Introduction::default());
        self.by_link.insert(link, Met { static_key, reached, since, boot: 0, introduction });
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
            if let Some(dialled) = dialled {
                self.book.forget_address(dialled, cx.now.instant);
            }
            if hello.boot != self.boot {
                self.twins.found_own(node, &hello.addresses);
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
        let reached = met.reached;
        if !self.admits_instance(cx, link, node) {
            return self.end(link, Closing::TooManyInstances);
        }
        if reached.dialled().is_some() {
            self.say_hello(cx, link);
        }
        cx.links.become_node(link, node);
        self.calendar.told(link, hello.clock, cx.now.instant);
        log::info!("connected to node {} at {}", node.short(), hello.addresses.join(", "));
        let mut addresses = hello.addresses;
        addresses.extend(reached.from().and_then(|from| observed(from, &addresses)));
        addresses.truncate(NODE_ADDRESSES_MAX);
        self.book.connected(node, link, &addresses, cx.now);
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
        self.by_link.remove(&link);
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
        } else if self.book.disconnected(node, link, cx.now.instant) {
            log::info!("lost the connection to node {}", node.short());
            self.set_redial(cx);
        }
    }

    /// Sees to it that whoever is known is dialled. `are_given`: the operator has named some, who are to be written down.
    pub(super) fn start(&mut self, cx: &mut Context, are_given: bool) {
        self.set_redial(cx);
        if are_given {
            cx.after(Duration::ZERO, Timer::PeersFile);
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
    pub(super) fn dial_failed(&mut self, cx: &mut Context, node: NodeId) {
        let jitter = cx.rng.random_range(0.5..1.0);
        if let Some(addresses) = self.book.failed(node, jitter, cx.now.instant) {
            let node = node.short();
            log::warn!(
                "node {node} at {addresses}: unreachable (down, moved or another network); retrying"
            );
        }
        if !seeded::is_on(Bug::LoseRedial) {
            self.set_redial(cx);
        }
    }

    /// A node has answered where it was dialled: the others may be told. True if that was only to be seen.
    fn dial_answered(&mut self, cx: &mut Context, node: NodeId) -> bool {
        let is_probe = self.book.answered(node, cx.now);
        cx.after(WRITE_AFTER, Timer::PeersFile);
        self.pass_presence_on(cx, node);
        is_probe
    }

    /// Tells a new peer who this node is and whom it knows.
    fn introduce(&mut self, cx: &mut Context, link: Link) {
        cx.after(WRITE_AFTER, Timer::PeersFile);
        self.set_redial(cx);
        if seeded::is_on(Bug::IntroduceNobody) {
            return;
        }
        cx.send_all(link, Message::peers(std::slice::from_ref(&self.presence)));
        if let Some(met) = self.by_link.get_mut(&link) {
            met.introduction = Introduction::begun();
        }
        self.pump(cx, link);
    }

    /// Tells a peer of the next whom this node knows, while its outbox has room.
    pub(super) fn pump(&mut self, cx: &mut Context, link: Link) {
        while let Some(met) = self.by_link.get_mut(&link)
            && met.introduction.is_under_way()
            && cx.links.outbox(link) <= OUTBOX_MAX / 2
        {
            let next = self.book.passed_on_after(met.introduction.told(), MESSAGE_PRESENCES_MAX);
            met.introduction.go_on(&next, MESSAGE_PRESENCES_MAX);
            // Counted at once, since the connection tells only later.
            cx.links.grow_outbox(link, next.iter().map(|(_, presence)| length(presence)).sum());
            let next: Vec<_> = next.into_iter().map(|(_, presence)| presence).collect();
            cx.send_all(link, Message::peers(&next));
        }
    }

    /// Tells a peer again of one whom this node knows, each in turn: there may have been no room for it there.
    pub(super) fn tell_one_more(&mut self, cx: &mut Context, link: Link) {
        let met = self.by_link.get_mut(&link);
        // It is still being told of all.
        let Some(met) = met.filter(|met| !met.introduction.is_under_way()) else {
            return;
        };
        let mut next = self.book.passed_on_after(met.introduction.told(), 1);
        if next.is_empty() {
            next = self.book.passed_on_after(None, 1);
        }
        met.introduction.go_on(&next, 1);
        let next: Vec<_> = next.into_iter().map(|(_, presence)| presence).collect();
        if !seeded::is_on(Bug::IntroduceNobody) {
            cx.send_all(link, Message::peers(&next));
        }
    }

    /// Tells everybody of a node, once it has answered where it says that it is.
    fn pass_presence_on(&mut self, cx: &mut Context, node: NodeId) {
        if seeded::is_on(Bug::IntroduceNobody) {
            return;
        }
        if let Some(presence) = self.book.untold(&node) {
            tell_others(cx, node, &presence);
        }
    }

    /// A peer tells who it is, and whom it knows.
    pub(super) fn learn(&mut self, cx: &mut Context, link: Link, peers: Vec<Presence>) {
        // None if it has ended.
        let Some(source) = cx.links.get(link).and_then(Peer::node) else {
            return;
        };
        for presence in peers {
            let node = subject(&presence);
            // Asked first: a signature takes longer to judge than to repeat.
            let is_news = match node == source {
                true => self.book.is_news(&node, &presence),
                false => self.book.wants(source, node, &presence),
            };
            if !is_news {
                continue;
            }
            if !holds(&presence) {
                return self.end(link, Closing::WrongPresence);
            }
            if node == source {
                self.book.introduces_itself(node, presence);
                self.pass_presence_on(cx, node);
            } else {
                self.learn_of(cx, source, node, &presence);
            }
        }
        self.set_redial(cx);
    }

    fn learn_of(&mut self, cx: &mut Context, source: NodeId, node: NodeId, presence: &Presence) {
        if seeded::is_on(Bug::BelieveRumours) {
            for address in &presence.addresses {
                let peer = PeerAddress { node, address: address.clone() };
                self.book.remember(&peer, cx.now.wall_ms, cx.now.instant);
            }
        }
        if seeded::is_on(Bug::PassRumoursOn) {
            tell_others(cx, node, presence);
        }
        self.book.claim(source, node, presence, cx.now.instant);
    }

    /// Writes down who is known.
    pub(super) fn write_down(&self, cx: &mut Context) {
        cx.job(Job::WritePeers { text: self.book.text() });
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
    pub(super) fn list(&self) -> Vec<Member> {
        let mut members = self.book.members();
        members.sort_by_key(|member| (!member.connected, member.peer.clone()));
        members
    }

    /// Nodes of which two run with one key, a few of them.
    pub(super) fn twins(&self) -> Vec<NodeId> {
        self.twins.told()
    }

    fn end(&mut self, link: Link, why: Closing) {
        self.events.push_back(Event::Ended { link, why });
    }
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

fn tell_others(cx: &mut Context, node: NodeId, presence: &Presence) {
    for link in cx.links.nodes() {
        let is_subject = cx.links.get(link).and_then(Peer::node) == Some(node);
        if !is_subject {
            cx.send_all(link, Message::peers(std::slice::from_ref(presence)));
        }
    }
}
