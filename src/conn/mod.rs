//! One connection without its socket: bytes in, events out; messages and chunks in, bytes out.
//!
//! Knows no socket, clock, thread or randomness; `now` and entropy are handed in. Knows nothing of
//! what messages mean, but for pings, which it sends and answers itself. Invariants: both
//! directions follow the one table in `phase`; an error is final; between frames an idle connection
//! keeps no buffer.

mod assemble;
mod error;
mod event;
mod handshake;
pub(crate) mod inbox;
mod outbox;
mod phase;
mod timers;

pub use error::{ConnError, Rule, Wait};
pub use event::{ConnKeys, Event, Side, Stage};
pub use phase::Illegal;

use crate::crypto::noise::{OVERHEAD, Transport};
use crate::time::Instant;
use crate::wire::frame::Open;
use crate::wire::message::Message;
use assemble::{Assembler, Form, RECORD_LENGTH};
use bytes::Bytes;
use handshake::{Handshake, Outcome};
use inbox::{Inbox, Taken};
use outbox::{Outbox, Outgoing};
use phase::Phase;
use std::collections::VecDeque;
use timers::Timers;

/// See above. Events are to be polled after `received` and after `transmit`; their number is
/// bounded by the bytes handed to one call of `received`.
pub struct Conn {
    state: State,
    assembler: Assembler,
    inbox: Inbox,
    /// Bytes of the handshake that wait to be sent.
    handshake_out: Vec<u8>,
    outbox: Outbox,
    events: VecDeque<Event>,
    /// Of our streams: `StreamLow` and `StreamSent`.
    sent_events: VecDeque<Event>,
    /// What the last `transmit` gave, and how much of it were messages. It has left when the owner asks for more.
    sealed: usize,
    sealed_messages: usize,
    timers: Timers,
    pings: u64,
}

enum State {
    Handshaking(Box<Handshake>),
    Established(Box<Transport>),
    Over(ConnError),
}

impl Conn {
    /// A connection whose TCP connection has just been made. `entropy` must never be used again.
    #[must_use]
    pub fn new(side: Side, keys: &ConnKeys, entropy: [u8; 32], now: Instant) -> Self {
        let mut handshake_out = Vec::new();
        let handshake = Handshake::new(side, keys, entropy, &mut handshake_out);
        Self {
            state: State::Handshaking(Box::new(handshake)),
            assembler: Assembler::default(),
            inbox: Inbox::new(),
            handshake_out,
            outbox: Outbox::new(),
            events: VecDeque::new(),
            sent_events: VecDeque::new(),
            sealed: 0,
            sealed_messages: 0,
            timers: Timers::new(now),
            pings: 0,
        }
    }

    /// Takes all of `bytes`. After an error only the events queued before can still be had.
    pub fn received(&mut self, now: Instant, mut bytes: &[u8]) -> Result<(), ConnError> {
        loop {
            self.receive(now, &mut bytes)?;
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes bytes off the front until something has come of them, or all: for who cannot take everything at once.
    pub fn receive(&mut self, now: Instant, bytes: &mut &[u8]) -> Result<(), ConnError> {
        let before = bytes.len();
        let taken = self.take_pieces(now, bytes);
        self.end_on(taken)?;
        let under_way = self.is_receiving();
        self.timers.arrived(now, before - bytes.len(), under_way);
        Ok(())
    }

    /// What has happened, oldest first; of our own streams last.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.poll_received().or_else(|| self.poll_sent())
    }

    /// What has come.
    pub fn poll_received(&mut self) -> Option<Event> {
        next(&mut self.events)
    }

    /// What has become of our stream.
    pub fn poll_sent(&mut self) -> Option<Event> {
        next(&mut self.sent_events)
    }

    /// Whether something has become of it that has not been polled.
    #[must_use]
    pub fn has_sent_events(&self) -> bool {
        !self.sent_events.is_empty()
    }

    /// Queues a message; before the handshake has ended it waits for that.
    ///
    /// # Panics
    /// If the message does not fit a frame: whoever composes one keeps to the limits.
    pub fn send(&mut self, message: &Message) {
        if !self.is_over() {
            self.outbox.push_message(message);
        }
    }

    /// How many bytes of messages have not left.
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.outbox.message_bytes() + self.sealed_messages
    }

    /// How many bytes of a piece are kept because its rest has not come.
    #[must_use]
    pub fn partial_bytes(&self) -> usize {
        self.assembler.partial_bytes()
    }

    /// Memory that the other side makes us keep: pieces whose rest has not come, and messages that have not left.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.partial_bytes() + self.outbox_bytes() + self.handshake_out.len()
    }

    /// Begins our stream.
    ///
    /// # Panics
    /// If one is under way.
    pub fn open_stream(&mut self, open: &Open) {
        if !self.is_over() {
            self.outbox.open_stream(open);
        }
    }

    /// Gives our stream its next leaf. After the last one it ends by itself.
    ///
    /// # Panics
    /// If there is no stream, it has all its leaves, or the leaf has the wrong length.
    pub fn push_chunk(&mut self, chunk: Bytes) {
        if !self.is_over() {
            self.outbox.push_chunk(chunk);
        }
    }

    /// Takes back the leaves of our stream that have not been sealed: their number. They are to be given again from there
    /// on after `StreamLow`. What is sealed counts as messages do, since the owner reserves no memory for it any more.
    pub fn take_back_chunks(&mut self) -> u8 {
        self.sealed_messages = self.sealed;
        self.outbox.take_back_chunks()
    }

    /// Stops our stream, if there is one; `StreamSent` follows.
    pub fn abort_stream(&mut self) {
        self.outbox.abort_stream();
    }

    /// Whether our stream has not left yet.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.outbox.is_streaming()
    }

    /// Whether `transmit` has something to give, or waits to hear that what it gave has left.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        !self.handshake_out.is_empty() || self.sealed > 0 || self.outbox.has_frame()
    }

    /// Appends what is to be sent while `out` is shorter than `max`; it may end up longer by one
    /// record. To be called again when all of that has been taken, and not before.
    pub fn transmit(&mut self, now: Instant, out: &mut Vec<u8>, max: usize) {
        let left = std::mem::take(&mut self.sealed);
        self.sealed_messages = 0;
        let before = out.len();
        out.append(&mut std::mem::take(&mut self.handshake_out));
        if let State::Established(transport) = &mut self.state {
            let mut scratch = Vec::new();
            while out.len() < max
                && let Some(frame) = self.outbox.next_frame(&mut scratch)
            {
                match frame {
                    Outgoing::Scratch => seal(transport, &[&scratch], out),
                    Outgoing::Chunk(head, leaf) => seal(transport, &[&head, &leaf], out),
                    Outgoing::Whole(frame) => {
                        self.sealed_messages += frame.len();
                        seal(transport, &[&frame], out);
                    }
                }
                // Each stream that has left is told of, also when the next is opened at once.
                if self.outbox.take_left() {
                    self.sent_events.push_back(Event::StreamSent);
                }
            }
        }
        if self.outbox.take_low() {
            self.sent_events.push_back(Event::StreamLow);
        }
        self.sealed = out.len() - before;
        let under_way = self.wants_transmit();
        self.timers.departed(now, left, under_way);
    }

    /// How far the peer has come. After an error: established if it ever was, or else a stranger.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match &self.state {
            State::Handshaking(handshake) => handshake.stage(),
            State::Established(_) => Stage::Established,
            State::Over(_) if self.inbox.phase() == Phase::Handshake => Stage::Unauthenticated,
            State::Over(_) => Stage::Established,
        }
    }

    /// The owner reads no more until `resume`: the peer's silence is not its fault.
    pub fn pause(&mut self) {
        self.timers.pause();
    }

    /// The owner reads again.
    pub fn resume(&mut self, now: Instant) {
        let under_way = self.is_receiving();
        self.timers.resume(now, under_way);
    }

    /// When `handle_timeout` is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_over() { None } else { self.timers.next() }
    }

    /// Does what is due: gives up, or asks for a sign of life.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ConnError> {
        if let State::Over(error) = self.state {
            return Err(error);
        }
        if let Some(wait) = self.timers.expired(now) {
            return self.end_on(Err(ConnError::TimedOut(wait)));
        }
        if self.timers.is_ping_due(now) {
            self.pings += 1;
            self.outbox.push_ping(self.pings);
            self.timers.pinged(now);
        }
        let under_way = self.wants_transmit();
        self.timers.departed(now, 0, under_way);
        Ok(())
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    /// Whether the peer owes us the rest of something.
    fn is_receiving(&self) -> bool {
        self.assembler.partial_bytes() > 0 || matches!(self.inbox.phase(), Phase::Stream(_))
    }

    /// An error ends the connection. Only a preface still leaves, so that the peer can tell why.
    fn end_on(&mut self, result: Result<(), ConnError>) -> Result<(), ConnError> {
        if let Err(error) = result {
            self.become_closed(error);
        }
        result
    }

    fn become_closed(&mut self, error: ConnError) {
        self.state = State::Over(error);
        self.assembler = Assembler::default();
        self.outbox = Outbox::new();
    }

    fn become_established(&mut self, now: Instant, transport: Box<Transport>, key: [u8; 32]) {
        self.state = State::Established(transport);
        self.inbox.become_established();
        self.outbox.become_established();
        self.timers.become_established(now);
        self.events.push_back(Event::Established { static_key: key });
    }

    fn take_pieces(&mut self, now: Instant, bytes: &mut &[u8]) -> Result<(), ConnError> {
        let before = self.events.len();
        while self.events.len() == before {
            let form = match &self.state {
                State::Handshaking(handshake) => handshake.form(),
                State::Established(_) => Form::Record,
                State::Over(error) => return Err(*error),
            };
            match self.assembler.next(bytes, form)? {
                Some(piece) => self.take_piece(now, &piece)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn take_piece(&mut self, now: Instant, piece: &[u8]) -> Result<(), ConnError> {
        let State::Established(transport) = &mut self.state else {
            return self.take_greeting(now, piece);
        };
        let frame = open(transport, piece)?;
        self.timers.heard(now);
        match self.inbox.take_frame(frame)? {
            Taken::Event(event) => self.events.push_back(event),
            Taken::Ping { token } => self.outbox.push_pong(token),
            Taken::Pong => {}
        }
        Ok(())
    }

    fn take_greeting(&mut self, now: Instant, piece: &[u8]) -> Result<(), ConnError> {
        // A handshake is used up by each step: should the step fail, the connection is over with
        // that.
        let gone = State::Over(ConnError::Unauthenticated);
        match std::mem::replace(&mut self.state, gone) {
            State::Handshaking(handshake) => {
                match handshake.advance(piece, &mut self.handshake_out) {
                    Ok(Outcome::More(handshake)) => {
                        self.state = State::Handshaking(Box::new(handshake));
                    }
                    Ok(Outcome::Done(transport, key)) => {
                        self.become_established(now, transport, key);
                    }
                    Err(error) => return Err(error),
                }
            }
            state @ (State::Established(_) | State::Over(_)) => self.state = state,
        }
        Ok(())
    }
}

/// Takes the first. An idle connection keeps no memory.
fn next(events: &mut VecDeque<Event>) -> Option<Event> {
    let event = events.pop_front();
    if events.is_empty() {
        *events = VecDeque::new();
    }
    event
}

/// Opens a whole transport record.
fn open(transport: &mut Transport, record: &[u8]) -> Result<Vec<u8>, ConnError> {
    let mut frame = Vec::with_capacity(record.len());
    let authentic = transport.open(&record[RECORD_LENGTH..], &mut frame);
    authentic.map_err(|_| ConnError::Broke(Rule::Authentic))?;
    Ok(frame)
}

/// Appends a whole transport record.
fn seal(transport: &mut Transport, frame: &[&[u8]], out: &mut Vec<u8>) {
    let length = frame.iter().map(|part| part.len()).sum::<usize>() + OVERHEAD;
    let length = u16::try_from(length).expect("a frame fits a record");
    out.extend_from_slice(&length.to_be_bytes());
    transport.seal_parts(frame, out);
}

#[cfg(test)]
mod tests;
