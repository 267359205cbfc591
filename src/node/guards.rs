//! The guards of sessions of programs in this process: who holds one still, and what was not taken of those that have ended.
//!
//! Knows no session. Invariant: of a session whose guard is gone nothing is kept.

use crate::server::Link;
use crate::session::Event;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{self, Receiver, Sender};

/// A program's hold on its session in a node, which ends the session when this is dropped.
#[derive(Debug)]
pub struct SessionGuard {
    link: Link,
    dropped: Sender<Link>,
}

impl SessionGuard {
    /// The session's number in the node.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        // A node that is gone has no session either.
        let _ = self.dropped.send(self.link);
    }
}

/// See the module.
pub(super) struct Guards {
    sender: Sender<Link>,
    /// Those that were dropped: looking at what has happened costs less than looking at all.
    dropped: Receiver<Link>,
    /// Of sessions that have ended, what their programs have not taken.
    untaken: BTreeMap<Link, VecDeque<Event>>,
}

impl Default for Guards {
    fn default() -> Self {
        let (sender, dropped) = mpsc::channel();
        Self { sender, dropped, untaken: BTreeMap::new() }
    }
}

impl Guards {
    /// The guard of a session that begins.
    pub(super) fn guard(&self, link: Link) -> SessionGuard {
        SessionGuard { link, dropped: self.sender.clone() }
    }

    /// The next session whose guard is gone.
    pub(super) fn next_dropped(&mut self) -> Option<Link> {
        let link = self.dropped.try_recv().ok()?;
        self.untaken.remove(&link);
        Some(link)
    }

    /// A session has ended: its program may take this yet.
    pub(super) fn keep(&mut self, link: Link, events: VecDeque<Event>) {
        if !events.is_empty() {
            self.untaken.insert(link, events);
        }
    }

    /// The next that is kept of a session that has ended.
    pub(super) fn poll_event(&mut self, link: Link) -> Option<Event> {
        let events = self.untaken.get_mut(&link)?;
        let event = events.pop_front();
        if events.is_empty() {
            self.untaken.remove(&link);
        }
        event
    }

    /// All that is kept of one.
    pub(super) fn take(&mut self, link: Link) -> VecDeque<Event> {
        self.untaken.remove(&link).unwrap_or_default()
    }
}
