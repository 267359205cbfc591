//! Sealing a block: convergent encryption, so that equal blocks of one network are stored once.
//!
//! Knows nothing about files and block lists. Invariant: one key always means one plaintext, so
//! that the keystream, whose IV is always zero, is never used for two.

use crate::crypto::data::SpaceKeys;
use crate::crypto::{tags, tree};
use crate::ids::{Address, Hash};
use crate::limits::{BLOCK, LEAF};
use crate::seeded::{self, Bug};
use dfsd_kernels::lanes;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use dfsd_kernels::keystream;

/// The context of blocks that all files of a network share.
pub const SHARED: [u8; 32] = [0; 32];

/// What it takes to open a block or a page, and to check it once opened.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct BlockSecret {
    /// The AES-256 key.
    pub key: [u8; 32],
    /// The tree hash from which the key was made: of the plaintext.
    pub tree: [u8; 32],
}

impl fmt::Debug for BlockSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockSecret")
    }
}

/// What becomes of a block, besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBlock {
    /// Opens it.
    pub secret: BlockSecret,
    /// Finds it: the tree hash of the ciphertext.
    pub address: Address,
    /// The hashes of the ciphertext's leaves.
    pub leaves: Vec<Hash>,
}

/// Encrypts a block of 1 to `BLOCK` bytes in place. `context` is `SHARED`, or a salt for a file
/// that shares nothing.
///
/// # Panics
/// When there is no such block: that is the caller's mistake.
#[must_use]
pub fn seal_block(keys: &SpaceKeys, context: &[u8; 32], data: &mut [u8]) -> SealedBlock {
    assert!(
        (1..=BLOCK).contains(&data.len()),
        "a block has 1 to {BLOCK} bytes, not {}",
        data.len()
    );
    let tree = tree::tree(data);
    let of = if seeded::is_on(Bug::KeyFromContext) { context } else { &tree.0 };
    let key = keys.content_key(&[tags::BLOCK, context, of]);
    let leaves = encrypt_and_hash(&key, data);
    let address = Address(tree::root(&leaves).0);
    SealedBlock { secret: BlockSecret { key, tree: tree.0 }, address, leaves }
}

/// The secret of the page whose public half and plaintext secrets, one after the other, have this
/// tree hash.
#[must_use]
pub fn page_secret(keys: &SpaceKeys, tree: &Hash) -> BlockSecret {
    BlockSecret { key: keys.content_key(&[tags::PAGE, &tree.0]), tree: tree.0 }
}

/// One pass: what was encrypted is hashed while it is still in the processor's cache.
fn encrypt_and_hash(key: &[u8; 32], data: &mut [u8]) -> Vec<Hash> {
    let mut hashes = Vec::with_capacity(data.len().div_ceil(LEAF));
    let mut offset = 0;
    for run in data.chunks_mut(lanes::LANES * LEAF) {
        keystream(key, run, offset);
        lanes::each(&mut run.chunks(LEAF), &mut |hash| hashes.push(Hash(hash)));
        offset += run.len() as u64;
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::data::DataKeys;
    use crate::ids::Space;
    use aes::Aes256;
    use ctr::Ctr128BE;
    use ctr::cipher::{KeyIvInit, StreamCipher};

    fn keys() -> SpaceKeys {
        DataKeys::generate(&[7; 32]).newest(&Space::default())
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index % 251) as u8).collect()
    }

    /// Made by an independent program. These values never change.
    #[test]
    fn vector() {
        let mut data = pattern(40_000);
        let tree = tree::tree(&data);
        let sealed = seal_block(&keys(), &SHARED, &mut data);
        let key = Hash(sealed.secret.key).to_string();
        assert_eq!(key, "83c3e63f2db26db533843d94f7cea61a891fbcabd7b97ac262be67a7cde1a184");
        let address = "523fbf0b3b215f878b35659378b216b4cc12b9ec9b9ff3d44af89951b0b00026";
        assert_eq!(sealed.address.to_string(), address);
        assert_eq!(data[..4], [0xa8, 0xb0, 0xa0, 0x9b]);
        assert_eq!(sealed.secret.tree, tree.0);
        assert_eq!(sealed.leaves, tree::leaf_hashes(&data));
        let page = Hash(page_secret(&keys(), &tree).key).to_string();
        assert_eq!(page, "f3844c6e75d0df73f927949b3e92ff2156c87aa5cb3fda76922db12f855945d7");
    }

    #[test]
    fn any_leaf_opens_alone() {
        let plain = pattern(5 * LEAF + 9);
        let mut data = plain.clone();
        let sealed = seal_block(&keys(), &SHARED, &mut data);
        for (index, leaf) in data.chunks_mut(LEAF).enumerate() {
            keystream(&sealed.secret.key, leaf, (index * LEAF) as u64);
        }
        assert_eq!(data, plain);
    }

    #[test]
    fn equal_blocks_seal_alike_but_for_context_space_and_key() {
        let sealed = |keys: &SpaceKeys, context: &[u8; 32]| {
            seal_block(keys, context, &mut pattern(100)).address
        };
        assert_eq!(sealed(&keys(), &SHARED), sealed(&keys(), &SHARED));
        assert_ne!(sealed(&keys(), &SHARED), sealed(&keys(), &[1; 32]));
        let other_space = DataKeys::generate(&[7; 32]).newest(&Space([1; 16]));
        assert_ne!(sealed(&keys(), &SHARED), sealed(&other_space, &SHARED));
        let other_key = DataKeys::generate(&[8; 32]).newest(&Space::default());
        assert_ne!(sealed(&keys(), &SHARED), sealed(&other_key, &SHARED));
    }

    #[test]
    fn counting_in_64_bits_is_counting_in_128() {
        let (mut narrow, mut wide) = (pattern(BLOCK), pattern(BLOCK));
        keystream(&[9; 32], &mut narrow, 0);
        Ctr128BE::<Aes256>::new(&[9; 32].into(), &[0; 16].into()).apply_keystream(&mut wide);
        assert_eq!(narrow, wide);
    }

    #[test]
    #[should_panic(expected = "a block has 1 to")]
    fn there_is_no_empty_block() {
        let _ = seal_block(&keys(), &SHARED, &mut []);
    }
}
