//! What files of a run are called and what they hold: bytes that depend on the seed and a counter alone.
//!
//! Invariant: every name and every content of `MARK` bytes or more holds `MARK`, a content once in every `STRIDE` bytes,
//! so that one search finds either wherever it leaks.

use dfsd::crypto::tree;
use dfsd::ids::Hash;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// In every name and all through every content, and nowhere else.
pub(super) const MARK: &[u8; 16] = b"*plaintext-mark*";
/// Bytes from one mark to the next.
pub(super) const STRIDE: usize = 64;

/// A name, by its number.
pub(super) type Name = usize;

/// The bytes of a name: most are short, one is as long as may be, one is not UTF-8, one looks like a path.
pub(super) fn name_bytes(name: Name) -> Vec<u8> {
    let mut bytes = MARK.to_vec();
    match name {
        0 => bytes.resize(dfsd::limits::NAME_MAX, b'n'),
        1 => bytes.extend_from_slice(&[0xff, 0xfe, 0x80]),
        2 => bytes.extend_from_slice(b"/../folder/"),
        name => bytes.extend_from_slice(format!("/{name}").as_bytes()),
    }
    bytes
}

/// The number of a name that `name_bytes` made.
pub(super) fn name_of(bytes: &[u8], names: usize) -> Option<Name> {
    (0..names).find(|name| name_bytes(*name) == bytes)
}

/// All contents of a run, by their hashes.
#[derive(Default)]
pub(super) struct Contents {
    seed: u64,
    made: u64,
    by_hash: BTreeMap<Hash, Arc<[u8]>>,
    order: Vec<Hash>,
}

impl Contents {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// A new content of this length.
    pub(super) fn make(&mut self, length: usize) -> Hash {
        self.made += 1;
        let bytes = marked(self.seed.wrapping_mul(1 << 20) ^ self.made, length);
        self.insert(bytes)
    }

    /// One that exists already, if any does.
    pub(super) fn again(&self, rng: &mut ChaCha8Rng) -> Option<Hash> {
        (!self.order.is_empty()).then(|| self.order[rng.random_range(0..self.order.len())])
    }

    /// The last one that has more bytes than this.
    pub(super) fn longer_than(&self, length: usize) -> Option<Hash> {
        let mut order = self.order.iter().rev();
        order.find(|hash| self.by_hash[hash].len() > length).copied()
    }

    pub(super) fn insert(&mut self, bytes: Vec<u8>) -> Hash {
        let hash = tree::tree(&bytes);
        if self.by_hash.insert(hash, bytes.into()).is_none() {
            self.order.push(hash);
        }
        hash
    }

    pub(super) fn get(&self, hash: &Hash) -> Option<&Arc<[u8]>> {
        self.by_hash.get(hash)
    }
}

/// Bytes that look random but for the marks.
fn marked(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + STRIDE);
    while bytes.len() < length {
        if bytes.len().is_multiple_of(STRIDE) {
            bytes.extend_from_slice(MARK);
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    if length < MARK.len() {
        // Too short for the mark; let it at least not be equal to others.
        bytes.iter_mut().zip(state.to_be_bytes()).for_each(|(byte, dice)| *byte ^= dice);
    }
    bytes
}

/// A length as files have them: mostly small, some of them at the edges of the format, `large` of a thousand with more
/// than a block.
pub(super) fn length(rng: &mut ChaCha8Rng, large: usize) -> usize {
    use dfsd::limits::{BLOCK, LEAF, LOG_BLOCK_MAX};
    if rng.random_range(0..1000) < large {
        // Some have more blocks than a record lists.
        let blocks = [1, 1, 1, 4][rng.random_range(0..4)];
        return blocks * BLOCK + rng.random_range(0..200_000);
    }
    match rng.random_range(0..100) {
        0..5 => 0,
        5..20 => rng.random_range(1..64),
        20..60 => rng.random_range(64..4096),
        60..80 => rng.random_range(4096..LEAF),
        80..85 => [LEAF, LEAF + 1, LOG_BLOCK_MAX, LOG_BLOCK_MAX + 1][rng.random_range(0..4)],
        85..94 => rng.random_range(LEAF..LOG_BLOCK_MAX),
        _ => rng.random_range(LOG_BLOCK_MAX..200_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_content_is_marked_all_through_and_no_two_are_equal() {
        let mut contents = Contents::new(7);
        for length in [24, 64, 1000, 70_000] {
            let hash = contents.make(length);
            let bytes = contents.get(&hash).unwrap();
            assert_eq!(bytes.len(), length);
            for at in (0..length.saturating_sub(MARK.len())).step_by(STRIDE) {
                assert_eq!(&bytes[at..at + MARK.len()], MARK);
            }
            assert_ne!(hash, contents.make(length));
        }
    }

    #[test]
    fn names_are_marked_and_told_apart() {
        for name in 0..20 {
            let bytes = name_bytes(name);
            assert!(bytes.starts_with(MARK) && bytes.len() <= dfsd::limits::NAME_MAX);
            assert_eq!(name_of(&bytes, 20), Some(name));
        }
    }
}
