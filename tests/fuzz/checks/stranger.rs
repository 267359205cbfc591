//! Whoever connects and says anything: raw bytes instead of a handshake, in any pieces.
//!
//! Knows no key. Invariant: each end says what the protocol lets it say to a stranger and nothing else, and blames the
//! very thing that was wrong.

use super::Input;
use super::conn::{HEAD, PREFACE_LENGTH, START, keys};
use super::meter::within;
use dfsd::conn::{Conn, ConnError, Side, Stage};
use dfsd::crypto::noise::MESSAGE_LENGTHS;

/// Of so many inputs one may go on after its preface: a message costs a thousand times as much.
const DEAR: u8 = 64;

pub(super) fn stranger(data: &[u8]) {
    let mut input = Input(data);
    let first = input.byte();
    let side = if first & 1 == 0 { Side::Acceptor } else { Side::Dialer };
    let pieces = [input.byte(), input.byte()];
    let ends = (first >> 1).is_multiple_of(DEAR);
    let said = if ends { input.0 } else { &input.0[..input.0.len().min(PREFACE_LENGTH)] };
    let mut conn = Conn::new(side, &keys(), [0xd1; 32], START);
    assert!(drain(&mut conn) == PREFACE_LENGTH, "the preface is the first word of both");
    let (mut heard, mut error) = (0, None);
    for piece in cut(said, pieces) {
        heard += piece.len();
        let kept = conn.partial_bytes();
        let result = within(piece.len() + kept, || conn.received(START, piece));
        error = error.or(result.err());
        assert!(error == expected(side, &said[..heard]), "{error:?} after {heard} bytes");
        assert!(conn.stage() != Stage::Established, "nobody has proved anything");
    }
    assert!(drain(&mut conn) == answer_length(side, said));
}

/// How much is said after the preface: a dialer's first message, or that an acceptor refuses one.
fn answer_length(side: Side, said: &[u8]) -> usize {
    let is_ours = said.get(..HEAD.len()).is_some_and(|head| blame(head).is_none());
    let after = said.len().checked_sub(PREFACE_LENGTH).filter(|_| is_ours);
    match (side, after) {
        (Side::Dialer, Some(_)) => MESSAGE_LENGTHS[0],
        (Side::Acceptor, Some(after)) if after >= MESSAGE_LENGTHS[0] => MESSAGE_LENGTHS[1],
        (Side::Acceptor, Some(_)) | (_, None) => 0,
    }
}

/// The bytes in three pieces; an empty one is no piece.
fn cut(said: &[u8], pieces: [u8; 2]) -> impl Iterator<Item = &[u8]> {
    let (one, rest) = said.split_at(usize::from(pieces[0]).min(said.len()));
    let (two, three) = rest.split_at(usize::from(pieces[1]).min(rest.len()));
    [one, two, three].into_iter().filter(|piece| !piece.is_empty())
}

fn drain(conn: &mut Conn) -> usize {
    let mut out = Vec::new();
    conn.transmit(START, &mut out, usize::MAX);
    out.len()
}

/// What is wrong with the head of a preface, from its definition: "dfsd", the lowest and the highest version, the epoch.
fn blame(preface: &[u8]) -> Option<ConnError> {
    let (lowest, highest) = (preface[4], preface[5]);
    let (ours, theirs) = (keys().epoch, u16::from_be_bytes([preface[6], preface[7]]));
    if &preface[..4] != b"dfsd" {
        Some(ConnError::Unauthenticated)
    } else if lowest > highest || !(lowest..=highest).contains(&5) {
        Some(ConnError::Version { lowest, highest })
    } else {
        (ours != theirs).then_some(ConnError::Epoch { ours, theirs })
    }
}

/// What this end must have said of these bytes by now.
fn expected(side: Side, heard: &[u8]) -> Option<ConnError> {
    let head = heard.get(..HEAD.len())?;
    let rest = heard.len().saturating_sub(PREFACE_LENGTH);
    let message = match side {
        Side::Acceptor => MESSAGE_LENGTHS[0],
        Side::Dialer => MESSAGE_LENGTHS[1],
    };
    blame(head).or((rest >= message).then_some(ConnError::Unauthenticated))
}
