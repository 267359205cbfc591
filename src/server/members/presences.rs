//! Presences: what nodes say of themselves, told to peers and learned from them.
//!
//! Dials nobody. Invariant: what is passed on is a node's own signed words, after it has answered there; what another passes
//! on is a candidate at most.

use super::Members;
use super::introduction::{Introduction, length};
use crate::ids::NodeId;
use crate::keyring::presence::{holds, subject};
use crate::limits::{MESSAGE_PRESENCES_MAX, OUTBOX_MAX};
use crate::seeded::{self, Bug};
use crate::server::closing::Closing;
use crate::server::context::Context;
use crate::server::links::Peer;
use crate::server::output::Link;
use crate::wire::message::{Message, PeerAddress};
use crate::wire::presence::Presence;

impl Members {
    /// Tells a new peer who this node is and whom it knows.
    pub(super) fn introduce(&mut self, cx: &mut Context, link: Link) {
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
    pub(in crate::server) fn pump(&mut self, cx: &mut Context, link: Link) {
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
    pub(in crate::server) fn tell_one_more(&mut self, cx: &mut Context, link: Link) {
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
    pub(super) fn pass_presence_on(&mut self, cx: &mut Context, node: NodeId) {
        if seeded::is_on(Bug::IntroduceNobody) {
            return;
        }
        if let Some(presence) = self.book.untold(&node) {
            tell_others(cx, node, &presence);
        }
    }

    /// A peer tells who it is, and whom it knows. An error if nobody has signed what it tells.
    pub(super) fn judge_presences(
        &mut self,
        cx: &mut Context,
        source: NodeId,
        peers: Vec<Presence>,
    ) -> Result<(), Closing> {
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
                return Err(Closing::WrongPresence);
            }
            if node == source {
                self.book.introduces_itself(node, presence);
                self.pass_presence_on(cx, node);
            } else {
                self.learn_of(cx, source, node, &presence);
            }
        }
        Ok(())
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
}

fn tell_others(cx: &mut Context, node: NodeId, presence: &Presence) {
    for link in cx.links.nodes() {
        let is_subject = cx.links.get(link).and_then(Peer::node) == Some(node);
        if !is_subject {
            cx.send_all(link, Message::peers(std::slice::from_ref(presence)));
        }
    }
}
