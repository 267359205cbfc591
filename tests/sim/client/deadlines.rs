//! How long a session waits: for each operation its own time, whatever else moves on the connection.

use super::hostile::Pair;
use super::program::{content, meta};
use dfsd::ids::Address;
use dfsd::limits::{
    BLOCK, COMING_MAX, LEAF, OPERATION_AHEAD, OPERATION_RATE, OPERATION_TIMEOUT, RECORD_MAX,
};
use dfsd::session::{Answer, ClientError, Operation, Overwrite};
use dfsd::wire::message::Message;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// A node that answers all but one question, and sends whatever it likes.
#[test]
fn silence_about_one_operation_ends_it_whatever_else_moves() {
    let silent = |message: &Message| matches!(message, Message::Head { .. });
    let mut pair = Pair::new(move |_, message| silent(message));
    let stat = pair.start(Operation::Stat { name: b"a".into() });
    pair.pump();
    pair.later(OPERATION_TIMEOUT - Duration::from_secs(1));
    pair.conn.send(&Message::Peers { peers: Vec::new() });
    pair.pump();
    pair.later(Duration::from_secs(1));
    assert_eq!(pair.error(stat), ClientError::Silent);
}

/// One question is not answered, and so many others are, one after the other and so far apart: how long it is waited for.
fn waited_beside_others(answers: u64, apart: Duration) -> Duration {
    let mut pair = Pair::new(|conn, message| {
        if let Message::GetPage { request, .. } = message {
            conn.send(&Message::Page { request: *request, page: None });
        }
        true
    });
    let stat = pair.start(Operation::Stat { name: b"a".into() });
    let began = pair.now;
    for _ in 0..answers {
        pair.start(Operation::Page { address: Address([1; 32]) });
        pair.pump();
        pair.now = pair.now + apart;
        let _ = pair.session.handle_timeout(pair.now);
        if let Some(result) = pair.result(stat) {
            assert_eq!(result.err(), Some(ClientError::Silent));
            return pair.now.since(began);
        }
    }
    panic!("whatever else is answered excuses the silence");
}

#[test]
fn what_others_get_excuses_the_silence_about_one_as_long_as_it_may_be_behind_them() {
    let answer = RECORD_MAX as u64;
    let answers = OPERATION_AHEAD / answer;
    let apart = Duration::from_millis(1_000 * answer / OPERATION_RATE / 2);
    let waited = waited_beside_others(2 * answers, apart);
    let ahead = apart * u32::try_from(answers).unwrap();
    assert!(waited >= ahead, "others had come on, and it was not waited for: {waited:?}");
    assert!(waited <= ahead + OPERATION_TIMEOUT + 2 * apart, "{waited:?}");
}

#[test]
fn a_trickle_for_others_excuses_no_silence() {
    let apart = OPERATION_TIMEOUT - Duration::from_secs(1);
    let waited = waited_beside_others(100, apart);
    assert!(waited <= OPERATION_TIMEOUT + apart, "{waited:?}");
}

#[test]
fn leaves_that_leave_slowly_are_progress_of_their_put() {
    let mut pair = Pair::honest();
    pair.pump();
    let put = pair.start(Operation::Put { meta: meta("a"), overwrite: Overwrite::Always });
    let bytes = content(3, 8 * LEAF);
    assert_eq!(pair.session.feed(put, &bytes), bytes.len());
    pair.session.feed_end(put);
    for _ in 0..100 {
        let mut out = Vec::new();
        pair.session.transmit(pair.now, &mut out, 1);
        pair.conn.received(pair.now, &out).unwrap();
        pair.hear();
        let mut back = Vec::new();
        pair.conn.transmit(pair.now, &mut back, usize::MAX);
        pair.session.received(pair.now, &back).unwrap();
        if out.len() > LEAF {
            pair.now = pair.now + (OPERATION_TIMEOUT - Duration::from_secs(2));
        }
        pair.session.handle_timeout(pair.now).unwrap();
    }
    let result = pair.result(put);
    assert!(matches!(result, Some(Ok(Answer::Put { .. }))), "{result:?}");
}

/// It never says that it has the block.
#[test]
fn a_node_that_wants_the_same_again_and_again_is_silent() {
    let offered = Rc::new(Cell::new(None));
    let seen = offered.clone();
    let mut pair = Pair::new(move |_, message| {
        if let Message::Offer { blocks, .. } = message {
            seen.set(blocks.first().copied());
        }
        true
    });
    let put = pair.put("a", &content(1, 2 * LEAF));
    for _ in 0..10 {
        let block = offered.get().expect("a block is on offer");
        pair.conn.send(&Message::Want { block, first: 0, count: 1 });
        pair.pump();
        pair.later(OPERATION_TIMEOUT / 2);
        if let Some(result) = pair.result(put) {
            return assert_eq!(result.err(), Some(ClientError::Silent));
        }
    }
    panic!("the put goes on and on");
}

/// It says that a block is coming, and no leaf of it comes.
#[test]
fn a_block_that_is_said_to_be_coming_is_waited_for_but_not_for_ever() {
    let wanted = Rc::new(Cell::new(None));
    let seen = wanted.clone();
    let mut pair = Pair::new(move |_, message| match message {
        Message::Want { block, .. } => {
            seen.set(Some(block.address));
            true
        }
        _ => false,
    });
    pair.put("a", &content(1, 2 * LEAF));
    let get = pair.start(Operation::Get { name: b"a".into() });
    pair.pump();
    let address = wanted.get().expect("a block is wanted");
    for said in 1..=COMING_MAX + 2 {
        pair.conn.send(&Message::Coming { address });
        pair.pump();
        pair.later(OPERATION_TIMEOUT - Duration::from_secs(1));
        if let Some(result) = pair.result(get) {
            assert_eq!(result.err(), Some(ClientError::Silent));
            return assert!(said > COMING_MAX, "{said}");
        }
    }
    panic!("what never comes is waited for");
}

/// A pager that shows one screen for a minute.
#[test]
fn a_program_that_pauses_is_nobodys_silence() {
    let mut pair = Pair::honest();
    pair.put("a", &content(1, 3 * BLOCK));
    pair.events.clear();
    let get = pair.start(Operation::Get { name: b"a".into() });
    let mut out = Vec::new();
    pair.session.transmit(pair.now, &mut out, usize::MAX);
    pair.conn.received(pair.now, &out).unwrap();
    pair.session.pause();
    pair.now = pair.now + Duration::from_secs(60);
    pair.session.resume(pair.now);
    pair.session.handle_timeout(pair.now).unwrap();
    pair.hear();
    pair.pump();
    assert!(matches!(pair.result(get), Some(Ok(Answer::Got(_)))));
}
