//! Aliases: twelve bytes that stand for the 32 of a name id in the memory of one process, and marks: seven that stand for a
//! version of a name.
//!
//! Whoever writes a record chooses the name id in it, so a part of the id would not do: two names would be taken for one.
//! The alias is a MAC under a key that nobody else knows: AES-128 in CBC mode over the id's two blocks (for messages of one
//! length that is a MAC; Bellare, Kilian and Rogaway, 1994), cut to 96 bits. Two of a billion names have one alias with a
//! chance of one in 10^11. Invariant: no alias outlives the process, on a disk or elsewhere.

use crate::ids::{NameId, VersionId};
use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use std::fmt;

/// One alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias(pub [u8; Self::LENGTH]);

impl Alias {
    /// Its bytes.
    pub const LENGTH: usize = 12;
}

/// Stands for a version of a name. Not zero.
pub type Mark = [u8; 7];

/// Gives aliases and marks.
pub struct Aliases(Aes128);

impl fmt::Debug for Aliases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aliases")
    }
}

impl Aliases {
    /// From 16 bytes of entropy, fresh in every process.
    #[must_use]
    pub fn new(entropy: [u8; 16]) -> Self {
        Self(Aes128::new(&entropy.into()))
    }

    /// The alias of a name.
    #[must_use]
    pub fn of(&self, name: &NameId) -> Alias {
        let (first, second) = name.0.split_at(16);
        let mut block = aes::Block::default();
        for half in [first, second] {
            block.iter_mut().zip(half).for_each(|(sum, byte)| *sum ^= byte);
            self.0.encrypt_block(&mut block);
        }
        Alias(std::array::from_fn(|index| block[index]))
    }

    /// The mark of a version of a name: a MAC over both.
    #[must_use]
    pub fn mark(&self, name: &Alias, version: &VersionId) -> Mark {
        let mut block = aes::Block::default();
        block[..Alias::LENGTH].copy_from_slice(&name.0);
        self.0.encrypt_block(&mut block);
        let version = version.stamp.to_be_bytes().into_iter().chain(version.writer.0);
        block.iter_mut().zip(version).for_each(|(sum, byte)| *sum ^= byte);
        self.0.encrypt_block(&mut block);
        let mut mark: Mark = std::array::from_fn(|index| block[index]);
        mark[0] |= u8::from(mark == Mark::default());
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_last_block_of_cbc() {
        // The key and the plaintext of FIPS 197, C.1, then zeros: `openssl enc -aes-128-cbc -nopad` with a zero IV.
        let key = std::array::from_fn(|index| u8::try_from(index).expect("it is small"));
        let mut name = [0; 32];
        for (index, byte) in name.iter_mut().take(16).enumerate() {
            *byte = u8::try_from(index * 0x11).expect("it is small");
        }
        let alias = Aliases::new(key).of(&NameId(name));
        let hex = base16ct::lower::encode_string(&alias.0);
        assert_eq!(hex, "4f638c735f614301567824b1");
    }

    #[test]
    fn every_byte_of_a_name_and_of_the_key_counts() {
        let alias = |key: [u8; 16], name: [u8; 32]| Aliases::new(key).of(&NameId(name));
        let plain = alias([1; 16], [2; 32]);
        for at in 0..32 {
            let mut name = [2; 32];
            name[at] ^= 1;
            assert_ne!(alias([1; 16], name), plain);
        }
        assert_ne!(alias([3; 16], [2; 32]), plain);
    }
}
