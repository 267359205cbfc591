//! A gateway: plaintext in and out of a node by a program in whose process the node runs.
//!
//! The handle of a session that lives in the node, as a connection without encryption: the same sealing, opening and
//! checking as a client across the network, block by block, and what the node stores is still ciphertext only. Knows no
//! socket, clock or thread. Invariants: nothing more is taken from the node while some events wait, so that a slow
//! program holds few leaves; every operation that was started is answered by exactly one `Finished`, also when the node
//! or the gateway ends; of one that is dropped nothing is left in the node; the time that a program spends elsewhere is
//! not the node's.

use crate::crypto::keys::NodeKey;
use crate::keyring::Access;
use crate::limits::GATEWAY_ABANDONED;
use crate::node::{Link, Node, SessionGuard};
use crate::seeded::{self, Bug};
use crate::session::{ClientError, Event, Op, Operation, Session};
use crate::time::Now;
use std::collections::{BTreeSet, VecDeque};

/// Why nothing more comes.
const ENDED: &str = "the node closed it";
const CLOSED: &str = "the program closed it";

/// One program's way into a node.
#[derive(Debug)]
pub struct Gateway {
    session: SessionGuard,
    /// Not answered yet.
    running: BTreeSet<Op>,
}

impl Gateway {
    /// Opens one, for somebody with this access. `entropy` is secret and fresh. A program that does not call for
    /// `GATEWAY_ABANDONED` has left.
    ///
    /// # Errors
    /// The access is to another network, or the node takes no more connections.
    pub fn open(
        node: &mut Node,
        access: Access,
        entropy: &[u8; 32],
        now: Now,
    ) -> Result<Self, ClientError> {
        let key = NodeKey::generate(entropy);
        let session = node.open_session(now, access, &key, Some(GATEWAY_ABANDONED))?;
        Ok(Self { session, running: BTreeSet::new() })
    }

    /// The same for a program whose end its shell sees: it may do nothing for as long as it likes.
    ///
    /// # Errors
    /// As for `open`.
    pub fn open_until_closed(
        node: &mut Node,
        access: Access,
        entropy: &[u8; 32],
        now: Now,
    ) -> Result<Self, ClientError> {
        let session = node.open_session(now, access, &NodeKey::generate(entropy), None)?;
        Ok(Self { session, running: BTreeSet::new() })
    }

    /// The session's number in the node.
    #[must_use]
    pub fn link(&self) -> Link {
        self.session.link()
    }

    /// Begins an operation.
    ///
    /// # Errors
    /// The node has ended the session: nothing was begun.
    pub fn start(
        &mut self,
        node: &mut Node,
        now: Now,
        operation: Operation,
    ) -> Result<Op, ClientError> {
        let start = |session: &mut Session| session.start(now.instant, operation);
        let op = node.call(now, self.link(), start).ok_or_else(ended)?;
        self.running.insert(op);
        Ok(op)
    }

    /// Gives a put its next plaintext. Says how many bytes it has taken; `NeedData` asks for more.
    pub fn feed(&self, node: &mut Node, now: Now, op: Op, bytes: &[u8]) -> usize {
        node.call(now, self.link(), |session| session.feed(op, bytes)).unwrap_or(0)
    }

    /// The put has all its bytes.
    pub fn feed_end(&self, node: &mut Node, now: Now, op: Op) {
        node.call(now, self.link(), |session| session.feed_end(op));
    }

    /// Gives up an operation.
    pub fn abort(&self, node: &mut Node, now: Now, op: Op) {
        node.call(now, self.link(), |session| session.abort(op));
    }

    /// What has happened. Of a session that the node has ended, that whatever was under way has ended too: with what it
    /// had come to by then, if the program has not been away for too long.
    pub fn poll_event(&mut self, node: &mut Node, now: Now) -> Option<Event> {
        let event = node.poll_event(now, self.link());
        match &event {
            Some(Event::Finished { op, .. }) => drop(self.running.remove(op)),
            None if !node.is_open(self.link()) && !seeded::is_on(Bug::MissClosing) => {
                let op = self.running.pop_first()?;
                return Some(Event::Finished { op, result: Err(ended()) });
            }
            Some(_) | None => {}
        }
        event
    }

    /// Closes it; the node forgets what was under way. Gives what was still to be told, the end of each operation too.
    pub fn close(mut self, node: &mut Node, now: Now) -> VecDeque<Event> {
        let mut events = VecDeque::new();
        if !node.is_open(self.link()) {
            events.extend(std::iter::from_fn(|| self.poll_event(node, now)));
        }
        let closed = ClientError::Disconnected(CLOSED.to_owned());
        events.extend(node.close_session(now, self.link(), &closed));
        events
    }
}

fn ended() -> ClientError {
    ClientError::Disconnected(ENDED.to_owned())
}
