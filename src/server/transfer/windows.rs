//! The request windows of all connections, and which of them is asked next.
//!
//! Knows no download but by what it has tried. Invariant: of two that may be asked the one is chosen that was not slow
//! lately, answers, and owes less.

use super::download::Download;
use super::pace::SlowNodes;
use super::window::{FIRST_RANGE, Window};
use crate::ids::NodeId;
use crate::server::context::Context;
use crate::server::links::Links;
use crate::server::output::Link;
use crate::time::Instant;
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Windows {
    by_link: BTreeMap<Link, Window>,
    slow: SlowNodes,
}

/// What is still to be asked of a connection, and what it owes: the less, the sooner it brings something more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Load {
    queued: usize,
    in_flight: usize,
}

impl Windows {
    pub(super) fn get(&self, link: Link) -> Option<&Window> {
        self.by_link.get(&link)
    }

    pub(super) fn get_mut(&mut self, link: Link) -> Option<&mut Window> {
        self.by_link.get_mut(&link)
    }

    /// The window of a connection that has not ended: of one that has it would be kept for ever.
    pub(super) fn of(&mut self, cx: &Context, link: Link) -> &mut Window {
        debug_assert!(cx.links.contains(link), "connection {link} has ended");
        self.by_link.entry(link).or_default()
    }

    /// Nothing is known of anybody.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_link.is_empty()
    }

    /// The connection is gone.
    pub(super) fn close(&mut self, link: Link) {
        self.by_link.remove(&link);
    }

    /// A node was found slow, or not.
    pub(super) fn judge(&mut self, node: NodeId, is_slow: bool, now: Instant) {
        if is_slow {
            self.slow.insert(node, now);
        } else {
            self.slow.remove(&node);
        }
    }

    /// Whether a connection leads to a node that was slow not long ago.
    pub(super) fn is_slow(&self, cx: &Context, link: Link) -> bool {
        let node = cx.links.get(link).and_then(|peer| peer.node());
        node.is_some_and(|node| self.slow.contains(&node, cx.now.instant))
    }

    /// Leaves of the next range that is asked of a connection.
    pub(super) fn size(&self, link: Link) -> u32 {
        self.get(link).map_or(FIRST_RANGE, Window::size)
    }

    fn load(&self, link: Link) -> Load {
        let window = self.get(link);
        window.map_or(Load::default(), |window| Load {
            queued: window.queued(),
            in_flight: window.in_flight(),
        })
    }

    fn is_laden(&self, link: Link) -> bool {
        self.get(link).is_some_and(Window::is_laden)
    }

    /// Who is asked for a download next: the connection hinted at, then clients that offered it, then the peer of which
    /// least is wanted; slow ones and those that do not answer last, and the present source not again.
    pub(super) fn source(
        &self,
        cx: &Context,
        download: &Download,
        hint: Option<Link>,
    ) -> Option<Link> {
        let untried = |link: &Link| cx.links.contains(*link) && !download.was_asked_of(*link);
        let is_fast = |link: &Link| !self.is_slow(cx, *link);
        let mut named = hint.into_iter().chain(download.offered());
        if let Some(link) = named.find(|link| untried(link) && is_fast(link)) {
            return Some(link);
        }
        let is_asked =
            |link: &Link| !download.again() || hint == Some(*link) || cx.news.asks(*link);
        let nodes = nodes(&cx.links).filter(|link| untried(link) && is_asked(link));
        nodes.min_by_key(|link| {
            (self.is_slow(cx, *link), cx.links.is_unresponsive(*link), self.load(*link))
        })
    }

    /// Who is asked for it instead of one that is slow: those first that have shown that they bring what is asked.
    pub(super) fn better(&self, cx: &Context, than: Link, download: &Download) -> Option<Link> {
        let is_better = |link: &Link| {
            *link != than && !cx.links.is_unresponsive(*link) && !self.is_slow(cx, *link)
        };
        let untried = nodes(&cx.links).filter(is_better).filter(|link| !download.has_tried(*link));
        untried.min_by_key(|link| {
            let is_trusted = self.get(*link).is_some_and(Window::is_trusted);
            (!is_trusted, self.load(*link))
        })
    }

    /// Of which peer something is passed on: of the one that brings most, and not of the one of which the reader had
    /// something bad if there is another.
    pub(super) fn to_pass(&self, cx: &Context, tried: &[Link], bad: Option<Link>) -> Option<Link> {
        let untried = nodes(&cx.links).filter(|link| !tried.contains(link));
        untried.min_by_key(|link| {
            let was_bad = bad == Some(*link);
            let is_slow = self.is_slow(cx, *link);
            (
                was_bad,
                self.is_laden(*link),
                is_slow,
                cx.links.is_unresponsive(*link),
                self.load(*link),
            )
        })
    }

    /// Whether a peer may be asked to pass something on in place of another that is slow.
    pub(super) fn passes_well(&self, cx: &Context, link: Link) -> bool {
        !cx.links.is_unresponsive(link) && !self.is_laden(link) && !self.is_slow(cx, link)
    }
}

fn nodes(links: &Links) -> impl Iterator<Item = Link> {
    links.node_peers().map(|(link, _)| link)
}
