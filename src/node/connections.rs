//! The table of connections: what the node keeps of each whatever its kind, their timers, and what they take of the memory
//! for control.
//!
//! Knows no server. Invariants: of a connection that is removed nothing is left in any table; a connection that waits is
//! looked at when something has happened to it, or when all are.

use super::action::Action;
use super::connection::{Connection, Native};
use super::local::Local;
use crate::limits::CONTROL_MEMORY;
use crate::server::Link;
use crate::session::Session;
use crate::time::Instant;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Counts as the least time for which anything is held, so that what is held since now has a cost too.
const MOMENT: Duration = Duration::from_millis(1);

struct Slot {
    connection: Connection,
    /// When its own timer is set.
    timer: Option<Instant>,
    /// What it takes of the memory for control, and since when it has not become less.
    held: usize,
    held_since: Instant,
}

/// See the module.
#[derive(Default)]
pub(super) struct Connections {
    open: BTreeMap<Link, Slot>,
    /// Those of programs in this process.
    locals: BTreeSet<Link>,
    /// Those that wait for the server to take more.
    waiting: BTreeSet<Link>,
    /// Those to which something has happened.
    dirty: BTreeSet<Link>,
    timers: BTreeSet<(Instant, Link)>,
    /// Memory for control that all take.
    control: usize,
    last: Link,
}

impl Connections {
    /// A number that no other connection has had.
    pub(super) fn new_link(&mut self) -> Link {
        self.last += 1;
        self.last
    }

    pub(super) fn insert(&mut self, now: Instant, link: Link, connection: Connection) {
        if let Connection::Local(_) = connection {
            self.locals.insert(link);
        }
        self.open.insert(link, Slot { connection, timer: None, held: 0, held_since: now });
        self.dirty.insert(link);
    }

    pub(super) fn remove(&mut self, link: Link) -> Option<Connection> {
        let slot = self.open.remove(&link)?;
        self.control -= slot.held;
        if let Some(at) = slot.timer {
            self.timers.remove(&(at, link));
        }
        self.waiting.remove(&link);
        self.dirty.remove(&link);
        self.locals.remove(&link);
        Some(slot.connection)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn contains(&self, link: Link) -> bool {
        self.open.contains_key(&link)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Connection> {
        self.open.values().map(|slot| &slot.connection)
    }

    /// A connection to which something happens; none if it has ended.
    pub(super) fn touch(&mut self, link: Link) -> Option<&mut Connection> {
        let slot = self.open.get_mut(&link)?;
        self.dirty.insert(link);
        Some(&mut slot.connection)
    }

    /// `None` if it has ended, or is a program's in this process.
    pub(super) fn native(&mut self, link: Link) -> Option<&mut Native> {
        self.open.get_mut(&link)?.connection.native()
    }

    /// Whether it leads elsewhere and has something to send, or to tell of what has left.
    pub(super) fn wants_transmit(&self, link: Link) -> bool {
        let slot = self.open.get(&link);
        slot.is_some_and(|slot| slot.connection.wants_transmit())
    }

    /// `None` if it has ended, or leads elsewhere.
    pub(super) fn local(&mut self, link: Link) -> Option<&mut Local> {
        self.open.get_mut(&link)?.connection.local()
    }

    /// A program calls its session. `None` if that has ended.
    pub(super) fn call(&mut self, now: Instant, link: Link) -> Option<&mut Session> {
        self.touch(link)?.local().map(|local| local.call(now))
    }

    /// What has come from elsewhere and was not taken in, to go on with it.
    pub(super) fn take_unread(&mut self, link: Link) -> Bytes {
        self.native(link).map(|native| std::mem::take(&mut native.unread)).unwrap_or_default()
    }

    /// How much that is.
    pub(super) fn unread_bytes(&mut self, link: Link) -> usize {
        self.native(link).map_or(0, |native| native.unread.len())
    }

    /// Those to which something has happened; they are forgotten.
    pub(super) fn take_touched(&mut self) -> BTreeSet<Link> {
        std::mem::take(&mut self.dirty)
    }

    /// Programs' to which something has happened.
    pub(super) fn touched_locals(&self) -> Vec<Link> {
        self.locals.intersection(&self.dirty).copied().collect()
    }

    /// This one waits for the server to take more.
    pub(super) fn wait(&mut self, link: Link) {
        self.waiting.insert(link);
    }

    /// It waits no more.
    pub(super) fn go_on(&mut self, link: Link) {
        self.waiting.remove(&link);
    }

    /// All that wait.
    pub(super) fn waiting(&self) -> Vec<Link> {
        self.waiting.iter().copied().collect()
    }

    /// Those that wait and to which something has happened.
    pub(super) fn touched_waiting(&self) -> Vec<Link> {
        self.waiting.intersection(&self.dirty).copied().collect()
    }

    /// A timer of a link that is no connection yet.
    pub(super) fn set_timer(&mut self, at: Instant, link: Link) {
        self.timers.insert((at, link));
    }

    pub(super) fn unset_timer(&mut self, at: Instant, link: Link) {
        self.timers.remove(&(at, link));
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The next whose timer has gone off; the timer is gone.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Link> {
        let (at, link) = self.timers.first().copied().filter(|(at, _)| *at <= now)?;
        self.timers.remove(&(at, link));
        if let Some(slot) = self.open.get_mut(&link) {
            slot.timer = None;
        }
        Some(link)
    }

    /// Counts what a connection keeps, beside so many bytes in the server, sets its timer anew, and gives what the shell is
    /// to be told of it.
    pub(super) fn flush_state(
        &mut self,
        now: Instant,
        link: Link,
        of_server: usize,
    ) -> Option<Action> {
        let slot = self.open.get_mut(&link)?;
        let held = slot.connection.held_bytes() + of_server;
        if held < slot.held || slot.held == 0 {
            slot.held_since = now;
        }
        self.control = self.control - slot.held + held;
        slot.held = held;
        let due = slot.connection.poll_timeout();
        if due != slot.timer {
            if let Some(before) = slot.timer {
                self.timers.remove(&(before, link));
            }
            slot.timer = due;
            self.timers.extend(due.map(|due| (due, link)));
        }
        slot.connection.news(link)
    }

    /// When there is not enough memory for control: the connection that has cost most, in bytes and the time for which it
    /// has given none back. Whoever keeps up holds much for moments only, and whoever waits for an answer holds little.
    pub(super) fn one_too_many(&mut self, now: Instant) -> Option<Link> {
        if self.control <= CONTROL_MEMORY {
            return None;
        }
        let cost = |slot: &Slot| {
            let held_for = now.since(slot.held_since) + MOMENT;
            slot.held as u128 * held_for.as_micros()
        };
        let holding = self.open.iter().filter(|(_, slot)| slot.held > 0);
        let dearest = holding.max_by_key(|(_, slot)| cost(slot)).map(|(link, _)| *link);
        if dearest.is_none() {
            debug_assert!(false, "{} bytes are held by nobody", self.control);
            self.control = 0;
        }
        dearest
    }
}
