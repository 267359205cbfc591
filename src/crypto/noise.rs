//! The transport's cryptography: Noise `XXpsk0_25519_AESGCM_SHA256` by `snow`, over primitives that
//! we choose.
//!
//! Knows nothing about sockets, frames or who may talk to whom. Invariant: two runs from the same
//! entropy give the same bytes, and no byte is released that a holder of the network secret did not
//! seal on this very connection.

use crate::crypto::keys::new_secret;
#[cfg(test)]
pub(crate) use crate::crypto::primitives::DIFFIE_HELLMANS;
use crate::crypto::primitives::Primitives;
use crate::crypto::records::Records;
pub use crate::crypto::records::{OVERHEAD, PLAIN_MAX, Unauthentic};
use crate::crypto::tags;
use snow::{Builder, HandshakeState};
use std::fmt;
use zeroize::Zeroizing;

/// The exact lengths of the three handshake messages.
pub const MESSAGE_LENGTHS: [usize; 3] = [48, 96, 64];

const PATTERN: &str = "Noise_XXpsk0_25519_AESGCM_SHA256";

/// The secrets that a handshake proves.
#[derive(Clone, Copy)]
pub struct HandshakeKeys<'a> {
    /// Of the network; the pre-shared key is derived from it.
    pub network_secret: &'a [u8; 32],
    /// Our X25519 secret.
    pub static_secret: &'a [u8; 32],
}

/// A handshake under way. The initiator writes, reads, writes; the responder reads, writes, reads.
pub struct Handshake(Box<HandshakeState>);

impl Handshake {
    /// A handshake that begins. Both sides must pass the same `prologue`: what was said in clear,
    /// and the cluster id.
    #[must_use]
    pub fn new(
        initiator: bool,
        keys: &HandshakeKeys<'_>,
        prologue: &[u8],
        entropy: [u8; 32],
    ) -> Self {
        let psk = Zeroizing::new(new_secret(keys.network_secret, tags::NOISE_PSK));
        let prologue = [tags::NOISE_PROLOGUE, prologue].concat();
        let state = build(initiator, keys.static_secret, &psk, &prologue, entropy);
        Self(Box::new(state.expect("the pattern, its keys and its primitives are all given")))
    }

    /// Appends our next message.
    ///
    /// # Errors
    /// `Unauthentic` when the peer's key is of low order; the handshake is over.
    ///
    /// # Panics
    /// When it is not our turn: that is the caller's mistake.
    pub fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Unauthentic> {
        assert!(self.0.is_my_turn() && !self.is_finished(), "it is the peer's turn");
        let mut message = [0; 96];
        let length = self.0.write_message(&[], &mut message).map_err(|_| Unauthentic)?;
        out.extend_from_slice(&message[..length]);
        Ok(())
    }

    /// Takes the peer's next message, whole.
    ///
    /// # Errors
    /// `Unauthentic` when it is anything else; the handshake is over.
    pub fn read(&mut self, message: &[u8]) -> Result<(), Unauthentic> {
        self.0.read_message(message, &mut []).map(|_| ()).map_err(|_| Unauthentic)
    }

    /// Whether all three messages have been exchanged.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_handshake_finished()
    }

    /// The channel, and the peer's X25519 key, which it has proved to hold.
    ///
    /// # Panics
    /// When the handshake is not finished: that is the caller's mistake.
    #[must_use]
    pub fn into_transport(self) -> (Transport, [u8; 32]) {
        let mut state = self.0;
        assert!(state.is_handshake_finished(), "the handshake is not finished");
        let peer = state.get_remote_static().and_then(|key| key.try_into().ok());
        let keys = Zeroizing::new(<[_; 2]>::from(state.dangerously_get_raw_split()));
        let [initiators, responders] = keys.each_ref().map(Records::new);
        let transport = if state.is_initiator() {
            Transport { sending: initiators, receiving: responders }
        } else {
            Transport { sending: responders, receiving: initiators }
        };
        (transport, peer.expect("in pattern XX the peer's key is known at the end"))
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake")
    }
}

/// An established channel: one key for each direction, changed every `REKEY_AFTER` records.
pub struct Transport {
    sending: Records,
    receiving: Records,
}

impl Transport {
    /// Appends the record that carries `plain`: `OVERHEAD` bytes more than it has.
    ///
    /// # Panics
    /// When `plain` is longer than `PLAIN_MAX`: that is the caller's mistake.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        self.seal_parts(&[plain], out);
    }

    /// The same of what stands in several places.
    ///
    /// # Panics
    /// When the parts together are longer than `PLAIN_MAX`: that is the caller's mistake.
    pub fn seal_parts(&mut self, parts: &[&[u8]], out: &mut Vec<u8>) {
        self.sending.seal(parts, out);
    }

    /// Appends what the peer's next record carries.
    ///
    /// # Errors
    /// `Unauthentic` when it is not the peer's next record; `out` is as before.
    pub fn open(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), Unauthentic> {
        self.receiving.open(record, out)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

fn build(
    initiator: bool,
    static_secret: &[u8; 32],
    psk: &[u8; 32],
    prologue: &[u8],
    entropy: [u8; 32],
) -> Result<HandshakeState, snow::Error> {
    let primitives = Box::new(Primitives(Zeroizing::new(entropy)));
    let builder = Builder::with_resolver(PATTERN.parse()?, primitives)
        .local_private_key(static_secret)?
        .prologue(prologue)?
        .psk(0, psk)?;
    if initiator { builder.build_initiator() } else { builder.build_responder() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::static_public;
    use crate::limits::REKEY_AFTER;

    const DIALER: ([u8; 32], [u8; 32]) = ([2; 32], [3; 32]);
    const ACCEPTOR: ([u8; 32], [u8; 32]) = ([4; 32], [5; 32]);

    fn side(initiator: bool, network_secret: &[u8; 32], prologue: &[u8]) -> Handshake {
        let (static_secret, entropy) = if initiator { DIALER } else { ACCEPTOR };
        let keys = HandshakeKeys { network_secret, static_secret: &static_secret };
        Handshake::new(initiator, &keys, prologue, entropy)
    }

    fn pass(from: &mut Handshake, to: &mut Handshake) -> Result<Vec<u8>, Unauthentic> {
        let mut message = vec![];
        from.write(&mut message)?;
        to.read(&message)?;
        Ok(message)
    }

    fn established() -> (Transport, Transport, [Vec<u8>; 3]) {
        let mut dialer = side(true, &[1; 32], b"prologue");
        let mut acceptor = side(false, &[1; 32], b"prologue");
        let first = pass(&mut dialer, &mut acceptor).unwrap();
        let second = pass(&mut acceptor, &mut dialer).unwrap();
        let third = pass(&mut dialer, &mut acceptor).unwrap();
        let (dialer, acceptor_key) = dialer.into_transport();
        let (acceptor, dialer_key) = acceptor.into_transport();
        assert_eq!(acceptor_key, static_public(&ACCEPTOR.0));
        assert_eq!(dialer_key, static_public(&DIALER.0));
        (dialer, acceptor, [first, second, third])
    }

    /// Made by the Python package `noiseprotocol`. These values never change.
    #[test]
    fn vector() {
        let hex = base16ct::lower::encode_string;
        let (mut dialer, mut acceptor, messages) = established();
        let expected = [
            "403e5376b7e466f103572da5ac47cab01c7226109925ffb2b20e12c3f3476a56\
             f675859a9f446da34fd1ccf2adf84ce3",
            "e2f7ef50c811d6e64b901eed154ec2436e5a2a1eb9a2f82a40ccd1ea11ea1144\
             fa86e16690bb527f8f8186523c1ae391746e9bb27a7c684ac455b023dad051ff\
             88097ca5ba744fcc8710f558fbcde441c72bb0feff0bdb072215a73d02b8ed5f",
            "ae4c9ae6084d020fd9bd9620235fb55461546b6da60a71a8ab5b5330cf53866f\
             a8b61c3aa1dbe33a39b26cd411989d109b12c7681ebb528affe0537137725636",
        ];
        assert_eq!(messages.each_ref().map(|message| hex(message)), expected);
        assert_eq!(messages.map(|message| message.len()), MESSAGE_LENGTHS);
        let mut record = vec![];
        dialer.seal(b"hello", &mut record);
        assert_eq!(hex(&record), "ca72ea0cfa8718f48472544d4c1c3ca73790dedf44");
        record.clear();
        acceptor.seal(b"world", &mut record);
        assert_eq!(hex(&record), "341dbaa5caf074cdfd9c3df1dfe97122ccf9c9c8b3");
    }

    #[test]
    fn another_network_or_prologue_is_refused_at_the_first_message() {
        for (secret, prologue) in [([9; 32], &b"prologue"[..]), ([1; 32], b"prologuE")] {
            let mut dialer = side(true, &secret, prologue);
            let mut acceptor = side(false, &[1; 32], b"prologue");
            assert_eq!(pass(&mut dialer, &mut acceptor), Err(Unauthentic));
        }
    }

    #[test]
    fn a_changed_byte_in_any_message_is_refused() {
        let (_, _, messages) = established();
        for (number, message) in messages.iter().enumerate() {
            for at in 0..message.len() {
                let mut dialer = side(true, &[1; 32], b"prologue");
                let mut acceptor = side(false, &[1; 32], b"prologue");
                for _ in 0..number {
                    pass(&mut dialer, &mut acceptor).unwrap();
                    std::mem::swap(&mut dialer, &mut acceptor);
                }
                let mut changed = message.clone();
                changed[at] ^= 0x10;
                assert_eq!(
                    acceptor.read(&changed),
                    Err(Unauthentic),
                    "message {number}, byte {at}"
                );
            }
        }
    }

    #[test]
    fn a_channel_prints_nothing_of_its_keys() {
        let (transport, ..) = established();
        let handshake = side(true, &[1; 32], b"prologue");
        assert_eq!(format!("{handshake:?} {transport:?}"), "Handshake Transport");
    }

    #[test]
    fn messages_of_other_lengths_are_refused() {
        for length in [0, 1, 31, 32, 47, 49, 96, 65_535, 70_000] {
            assert_eq!(side(false, &[1; 32], b"").read(&vec![0; length]), Err(Unauthentic));
        }
        let mut longer = vec![];
        side(true, &[1; 32], b"").write(&mut longer).unwrap();
        longer.push(0);
        assert_eq!(side(false, &[1; 32], b"").read(&longer), Err(Unauthentic));
    }

    #[test]
    fn records_arrive_once_in_order_and_unchanged() {
        let (mut dialer, mut acceptor, _) = established();
        let (mut first, mut second, mut out) = (vec![], vec![], b"before ".to_vec());
        dialer.seal(b"first", &mut first);
        dialer.seal(&[7; PLAIN_MAX], &mut second);
        for bad in [&second[..], &[], &first[..15], &first[1..], &[0; 70_000]] {
            assert_eq!(acceptor.open(bad, &mut out), Err(Unauthentic));
            assert_eq!(out, b"before ");
        }
        assert_eq!(acceptor.open(&first, &mut out), Ok(()));
        assert_eq!(out, b"before first");
        assert_eq!(acceptor.open(&first, &mut out), Err(Unauthentic));
        assert_eq!(acceptor.open(&second, &mut out), Ok(()));
        assert_eq!(out.len(), b"before first".len() + PLAIN_MAX);
    }

    #[test]
    fn keys_change_on_both_sides_at_the_same_record() {
        let (mut dialer, mut acceptor, _) = established();
        let (mut record, mut out) = (vec![], vec![]);
        for number in 0..REKEY_AFTER + 2 {
            record.clear();
            out.clear();
            dialer.seal(&number.to_be_bytes(), &mut record);
            acceptor.open(&record, &mut out).unwrap();
            assert_eq!(out, number.to_be_bytes());
        }
        record.clear();
        acceptor.seal(b"the other way has its own count", &mut record);
        dialer.open(&record, &mut out).unwrap();
    }
}
