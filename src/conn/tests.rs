//! Two connections back to back, without sockets and without sleep; and one against everything it
//! must refuse.

use super::*;
use crate::crypto::tree;
use crate::ids::{Address, ClusterId};
use crate::limits::{
    BLOCK, DEAD_AFTER, FRAME_BODY_MAX, FRAME_HEAD, HANDSHAKE_TIMEOUT, LEAF, PING_AFTER,
    PROGRESS_PERIOD,
};
use std::time::Duration;

mod hostile;
mod streams;
mod time;

const START: Instant = Instant(1_000_000);
/// What a preface of `keys` begins with.
const HEAD: &[u8] = b"dfsd\x05\x05\x00\x03";

fn keys(who: u8) -> ConnKeys {
    ConnKeys {
        cluster: ClusterId([1; 32]),
        network_secret: [2; 32],
        epoch: 3,
        static_secret: [who; 32],
    }
}

fn dialer(keys: &ConnKeys) -> Conn {
    Conn::new(Side::Dialer, keys, [0xd1; 32], START)
}

fn acceptor(keys: &ConnKeys) -> Conn {
    acceptor_with(keys, 0xac)
}

/// One with other randomness, as every connection has it.
fn acceptor_with(keys: &ConnKeys, entropy: u8) -> Conn {
    Conn::new(Side::Acceptor, keys, [entropy; 32], START)
}

/// What one end has to send at this moment.
fn flight(from: &mut Conn, now: Instant) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from.wants_transmit() {
        from.transmit(now, &mut bytes, usize::MAX);
    }
    bytes
}

fn events(conn: &mut Conn) -> Vec<Event> {
    std::iter::from_fn(|| conn.poll_event()).collect()
}

/// Both ends and the bytes between them.
struct Pair {
    now: Instant,
    dialer: Conn,
    acceptor: Conn,
    /// Bytes delivered at once.
    step: usize,
}

impl Pair {
    fn new() -> Self {
        Self::between(&keys(5), &keys(6))
    }

    fn between(left: &ConnKeys, right: &ConnKeys) -> Self {
        let (dialer, acceptor) = (dialer(left), acceptor(right));
        Self { now: START, dialer, acceptor, step: usize::MAX }
    }

    fn established() -> Self {
        let mut pair = Self::new();
        pair.drive().unwrap();
        assert!(matches!(events(&mut pair.dialer)[..], [Event::Established { .. }]));
        assert!(matches!(events(&mut pair.acceptor)[..], [Event::Established { .. }]));
        pair
    }

    /// Carries bytes to and fro until neither end has any.
    fn drive(&mut self) -> Result<(), ConnError> {
        while self.dialer.wants_transmit() || self.acceptor.wants_transmit() {
            let bytes = flight(&mut self.dialer, self.now);
            for part in bytes.chunks(self.step) {
                self.acceptor.received(self.now, part)?;
            }
            let bytes = flight(&mut self.acceptor, self.now);
            for part in bytes.chunks(self.step) {
                self.dialer.received(self.now, part)?;
            }
        }
        Ok(())
    }
}

fn ping_like(request: u32) -> Message {
    Message::Status { request }
}

/// A block of so many bytes: its open frame's body for these leaves, and the leaves.
fn block(length: usize, first: u8, count: u8) -> (Open, Vec<Bytes>) {
    let data: Vec<u8> = (0..length).map(|at| (at / 7) as u8).collect();
    let leaves = tree::leaf_hashes(&data);
    let address = Address(tree::root(&leaves).0);
    let chunks = data.chunks(LEAF).skip(first.into()).take(count.into());
    let chunks = chunks.map(Bytes::copy_from_slice).collect();
    (Open { address, length: length as u32, first, count, leaves }, chunks)
}

#[test]
fn two_ends_meet_however_the_bytes_are_cut() {
    for step in [1, 2, 7, 48, 100, usize::MAX] {
        let mut pair = Pair { step, ..Pair::new() };
        assert_eq!(
            (pair.dialer.stage(), pair.acceptor.stage()),
            (Stage::Handshaking, Stage::Unauthenticated)
        );
        pair.dialer.send(&ping_like(1));
        pair.acceptor.send(&ping_like(2));
        pair.drive().unwrap();
        assert_eq!(pair.dialer.stage(), Stage::Established);
        assert_eq!(pair.acceptor.stage(), Stage::Established);
        let public = |who: u8| {
            let secret = x25519_dalek::StaticSecret::from([who; 32]);
            x25519_dalek::PublicKey::from(&secret).to_bytes()
        };
        let expected = |who, request| {
            vec![Event::Established { static_key: public(who) }, Event::Message(ping_like(request))]
        };
        assert_eq!(events(&mut pair.dialer), expected(6, 2), "step {step}");
        assert_eq!(events(&mut pair.acceptor), expected(5, 1), "step {step}");
    }
}

#[test]
fn the_handshake_has_the_documented_lengths() {
    let (mut dialer, mut acceptor) = (dialer(&keys(5)), acceptor(&keys(6)));
    let (one, other) = (flight(&mut dialer, START), flight(&mut acceptor, START));
    assert_eq!((one.len(), &one[..8]), (16, HEAD));
    assert_eq!((other.len(), &other[..8]), (16, HEAD));
    assert_ne!(one[8..], other[8..], "each says something new");
    assert!(!dialer.wants_transmit(), "the first message waits for the acceptor's preface");
    acceptor.received(START, &one).unwrap();
    assert!(!acceptor.wants_transmit(), "a stranger gets the preface alone");
    dialer.received(START, &other).unwrap();
    let first = flight(&mut dialer, START);
    acceptor.received(START, &first).unwrap();
    assert_eq!(acceptor.stage(), Stage::Handshaking);
    let second = flight(&mut acceptor, START);
    dialer.received(START, &second).unwrap();
    let third = flight(&mut dialer, START);
    assert_eq!((first.len(), second.len(), third.len()), (48, 96, 64));
    acceptor.received(START, &third).unwrap();
    assert_eq!((dialer.stage(), acceptor.stage()), (Stage::Established, Stage::Established));
}

#[test]
fn the_same_entropy_gives_the_same_bytes() {
    let run = || {
        let mut pair = Pair::new();
        pair.dialer.send(&ping_like(1));
        let mut trace = Vec::new();
        for _ in 0..3 {
            let bytes = flight(&mut pair.dialer, START);
            pair.acceptor.received(START, &bytes).unwrap();
            let answer = flight(&mut pair.acceptor, START);
            pair.dialer.received(START, &answer).unwrap();
            trace.push((bytes, answer));
        }
        trace
    };
    assert_eq!(run(), run());
}

/// What crosses the wire when `keys(5)` meets `keys(6)`, for ever: others may build on it.
#[test]
fn the_fifth_version_of_the_handshake() {
    let mut pair = Pair::new();
    pair.dialer.send(&ping_like(1));
    let mut lines = String::new();
    let mut note = |who: &str, bytes: &[u8]| {
        if bytes.is_empty() {
            return;
        }
        let hex = base16ct::lower::encode_string(bytes);
        lines += &format!("{who} {hex}\n");
    };
    for _ in 0..4 {
        let bytes = flight(&mut pair.dialer, START);
        note("dialer", &bytes);
        let answer = flight(&mut pair.acceptor, START);
        note("acceptor", &answer);
        pair.acceptor.received(START, &bytes).unwrap();
        pair.dialer.received(START, &answer).unwrap();
    }
    assert_eq!(lines, include_str!("tests/handshake.txt"));
}

#[test]
fn messages_keep_their_order_and_are_counted_while_they_wait() {
    let mut pair = Pair::established();
    let sent: Vec<Message> = (0..500).map(ping_like).collect();
    sent.iter().for_each(|message| pair.dialer.send(message));
    assert_eq!(pair.dialer.outbox_bytes(), 500 * (FRAME_HEAD + 5));
    pair.drive().unwrap();
    assert_eq!(pair.dialer.outbox_bytes(), 0);
    let got = events(&mut pair.acceptor);
    assert_eq!(got, sent.into_iter().map(Event::Message).collect::<Vec<_>>());
}

#[test]
fn the_longest_message_passes_and_a_little_is_sent_at_a_time() {
    let mut pair = Pair::established();
    let page = Bytes::from(vec![7; FRAME_BODY_MAX - 8]);
    let message = Message::PutPage { request: 1, page, permit: None };
    (0..3).for_each(|_| pair.dialer.send(&message));
    let mut out = Vec::new();
    pair.dialer.transmit(START, &mut out, 1);
    assert_eq!(out.len(), crate::limits::TRANSPORT_RECORD_MAX, "one record, not three");
    pair.acceptor.received(START, &out).unwrap();
    pair.drive().unwrap();
    assert_eq!(events(&mut pair.acceptor), vec![Event::Message(message); 3]);
}

#[test]
fn an_idle_connection_is_small() {
    let mut pair = Pair::established();
    let (open, chunks) = block(BLOCK, 0, 32);
    pair.dialer.open_stream(&open);
    for chunk in chunks {
        pair.dialer.push_chunk(chunk);
    }
    pair.acceptor.send(&ping_like(1));
    pair.drive().unwrap();
    for conn in [&mut pair.dialer, &mut pair.acceptor] {
        events(conn);
        let State::Established(transport) = &conn.state else { panic!("established") };
        let kept = conn.events.capacity() + conn.handshake_out.capacity() + conn.partial_bytes();
        assert_eq!(kept, 0);
        assert_eq!(conn.outbox.kept_bytes(), 0);
        let all = size_of_val(conn) + size_of_val(&**transport);
        assert!(all < 2048, "{all}");
    }
}
