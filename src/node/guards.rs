//! The guards of sessions of programs in this process: who has dropped one.
//!
//! Knows no session. Invariant: each that is dropped is told of once.

use crate::server::Link;
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
}

impl Default for Guards {
    fn default() -> Self {
        let (sender, dropped) = mpsc::channel();
        Self { sender, dropped }
    }
}

impl Guards {
    /// The guard of a session that begins.
    pub(super) fn guard(&self, link: Link) -> SessionGuard {
        SessionGuard { link, dropped: self.sender.clone() }
    }

    /// The next session whose guard is gone.
    pub(super) fn next_dropped(&mut self) -> Option<Link> {
        self.dropped.try_recv().ok()
    }
}
