//! What the server says to a session in the same process: messages, and at most one stream.
//!
//! Knows no session and no server. Invariants: a message waits for no leaf; leaves are taken in order, and a stream that
//! has all of them ends by itself; nothing is taken unless somebody asks.

use crate::limits::FRAME_BODY_MAX;
use crate::session::Input;
use crate::wire::frame::Open;
use crate::wire::message::Message;
use bytes::Bytes;
use std::collections::VecDeque;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    messages: VecDeque<Unheard>,
    message_bytes: usize,
    stream: Option<Stream>,
    /// For how long messages are.
    scratch: Vec<u8>,
    /// A stream has ended since the server last heard of it.
    sent: bool,
}

/// A message, and what it would take on the wire: bounds are the same for all.
#[derive(Debug)]
struct Unheard {
    message: Message,
    bytes: usize,
}

/// The stream that is being taken.
#[derive(Debug)]
struct Stream {
    open: Open,
    opened: bool,
    aborted: bool,
    /// Leaves that the server has given so far, and those that were taken.
    given: u8,
    taken: u8,
    chunks: VecDeque<Bytes>,
    /// The server knows that there is no leaf.
    low_told: bool,
}

impl Mailbox {
    pub(super) fn send(&mut self, message: Message) {
        self.scratch.clear();
        message.encode(&mut self.scratch);
        let bytes = self.scratch.len();
        debug_assert!(bytes <= FRAME_BODY_MAX, "a message of {bytes} bytes");
        self.message_bytes += bytes;
        self.messages.push_back(Unheard { message, bytes });
    }

    /// Bytes of messages that were not taken.
    pub(super) fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    pub(super) fn open_stream(&mut self, open: Open) {
        assert!(self.stream.is_none(), "one outgoing stream at a time");
        self.stream = Some(Stream {
            open,
            opened: false,
            aborted: false,
            given: 0,
            taken: 0,
            chunks: VecDeque::new(),
            low_told: false,
        });
    }

    pub(super) fn push_chunk(&mut self, chunk: Bytes) {
        let stream = self.stream.as_mut().expect("a leaf is given to an open stream");
        assert!(!stream.aborted && stream.given < stream.open.count, "no leaf was asked for");
        stream.given += 1;
        stream.low_told = false;
        stream.chunks.push_back(chunk);
    }

    /// Takes back the leaves that were not taken: their number. The server gives them again when the stream has run dry.
    pub(super) fn take_back_chunks(&mut self) -> u8 {
        let Some(stream) = &mut self.stream else { return 0 };
        let count = u8::try_from(std::mem::take(&mut stream.chunks).len());
        let count = count.expect("a block has 32 leaves");
        stream.given -= count;
        count
    }

    /// Nothing more of the stream is taken but that it stops. Without a stream nothing happens.
    pub(super) fn abort_stream(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.aborted = true;
            stream.chunks = VecDeque::new();
        }
    }

    /// What comes next for the session.
    pub(super) fn next(&mut self) -> Option<Input> {
        if let Some(Unheard { message, bytes }) = self.messages.pop_front() {
            self.message_bytes -= bytes;
            return Some(Input::Message(message));
        }
        let mut stream = self.stream.take()?;
        let input = stream.next();
        if matches!(input, Some(Input::Ended | Input::Aborted)) {
            self.sent = true;
        } else {
            self.stream = Some(stream);
        }
        input
    }

    /// Whether a stream has ended since this was last asked.
    pub(super) fn take_sent(&mut self) -> bool {
        std::mem::take(&mut self.sent)
    }

    /// Whether the stream has run dry, told once until it is given another leaf.
    pub(super) fn take_low(&mut self) -> bool {
        self.stream.as_mut().is_some_and(Stream::take_low)
    }
}

impl Stream {
    fn next(&mut self) -> Option<Input> {
        if !self.opened {
            self.opened = true;
            return Some(Input::Opened(self.open.clone()));
        }
        if let Some(data) = self.chunks.pop_front() {
            let index = self.open.first + self.taken;
            self.taken += 1;
            return Some(Input::Chunk { index, data });
        }
        if self.aborted {
            return Some(Input::Aborted);
        }
        (self.given == self.open.count).then_some(Input::Ended)
    }

    fn take_low(&mut self) -> bool {
        let dry = self.opened && self.chunks.is_empty() && self.given < self.open.count;
        let low = dry && !self.aborted && !self.low_told;
        self.low_told |= low;
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Address;

    fn leaf(byte: u8) -> Bytes {
        Bytes::from(vec![byte; 5])
    }

    fn stream(count: u8) -> Open {
        let leaves = Vec::new();
        Open { address: Address::default(), length: 99, first: 2, count, leaves }
    }

    /// What can be taken, in a word each.
    fn taken(mailbox: &mut Mailbox) -> Vec<String> {
        let inputs = std::iter::from_fn(|| mailbox.next());
        let word = |input| match input {
            Input::Message(Message::Pong { token }) => format!("message {token}"),
            Input::Chunk { index, .. } => format!("leaf {index}"),
            Input::Opened(_) => "open".to_owned(),
            Input::Ended => "end".to_owned(),
            Input::Aborted => "abort".to_owned(),
            other => panic!("{other:?}"),
        };
        inputs.map(word).collect()
    }

    #[test]
    fn messages_overtake_leaves_and_a_stream_ends_when_it_has_all() {
        let mut mailbox = Mailbox::default();
        mailbox.open_stream(stream(2));
        mailbox.push_chunk(leaf(1));
        mailbox.send(Message::Pong { token: 7 });
        assert!(mailbox.message_bytes() > 0);
        assert_eq!(taken(&mut mailbox), ["message 7", "open", "leaf 2"]);
        assert_eq!(mailbox.message_bytes(), 0);
        assert!(mailbox.take_low() && !mailbox.take_low() && !mailbox.take_sent());
        mailbox.push_chunk(leaf(2));
        assert_eq!(taken(&mut mailbox), ["leaf 3", "end"]);
        assert!(mailbox.take_sent() && !mailbox.take_sent() && !mailbox.take_low());
    }

    #[test]
    fn leaves_that_are_taken_back_are_given_again() {
        let mut mailbox = Mailbox::default();
        mailbox.open_stream(stream(2));
        mailbox.push_chunk(leaf(1));
        mailbox.push_chunk(leaf(2));
        assert_eq!(mailbox.take_back_chunks(), 2);
        assert_eq!(taken(&mut mailbox), ["open"]);
        assert!(mailbox.take_low());
        mailbox.push_chunk(leaf(1));
        mailbox.abort_stream();
        assert_eq!(taken(&mut mailbox), ["abort"]);
        assert!(mailbox.take_sent());
    }
}
