//! Twins: two nodes that run with one key, as a copied disk or image makes them.
//!
//! A node's boot number is new with each start. A second connection of a node with another boot is either the node after a
//! start, whose old connection is dead and does not know it yet, or a twin. Which of the two is found out by asking the
//! older connection something: a node that is gone does not answer. Each boot keeps one connection, so that twins do not
//! push each other out, and what either has comes to everybody. Invariant: a twin is warned of once, and told of in the
//! status as long as both are there; of one key no more than `INSTANCES_MAX` are connected.

use super::FileServer;
use super::ask::Ask;
use super::closing::Closing;
use super::output::Link;
use super::timers::Timer;
use crate::ids::NodeId;
use crate::limits::{INSTANCE_ANSWER, INSTANCES_MAX, PEERS_MAX, TWINS_TOLD_MAX};
use crate::planted::{self, Bug};
use crate::time::Now;
use crate::wire::message::Message;
use std::collections::BTreeSet;

/// Of which nodes it has been said.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// Two of them are connected, and the older one has answered. This node's own twin counts until the next start.
    present: BTreeSet<NodeId>,
    /// A warning was given.
    warned: BTreeSet<NodeId>,
}

impl Twins {
    /// Two are there. True the first time.
    fn found(&mut self, node: NodeId) -> bool {
        if self.present.len() < PEERS_MAX {
            self.present.insert(node);
        }
        self.warned.len() < PEERS_MAX && self.warned.insert(node)
    }

    /// Those that are there now, a few of them.
    pub(super) fn told(&self) -> Vec<NodeId> {
        self.present.iter().take(TWINS_TOLD_MAX).copied().collect()
    }
}

impl FileServer {
    /// Another start of a node that is connected has said hello. Whether it may stay; if so the others are asked whether
    /// they are still there.
    pub(super) fn admits_instance(&mut self, now: Now, link: Link, node: NodeId) -> bool {
        let others = self.links_of(node, link);
        if planted::is_on(Bug::TwinsFight) {
            for other in others {
                self.close(now, other, Closing::Replaced);
            }
            return true;
        }
        if others.len() >= INSTANCES_MAX {
            return false;
        }
        let is_asked =
            |peer: &super::peers::Peer| peer.asks.values().any(|ask| *ask == Ask::Instance);
        for other in others {
            // One question at a time: whoever connects again and again makes nobody say more than that.
            if self.cx.links.get(other).is_some_and(is_asked) {
                continue;
            }
            let request = self.cx.links.ask(other, Ask::Instance);
            self.send(other, Message::Status { request });
            self.after(now, INSTANCE_ANSWER, Timer::Instance(other, request));
        }
        true
    }

    /// A connection whose node has another one since has answered.
    pub(super) fn instance_answered(&mut self, link: Link) {
        let Some(node) = self.cx.links.get(link).and_then(super::peers::Peer::node) else {
            return;
        };
        if !self.links_of(node, link).is_empty() && self.twins.found(node) {
            log::warn!(
                "two nodes run with one key, that of node {}, at {}: a data folder was copied; stop one of them and \
                 start it once with --new-node-key, so that it is a node of its own",
                node.short(),
                self.roster.addresses_of(&node),
            );
        }
    }

    /// It was to answer until now.
    pub(super) fn instance_due(&mut self, now: Now, link: Link, request: u32) {
        if self.cx.links.forget_ask(link, request) {
            self.close(now, link, Closing::NoAnswer);
        }
    }

    /// This node itself was reached, by a connection to somebody who is not it.
    pub(super) fn is_own_twin(&mut self, boot: u64, addresses: &[String]) {
        if boot != self.setup.boot && self.twins.found(self.setup.node) {
            log::warn!(
                "another node runs with this node's key, at {}: a data folder was copied; stop one of them and start it \
                 once with --new-node-key, so that it is a node of its own",
                addresses.join(", "),
            );
        }
    }

    /// A connection of a node is gone. True if another instance of it is still connected.
    pub(super) fn instance_closed(&mut self, node: NodeId, link: Link) -> bool {
        let others = self.links_of(node, link);
        if others.len() < 2 {
            self.twins.present.remove(&node);
        }
        match others.first() {
            Some(other) => {
                self.roster.goes_by(node, link, *other);
                true
            }
            None => false,
        }
    }

    /// The connections to a node, but for this one.
    fn links_of(&self, node: NodeId, but: Link) -> Vec<Link> {
        let same = self.cx.links.node_peers().filter(|(_, peer)| peer.node() == Some(node));
        same.map(|(link, _)| link).filter(|link| *link != but).collect()
    }

    /// How many nodes are connected; twins count once.
    pub(super) fn nodes_connected(&self) -> usize {
        self.cx
            .links
            .node_peers()
            .filter_map(|(_, peer)| peer.node())
            .collect::<BTreeSet<_>>()
            .len()
    }
}
