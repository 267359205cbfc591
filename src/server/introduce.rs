//! Introductions: who is dialled, who is told of whom, and what is believed of that.
//!
//! Invariant: what another says of a node is a candidate at most, and what is passed on is a node's own signed words, after
//! it has answered there.

use super::FileServer;
use super::closing::Closing;
use super::output::{Link, Output};
use super::timers::Timer;
use super::work::Job;
use crate::ids::NodeId;
use crate::keyring::presence::{holds, subject};
use crate::limits::{MESSAGE_PRESENCES_MAX, OUTBOX_MAX};
use crate::planted::{self, Bug};
use crate::time::{Instant, Now};
use crate::wire::message::{Message, PeerAddress};
use crate::wire::presence::Presence;
use rand::RngExt;
use std::time::Duration;

/// The file of peers is written so long after a change, with what changed meanwhile.
const WRITE_AFTER: Duration = Duration::from_millis(200);

/// How far one peer has been told whom this node knows.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    /// The last of whom it was told; none at the beginning.
    told: Option<NodeId>,
    /// It has not come to the end since the peer came.
    under_way: bool,
}

impl Introduction {
    /// It is told of these, which are the next, at most so many.
    fn go_on(&mut self, next: &[(NodeId, Presence)], most: usize) {
        self.told = next.last().map(|(node, _)| *node);
        if next.len() < most {
            *self = Self::default();
        }
    }
}

/// The length of a presence in a message, about.
fn length(presence: &Presence) -> usize {
    let addresses = presence.addresses.iter().map(|address| 2 + address.len());
    138 + addresses.sum::<usize>()
}

impl FileServer {
    /// Dials whoever is due, and sets the time of the next.
    pub(super) fn redial(&mut self, now: Now) {
        let due = self.roster.due(now.instant);
        self.cx.outputs.extend(due.into_iter().map(Output::Dial));
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
        self.cx.now = now;
        let jitter = self.cx.rng.random_range(0.5..1.0);
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
        self.pass_presence_on(node);
        is_probe
    }

    /// Tells a new peer who this node is and whom it knows.
    pub(super) fn introduce(&mut self, now: Now, link: Link) {
        self.after(now, WRITE_AFTER, Timer::PeersFile);
        self.set_redial(now);
        if planted::is_on(Bug::IntroduceNobody) {
            return;
        }
        let own = self.setup.presence.clone();
        self.send_all(link, Message::peers(std::slice::from_ref(&own)));
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.introduction = Introduction { told: None, under_way: true };
        }
        self.pump_introduction(link);
    }

    /// Tells a peer of the next whom this node knows, while its outbox has room.
    pub(super) fn pump_introduction(&mut self, link: Link) {
        while let Some(peer) = self.cx.links.get_mut(link)
            && peer.introduction.under_way
            && peer.outbox <= OUTBOX_MAX / 2
        {
            let next = self.roster.passed_on_after(peer.introduction.told, MESSAGE_PRESENCES_MAX);
            peer.introduction.go_on(&next, MESSAGE_PRESENCES_MAX);
            // Counted at once, since the connection tells only later.
            peer.outbox += next.iter().map(|(_, presence)| length(presence)).sum::<usize>();
            let next: Vec<_> = next.into_iter().map(|(_, presence)| presence).collect();
            self.send_all(link, Message::peers(&next));
        }
    }

    /// Tells a peer again of one whom this node knows, each in turn: there may have been no room for it there.
    pub(super) fn tell_one_more(&mut self, link: Link) {
        let Some(peer) = self.cx.links.get_mut(link).filter(|peer| !peer.introduction.under_way)
        else {
            return;
        };
        let mut next = self.roster.passed_on_after(peer.introduction.told, 1);
        if next.is_empty() {
            next = self.roster.passed_on_after(None, 1);
        }
        peer.introduction.go_on(&next, 1);
        let next: Vec<_> = next.into_iter().map(|(_, presence)| presence).collect();
        if !planted::is_on(Bug::IntroduceNobody) {
            self.send_all(link, Message::peers(&next));
        }
    }

    /// Tells everybody of a node, once it has answered where it says that it is.
    fn pass_presence_on(&mut self, node: NodeId) {
        if planted::is_on(Bug::IntroduceNobody) {
            return;
        }
        if let Some(presence) = self.roster.untold(&node) {
            self.tell_others(node, &presence);
        }
    }

    fn tell_others(&mut self, node: NodeId, presence: &Presence) {
        for link in self.cx.links.nodes() {
            let is_subject =
                self.cx.links.get(link).and_then(super::peers::Peer::node) == Some(node);
            if !is_subject {
                self.send_all(link, Message::peers(std::slice::from_ref(presence)));
            }
        }
    }

    /// A peer tells who it is, and whom it knows.
    pub(super) fn learn_peers(&mut self, now: Now, link: Link, peers: Vec<Presence>) {
        let Some(source) = self.cx.links.get(link).and_then(super::peers::Peer::node) else {
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
                self.pass_presence_on(node);
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
        self.job(Job::WritePeers { text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::NodeKey;
    use crate::keyring::presence::presence;
    use crate::server::roster::Roster;
    use std::collections::BTreeSet;

    /// Of so many nodes, each of which has answered where it says that it is.
    fn roster(count: u64) -> Roster {
        let now = Now { instant: Instant(0), wall_ms: 1 };
        let mut roster = Roster::new(NodeId::default(), &[], &[], now.instant);
        for number in 0..count {
            let mut seed = [7; 32];
            seed[..8].copy_from_slice(&number.to_be_bytes());
            let address = format!("node{number}:7400");
            let presence = presence(&NodeKey::generate(&seed), std::slice::from_ref(&address), 1);
            let node = subject(&presence);
            roster.remember(&PeerAddress { node, address: address.clone() }, 1, now.instant);
            roster.connected(node, usize::try_from(number).unwrap(), &[address], now);
            roster.introduces_itself(node, presence);
        }
        roster
    }

    #[test]
    fn who_comes_is_told_of_each_of_hundreds_once_and_then_of_one_at_a_time_in_turn() {
        for count in [1_u64, 24, 25, 700] {
            let roster = roster(count);
            let mut introduction = Introduction { told: None, under_way: true };
            let (mut told, mut messages) = (Vec::new(), 0);
            while introduction.under_way {
                let next = roster.passed_on_after(introduction.told, MESSAGE_PRESENCES_MAX);
                introduction.go_on(&next, MESSAGE_PRESENCES_MAX);
                told.extend(next.into_iter().map(|(node, _)| node));
                messages += 1;
            }
            let all: BTreeSet<_> = told.iter().copied().collect();
            assert_eq!((told.len() as u64, all.len() as u64), (count, count), "each once");
            assert_eq!(messages, told.len() / MESSAGE_PRESENCES_MAX + 1);
            let mut again = BTreeSet::new();
            for _ in 0..2 * count {
                let next = roster.passed_on_after(introduction.told, 1);
                introduction.go_on(&next, 1);
                again.extend(next.into_iter().map(|(node, _)| node));
            }
            assert_eq!(again, all);
        }
    }
}
