//! The doors for a program in this process: it opens a session, begins operations, feeds puts and takes events.
//!
//! Knows no operation. Invariant: a session that has ended is gone; whoever holds its number finds what it had come to by
//! then, once, and nothing else.

use super::connection::Connection;
use super::guards::SessionGuard;
use super::local::Local;
use super::{Link, Node};
use crate::crypto::keys::{NodeKey, static_public};
use crate::keyring::Access;
use crate::server::Reached;
use crate::session::{ClientError, Event, Session, Where};
use crate::time::Now;
use std::collections::VecDeque;
use std::time::Duration;

/// Why no session is opened.
const FULL: &str = "the node takes no more connections";

impl Node {
    /// A session of somebody with this access and this key, which must be fresh. It cannot be dead, and when its program is
    /// slow that is its own affair: no time is set for anything, but for its coming back at all, if `abandoned_after` says
    /// so.
    ///
    /// # Errors
    /// The access is to another network, or the node takes no more connections.
    pub fn open_session(
        &mut self,
        now: Now,
        access: Access,
        key: &NodeKey,
        abandoned_after: Option<Duration>,
    ) -> Result<SessionGuard, ClientError> {
        let network = &access.network;
        if network.root != self.root || network.cluster != self.keys.cluster {
            return Err(ClientError::WrongNetwork);
        }
        if self.connections.len() >= self.connections_max {
            return Err(ClientError::Unreachable(FULL.to_owned()));
        }
        let link = self.connections.new_link();
        let mut session = Session::new(access, key, Where::Here, now.instant);
        session.established(static_public(&self.keys.static_secret));
        let local = Local::new(session, now.instant, abandoned_after);
        self.connections.insert(now.instant, link, Connection::Local(Box::new(local)));
        self.server.established(now, link, key.static_public(), Reached::Here);
        self.run_turn(now);
        Ok(self.guards.guard(link))
    }

    /// A program calls its session, which then goes on. `None` if it has ended.
    pub fn call<T>(
        &mut self,
        now: Now,
        link: Link,
        act: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        let session = self.connections.call(now.instant, link)?;
        session.set_calendar(Some(now.wall_ms));
        let answer = act(session);
        self.run_turn(now);
        Some(answer)
    }

    /// What has happened in a session, or had when it ended. When the last is taken, what waited for that goes on.
    pub fn poll_event(&mut self, now: Now, link: Link) -> Option<Event> {
        let mut event = self.next_event(now, link);
        if event.is_none() && self.touch_program(now, link) {
            event = self.next_event(now, link);
        }
        // The program need not ask once more for its session to go on, nor for the node to be late.
        let is_last = |local: &mut Local| !local.has_events();
        if event.is_some() && self.connections.local(link).is_some_and(is_last) {
            self.touch_program(now, link);
        }
        event
    }

    fn next_event(&mut self, now: Now, link: Link) -> Option<Event> {
        match self.connections.local(link) {
            Some(local) => local.poll_event(now.instant),
            None => self.guards.poll_event(link),
        }
    }

    /// Looks at a session. False if it has ended.
    fn touch_program(&mut self, now: Now, link: Link) -> bool {
        let is_open = self.connections.touch(link).is_some();
        if is_open {
            self.run_turn(now);
        }
        is_open
    }

    /// Ends a session. Gives what was still to be told, the end of each operation too.
    pub fn close_session(&mut self, now: Now, link: Link, error: &ClientError) -> VecDeque<Event> {
        let events = match self.remove(now, link, None) {
            Some(Connection::Local(local)) => local.close(error),
            Some(Connection::Native(_)) | None => self.guards.take(link),
        };
        self.run_turn(now);
        events
    }
}
