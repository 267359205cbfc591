//! The end of a block's file: the hashes of its leaves and a trailer, so that any leaf is served and checked alone.
//!
//! ```text
//! ciphertext (length) | leaf hashes (32 each) | magic 8 | version 2 | flags 2 | length 4 | zeros 12 | CRC-32C 4
//! ```
//! Big endian; the CRC is over the hashes and the trailer before it. Knows no path. Invariant: what `parse` accepts has
//! as many hashes as its length asks for and they give the address.

use crate::crypto::tree;
use crate::ids::{Address, Hash};
use crate::limits::{BLOCK, LEAF};

/// The bytes of the trailer.
pub(crate) const TRAILER: usize = 32;

const MAGIC: &[u8; 8] = b"dfsdblk\n";
const VERSION: u16 = 1;

/// Leaves of a block; `None` if no block is that long.
pub(crate) fn leaf_count(length: u32) -> Option<usize> {
    let length = usize::try_from(length).ok()?;
    (1..=BLOCK).contains(&length).then(|| length.div_ceil(LEAF))
}

/// Bytes after the ciphertext of a block with so many leaves.
pub(crate) fn footer_length(leaves: usize) -> usize {
    leaves * Hash::LENGTH + TRAILER
}

/// The block's length as a trailer states it; not to be believed before the file is verified.
pub(crate) fn stated_length(trailer: &[u8; TRAILER]) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|index| trailer[12 + index]))
}

/// What comes after the ciphertext.
pub(crate) fn footer(length: u32, leaves: &[Hash]) -> Vec<u8> {
    let mut footer = Vec::with_capacity(footer_length(leaves.len()));
    leaves.iter().for_each(|leaf| footer.extend(leaf.0));
    footer.extend(MAGIC);
    footer.extend(VERSION.to_be_bytes());
    footer.extend([0; 2]);
    footer.extend(length.to_be_bytes());
    footer.extend([0; 12]);
    let check = crc32c::crc32c(&footer);
    footer.extend(check.to_be_bytes());
    footer
}

/// The leaf hashes, if `footer` is the end of the file of this block.
pub(crate) fn parse(footer_bytes: &[u8], length: u32, address: &Address) -> Option<Vec<Hash>> {
    let hashes = footer_bytes.len().checked_sub(TRAILER)?;
    let leaves: Vec<Hash> = footer_bytes[..hashes]
        .chunks_exact(Hash::LENGTH)
        .filter_map(|hash| hash.try_into().ok().map(Hash))
        .collect();
    let sound = leaf_count(length) == Some(leaves.len())
        && footer(length, &leaves) == footer_bytes
        && tree::root(&leaves).0 == address.0;
    sound.then_some(leaves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foot_reads_back_and_no_changed_one_does() {
        for length in [1, 32_768, 32_769, 100_000, 1_048_576] {
            let data = vec![7; length as usize];
            let leaves = tree::leaf_hashes(&data);
            let address = Address(tree::root(&leaves).0);
            let mut bytes = footer(length, &leaves);
            assert_eq!(parse(&bytes, length, &address), Some(leaves));
            assert_eq!(parse(&bytes, length, &Address([1; 32])), None);
            assert_eq!(parse(&bytes[1..], length, &address), None);
            for at in 0..bytes.len() {
                bytes[at] ^= 1;
                assert_eq!(parse(&bytes, length, &address), None, "byte {at}");
                bytes[at] ^= 1;
            }
        }
        assert_eq!(parse(&[], 1, &Address::default()), None);
        assert_eq!(leaf_count(0), None);
        assert_eq!(leaf_count(1_048_577), None);
    }

    #[test]
    fn the_format_is_kept() {
        let data = b"one leaf";
        let bytes = footer(8, &tree::leaf_hashes(data));
        let trailer: String = bytes[32..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(trailer, "64667364626c6b0a00010000000000080000000000000000000000001e76d017");
    }
}
