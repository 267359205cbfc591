//! The records of an established channel, sealed and opened in place: AES-256-GCM with the keys and numbers that Noise
//! gives them (its specification, sections 5.2, 11.3 and 12.4), without the copies that a general library must make.
//!
//! Knows no handshake. Invariant: no number is used twice under one key, and a record that does not open changes nothing.

pub use crate::crypto::primitives::OVERHEAD;
use crate::crypto::primitives::{aes_gcm, gcm_nonce};
use crate::limits::REKEY_AFTER;
use ring::aead::{Aad, LessSafeKey, Tag};
use std::fmt;
use zeroize::Zeroizing;

/// The most that one record carries.
pub const PLAIN_MAX: usize = 65_535 - OVERHEAD;

/// The peer's bytes are not those of somebody who holds the network secret and follows the
/// handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unauthentic;

impl fmt::Display for Unauthentic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer's bytes are not authentic: another network key, or they were changed")
    }
}

impl std::error::Error for Unauthentic {}

/// One direction of a channel.
pub(super) struct Records {
    key: LessSafeKey,
    /// Of the next record.
    number: u64,
}

impl Records {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { key: aes_gcm(key), number: 0 }
    }

    /// Appends the record that carries these parts, one after the other.
    pub(super) fn seal(&mut self, parts: &[&[u8]], out: &mut Vec<u8>) {
        let start = out.len();
        let length: usize = parts.iter().map(|part| part.len()).sum();
        assert!(length <= PLAIN_MAX, "a record is not that long");
        out.reserve(length + OVERHEAD);
        parts.iter().for_each(|part| out.extend_from_slice(part));
        let tag = self.tag(&mut out[start..], self.number);
        out.extend_from_slice(tag.as_ref());
        self.step();
    }

    /// Appends what the next record carries.
    pub(super) fn open(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), Unauthentic> {
        let (body, tag) = record.split_last_chunk::<OVERHEAD>().ok_or(Unauthentic)?;
        let start = out.len();
        out.extend_from_slice(body);
        let (nonce, tag) = (gcm_nonce(self.number), Tag::from(*tag));
        let opened = &mut out[start..];
        if self.key.open_in_place_separate_tag(nonce, Aad::empty(), tag, opened, 0..).is_err() {
            out.truncate(start);
            return Err(Unauthentic);
        }
        self.step();
        Ok(())
    }

    fn step(&mut self) {
        self.number += 1;
        if self.number.is_multiple_of(REKEY_AFTER) {
            self.rekey();
        }
    }

    /// The next key is what zeros become under this one; the numbers go on.
    fn rekey(&mut self) {
        let mut key = Zeroizing::new([0; 32]);
        let _tag_is_not_needed = self.tag(&mut *key, u64::MAX);
        self.key = aes_gcm(&key);
    }

    /// Encrypts in place.
    fn tag(&self, bytes: &mut [u8], number: u64) -> Tag {
        let sealed = self.key.seal_in_place_separate_tag(gcm_nonce(number), Aad::empty(), bytes);
        sealed.expect("a record is shorter than AES-GCM's bound")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::primitives::Primitives;
    use snow::{Builder, TransportState};

    /// Both ends by snow alone, and the keys of the first's records and the other's.
    fn by_snow() -> (TransportState, [[u8; 32]; 2]) {
        let side = |seed: u8| {
            let primitives = Box::new(Primitives(Zeroizing::new([seed; 32])));
            Builder::with_resolver("Noise_NN_25519_AESGCM_SHA256".parse().unwrap(), primitives)
        };
        let mut one = side(1).build_initiator().unwrap();
        let mut other = side(2).build_responder().unwrap();
        let (mut message, mut payload) = ([0; 100], [0; 100]);
        let count = one.write_message(&[], &mut message).unwrap();
        other.read_message(&message[..count], &mut payload).unwrap();
        let count = other.write_message(&[], &mut message).unwrap();
        one.read_message(&message[..count], &mut payload).unwrap();
        let (first, second) = one.dangerously_get_raw_split();
        (one.into_transport_mode().unwrap(), [first, second])
    }

    #[test]
    fn records_are_those_of_snow_also_after_a_change_of_keys() {
        let (mut snow, [ours, _]) = by_snow();
        let (mut sealing, mut opening) = (Records::new(&ours), Records::new(&ours));
        for round in 0..3 {
            for length in [0, 1, 15, 16, 17, 1000, PLAIN_MAX] {
                let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
                let mut expected = vec![0; length + OVERHEAD];
                snow.write_message(&plain, &mut expected).unwrap();
                let (mut sealed, mut opened) = (vec![9], vec![8]);
                let (one, other) = plain.split_at(length / 3);
                sealing.seal(&[one, other], &mut sealed);
                assert!(sealed[1..] == expected, "round {round}, {length} bytes");
                assert_eq!(opening.open(&sealed[1..], &mut opened), Ok(()));
                assert!(opened[1..] == plain, "round {round}, {length} bytes");
            }
            snow.rekey_outgoing();
            sealing.rekey();
            opening.rekey();
        }
    }

    #[test]
    fn a_record_that_does_not_open_changes_nothing() {
        let (mut sealing, mut opening) = (Records::new(&[7; 32]), Records::new(&[7; 32]));
        let (mut record, mut out) = (Vec::new(), b"before".to_vec());
        sealing.seal(&[b"a record"], &mut record);
        for at in 0..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 1;
            assert_eq!(opening.open(&changed, &mut out), Err(Unauthentic));
        }
        assert_eq!(opening.open(&record[..OVERHEAD - 1], &mut out), Err(Unauthentic));
        assert_eq!(out, b"before");
        assert_eq!(opening.open(&record, &mut out), Ok(()));
        assert_eq!(out, b"beforea record");
        assert_eq!(opening.open(&record, &mut out), Err(Unauthentic), "not twice");
    }
}
