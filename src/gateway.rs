//! A gateway: plaintext in and out of a node by a program in whose process the node runs.
//!
//! A client session and the node's end of its connection, back to back in memory: the same sealing, opening and checking
//! as a client across the network, block by block, and the node still sees ciphertext only. Knows no socket, clock or
//! thread. Invariant: nothing more is taken from the node while events wait, so that a slow program holds no more than
//! one turn's leaves.

use crate::client::{ClientError, Entropy, Event, Op, Operation, Session};
use crate::keyring::Access;
use crate::node::{Link, Node};
use crate::time::{Instant, Now};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

/// What is moved at a time in one direction.
const BATCH: usize = 64 * 1024;

/// One program's way into a node.
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct Gateway {
    session: Session,
    link: Link,
    events: VecDeque<Event>,
    buffer: Vec<u8>,
    /// The node did not want to read these yet.
    held_back: Vec<u8>,
}

impl Gateway {
    /// Opens one, for somebody with this access. `entropy` is the session's, `node_entropy` the node's end's; both secret
    /// and fresh. `None` if the node takes no more connections.
    #[must_use]
    pub fn open(
        node: &mut Node,
        access: Access,
        (entropy, node_entropy): (&Entropy, [u8; 32]),
        now: Now,
    ) -> Option<Self> {
        let link = node.accepted(now, IpAddr::V4(Ipv4Addr::LOCALHOST), node_entropy)?;
        let session = Session::new(access, entropy, now.instant);
        let (events, buffer, held_back) = (VecDeque::new(), Vec::new(), Vec::new());
        Some(Self { session, link, events, buffer, held_back })
    }

    /// The connection's number; the node's actions for it need nothing from the shell but a `pump`.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// Begins an operation.
    pub fn start(&mut self, now: Now, operation: Operation) -> Op {
        self.session.set_calendar(Some(now.wall_ms));
        self.session.start(now.instant, operation)
    }

    /// Gives a put its next plaintext. Says how many bytes it has taken; `NeedData` asks for more.
    pub fn feed(&mut self, op: Op, bytes: &[u8]) -> usize {
        self.session.feed(op, bytes)
    }

    /// The put has all its bytes.
    pub fn feed_end(&mut self, op: Op) {
        self.session.feed_end(op);
    }

    /// Gives up an operation.
    pub fn abort(&mut self, op: Op) {
        self.session.abort(op);
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.take_events();
        self.events.pop_front()
    }

    /// When `pump` wants to be called though nothing has happened.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.session.poll_timeout()
    }

    /// Moves bytes both ways until nothing moves, or events wait to be taken. An error ends the gateway.
    pub fn pump(&mut self, node: &mut Node, now: Now) -> Result<(), ClientError> {
        if self.session.poll_timeout().is_some_and(|due| due <= now.instant) {
            self.session.handle_timeout(now.instant)?;
        }
        loop {
            let moved = self.give(node, now);
            self.take_events();
            if !self.events.is_empty() || !(self.take(node, now)? || moved) {
                return Ok(());
            }
        }
    }

    /// From the session to the node.
    fn give(&mut self, node: &mut Node, now: Now) -> bool {
        if self.held_back.is_empty() {
            self.session.transmit(now.instant, &mut self.held_back, BATCH);
        }
        if self.held_back.is_empty() || !node.wants_read(self.link) {
            return false;
        }
        node.received(now, self.link, &self.held_back);
        self.held_back.clear();
        true
    }

    /// From the node to the session.
    fn take(&mut self, node: &mut Node, now: Now) -> Result<bool, ClientError> {
        self.buffer.clear();
        node.transmit(now, self.link, &mut self.buffer, BATCH);
        if self.buffer.is_empty() {
            return Ok(false);
        }
        self.session.received(now.instant, &self.buffer)?;
        Ok(true)
    }

    fn take_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if !matches!(event, Event::Ready { .. }) {
                self.events.push_back(event);
            }
        }
    }

    /// Closes it; the node forgets what was under way.
    pub fn close(self, node: &mut Node, now: Now) {
        node.closed(now, self.link);
    }
}
