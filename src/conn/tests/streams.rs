//! Streams, and messages between their chunks.

use super::*;

pub(super) fn chunk_events(chunks: &[Bytes], first: u8) -> Vec<Event> {
    let indexed = chunks.iter().zip(first..);
    indexed.map(|(data, index)| Event::Chunk { index, data: data.clone() }).collect()
}

#[test]
fn a_stream_arrives_whole_however_it_is_cut() {
    for (length, first, count) in [
        (1, 0, 1),
        (LEAF, 0, 1),
        (LEAF + 1, 0, 2),
        (LEAF + 1, 1, 1),
        (BLOCK, 0, 32),
        (BLOCK - 1, 30, 2),
    ] {
        for step in [1000, usize::MAX] {
            let mut pair = Pair { step, ..Pair::established() };
            let (open, chunks) = block(length, first, count);
            pair.acceptor.open_stream(&open);
            chunks.iter().for_each(|chunk| pair.acceptor.push_chunk(chunk.clone()));
            pair.drive().unwrap();
            let expected =
                [vec![Event::Opened(open)], chunk_events(&chunks, first), vec![Event::Ended]];
            assert_eq!(events(&mut pair.dialer), expected.concat());
            assert_eq!(events(&mut pair.acceptor), [Event::StreamSent]);
            assert!(!pair.acceptor.is_streaming());
        }
    }
}

#[test]
fn the_owner_is_told_once_when_a_stream_runs_dry() {
    let mut pair = Pair::established();
    let (open, chunks) = block(LEAF * 3, 0, 3);
    pair.dialer.open_stream(&open);
    assert!(pair.dialer.wants_transmit());
    for chunk in &chunks {
        pair.drive().unwrap();
        assert_eq!(events(&mut pair.dialer), [Event::StreamLow]);
        assert!(!pair.dialer.wants_transmit());
        pair.dialer.send(&ping_like(1));
        pair.drive().unwrap();
        assert_eq!(events(&mut pair.dialer), [], "told once");
        pair.dialer.push_chunk(chunk.clone());
    }
    pair.drive().unwrap();
    assert_eq!(events(&mut pair.dialer), [Event::StreamSent]);
    assert!(!pair.dialer.wants_transmit());
}

#[test]
fn messages_go_between_chunks_and_do_not_starve_them() {
    let mut pair = Pair::established();
    let (open, chunks) = block(LEAF * 3, 0, 3);
    pair.dialer.open_stream(&open);
    chunks.iter().for_each(|chunk| pair.dialer.push_chunk(chunk.clone()));
    let mut out = Vec::new();
    pair.dialer.transmit(START, &mut out, LEAF);
    pair.dialer.send(&ping_like(7));
    pair.dialer.transmit(START, &mut out, usize::MAX);
    pair.acceptor.received(START, &out).unwrap();
    let got = events(&mut pair.acceptor);
    let place = got.iter().position(|event| *event == Event::Message(ping_like(7)));
    assert_eq!((place, got.len()), (Some(2), 6), "after the first chunk");

    let page = Bytes::from(vec![7; FRAME_BODY_MAX - 8]);
    (0..10).for_each(|request| {
        pair.dialer.send(&Message::PutPage { request, page: page.clone(), permit: None });
    });
    pair.dialer.open_stream(&open);
    chunks.iter().for_each(|chunk| pair.dialer.push_chunk(chunk.clone()));
    pair.drive().unwrap();
    let got = events(&mut pair.acceptor);
    let ended = got.iter().position(|event| *event == Event::Ended).unwrap();
    assert!(ended < got.len() - 1, "the stream passed some of the messages");
    assert_eq!(got.len(), 15);
}

#[test]
fn a_stream_may_be_aborted_at_any_point_and_followed_by_another() {
    for given in 0..=3 {
        let mut pair = Pair::established();
        let (open, chunks) = block(LEAF * 3, 0, 3);
        pair.dialer.open_stream(&open);
        for chunk in &chunks[..given] {
            pair.dialer.push_chunk(chunk.clone());
            pair.dialer.transmit(START, &mut Vec::new(), 0);
        }
        pair.dialer.abort_stream();
        pair.drive().unwrap();
        let got = events(&mut pair.acceptor);
        assert_eq!(got, [Event::Opened(open.clone()), Event::Aborted], "{given} chunks dropped");
        assert_eq!(events(&mut pair.dialer), [Event::StreamSent]);

        pair.dialer.open_stream(&open);
        chunks.iter().for_each(|chunk| pair.dialer.push_chunk(chunk.clone()));
        pair.drive().unwrap();
        assert_eq!(events(&mut pair.acceptor).last(), Some(&Event::Ended));
    }
}

#[test]
fn both_directions_stream_at_once() {
    let mut pair = Pair { step: 777, ..Pair::established() };
    let (open, chunks) = block(BLOCK, 0, 32);
    for conn in [&mut pair.dialer, &mut pair.acceptor] {
        conn.open_stream(&open);
        chunks.iter().for_each(|chunk| conn.push_chunk(chunk.clone()));
    }
    pair.drive().unwrap();
    for conn in [&mut pair.dialer, &mut pair.acceptor] {
        assert_eq!(events(conn).len(), 1 + 1 + 32 + 1);
    }
}

#[test]
#[should_panic(expected = "a chunk is one whole leaf")]
fn we_do_not_send_a_chunk_of_a_wrong_length() {
    let mut pair = Pair::established();
    pair.dialer.open_stream(&block(LEAF + 1, 0, 2).0);
    pair.dialer.push_chunk(Bytes::from_static(b"short"));
}

#[test]
#[should_panic(expected = "one outgoing stream at a time")]
fn we_do_not_open_a_stream_within_a_stream() {
    let mut pair = Pair::established();
    let (open, _) = block(1, 0, 1);
    pair.dialer.open_stream(&open);
    pair.dialer.open_stream(&open);
}
