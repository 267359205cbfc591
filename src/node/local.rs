//! A program in this process, with its session: what a connection is to somebody elsewhere.
//!
//! No encryption to oneself, no handshake: the session's messages and leaves are handed over as they are. Knows no server.
//! Invariants: while a program leaves some events nothing more is taken for it, so that a slow one holds few leaves; and
//! nothing of the time that it spends elsewhere, or its process, is the node's fault.

use super::mailbox::Mailbox;
use crate::limits::{GATEWAY_EVENTS_MAX, GATEWAY_PULSE, OPERATION_TIMEOUT};
use crate::seeded::{self, Bug};
use crate::session::{ClientError, Event, Input, Output, Session};
use crate::time::Instant;
use crate::wire::frame::Open;
use std::collections::VecDeque;
use std::time::Duration;

/// The stream that the session sends.
#[derive(Debug, Clone, Copy)]
struct Incoming {
    /// The next leaf.
    index: u8,
    /// Leaves that are to come.
    left: u8,
}

/// See the module.
pub(super) struct Local {
    session: Session,
    mailbox: Mailbox,
    /// What the program has not taken.
    events: VecDeque<Event>,
    /// The shell knows that there are events.
    told: bool,
    incoming: Option<Incoming>,
    /// The session's deadlines wait for the program.
    paused: bool,
    /// When the node last had the time to look at it.
    seen: Instant,
    /// When the program last called.
    called: Instant,
    /// After how long it counts as gone; never, if the shell knows better.
    timeout: Option<Duration>,
}

impl Local {
    pub(super) fn new(session: Session, now: Instant, timeout: Option<Duration>) -> Self {
        Self {
            session,
            mailbox: Mailbox::default(),
            events: VecDeque::new(),
            told: false,
            incoming: None,
            paused: false,
            seen: now,
            called: now,
            timeout,
        }
    }

    /// What the server says to the session.
    pub(super) fn mailbox(&mut self) -> &mut Mailbox {
        &mut self.mailbox
    }

    pub(super) fn outbox_bytes(&self) -> usize {
        self.mailbox.message_bytes()
    }

    /// The program calls: what it wants of its session.
    pub(super) fn call(&mut self, now: Instant) -> &mut Session {
        self.called = now;
        self.note_time(now);
        &mut self.session
    }

    /// The node has time for it. What it does between two looks says nothing about the node, but for a moment; nor while
    /// events wait.
    pub(super) fn note_time(&mut self, now: Instant) {
        let away = now.since(self.seen).saturating_sub(GATEWAY_PULSE);
        self.seen = now;
        if !self.paused {
            if !away.is_zero() && !seeded::is_on(Bug::BlameNode) {
                self.session.excuse(now, away);
            }
        } else if self.events.is_empty() {
            self.paused = false;
            self.session.resume(now);
        }
    }

    /// What the session says next.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.session.poll_output()
    }

    pub(super) fn has_output(&self) -> bool {
        self.session.has_output()
    }

    /// A stream of the session begins.
    pub(super) fn stream_opened(&mut self, open: &Open) {
        self.incoming = Some(Incoming { index: open.first, left: open.count });
    }

    /// The place of the stream's next leaf in its block, which the server takes now; and whether it is the last.
    pub(super) fn leaf_taken(&mut self, now: Instant, bytes: usize) -> Option<LeafPlace> {
        let incoming = self.incoming.as_mut()?;
        let place = LeafPlace { index: incoming.index, is_last: incoming.left == 1 };
        incoming.index += 1;
        incoming.left -= 1;
        self.session.sent(now, bytes);
        Some(place)
    }

    /// The stream has ended: the next may begin.
    pub(super) fn stream_ended(&mut self, now: Instant) -> Result<(), ClientError> {
        self.incoming = None;
        self.session.received(now, Input::StreamSent)
    }

    /// Whether the program has not enough to take already.
    pub(super) fn takes_more(&self) -> bool {
        self.events.len() < GATEWAY_EVENTS_MAX
    }

    /// Gives the session what the server says next. False if there is nothing.
    pub(super) fn hear(&mut self, now: Instant) -> Result<bool, ClientError> {
        let Some(input) = self.mailbox.next() else { return Ok(false) };
        self.session.received(now, input)?;
        self.take_events();
        Ok(true)
    }

    fn take_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if !matches!(event, Event::Ready { .. }) {
                self.events.push_back(event);
            }
        }
    }

    /// After whatever has moved at one time.
    pub(super) fn end_turn(&mut self, now: Instant) {
        self.take_events();
        self.session.end_turn(now);
        if !self.events.is_empty() && !self.paused {
            self.paused = true;
            self.session.pause();
        }
    }

    /// What has happened; the program takes it.
    pub(super) fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.called = now;
        let event = self.events.pop_front();
        self.told &= !self.events.is_empty();
        event
    }

    /// Whether the program has something to take.
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Bytes of blocks that the session holds, and of those that wait for the program.
    pub(super) fn program_bytes(&self) -> usize {
        let data_bytes = |event: &Event| match event {
            Event::Data { bytes, .. } => Some(bytes.len()),
            _ => None,
        };
        self.session.held_bytes() + self.events.iter().filter_map(data_bytes).sum::<usize>()
    }

    /// Whether there are events of which the shell does not know; it is told.
    pub(super) fn take_news(&mut self) -> bool {
        !self.events.is_empty() && !std::mem::replace(&mut self.told, true)
    }

    /// Whether the program does not come back.
    pub(super) fn is_abandoned(&self, now: Instant) -> bool {
        self.abandoned_at().is_some_and(|at| at <= now)
    }

    fn abandoned_at(&self) -> Option<Instant> {
        let hurries = seeded::is_on(Bug::HurryPrograms);
        let timeout = if hurries { Some(OPERATION_TIMEOUT) } else { self.timeout };
        timeout.filter(|_| !seeded::is_on(Bug::KeepAbandoned)).map(|after| self.called + after)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waits = self.session.is_waiting() && !self.paused;
        let pulse = waits.then(|| self.seen + GATEWAY_PULSE);
        let due = self.session.poll_timeout().filter(|_| !self.paused);
        due.into_iter().chain(pulse).chain(self.abandoned_at()).min()
    }

    /// Ends what took too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.note_time(now);
        self.session.handle_timeout(now);
    }

    /// The way to the node has ended. Gives what was still to be told, the end of each operation too.
    pub(super) fn close(mut self, error: &ClientError) -> VecDeque<Event> {
        self.session.closed(error);
        self.take_events();
        self.events
    }
}

/// Where a leaf belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeafPlace {
    pub(super) index: u8,
    pub(super) is_last: bool,
}
