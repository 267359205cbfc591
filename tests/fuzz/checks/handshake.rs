//! A handshake whose words were bent on the way: bits turned over, ends cut off, other bytes instead.
//!
//! Knows no frame. Invariant: a connection is established by the true words alone, and an error is final.

use super::Input;
use super::conn::{PREFACE, START, far_end, keys};
use super::meter::within;
use dfsd::conn::{Conn, ConnError, Side, Stage};
use dfsd::crypto::noise::Handshake;

/// The preface, and each message of the pattern.
const WORDS_MAX: usize = 4;

pub(super) fn handshake(data: &[u8]) {
    let mut input = Input(data);
    let side = if input.byte() & 1 == 0 { Side::Acceptor } else { Side::Dialer };
    let mut conn = Conn::new(side, &keys(), [0xd1; 32], START);
    let preface = hear(&mut conn);
    let mut bench = Bench { conn, peer: far_end(side, &preface), error: None, bent: false };
    bench.say(PREFACE, &mut input);
    for word in 0..WORDS_MAX {
        let speaks = (word % 2 == 0) == (side == Side::Acceptor);
        if bench.peer.is_finished() || bench.error.is_some() {
            break;
        }
        if speaks {
            let mut message = Vec::new();
            bench.peer.write(&mut message).expect("the keys are sound");
            bench.say(&message, &mut input);
        } else if !bench.answer() {
            break;
        }
    }
    bench.judge();
}

struct Bench {
    conn: Conn,
    peer: Handshake,
    error: Option<ConnError>,
    bent: bool,
}

impl Bench {
    /// False if it has not answered, because of what it was told.
    fn answer(&mut self) -> bool {
        let said = hear(&mut self.conn);
        let understood = !said.is_empty() && self.peer.read(&said).is_ok();
        assert!(understood || self.bent, "true words are answered");
        understood
    }

    /// One word of the far end, bent as the input says, in two parts.
    fn say(&mut self, word: &[u8], input: &mut Input<'_>) {
        let bent = bend(word, input);
        self.bent |= bent != word;
        let (one, other) = bent.split_at(usize::from(input.byte()).min(bent.len()));
        self.receive(one);
        self.receive(other);
    }

    fn receive(&mut self, bytes: &[u8]) {
        let kept = self.conn.partial_bytes();
        let conn = &mut self.conn;
        let result = within(bytes.len() + kept, || conn.received(START, bytes));
        if let Some(error) = self.error {
            assert!(result == Err(error), "an error is final");
        }
        self.error = result.err();
    }

    fn judge(&self) {
        let established = self.conn.stage() == Stage::Established && self.error.is_none();
        assert!(established != self.bent, "bent: {}, {:?}", self.bent, self.error);
    }
}

/// What the connection has to say now.
fn hear(conn: &mut Conn) -> Vec<u8> {
    let mut out = Vec::new();
    conn.transmit(START, &mut out, usize::MAX);
    out
}

fn bend(word: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    let mut bent = word.to_vec();
    match input.byte() % 4 {
        1 => {
            let at = usize::from(input.number()) % bent.len();
            bent[at] ^= input.byte();
        }
        2 => bent.truncate(usize::from(input.number()) % bent.len()),
        3 => {
            let length = usize::from(input.byte()).min(bent.len());
            bent[..length].fill(0);
            let other = input.bytes(length);
            bent[..other.len()].copy_from_slice(other);
        }
        _ => {}
    }
    bent
}
