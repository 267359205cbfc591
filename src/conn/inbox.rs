//! What is received: one frame after the other, each judged before anything of it is released.
//!
//! Knows no cipher and no socket. Invariant: the phase changes only by the table.

use crate::conn::error::{ConnError, Rule};
use crate::conn::event::Event;
use crate::conn::phase::{Phase, Step};
use crate::crypto::tree;
use crate::limits::FRAME_HEAD;
use crate::wire::Malformed;
use crate::wire::frame::{FrameKind, Head, Open};
use crate::wire::message::Message;
use bytes::Bytes;

/// What a frame was.
pub(crate) enum Taken {
    /// Something for the owner.
    Event(Event),
    /// To be answered.
    Ping { token: u64 },
    /// An answer; that it came is all it says.
    Pong,
}

/// See above.
pub(crate) struct Inbox {
    phase: Phase,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Handshake }
    }

    /// Frames may come from now on.
    pub(crate) fn become_established(&mut self) {
        self.phase = Phase::ESTABLISHED;
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes one whole frame.
    pub(crate) fn take_frame(&mut self, frame: Vec<u8>) -> Result<Taken, ConnError> {
        let (head, body) = frame.split_at_checked(FRAME_HEAD).unwrap_or((&frame, &[]));
        let head = Head::decode(head)?;
        if head.length as usize != body.len() {
            return Err(Malformed("a frame's length").into());
        }
        match head.kind {
            FrameKind::Message => {
                self.step(Step::Message)?;
                Message::decode(body).map(taken).map_err(ConnError::from)
            }
            FrameKind::Open => self.take_open(head.stream, body).map(Taken::Event),
            FrameKind::Chunk => {
                let index = self.next_leaf();
                self.step(Step::Chunk { stream: head.stream, length: body.len() })?;
                let data = Bytes::from(frame).slice(FRAME_HEAD..);
                Ok(Taken::Event(Event::Chunk { index, data }))
            }
            FrameKind::End => {
                check_empty(body)?;
                self.step(Step::End { stream: head.stream })?;
                Ok(Taken::Event(Event::Ended))
            }
            FrameKind::Abort => {
                check_empty(body)?;
                self.step(Step::Abort { stream: head.stream })?;
                Ok(Taken::Event(Event::Aborted))
            }
        }
    }

    fn take_open(&mut self, stream: u16, body: &[u8]) -> Result<Event, ConnError> {
        let open = Open::decode(body)?;
        self.step(Step::Open { stream, open: &open })?;
        check_hashes(&open)?;
        Ok(Event::Opened(open))
    }

    fn step(&mut self, step: Step<'_>) -> Result<(), ConnError> {
        self.phase = self.phase.after(step)?;
        Ok(())
    }

    /// The leaf whose turn it is; of no meaning outside a stream, where the table refuses a chunk.
    fn next_leaf(&self) -> u8 {
        match self.phase {
            Phase::Stream(run) => run.next,
            Phase::Handshake | Phase::Message { .. } => 0,
        }
    }
}

fn taken(message: Message) -> Taken {
    if let Message::Ping { token } = message {
        Taken::Ping { token }
    } else if let Message::Pong { .. } = message {
        Taken::Pong
    } else {
        Taken::Event(Event::Message(message))
    }
}

fn check_hashes(open: &Open) -> Result<(), ConnError> {
    if tree::root(&open.leaves).0 == open.address.0 {
        Ok(())
    } else {
        Err(ConnError::Broke(Rule::Hashes))
    }
}

fn check_empty(body: &[u8]) -> Result<(), ConnError> {
    if body.is_empty() { Ok(()) } else { Err(Malformed("a body where none belongs").into()) }
}
