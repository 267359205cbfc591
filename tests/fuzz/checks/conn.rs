//! A connection in each of its states, on both sides: bytes before and in the handshake; after it
//! frames that are mutated before they are sealed, bytes that are not sealed, time, and a whole life
//! of our own sending.
//!
//! Knows no socket. Invariant: what is received is a legal story, and so is what is sent; an error is
//! final.

use super::Input;
use super::frames::{Story, plain};
use super::meter::within;
use bytes::Bytes;
use dfsd::conn::{Conn, ConnError, ConnKeys, Event, Side, Stage};
use dfsd::crypto::noise::{Handshake, HandshakeKeys, Transport};
use dfsd::crypto::tree;
use dfsd::ids::{Address, ClusterId, Hash};
use dfsd::limits::TRANSPORT_RECORD_MAX;
use dfsd::testing::frames::Frames;
use dfsd::time::Instant;
use dfsd::wire::frame::{Open, leaf_length, leaves_of};
use dfsd::wire::message::Message;
use std::time::Duration;

const CLUSTER: ClusterId = ClusterId([1; 32]);
const NETWORK_SECRET: [u8; 32] = [2; 32];
/// What every preface of this network begins with.
pub(super) const HEAD: &[u8] = b"dfsd\x05\x05\x00\x03";
pub(super) const PREFACE_LENGTH: usize = 16;
/// The far end's.
pub(super) const PREFACE: &[u8] = b"dfsd\x05\x05\x00\x03far end.";
pub(super) const START: Instant = Instant(1_000_000);
/// More would only make one execution slow.
const STEPS_MAX: usize = 200;

pub(super) fn conn(data: &[u8]) {
    let mut input = Input(data);
    let first = input.byte();
    let side = if first & 1 == 0 { Side::Acceptor } else { Side::Dialer };
    let mut bench = Bench::new(side, first >> 1 & 3);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            return;
        }
        bench.step(&mut input);
    }
}

/// What our end knows.
pub(super) fn keys() -> ConnKeys {
    ConnKeys { cluster: CLUSTER, network_secret: NETWORK_SECRET, epoch: 3, static_secret: [5; 32] }
}

/// The handshake of whoever is at the other end of this side, which has said this preface.
pub(super) fn far_end(side: Side, ours: &[u8]) -> Handshake {
    assert!(ours.len() == PREFACE_LENGTH && ours.starts_with(HEAD));
    let prologue = match side {
        Side::Dialer => [ours, PREFACE, CLUSTER.as_ref()].concat(),
        Side::Acceptor => [PREFACE, ours, CLUSTER.as_ref()].concat(),
    };
    let keys = HandshakeKeys { network_secret: &NETWORK_SECRET, static_secret: &[6; 32] };
    Handshake::new(side == Side::Acceptor, &keys, &prologue, [0xac; 32])
}

/// A connection, and the far end as a cipher that seals what it is given.
struct Bench {
    conn: Conn,
    peer: Option<Transport>,
    now: Instant,
    error: Option<ConnError>,
    heard: Story,
    /// What the far end makes of what we send.
    sent: Vec<u8>,
    judge: Frames,
    told: Story,
    stream: Option<(Open, u8)>,
}

impl Bench {
    fn new(side: Side, progress: u8) -> Self {
        let mut bench = Self {
            conn: Conn::new(side, &keys(), [0xd1; 32], START),
            peer: None,
            now: START,
            error: None,
            heard: Story::default(),
            sent: Vec::new(),
            judge: Frames::new(),
            told: Story::default(),
            stream: None,
        };
        bench.greet(side, progress);
        bench
    }

    /// So much of a true handshake: nothing, the preface, the next message, all.
    fn greet(&mut self, side: Side, progress: u8) {
        if progress == 0 {
            return;
        }
        let preface = self.flight();
        self.receive(PREFACE);
        let mut peer = far_end(side, &preface);
        for _ in 1..progress {
            if side == Side::Acceptor && !peer.is_finished() {
                self.say(&mut peer);
            }
            if !peer.is_finished() {
                let answer = self.flight();
                peer.read(&answer).expect("a node keeps the handshake");
            }
            if side == Side::Dialer && !peer.is_finished() {
                self.say(&mut peer);
            }
        }
        if progress == 3 {
            assert!(self.conn.stage() == Stage::Established && peer.is_finished());
            self.peer = Some(peer.into_transport().0);
        }
    }

    fn say(&mut self, peer: &mut Handshake) {
        let mut message = Vec::new();
        peer.write(&mut message).expect("the keys are sound");
        self.receive(&message);
    }

    fn flight(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.conn.transmit(self.now, &mut out, usize::MAX);
        out
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
            0..=3 => self.frame(input),
            4 => self.raw(input),
            5 => self.wait(input.number()),
            6 => self.transmit(usize::from(input.number())),
            7 => self.conn.send(&Message::Status { request: u32::from(input.byte()) }),
            8 => self.open(input),
            9 => self.chunk(),
            10 => self.abort(),
            _ if input.byte() & 1 == 0 => self.conn.pause(),
            _ => self.conn.resume(self.now),
        }
    }

    /// A frame, sealed by the far end if it can; perhaps in two parts.
    fn frame(&mut self, input: &mut Input<'_>) {
        let cut = usize::from(input.byte());
        let plain = plain(input);
        let mut record = Vec::new();
        match &mut self.peer {
            Some(peer) => {
                let length = plain.len() + dfsd::crypto::noise::OVERHEAD;
                let Ok(length) = u16::try_from(length) else {
                    return;
                };
                record.extend(length.to_be_bytes());
                peer.seal(&plain, &mut record);
            }
            None => record = plain,
        }
        let (one, other) = record.split_at(cut.min(record.len()));
        self.receive(one);
        self.receive(other);
    }

    fn raw(&mut self, input: &mut Input<'_>) {
        let length = usize::from(input.byte());
        let bytes = input.bytes(length);
        self.receive(bytes);
    }

    fn receive(&mut self, bytes: &[u8]) {
        let conn = &mut self.conn;
        let kept = conn.partial_bytes();
        let result = within(bytes.len() + kept, || conn.received(self.now, bytes));
        assert!(conn.partial_bytes() < TRANSPORT_RECORD_MAX);
        if let Some(error) = self.error {
            assert!(result == Err(error), "an error is final");
        }
        self.error = result.err();
        self.listen();
    }

    fn listen(&mut self) {
        while let Some(event) = self.conn.poll_event() {
            self.heard.hear(&event);
            if event == Event::StreamSent {
                self.stream = None;
            }
        }
    }

    fn wait(&mut self, tens_ms: u16) {
        self.now = self.now + Duration::from_millis(u64::from(tens_ms) * 10);
        if self.conn.poll_timeout().is_some_and(|due| due <= self.now)
            && let Err(error) = self.conn.handle_timeout(self.now)
        {
            assert!(self.error.is_none_or(|before| before == error), "an error is final");
            self.error = Some(error);
        }
        self.listen();
    }

    /// What is sent is opened by the far end, frame by frame, and judged by the same table.
    fn transmit(&mut self, max: usize) {
        self.conn.transmit(self.now, &mut self.sent, max);
        let Some(peer) = &mut self.peer else {
            self.sent.clear();
            return;
        };
        while let Some((length, rest)) = self.sent.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes(*length));
            let record = rest.get(..length).expect("records are sent whole");
            let mut plain = Vec::new();
            peer.open(record, &mut plain).expect("a node seals its records");
            if let Some(event) = self.judge.take(plain).expect("a node keeps the rules") {
                self.told.hear(&event);
            }
            self.sent.drain(..2 + length);
        }
        self.listen();
    }

    fn open(&mut self, input: &mut Input<'_>) {
        let length = u32::from(input.number()) * 16 + 1;
        let leaves = vec![Hash([input.byte(); 32]); leaves_of(length)];
        let first = input.byte() % leaves.len() as u8;
        let count = input.byte() % (leaves.len() as u8 - first) + 1;
        if self.peer.is_none() || self.conn.is_streaming() || self.error.is_some() {
            return;
        }
        let address = Address(tree::root(&leaves).0);
        let open = Open { address, length, first, count, leaves };
        self.conn.open_stream(&open);
        self.stream = Some((open, first));
    }

    fn chunk(&mut self) {
        if let Some((open, next)) = &mut self.stream
            && *next - open.first < open.count
            && self.conn.is_streaming()
        {
            let chunk = vec![0; leaf_length(open.length, *next)];
            *next += 1;
            self.conn.push_chunk(Bytes::from(chunk));
        }
    }

    fn abort(&mut self) {
        self.conn.abort_stream();
        self.stream = None;
    }
}
