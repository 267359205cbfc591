//! A gateway: plaintext in and out of a node by a program in whose process the node runs.
//!
//! A client session and the node's end of its connection, back to back in memory: the same sealing, opening and checking
//! as a client across the network, block by block, and the node still sees ciphertext only. Knows no socket, clock or
//! thread. Invariants: nothing more is taken from the node while events wait, so that a slow program holds no more than
//! one turn's leaves; every operation that was started is answered by exactly one `Finished`, also when the node or the
//! gateway ends; the time that a program spends elsewhere is not the node's.

use crate::client::{Entropy, RemoteSession};
use crate::keyring::Access;
use crate::limits::GATEWAY_PULSE;
use crate::node::{Link, Node};
use crate::planted::{self, Bug};
use crate::session::{ClientError, Event, Op, Operation};
use crate::time::{Instant, Now};
use std::collections::VecDeque;

/// What is moved at a time in one direction.
const BATCH: usize = 64 * 1024;

/// Why nothing more comes.
const ENDED: &str = "the node closed it";
const CLOSED: &str = "the program closed it";

/// One program's way into a node.
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct Gateway {
    session: RemoteSession,
    link: Link,
    events: VecDeque<Event>,
    buffer: Vec<u8>,
    /// The node did not want to read these yet.
    held_back: Vec<u8>,
    /// The program has not taken what it was told.
    paused: bool,
    /// When bytes were last moved.
    pumped: Instant,
    /// How it has ended.
    ended: Option<ClientError>,
}

impl Gateway {
    /// Opens one, for somebody with this access. `entropy` is the session's, `node_entropy` the node's end's; both secret
    /// and fresh. `None` if the node takes no more connections.
    #[must_use]
    pub fn open(
        node: &mut Node,
        access: Access,
        entropy: &Entropy,
        node_entropy: [u8; 32],
        now: Now,
    ) -> Option<Self> {
        let link = node.accepted_here(now, node_entropy)?;
        let session = RemoteSession::new(access, entropy, now.instant);
        let (events, buffer, held_back) = (VecDeque::new(), Vec::new(), Vec::new());
        let (pumped, ended) = (now.instant, None);
        let paused = false;
        Some(Self { session, link, events, buffer, held_back, paused, pumped, ended })
    }

    /// The connection's number; the node's actions for it need nothing from the shell but a `pump`.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// Begins an operation.
    pub fn start(&mut self, now: Now, operation: Operation) -> Op {
        self.session.set_calendar(Some(now.wall_ms));
        let op = self.session.start(now.instant, operation);
        if self.ended.is_some() {
            self.session.closed(ENDED);
        }
        op
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

    /// When `pump` wants to be called though nothing has happened. While events wait it does not.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.ended.is_some() || !self.events.is_empty() {
            return None;
        }
        let pulse = self.session.is_waiting().then(|| self.pumped + GATEWAY_PULSE);
        self.session.poll_timeout().into_iter().chain(pulse).min()
    }

    /// Moves bytes both ways until nothing moves, or events wait to be taken. An error ends the gateway; whatever was
    /// under way is answered, and whatever is started afterwards.
    pub fn pump(&mut self, node: &mut Node, now: Now) -> Result<(), ClientError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        self.take_events();
        if self.events.is_empty() {
            self.wake(now);
            let result = self.exchange(node, now);
            self.pumped = now.instant;
            result.inspect_err(|error| self.become_ended(node, now, error))?;
        }
        if !self.events.is_empty() {
            self.session.pause();
            self.paused = true;
        }
        Ok(())
    }

    /// What a program does between two calls says nothing about the node, but for a moment; nor while events wait.
    fn wake(&mut self, now: Now) {
        let away = now.instant.since(self.pumped).saturating_sub(GATEWAY_PULSE);
        if planted::is_on(Bug::BlameNode) {
            return;
        }
        if std::mem::take(&mut self.paused) {
            self.session.resume(now.instant);
        } else if !away.is_zero() {
            self.session.excuse(now.instant, away);
        }
    }

    fn become_ended(&mut self, node: &mut Node, now: Now, error: &ClientError) {
        let why = match error {
            ClientError::Disconnected(why) => why.clone(),
            error => error.to_string(),
        };
        self.session.closed(&why);
        self.ended = Some(error.clone());
        node.closed(now, self.link);
    }

    fn exchange(&mut self, node: &mut Node, now: Now) -> Result<(), ClientError> {
        loop {
            let moved = self.give(node, now);
            self.take_events();
            if !self.events.is_empty() {
                return Ok(());
            }
            if !(self.take(node, now)? || moved) {
                break;
            }
        }
        if !node.is_open(self.link) && !planted::is_on(Bug::MissClosing) {
            return Err(ClientError::Disconnected(ENDED.to_owned()));
        }
        if self.session.poll_timeout().is_some_and(|due| due <= now.instant) {
            self.session.handle_timeout(now.instant)?;
        }
        Ok(())
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

    /// Closes it; the node forgets what was under way. Gives what was still to be told, the end of each operation too.
    pub fn close(mut self, node: &mut Node, now: Now) -> VecDeque<Event> {
        if self.ended.is_none() {
            let error = ClientError::Disconnected(CLOSED.to_owned());
            self.become_ended(node, now, &error);
        }
        self.take_events();
        self.events
    }
}
