//! Deadlines, with time handed in.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Time passes until the connection asks for attention, and it gets that.
fn wake(conn: &mut Conn) -> (Instant, Result<(), ConnError>) {
    let now = conn.poll_timeout().unwrap();
    (now, conn.handle_timeout(now))
}

fn timed_out(wait: Wait) -> Result<(), ConnError> {
    Err(ConnError::TimedOut(wait))
}

#[test]
fn a_handshake_ends_in_time_or_the_connection_does() {
    let mut conn = acceptor(&keys(6));
    conn.received(START + SECOND, b"dfsd").unwrap();
    assert_eq!(wake(&mut conn), (START + HANDSHAKE_TIMEOUT, timed_out(Wait::Handshake)));
    assert_eq!(conn.poll_timeout(), None);
    assert_eq!(conn.received(START, b"more"), timed_out(Wait::Handshake), "an error is final");
}

#[test]
fn an_idle_connection_pings_and_lives() {
    let mut pair = Pair::established();
    for _ in 0..10 {
        let (now, result) = wake(&mut pair.dialer);
        assert_eq!((now, result), (pair.now + PING_AFTER, Ok(())));
        pair.now = now;
        assert!(pair.dialer.wants_transmit());
        pair.drive().unwrap();
        assert_eq!((events(&mut pair.dialer), events(&mut pair.acceptor)), (vec![], vec![]));
    }
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut pair = Pair::established();
    let mut pings = 0;
    let died = loop {
        let (now, result) = wake(&mut pair.dialer);
        pings += flight(&mut pair.dialer, now).len() / 34;
        if result.is_err() {
            assert_eq!(result, timed_out(Wait::Frame));
            break now;
        }
    };
    assert_eq!((died, pings), (START + DEAD_AFTER, 2));
}

#[test]
fn a_flood_of_pings_is_answered_once_a_flight() {
    let mut pair = Pair::established();
    (0..1000).for_each(|token| pair.dialer.send(&Message::Ping { token }));
    let flood = flight(&mut pair.dialer, START);
    pair.acceptor.received(START, &flood).unwrap();
    assert_eq!(flight(&mut pair.acceptor, START).len(), 2 + FRAME_HEAD + 9 + 16);
    assert_eq!(events(&mut pair.acceptor), []);
}

/// A connection that has received half of a stream.
fn half_a_stream() -> (Pair, Vec<u8>) {
    let mut pair = Pair::established();
    let (open, chunks) = block(LEAF * 4, 0, 4);
    pair.dialer.open_stream(&open);
    chunks.iter().for_each(|chunk| pair.dialer.push_chunk(chunk.clone()));
    let bytes = flight(&mut pair.dialer, START);
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    pair.acceptor.received(START, half).unwrap();
    (pair, rest.to_vec())
}

#[test]
fn what_was_begun_must_go_on() {
    let (mut pair, rest) = half_a_stream();
    pair.acceptor.received(START + SECOND, &rest[..1000]).unwrap();
    let result = wake(&mut pair.acceptor);
    assert_eq!(result, (START + PROGRESS_PERIOD, timed_out(Wait::Arrival)));
}

#[test]
fn who_is_slow_but_fast_enough_is_waited_for() {
    let (mut pair, rest) = half_a_stream();
    let mut now = START;
    for part in rest.chunks(3000) {
        now = now + SECOND;
        pair.acceptor.received(now, part).unwrap();
        assert_eq!(pair.acceptor.handle_timeout(now), Ok(()));
    }
    assert_eq!(events(&mut pair.acceptor).last(), Some(&Event::Ended));
}

#[test]
fn nobody_is_blamed_while_we_do_not_read() {
    let (mut pair, rest) = half_a_stream();
    pair.acceptor.pause();
    for seconds in 0..600 {
        let now = START + SECOND * seconds;
        assert_eq!(pair.acceptor.handle_timeout(now), Ok(()));
        let sent = flight(&mut pair.acceptor, now);
        assert!(sent.is_empty() || seconds % 30 == 0, "only pings, for the peer to hear");
    }
    let now = START + SECOND * 600;
    pair.acceptor.resume(now);
    assert_eq!(pair.acceptor.handle_timeout(now), Ok(()));
    pair.acceptor.received(now, &rest).unwrap();
    assert_eq!(events(&mut pair.acceptor).last(), Some(&Event::Ended));

    pair.acceptor.pause();
    pair.acceptor.resume(now);
    assert_eq!(pair.acceptor.handle_timeout(now + DEAD_AFTER), timed_out(Wait::Frame));
}

#[test]
fn what_we_send_must_be_taken() {
    let mut pair = Pair::established();
    pair.dialer.send(&ping_like(1));
    pair.dialer.send(&ping_like(2));
    pair.dialer.transmit(START, &mut Vec::new(), 1);
    assert_eq!(wake(&mut pair.dialer), (START + PROGRESS_PERIOD, timed_out(Wait::Departure)));
}
