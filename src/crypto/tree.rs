//! The tree hash: the Merkle tree of RFC 9162 with SHA-256 over leaves of 32 KiB.
//!
//! Knows nothing about blocks and files. Invariant: equal bytes have equal trees, however they were
//! fed in, and a tree over the trees of full blocks and a last, possibly shorter one is the tree
//! over all their bytes.
//!
//! | value | is |
//! |---|---|
//! | leaf | SHA-256(0x00 ‖ data), data being 1 to 32,768 bytes |
//! | node | SHA-256(0x01 ‖ left ‖ right), left covering the greatest power of two of leaves that leaves some over |
//! | empty | SHA-256() |

use crate::ids::Hash;
use crate::limits::LEAF;
use dfsd_kernels::lanes;
use sha2::{Digest, Sha256};

/// The hash of one leaf.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Hash(lanes::one(leaf))
}

/// The hashes of the leaves of `data`: none when it is empty.
#[must_use]
pub fn leaf_hashes(data: &[u8]) -> Vec<Hash> {
    let mut hashes = Vec::with_capacity(data.len().div_ceil(LEAF));
    lanes::each(&mut data.chunks(LEAF), &mut |hash| hashes.push(Hash(hash)));
    hashes
}

/// The hashes of leaves that lie apart, in their order: several at once where the processor can.
#[must_use]
pub fn hashes_of<'a>(mut leaves: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Hash> {
    let mut hashes = Vec::with_capacity(leaves.len());
    lanes::each(&mut leaves, &mut |hash| hashes.push(Hash(hash)));
    hashes
}

/// The tree over these leaves, or over the trees of these equally full subtrees.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut builder = RootBuilder::default();
    leaves.iter().for_each(|leaf| builder.push(*leaf));
    builder.finish()
}

/// The tree over `data`.
#[must_use]
pub fn tree(data: &[u8]) -> Hash {
    let mut builder = RootBuilder::default();
    lanes::each(&mut data.chunks(LEAF), &mut |leaf| builder.push(Hash(leaf)));
    builder.finish()
}

/// A tree under construction: leaves, or full blocks' trees, are pushed from left to right.
#[derive(Debug, Clone, Default)]
pub struct RootBuilder {
    /// The complete subtrees so far, the greatest first: one for each bit set in `count`.
    subtrees: Vec<Hash>,
    count: u64,
}

impl RootBuilder {
    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut right = leaf;
        for _ in 0..self.count.trailing_ones() {
            let left = self.subtrees.pop().expect("one subtree for each bit set in the count");
            right = node_hash(&left, &right);
        }
        self.subtrees.push(right);
        self.count += 1;
    }

    /// The tree over all that was pushed.
    #[must_use]
    pub fn finish(&self) -> Hash {
        let mut subtrees = self.subtrees.iter().rev().copied();
        let Some(last) = subtrees.next() else {
            return Hash(Sha256::digest([]).into());
        };
        subtrees.fold(last, |right, left| node_hash(&left, &right))
    }
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BLOCK;
    use proptest::prelude::*;

    /// RFC 9162, section 2.1.1, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash(Sha256::digest([]).into()),
            [leaf] => *leaf,
            more => {
                let mut split = 1;
                while split * 2 < more.len() {
                    split *= 2;
                }
                node_hash(&naive(&more[..split]), &naive(&more[split..]))
            }
        }
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index % 251) as u8).collect()
    }

    #[test]
    fn every_small_tree_is_as_the_rfc_says() {
        let leaves: Vec<Hash> = (0..200u8).map(|index| leaf_hash(&[index])).collect();
        for count in 0..leaves.len() {
            assert_eq!(root(&leaves[..count]), naive(&leaves[..count]), "{count} leaves");
        }
    }

    #[test]
    fn blocks_trees_give_the_tree_of_the_file() {
        for length in [0, 1, LEAF, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + LEAF + 7, 5 * BLOCK] {
            let data = pattern(length);
            let mut builder = RootBuilder::default();
            data.chunks(BLOCK).for_each(|block| builder.push(tree(block)));
            assert_eq!(builder.finish(), tree(&data), "{length}");
        }
    }

    /// Byte `i` of the data is `i % 251`. These values never change.
    #[test]
    fn vectors() {
        let check = |length: usize, expected: &str| {
            assert_eq!(tree(&pattern(length)).to_string(), expected, "{length}");
        };
        check(0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        check(1, "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7");
        check(32_768, "01125f430181d3657895a7fed9fce5e316249b34ad4198038f6415a3769ad2a3");
        check(32_769, "0a98d7f9feaf5c977447dcae985c7940530e172894e20ef7b1000f4a6015a31d");
        check(1_048_576, "d8dc1305bba4d04e16c68be8a679c729d35834568ec99aa03813f9f5ff1127ee");
        check(3_000_000, "f3cb597900b32672e8188706299e72332c2309da88a9163968f430acbb7f452e");
    }

    proptest! {
        #[test]
        fn a_builder_agrees_with_the_definition(count in 0usize..600) {
            let leaves: Vec<Hash> = (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect();
            prop_assert_eq!(root(&leaves), naive(&leaves));
        }

        #[test]
        fn a_changed_byte_changes_the_tree(length in 1usize..100_000, at: prop::sample::Index) {
            let data = pattern(length);
            let mut other = data.clone();
            other[at.index(length)] ^= 1;
            prop_assert_ne!(tree(&data), tree(&other));
        }
    }
}
