//! What a connection refuses: garbage, wrong keys, changed, cut and repeated bytes, and every frame
//! out of turn.

use super::*;
use crate::wire::frame::{FrameKind, Head};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Kind, stream and body.
type Forged<'a> = (FrameKind, u16, &'a [u8]);

/// A frame as somebody would make it who has the keys and keeps no rule.
fn forge(from: &mut Conn, kind: FrameKind, stream: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Head { kind, stream, length: body.len() as u32 }.encode(&mut frame);
    frame.extend_from_slice(body);
    forge_bytes(from, &frame)
}

fn forge_bytes(from: &mut Conn, frame: &[u8]) -> Vec<u8> {
    let State::Established(transport) = &mut from.state else { panic!("established") };
    let mut record = Vec::new();
    seal(transport, &[frame], &mut record);
    record
}

fn open_body(open: &Open) -> Vec<u8> {
    let mut body = Vec::new();
    open.encode(&mut body);
    body
}

fn broke(illegal: Illegal) -> Result<(), ConnError> {
    Err(ConnError::Broke(Rule::Phase(illegal)))
}

#[test]
fn garbage_is_a_stranger() {
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 8], &[0xff; 300], b"dfsE\x02\x02\x00\x03"]
    {
        let mut conn = acceptor(&keys(6));
        assert_eq!(
            conn.received(START, garbage),
            Err(ConnError::Unauthenticated),
            "at the eighth byte"
        );
        let sent = flight(&mut conn, START);
        assert_eq!((sent.len(), &sent[..8]), (16, HEAD), "the preface alone");
        assert_eq!((conn.stage(), conn.poll_event()), (Stage::Unauthenticated, None));
    }
    let mut conn = acceptor(&keys(6));
    flight(&mut conn, START);
    let first = [HEAD, &[1; 8], &[0x55; 48]].concat();
    assert_eq!(conn.received(START, &first), Err(ConnError::Unauthenticated));
    assert_eq!(flight(&mut conn, START), [0; 96], "who shows a wrong key is told so");
    let mut conn = dialer(&keys(5));
    let second = [HEAD, &[1; 8], &[0x55; 96]].concat();
    assert_eq!(conn.received(START, &second), Err(ConnError::Unauthenticated));
}

#[test]
fn a_refusal_is_understood_and_an_end_is_none() {
    let mut other = keys(5);
    other.network_secret = [9; 32];
    let mut dialer = dialer(&other);
    let mut acceptor = acceptor(&keys(6));
    dialer.received(START, &flight(&mut acceptor, START)).unwrap();
    assert_eq!(
        acceptor.received(START, &flight(&mut dialer, START)),
        Err(ConnError::Unauthenticated)
    );
    let refusal = flight(&mut acceptor, START);
    assert_eq!(dialer.received(START, &refusal[..95]), Ok(()));
    assert_eq!(dialer.received(START, &refusal[95..]), Err(ConnError::Unauthenticated));
}

#[test]
fn another_key_another_cluster_another_epoch() {
    let mut other = keys(5);
    other.network_secret = [9; 32];
    assert_eq!(Pair::between(&other, &keys(6)).drive(), Err(ConnError::Unauthenticated));
    let mut other = keys(5);
    other.cluster = ClusterId([9; 32]);
    assert_eq!(Pair::between(&other, &keys(6)).drive(), Err(ConnError::Unauthenticated));
    let mut other = keys(5);
    other.epoch = 4;
    let error = Err(ConnError::Epoch { ours: 3, theirs: 4 });
    assert_eq!(Pair::between(&other, &keys(6)).drive(), error);
}

#[test]
fn other_versions() {
    for (lowest, highest, good) in
        [(5, 5, true), (1, 9, true), (0, 5, true), (1, 4, false), (6, 7, false), (5, 4, false)]
    {
        let mut conn = acceptor(&keys(6));
        let result = conn.received(START, &[b'd', b'f', b's', b'd', lowest, highest, 0, 3]);
        let expected = if good { Ok(()) } else { Err(ConnError::Version { lowest, highest }) };
        assert_eq!(result, expected);
    }
}

#[test]
fn a_preface_changed_on_its_way_fails_the_handshake() {
    let bytes = [5, 8, 15].into_iter().flat_map(|at| [(at, true), (at, false)]);
    for (at, at_dialer) in bytes {
        let (mut dialer, mut acceptor) = (dialer(&keys(5)), acceptor(&keys(6)));
        let mut prefaces = [flight(&mut dialer, START), flight(&mut acceptor, START)];
        prefaces[usize::from(at_dialer)][at] ^= 8;
        acceptor.received(START, &prefaces[0]).unwrap();
        dialer.received(START, &prefaces[1]).unwrap();
        let first = flight(&mut dialer, START);
        assert_eq!(acceptor.received(START, &first), Err(ConnError::Unauthenticated));
    }
}

#[test]
fn a_repeated_handshake_costs_nothing_and_leads_nowhere() {
    let mut pair = Pair::new();
    let mut recorded = Vec::new();
    while pair.dialer.wants_transmit() || pair.acceptor.wants_transmit() {
        let bytes = flight(&mut pair.dialer, START);
        pair.acceptor.received(START, &bytes).unwrap();
        recorded.extend_from_slice(&bytes);
        let answer = flight(&mut pair.acceptor, START);
        pair.dialer.received(START, &answer).unwrap();
    }
    assert!(diffie_hellmans() >= 6, "they are counted");
    let before = diffie_hellmans();
    let mut again = acceptor_with(&keys(6), 0xad);
    assert_eq!(again.received(START, &recorded), Err(ConnError::Unauthenticated));
    assert_eq!(again.poll_event(), None);
    assert_eq!(diffie_hellmans(), before, "a replay dies before any Diffie-Hellman");
}

fn diffie_hellmans() -> usize {
    crate::crypto::noise::DIFFIE_HELLMANS.with(std::cell::Cell::get)
}

#[test]
fn repeated_swapped_and_changed_records_are_refused() {
    let tampered = Err(ConnError::Broke(Rule::Authentic));
    let sent = |pair: &mut Pair, request| {
        pair.dialer.send(&ping_like(request));
        flight(&mut pair.dialer, START)
    };
    let mut pair = Pair::established();
    let record = sent(&mut pair, 1);
    pair.acceptor.received(START, &record).unwrap();
    assert_eq!(pair.acceptor.received(START, &record), tampered, "twice");

    let mut pair = Pair::established();
    sent(&mut pair, 1);
    let second = sent(&mut pair, 2);
    assert_eq!(pair.acceptor.received(START, &second), tampered, "one left out");

    for at in 2..31 {
        let mut pair = Pair::established();
        let mut record = sent(&mut pair, 1);
        record[at] ^= 1;
        assert_eq!(pair.acceptor.received(START, &record), tampered, "byte {at} changed");
        assert_eq!(pair.acceptor.poll_event(), None);
    }
    let mut pair = Pair::established();
    let own = sent(&mut pair, 1);
    assert_eq!(pair.dialer.received(START, &own), tampered, "sent back");
}

#[test]
fn every_frame_out_of_turn() {
    let (open, chunks) = block(LEAF + 1, 0, 2);
    let body = open_body(&open);
    let (leaf, last) = (&chunks[0][..], &chunks[1][..]);
    use FrameKind::{Abort, Chunk, End, Message, Open};
    let scripts: &[(&[Forged<'_>], Result<(), ConnError>)] = &[
        (&[(Chunk, 1, leaf)], broke(Illegal::OutsideStream)),
        (&[(End, 1, &[])], broke(Illegal::OutsideStream)),
        (&[(Abort, 1, &[])], broke(Illegal::OutsideStream)),
        (&[(Open, 2, &body)], broke(Illegal::StreamNumber)),
        (&[(Open, 1, &body), (Open, 2, &body)], broke(Illegal::WithinStream)),
        (&[(Open, 1, &body), (Chunk, 2, leaf)], broke(Illegal::StreamNumber)),
        (&[(Open, 1, &body), (Chunk, 1, last)], broke(Illegal::ChunkLength)),
        (&[(Open, 1, &body), (Chunk, 1, &[])], broke(Illegal::ChunkLength)),
        (&[(Open, 1, &body), (End, 1, &[])], broke(Illegal::EndTooEarly)),
        (
            &[(Open, 1, &body), (Chunk, 1, leaf), (Chunk, 1, last), (Chunk, 1, last)],
            broke(Illegal::TooManyChunks),
        ),
        (&[(Open, 1, &body), (Abort, 1, &[]), (Chunk, 1, leaf)], broke(Illegal::OutsideStream)),
        (&[(Open, 1, &body), (Abort, 1, &[]), (Open, 1, &body)], broke(Illegal::StreamNumber)),
        (&[(Open, 1, &body), (Abort, 1, &[]), (Open, 2, &body)], Ok(())),
        (&[(Open, 1, &body), (Message, 0, &[46, 0, 0, 0, 1]), (Chunk, 1, leaf)], Ok(())),
    ];
    for (script, expected) in scripts {
        let mut pair = Pair::established();
        let records: Vec<u8> = script
            .iter()
            .flat_map(|(kind, stream, body)| forge(&mut pair.dialer, *kind, *stream, body))
            .collect();
        assert_eq!(pair.acceptor.received(START, &records), *expected, "{expected:?}");
    }
}

#[test]
fn frames_that_are_no_frames() {
    let (open, _) = block(LEAF + 1, 0, 2);
    let body = open_body(&open);
    let frames: [&[u8]; 7] = [
        &[9, 0, 0, 0, 0, 0, 0, 0],
        &[1, 1, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 9, 1],
        &[1, 0, 0, 0, 0, 0, 0, 1, 255],
        &[1, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, 0, 1, 0, 0, 0, 1, 0],
        &[4, 0, 0, 1, 0, 0, 0, 1, 0],
    ];
    for frame in frames {
        let mut pair = Pair::established();
        let record = forge_bytes(&mut pair.dialer, frame);
        let result = pair.acceptor.received(START, &record);
        assert!(matches!(result, Err(ConnError::Broke(Rule::Format(_)))), "{frame:?} {result:?}");
    }
    for at in [0, 31, 40, body.len() - 1] {
        let mut pair = Pair::established();
        let mut body = body.clone();
        body[at] ^= 1;
        let record = forge(&mut pair.dialer, FrameKind::Open, 1, &body);
        assert_eq!(pair.acceptor.received(START, &record), Err(ConnError::Broke(Rule::Hashes)));
        assert_eq!(pair.acceptor.poll_event(), None, "nothing of it is released");
    }
}

#[test]
fn a_record_of_an_impossible_length() {
    for length in [0_u16, 16, 23, u16::MAX] {
        let mut pair = Pair::established();
        let result = pair.acceptor.received(START, &length.to_be_bytes());
        assert_eq!(result, Err(ConnError::Broke(Rule::RecordLength)));
    }
}

#[test]
fn after_an_error_there_is_only_the_error() {
    let mut pair = Pair::established();
    pair.dialer.send(&ping_like(1));
    let good = flight(&mut pair.dialer, START);
    let bad = forge(&mut pair.dialer, FrameKind::End, 1, &[]);
    pair.acceptor.send(&ping_like(2));
    let error = pair.acceptor.received(START, &[good, bad].concat());
    assert_eq!(error, broke(Illegal::OutsideStream));
    assert_eq!(events(&mut pair.acceptor), [Event::Message(ping_like(1))], "queued before");
    let (open, chunks) = block(1, 0, 1);
    pair.acceptor.send(&ping_like(3));
    pair.acceptor.open_stream(&open);
    pair.acceptor.push_chunk(chunks[0].clone());
    pair.acceptor.abort_stream();
    assert!(!pair.acceptor.wants_transmit() && !pair.acceptor.is_streaming());
    assert_eq!(pair.acceptor.received(START, &[]), error);
    assert_eq!(pair.acceptor.handle_timeout(START), error);
}

#[test]
fn why_a_connection_ends_is_said_in_words_of_its_own() {
    let rules = [
        Rule::RecordLength,
        Rule::Authentic,
        Rule::Format(crate::wire::Malformed("a kind of frame")),
        Rule::Hashes,
    ];
    let illegal = [
        Illegal::Early,
        Illegal::OutsideStream,
        Illegal::WithinStream,
        Illegal::StreamNumber,
        Illegal::ChunkLength,
        Illegal::TooManyChunks,
        Illegal::EndTooEarly,
    ];
    let waits = [Wait::Handshake, Wait::Frame, Wait::Arrival, Wait::Departure];
    let errors: Vec<ConnError> = rules
        .into_iter()
        .chain(illegal.map(Rule::Phase))
        .map(ConnError::Broke)
        .chain(waits.map(ConnError::TimedOut))
        .chain([
            ConnError::Unauthenticated,
            ConnError::Version { lowest: 2, highest: 3 },
            ConnError::Epoch { ours: 3, theirs: 4 },
        ])
        .collect();
    let words: BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), errors.len(), "{words:?}");
    for said in ["malformed: a kind of frame", "versions 2 to 3", "epoch 4", "this node 3"] {
        assert!(words.iter().any(|words| words.contains(said)), "{said}: {words:?}");
    }
}

proptest! {
    /// Whatever is changed or cut on the way: what comes out is a beginning of what went in.
    #[test]
    fn a_changed_flight_gives_a_beginning_or_an_error(
        at: proptest::sample::Index, flip in 1_u8.., cut: bool, step in 1_usize..5000,
    ) {
        let mut pair = Pair::established();
        let (open, chunks) = block(LEAF * 2 + 9, 0, 3);
        pair.dialer.open_stream(&open);
        chunks.iter().for_each(|chunk| pair.dialer.push_chunk(chunk.clone()));
        pair.dialer.send(&ping_like(1));
        let mut bytes = flight(&mut pair.dialer, START);
        let whole = [
            vec![Event::Message(ping_like(1)), Event::Opened(open)],
            streams::chunk_events(&chunks, 0),
            vec![Event::Ended],
        ].concat();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        let _ = bytes.chunks(step).try_for_each(|part| pair.acceptor.received(START, part));
        let got = events(&mut pair.acceptor);
        prop_assert!(got.len() < whole.len());
        prop_assert_eq!(&got[..], &whole[..got.len()]);
    }

    #[test]
    fn a_changed_handshake_establishes_nothing(at: proptest::sample::Index, flip in 1_u8..) {
        let (mut dialer, mut acceptor) = (dialer(&keys(5)), acceptor(&keys(6)));
        let at = at.index(16 + 48 + 64);
        let mut sent = 0;
        let mut outcome = Ok(());
        while outcome.is_ok() && (dialer.wants_transmit() || acceptor.wants_transmit()) {
            let mut bytes = flight(&mut dialer, START);
            if (sent..sent + bytes.len()).contains(&at) { bytes[at - sent] ^= flip }
            sent += bytes.len();
            outcome = acceptor.received(START, &bytes);
            if outcome.is_ok() {
                let answer = flight(&mut acceptor, START);
                outcome = dialer.received(START, &answer);
            }
        }
        prop_assert!(outcome.is_err());
        prop_assert_eq!(acceptor.poll_event(), None);
    }
}
