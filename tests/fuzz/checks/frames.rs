//! Frames: heads, opens, and sequences of whole frames before the transition table.
//!
//! Knows no cipher. Invariant: what comes out is a legal story, judged here by another automaton
//! than the product's.

use super::Input;
use super::codec::same;
use super::meter::within;
use dfsd::conn::Event;
use dfsd::crypto::tree;
use dfsd::ids::Hash;
use dfsd::testing::frames::Frames;
use dfsd::wire::frame::{Head, Open, leaves_of};
use dfsd::wire::message::Message;

/// Bytes of a frame's head, and of an open's body before its hashes.
const HEAD: usize = 8;
const OPEN: usize = 38;

pub(super) fn frame(data: &[u8]) {
    if let Ok(head) = within(data.len(), || Head::decode(data)) {
        same(data, |out| head.encode(out));
    }
    if let Ok(open) = within(data.len(), || Open::decode(data)) {
        same(data, |out| open.encode(out));
    }
    let (mut input, mut frames, mut story) = (Input(data), Frames::new(), Story::default());
    while !input.is_empty() {
        let plain = plain(&mut input);
        let length = plain.len();
        match within(length, || frames.take(plain)) {
            Ok(Some(event)) => story.hear(&event),
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

/// The next frame of an input: two bytes of length and flags, and the frame. Without the first flag
/// the length in its head is made right, and the address of an open; with the second the length
/// counts units of eight bytes after the head, all zero.
pub(super) fn plain(input: &mut Input<'_>) -> Vec<u8> {
    let number = input.number();
    let length = usize::from(number & 0x3fff);
    let mut frame = if number & 0x4000 == 0 {
        input.bytes(length).to_vec()
    } else {
        let mut frame = input.bytes(HEAD).to_vec();
        frame.resize(HEAD + length.min(8192) * 8, 0);
        frame
    };
    if number & 0x8000 == 0 {
        set_right(&mut frame);
    }
    frame
}

fn set_right(frame: &mut [u8]) {
    let Some(body) = frame.len().checked_sub(HEAD) else {
        return;
    };
    frame[4..HEAD].copy_from_slice(&(body as u32).to_be_bytes());
    if frame[0] == 2 && body > OPEN && body <= OPEN + 32 * 32 {
        let leaves: Vec<Hash> =
            frame[HEAD + OPEN..].as_chunks().0.iter().map(|hash| Hash(*hash)).collect();
        if !leaves.is_empty() {
            frame[HEAD..HEAD + 32].copy_from_slice(&tree::root(&leaves).0);
        }
    }
}

/// What has been heard from a connection.
#[derive(Default)]
pub(super) struct Story {
    stream: Option<(Open, u8)>,
}

impl Story {
    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Opened(open) => {
                assert!(self.stream.is_none(), "a stream within a stream");
                assert!(open.leaves.len() == leaves_of(open.length) && open.count > 0);
                self.stream = Some((open.clone(), open.first));
            }
            Event::Chunk { index, data } => {
                let (open, next) = self.stream.as_mut().expect("a chunk of a stream");
                assert!(index == next && *next - open.first < open.count, "a chunk's turn");
                assert!(data.len() == open.leaf_length(*index) && !data.is_empty());
                *next += 1;
            }
            Event::Ended => {
                let (open, next) = self.stream.take().expect("the end of a stream");
                assert!(next - open.first == open.count, "an end before the last chunk");
            }
            Event::Aborted => drop(self.stream.take().expect("a stream to abort")),
            Event::Message(Message::Ping { .. } | Message::Pong { .. }) => {
                panic!("a ping is no event")
            }
            Event::Message(_)
            | Event::Established { .. }
            | Event::StreamLow
            | Event::StreamSent => {}
        }
    }
}
