//! Frames without cipher and timers, for tests that judge the table with any plaintext.
//!
//! Knows no more than the inbox, to which it is a door; no connection comes through here.

use crate::conn::inbox::{Inbox, Taken};
use crate::conn::{ConnError, Event};

/// What one side receives after its handshake.
#[allow(missing_debug_implementations, reason = "the inbox has none")]
pub struct Frames(Inbox);

impl Frames {
    /// Nothing has come.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it is a state, not a default")]
    pub fn new() -> Self {
        let mut inbox = Inbox::new();
        inbox.become_established();
        Self(inbox)
    }

    /// Takes a frame; pings and their answers are no events.
    pub fn take(&mut self, frame: Vec<u8>) -> Result<Option<Event>, ConnError> {
        Ok(match self.0.take_frame(frame)? {
            Taken::Event(event) => Some(event),
            Taken::Ping { .. } | Taken::Pong => None,
        })
    }
}
