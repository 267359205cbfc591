//! Introductions: who is dialled, who is told of whom, and what is believed of that.
//!
//! Invariant: what another says of a node is a candidate at most, and what is passed on is a node's own signed words, after
//! it has answered there.

use super::closing::Closing;
use super::output::{Link, Output};
use super::work::Job;
use super::{FileServer, Pending, Timer};
use crate::ids::NodeId;
use crate::keyring::presence::{holds, subject};
use crate::planted::{self, Bug};
use crate::store::job;
use crate::time::{Instant, Now};
use crate::wire::message::{Message, PeerAddress};
use crate::wire::presence::Presence;
use rand::RngExt;
use std::time::Duration;

/// The file of peers is written so long after a change, with what changed meanwhile.
const WRITE_AFTER: Duration = Duration::from_millis(200);

impl FileServer {
    /// Dials whoever is due, and sets the time of the next.
    pub(super) fn redial(&mut self, now: Now) {
        let due = self.roster.due(now.instant);
        self.outputs.extend(due.into_iter().map(Output::Dial));
        self.set_redial(now);
    }

    /// Sees to it that whoever is due next is dialled then.
    pub(super) fn set_redial(&mut self, now: Now) {
        let is_over = |at: Instant| at <= now.instant && !planted::is_on(Bug::LoseRedial);
        if self.roster.redial_at.is_some_and(is_over) {
            self.roster.redial_at = None;
        }
        let Some(due) = self.roster.next_due(now.instant) else {
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
        if let Some(addresses) = self.roster.failed(node, jitter, now.instant) {
            let node = node.short();
            log::warn!(
                "node {node} at {addresses} has not been reached: it is down, or elsewhere, or of another network; \
                 it is tried again and again"
            );
        }
        if !planted::is_on(Bug::LoseRedial) {
            self.set_redial(now);
        }
    }

    /// A node has answered where it was dialled: the others may be told. True if that was only to be seen.
    pub(super) fn dial_answered(&mut self, now: Now, node: NodeId) -> bool {
        let is_probe = self.roster.answered(node, now);
        self.after(now, WRITE_AFTER, Timer::PeersFile);
        self.pass_on(node);
        is_probe
    }

    /// Tells a new peer who this node is and whom it knows.
    pub(super) fn introduce(&mut self, now: Now, link: Link) {
        self.after(now, WRITE_AFTER, Timer::PeersFile);
        self.set_redial(now);
        if planted::is_on(Bug::IntroduceNobody) {
            return;
        }
        let mut all = vec![self.setup.presence.clone()];
        all.extend(self.roster.all_passed_on());
        self.send_all(link, Message::peers(&all));
    }

    /// Tells everybody of a node, once it has answered where it says that it is.
    fn pass_on(&mut self, node: NodeId) {
        if planted::is_on(Bug::IntroduceNobody) {
            return;
        }
        if let Some(presence) = self.roster.untold(&node) {
            self.tell_others(node, &presence);
        }
    }

    fn tell_others(&mut self, node: NodeId, presence: &Presence) {
        for link in self.node_links() {
            let is_subject = self.peers.get(&link).and_then(super::peers::Peer::node) == Some(node);
            if !is_subject {
                self.send_all(link, Message::peers(std::slice::from_ref(presence)));
            }
        }
    }

    /// A peer tells who it is, and whom it knows.
    pub(super) fn learn_peers(&mut self, now: Now, link: Link, peers: Vec<Presence>) {
        let Some(source) = self.peers.get(&link).and_then(super::peers::Peer::node) else {
            return;
        };
        for presence in peers {
            let node = subject(&presence);
            // Asked first: a signature takes longer to judge than to repeat.
            let is_news = match node == source {
                true => self.roster.is_news(&node, &presence),
                false => self.roster.wants(source, node, &presence),
            };
            if !is_news {
                continue;
            }
            if !holds(&presence) {
                return self.close(now, link, Closing::WrongPresence);
            }
            if node == source {
                self.roster.introduces_itself(node, presence);
                self.pass_on(node);
            } else {
                self.learn(now, source, node, &presence);
            }
        }
        self.set_redial(now);
    }

    fn learn(&mut self, now: Now, source: NodeId, node: NodeId, presence: &Presence) {
        if planted::is_on(Bug::BelieveRumours) {
            for address in &presence.addresses {
                let peer = PeerAddress { node, address: address.clone() };
                self.roster.remember(&peer, now.wall_ms, now.instant);
            }
        }
        if planted::is_on(Bug::PassRumoursOn) {
            self.tell_others(node, presence);
        }
        let counted = (node, presence.counter);
        self.roster.candidates.claim(source, counted, &presence.addresses, now.instant);
    }

    pub(super) fn write_peers(&mut self) {
        let text = self.roster.text();
        let ticket = self.ticket(Pending::PeersFile);
        self.job(Job::Disk(job::Job::WritePeers { ticket, text }));
    }
}
