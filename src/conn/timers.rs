//! The deadlines of one connection.
//!
//! Knows no clock: every time is handed in. Invariant: there is a next deadline as long as the
//! connection lives, so it cannot be forgotten.

use crate::conn::error::Wait;
use crate::limits::{DEAD_AFTER, HANDSHAKE_TIMEOUT, PING_AFTER, PROGRESS_BYTES, PROGRESS_PERIOD};
use crate::time::Instant;

/// See above.
#[derive(Debug)]
pub(super) struct Timers {
    /// While the handshake lasts, when it must have ended.
    handshake: Option<Instant>,
    /// When the last frame was received.
    heard: Instant,
    /// When we last asked for one.
    pinged: Instant,
    arrival: Progress,
    departure: Progress,
    /// The owner does not read, so that silence means nothing.
    paused: bool,
}

/// Bytes that must pass while something is under way.
#[derive(Debug, Default)]
struct Progress {
    since: Option<Instant>,
    bytes: u64,
}

impl Progress {
    fn moved(&mut self, now: Instant, bytes: usize, under_way: bool) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if !under_way {
            *self = Self::default();
        } else if self.since.is_none() || self.bytes >= PROGRESS_BYTES {
            *self = Self { since: Some(now), bytes: 0 };
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + PROGRESS_PERIOD)
    }
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            handshake: Some(now + HANDSHAKE_TIMEOUT),
            heard: now,
            pinged: now,
            arrival: Progress::default(),
            departure: Progress::default(),
            paused: false,
        }
    }

    pub(super) fn become_established(&mut self, now: Instant) {
        self.handshake = None;
        self.heard = now;
        self.pinged = now;
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn pinged(&mut self, now: Instant) {
        self.pinged = now;
    }

    pub(super) fn arrived(&mut self, now: Instant, bytes: usize, under_way: bool) {
        self.arrival.moved(now, bytes, under_way);
    }

    pub(super) fn departed(&mut self, now: Instant, bytes: usize, under_way: bool) {
        self.departure.moved(now, bytes, under_way);
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
        self.arrival = Progress::default();
    }

    pub(super) fn resume(&mut self, now: Instant, under_way: bool) {
        if std::mem::take(&mut self.paused) {
            self.heard = now;
            self.arrival.moved(now, 0, under_way);
            // An owner that did nothing at all meanwhile has not seen either what the peer took.
            self.departure.since = self.departure.since.map(|_| now);
        }
    }

    /// What is waited for, each with its deadline, when the peer is to blame.
    fn waits(&self) -> [(Wait, Option<Instant>); 4] {
        let established = self.handshake.is_none();
        let listening = established && !self.paused;
        [
            (Wait::Handshake, self.handshake),
            (Wait::Frame, listening.then(|| self.heard + DEAD_AFTER)),
            (Wait::Arrival, self.arrival.deadline().filter(|_| listening)),
            (Wait::Departure, self.departure.deadline().filter(|_| established)),
        ]
    }

    /// When to ask for a sign of life, and give one. Also while paused: the peer waits for us too.
    fn ping_at(&self) -> Option<Instant> {
        let last = self.heard.max(self.pinged);
        self.handshake.is_none().then(|| last + PING_AFTER)
    }

    pub(super) fn is_ping_due(&self, now: Instant) -> bool {
        self.ping_at().is_some_and(|at| at <= now)
    }

    /// What has been waited for in vain.
    pub(super) fn expired(&self, now: Instant) -> Option<Wait> {
        let over = |(wait, at): (Wait, Option<Instant>)| (at? <= now).then_some(wait);
        self.waits().into_iter().find_map(over)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.waits().into_iter().filter_map(|(_, at)| at).chain(self.ping_at()).min()
    }
}
