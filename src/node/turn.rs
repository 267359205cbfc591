//! A turn: what has come is handed to the server as long as it takes it, and what that changed is told to the shell.
//!
//! Invariant: a connection that waits for the server is looked at when something has happened to it, or when the server
//! takes again from everybody; so none is forgotten, and many that wait cost nothing.

use super::entrance::Entry;
use super::{Action, Connection, Ending, Node};
use crate::conn::{Event, Stage};
use crate::limits::{CONTROL_MEMORY, GATEWAY_ABANDONED};
use crate::planted::{self, Bug};
use crate::server::{Leaves, Link};
use crate::time::Now;
use bytes::Bytes;
use std::time::Duration;

/// Counts as the least time for which anything is held, so that what is held since now has a cost too.
const MOMENT: Duration = Duration::from_millis(1);

impl Node {
    /// Takes in bytes of a connection, as long as the server takes what comes of them; the rest stays unread.
    pub(super) fn take_in(&mut self, now: Now, link: Link, mut bytes: &[u8]) {
        self.touched.insert(link);
        while !bytes.is_empty()
            && let Some(connection) = self.connections.get_mut(&link)
        {
            if self.server.read_max(link) == 0 {
                connection.unread = Bytes::copy_from_slice(bytes);
                self.waiting.insert(link);
                return;
            }
            let result = connection.conn.receive(now.instant, &mut bytes);
            self.note_stage(now, link);
            self.hand_over(now, link);
            if let Err(error) = result {
                return self.end(now, link, Ending::Conn(error));
            }
        }
    }

    /// Goes on with what was left unread.
    fn take_in_unread(&mut self, now: Now, link: Link) {
        if let Some(connection) = self.connections.get_mut(&link) {
            let unread = std::mem::take(&mut connection.unread);
            self.take_in(now, link, &unread);
        }
    }

    /// Tells the server what has come.
    fn hand_over(&mut self, now: Now, link: Link) {
        while let Some(connection) = self.connections.get_mut(&link) {
            let Some(event) = connection.conn.poll_arrival() else {
                return;
            };
            let reached = connection.reached;
            match event {
                Event::Established { static_key } => {
                    if self.connections.len() > self.connections_max {
                        return self.end(now, link, Ending::TooManyConnections);
                    }
                    self.server.established(now, link, static_key, reached);
                }
                Event::Message(message) => self.server.message(now, link, message),
                Event::Opened(open) => self.server.leaves(now, link, Leaves::Opened(open)),
                Event::Chunk { index, data } => {
                    self.server.leaves(now, link, Leaves::Leaf { index, data });
                }
                Event::Ended => self.server.leaves(now, link, Leaves::Ended),
                Event::Aborted => self.server.leaves(now, link, Leaves::Aborted),
                Event::StreamLow | Event::StreamSent => {}
            }
            self.carry_out(now);
        }
    }

    /// Tells the entrance how far a connection has come. Another may have to give way, which has proved as much.
    fn note_stage(&mut self, now: Now, link: Link) {
        let Some(connection) = self.connections.get_mut(&link) else {
            return;
        };
        let stage = connection.conn.stage();
        if std::mem::replace(&mut connection.stage, stage) == stage {
            return;
        }
        match stage {
            Stage::Stranger => {}
            Stage::Handshaking => match self.entrance.proved(link) {
                Entry::InPlaceOf(other) => self.end(now, other, Ending::MadeRoom),
                Entry::Refused => self.end(now, link, Ending::TooManyHandshakes),
                Entry::Free => {}
            },
            Stage::Established => self.entrance.left(link),
        }
    }

    /// The end of every door: what the server wants is done, and the shell is told what changed.
    pub(super) fn turn(&mut self, now: Now) {
        self.server.end_turn(now);
        self.carry_out(now);
        while self.wake(now) {
            self.server.end_turn(now);
            self.carry_out(now);
        }
        for link in std::mem::take(&mut self.touched) {
            self.settle(now, link);
        }
        while self.control > CONTROL_MEMORY {
            self.make_room(now);
        }
    }

    /// There is not enough memory for control: the connection goes that has cost most, in bytes and the time for which it
    /// has given none back. Whoever keeps up holds much for moments only, and whoever waits for an answer holds little.
    fn make_room(&mut self, now: Now) {
        let cost = |connection: &Connection| {
            let held_for = now.instant.since(connection.held_since) + MOMENT;
            connection.held as u128 * held_for.as_micros()
        };
        let holding = self.connections.iter().filter(|(_, connection)| connection.held > 0);
        let dearest = holding.max_by_key(|(_, connection)| cost(connection));
        match dearest.map(|(link, _)| *link) {
            Some(link) => self.end(now, link, Ending::MemoryKept),
            None => {
                debug_assert!(false, "{} bytes are held by nobody", self.control);
                self.control = 0;
            }
        }
    }

    /// Goes on with connections that waited for the server to take more. True if it took something.
    fn wake(&mut self, now: Now) -> bool {
        let before = std::mem::replace(&mut self.tight, self.server.tight());
        let eased = before.eased(self.tight);
        // Otherwise only those can go on with which something has happened: looking at all would cost too much.
        let woken: Vec<Link> = match eased {
            true => self.waiting.iter().copied().collect(),
            false => self.waiting.intersection(&self.touched).copied().collect(),
        };
        let mut took = false;
        for link in woken {
            if self.server.read_max(link) > 0 {
                took |= self.wake_one(now, link);
            }
        }
        self.tight = self.server.tight();
        took
    }

    /// True if something was taken in.
    fn wake_one(&mut self, now: Now, link: Link) -> bool {
        let before = self.unread_bytes(link);
        self.take_in_unread(now, link);
        let after = self.unread_bytes(link);
        if after == 0
            && let Some(connection) = self.connections.get_mut(&link)
        {
            self.waiting.remove(&link);
            if std::mem::take(&mut connection.paused) {
                connection.conn.resume(now.instant);
                self.touched.insert(link);
                if !planted::is_on(Bug::ForgetPaused) {
                    self.actions.push_back(Action::Read { link });
                }
            }
        }
        after < before
    }

    fn unread_bytes(&self, link: Link) -> usize {
        self.connections.get(&link).map_or(0, |connection| connection.unread.len())
    }

    /// Counts what a connection keeps, sets its timer anew, and tells the shell if there is something to send.
    fn settle(&mut self, now: Now, link: Link) {
        let Some(connection) = self.connections.get_mut(&link) else {
            return;
        };
        let held =
            connection.conn.held_bytes() + connection.unread.len() + self.server.held_bytes(link);
        if held < connection.held || connection.held == 0 {
            connection.held_since = now.instant;
        }
        self.control = self.control - connection.held + held;
        connection.held = held;
        let due = match connection.is_here() {
            true if planted::is_on(Bug::KeepAbandoned) => None,
            true => Some(now.instant + GATEWAY_ABANDONED),
            false => connection.conn.poll_timeout(),
        };
        if due != connection.timer {
            if let Some(before) = connection.timer {
                self.timers.remove(&(before, link));
            }
            connection.timer = due;
            self.timers.extend(due.map(|due| (due, link)));
        }
        let transmits = connection.conn.wants_transmit() || connection.conn.has_departures();
        if transmits && !connection.transmitting {
            connection.transmitting = true;
            self.actions.push_back(Action::Transmit { link });
        }
    }
}
