//! What waits to be sent: messages, and at most one stream.
//!
//! Knows no cipher and no socket. Invariants: frames leave in an order that the table of phases
//! allows; messages go before and between chunks, but a chunk waits for no more than a frame's
//! worth of them.

use crate::conn::phase::{Phase, Step, number_after};
use crate::limits::{FRAME_BODY_MAX, FRAME_HEAD};
use crate::wire::frame::{FrameKind, Head, Open};
use crate::wire::message::Message;
use bytes::Bytes;
use std::collections::VecDeque;

/// A frame that is to be sealed and sent.
pub(super) enum Outgoing {
    /// It stands in the scratch buffer.
    Scratch,
    /// It is this.
    Whole(Vec<u8>),
    /// It is this head, and this leaf.
    Chunk(Vec<u8>, Bytes),
}

/// See above.
pub(super) struct Outbox {
    phase: Phase,
    /// Whole frames, one a message.
    messages: VecDeque<Vec<u8>>,
    message_bytes: usize,
    /// Bytes of messages sent since the last chunk.
    run_bytes: usize,
    ping: Option<u64>,
    pong: Option<u64>,
    stream: Option<Stream>,
    /// A stream has left since the owner last heard of it.
    left: bool,
}

/// The stream that is being sent.
struct Stream {
    open: Open,
    number: u16,
    opened: bool,
    aborted: bool,
    /// Chunks that the owner has given so far.
    given: u8,
    chunks: VecDeque<Bytes>,
    /// The owner knows that there is no chunk.
    low_told: bool,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Handshake,
            messages: VecDeque::new(),
            message_bytes: 0,
            run_bytes: 0,
            ping: None,
            pong: None,
            stream: None,
            left: false,
        }
    }

    /// Frames may leave from now on.
    pub(super) fn become_established(&mut self) {
        self.phase = Phase::ESTABLISHED;
    }

    pub(super) fn push_message(&mut self, message: &Message) {
        let Some(frame) = message_frame(message) else {
            return log::error!(
                "a message was not sent, since no frame holds it: this is a fault of dfsd"
            );
        };
        self.message_bytes += frame.len();
        self.messages.push_back(frame);
    }

    /// One ping at a time waits, whatever comes of it.
    pub(super) fn push_ping(&mut self, token: u64) {
        self.ping = Some(token);
    }

    /// Only the last ping of several is answered, so that a flood of them fills nothing.
    pub(super) fn push_pong(&mut self, token: u64) {
        self.pong = Some(token);
    }

    pub(super) fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.stream.is_some()
    }

    pub(super) fn open_stream(&mut self, open: &Open) {
        assert!(self.stream.is_none(), "one outgoing stream at a time");
        self.stream = Some(Stream {
            open: open.clone(),
            number: 0,
            opened: false,
            aborted: false,
            given: 0,
            chunks: VecDeque::new(),
            low_told: false,
        });
    }

    pub(super) fn push_chunk(&mut self, chunk: Bytes) {
        let stream = self.stream.as_mut().expect("a chunk is pushed into an open stream");
        assert!(!stream.aborted && stream.given < stream.open.count, "no chunk was asked for");
        let index = stream.open.first + stream.given;
        assert_eq!(chunk.len(), stream.open.leaf_length(index), "a chunk is one whole leaf");
        stream.given += 1;
        stream.low_told = false;
        stream.chunks.push_back(chunk);
    }

    /// Takes back the chunks that have not been sealed: their number. The owner gives them again when the stream has run
    /// dry.
    pub(super) fn take_back_chunks(&mut self) -> u8 {
        let Some(stream) = &mut self.stream else {
            return 0;
        };
        let count = u8::try_from(std::mem::take(&mut stream.chunks).len());
        let count = count.expect("a block has 32 leaves");
        stream.given -= count;
        count
    }

    /// Nothing more of the stream is sent but that it stops. Without a stream nothing happens.
    pub(super) fn abort_stream(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.aborted = true;
            stream.chunks = VecDeque::new();
        }
    }

    pub(super) fn has_frame(&self) -> bool {
        self.phase != Phase::Handshake && (self.has_message() || self.has_stream_frame())
    }

    /// The next frame. `scratch` is reused from frame to frame.
    pub(super) fn next_frame(&mut self, scratch: &mut Vec<u8>) -> Option<Outgoing> {
        if self.phase == Phase::Handshake {
            return None;
        }
        let chunks_turn = self.run_bytes > FRAME_BODY_MAX && self.has_stream_frame();
        if !chunks_turn && let Some(frame) = self.next_message() {
            self.step(Step::Message);
            self.run_bytes = self.run_bytes.saturating_add(frame.len());
            return Some(Outgoing::Whole(frame));
        }
        self.has_stream_frame().then(|| self.put_stream_frame(scratch))
    }

    /// Whether the stream has run dry, told once until it is given another chunk.
    pub(super) fn take_low(&mut self) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        let dry = stream.opened && stream.chunks.is_empty() && stream.given < stream.open.count;
        let low = dry && !stream.aborted && !stream.low_told;
        stream.low_told |= low;
        low
    }

    /// Whether a stream has left since this was last asked.
    pub(super) fn take_left(&mut self) -> bool {
        std::mem::take(&mut self.left)
    }

    /// Memory kept for what is to come.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.messages.capacity() + self.stream.iter().count()
    }

    fn has_message(&self) -> bool {
        self.ping.is_some() || self.pong.is_some() || !self.messages.is_empty()
    }

    fn next_message(&mut self) -> Option<Vec<u8>> {
        if let Some(token) = self.pong.take() {
            return message_frame(&Message::Pong { token });
        }
        if let Some(token) = self.ping.take() {
            return message_frame(&Message::Ping { token });
        }
        let frame = self.messages.pop_front()?;
        self.message_bytes -= frame.len();
        if self.messages.is_empty() {
            // An idle connection keeps no memory.
            self.messages = VecDeque::new();
        }
        Some(frame)
    }

    fn has_stream_frame(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| {
            let over = stream.aborted || stream.given == stream.open.count;
            !stream.opened || !stream.chunks.is_empty() || over
        })
    }

    /// Writes the next frame of the stream, which has one.
    fn put_stream_frame(&mut self, scratch: &mut Vec<u8>) -> Outgoing {
        self.run_bytes = 0;
        scratch.clear();
        let mut stream = self.stream.take().expect("there is a frame of a stream");
        if !stream.opened {
            stream.number = self.next_number();
            put_frame(FrameKind::Open, stream.number, scratch, |out| {
                stream.open.encode(out);
            });
            self.step(Step::Open { stream: stream.number, open: &stream.open });
            stream.opened = true;
            self.stream = Some(stream);
        } else if let Some(chunk) = stream.chunks.pop_front() {
            self.step(Step::Chunk { stream: stream.number, length: chunk.len() });
            let head = head(FrameKind::Chunk, stream.number, chunk.len());
            self.stream = Some(stream);
            // A leaf is copied once, to where it is sealed.
            return Outgoing::Chunk(head, chunk);
        } else {
            self.put_last_frame(&stream, scratch);
        }
        Outgoing::Scratch
    }

    fn put_last_frame(&mut self, stream: &Stream, scratch: &mut Vec<u8>) {
        let number = stream.number;
        if stream.aborted {
            put_frame(FrameKind::Abort, number, scratch, |_| ());
            self.step(Step::Abort { stream: number });
        } else {
            put_frame(FrameKind::End, number, scratch, |_| ());
            self.step(Step::End { stream: number });
        }
        self.left = true;
    }

    fn next_number(&self) -> u16 {
        match self.phase {
            Phase::Message { last } => number_after(last),
            Phase::Handshake | Phase::Stream(_) => unreachable!("a stream opens between streams"),
        }
    }

    fn step(&mut self, step: Step<'_>) {
        self.phase = self.phase.after(step).expect("we send only what the table allows");
    }
}

/// `None` if it is longer than a frame: whoever waits for it gives up in time, and everybody else is served.
fn message_frame(message: &Message) -> Option<Vec<u8>> {
    let mut frame = vec![0; FRAME_HEAD];
    message.encode(&mut frame);
    let length = frame.len() - FRAME_HEAD;
    if length > FRAME_BODY_MAX {
        return None;
    }
    frame[..FRAME_HEAD].copy_from_slice(&head(FrameKind::Message, 0, length));
    debug_assert_eq!(Message::decode(&frame[FRAME_HEAD..]).as_ref(), Ok(message));
    frame.shrink_to_fit();
    Some(frame)
}

fn head(kind: FrameKind, stream: u16, length: usize) -> Vec<u8> {
    assert!(length <= FRAME_BODY_MAX, "we made a {kind:?} of {length} bytes");
    let length = u32::try_from(length).expect("a body is at most 60 KiB");
    let mut head = Vec::with_capacity(FRAME_HEAD);
    Head { kind, stream, length }.encode(&mut head);
    head
}

/// Appends a head and a body, to an empty buffer.
fn put_frame(kind: FrameKind, stream: u16, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    out.resize(FRAME_HEAD, 0);
    body(out);
    let head = head(kind, stream, out.len() - FRAME_HEAD);
    out[..FRAME_HEAD].copy_from_slice(&head);
}
