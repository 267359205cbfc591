//! Sealed parts: deterministic authenticated encryption with a synthetic IV, for what is small and
//! not content-addressed.
//!
//! Knows nothing about what is sealed. Invariant: `open_part` releases nothing that was not sealed,
//! with exactly this public part, by a holder of the key. No nonce exists, so no repeated randomness can
//! hurt.
//!
//! `tag = HMAC(K_siv, length of public as 8 bytes ‖ public ‖ plain)`,
//! `sealed = AES-256-CTR(HKDF(K_seal, tag), plain)`.

use crate::crypto::block::keystream;
use crate::crypto::data::SpaceKeys;
use crate::seeded::{self, Bug};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A sealed part was changed, belongs to other public bytes, or was sealed with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tampered;

impl fmt::Display for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sealed part does not open: it was changed, or sealed with another data key")
    }
}

impl std::error::Error for Tampered {}

/// Seals `plain`, bound to `public`: the tag, and as many bytes as there were.
#[must_use]
pub fn seal_part(keys: &SpaceKeys, public: &[u8], plain: &[u8]) -> ([u8; 32], Vec<u8>) {
    let tag = synthetic_iv(keys, public, plain);
    let mut sealed = plain.to_vec();
    apply(keys, &tag, &mut sealed);
    (tag, sealed)
}

/// Opens what `seal_part` gave for the same keys and the same `public`.
///
/// # Errors
/// `Tampered`, and then nothing of it is known.
pub fn open_part(
    keys: &SpaceKeys,
    public: &[u8],
    tag: &[u8; 32],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Tampered> {
    let plain = decipher_part(keys, tag, sealed);
    let expected = synthetic_iv(keys, public, &plain);
    let is_right = bool::from(expected.ct_eq(tag)) || seeded::is_on(Bug::SkipSealCheck);
    if is_right { Ok(plain) } else { Err(Tampered) }
}

/// What a sealed part would be, not authenticated: for whoever proves what he takes of it otherwise.
#[must_use]
pub fn decipher_part(keys: &SpaceKeys, tag: &[u8; 32], sealed: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(sealed.to_vec());
    apply(keys, tag, &mut plain);
    plain
}

fn synthetic_iv(keys: &SpaceKeys, public: &[u8], plain: &[u8]) -> [u8; 32] {
    let length = (public.len() as u64).to_be_bytes();
    keys.siv().chain(&length).chain(public).chain(plain).finish()
}

fn apply(keys: &SpaceKeys, tag: &[u8; 32], bytes: &mut [u8]) {
    if seeded::is_on(Bug::SealNothing) {
        return;
    }
    let mut key = keys.part_key(tag);
    keystream(&key, bytes, 0);
    key.zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::data::DataKeys;
    use crate::ids::{Hash, Space};
    use proptest::prelude::*;

    fn keys() -> SpaceKeys {
        DataKeys::generate(&[7; 32]).newest(&Space::default())
    }

    /// Made by an independent program. These values never change.
    #[test]
    fn vector() {
        let (tag, sealed) = seal_part(&keys(), b"public", b"a plaintext of some length");
        let expected = "128c195b4af77f637b3846c368ba0c2d2dcae3bd8e46156703f32d2e43df1952";
        assert_eq!(Hash(tag).to_string(), expected);
        let hex = base16ct::lower::encode_string(&sealed);
        assert_eq!(hex, "7d204fe54fedbf1f4036711a25ee59c475af9581f2b731e9ad47");
    }

    #[test]
    fn bytes_do_not_move_between_public_and_sealed() {
        assert_ne!(seal_part(&keys(), b"ab", b"c").0, seal_part(&keys(), b"a", b"bc").0);
    }

    #[test]
    fn another_key_does_not_open() {
        let (tag, sealed) = seal_part(&keys(), b"", b"plain");
        let other = DataKeys::generate(&[8; 32]).newest(&Space::default());
        assert_eq!(open_part(&other, b"", &tag, &sealed), Err(Tampered));
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_nothing_else(
            public: Vec<u8>,
            plain: Vec<u8>,
            at: prop::sample::Index,
            bit in 0u8..8,
        ) {
            let (tag, sealed) = seal_part(&keys(), &public, &plain);
            let opened = open_part(&keys(), &public, &tag, &sealed);
            prop_assert_eq!(opened.as_deref(), Ok(&plain));

            let mut all = [&public[..], &tag, &sealed].concat();
            let place = at.index(all.len());
            all[place] ^= 1 << bit;
            let (public, rest) = all.split_at(public.len());
            let (tag, sealed) = rest.split_first_chunk().expect("the tag was put there");
            prop_assert_eq!(open_part(&keys(), public, tag, sealed), Err(Tampered));
        }
    }
}
