//! Signatures: Ed25519 over a tag and bytes.
//!
//! Knows nothing about what is signed. Invariant: a signature is valid for one tag only, and there
//! is exactly one valid encoding of it (`verify_strict`).

use curve25519_dalek::edwards::EdwardsPoint;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use std::fmt;

/// An Ed25519 signing key. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SignKey(SigningKey);

impl SignKey {
    /// The key of this secret.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The secret, to be kept in a key file.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key that verifies.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
}

impl fmt::Debug for SignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.public();
        write!(f, "SignKey(of {first:02x}{second:02x}{third:02x}{fourth:02x})")
    }
}

/// Signs `bytes` for the purpose of `tag`.
#[must_use]
pub fn sign(key: &SignKey, tag: &[u8], bytes: &[u8]) -> [u8; 64] {
    key.0.sign(&[tag, bytes].concat()).to_bytes()
}

/// A public key, ready to verify many signatures.
#[derive(Clone)]
pub struct Verifier(VerifyingKey);

impl Verifier {
    /// `None` if these bytes are no key.
    #[must_use]
    pub fn new(public: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(public).ok().map(Self)
    }

    /// The key as it is written, and as a point of the curve.
    pub(super) fn point(&self) -> ([u8; 32], EdwardsPoint) {
        (self.0.to_bytes(), self.0.to_edwards())
    }

    /// Whether the key's holder signed `bytes` for the purpose of `tag`.
    #[must_use]
    pub fn verify(&self, tag: &[u8], bytes: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(&[tag, bytes].concat(), &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

/// Whether the holder of `public` signed `bytes` for the purpose of `tag`.
#[must_use]
pub fn verify(public: &[u8; 32], tag: &[u8], bytes: &[u8], signature: &[u8; 64]) -> bool {
    Verifier::new(public).is_some_and(|key| key.verify(tag, bytes, signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::NodeKey;
    use crate::crypto::tags;

    /// Made by an independent program. These values never change.
    #[test]
    fn vector() {
        let node = NodeKey::generate(&[7; 32]);
        let signature = sign(node.sign_key(), tags::RECORD, b"bytes");
        let hex = base16ct::lower::encode_string(&signature);
        let expected = "6de4a2de8b2e364b4f9d169982e0d71c2c29c7a308f16d8bda193eb7178c1fe0\
                        8478e8c9e5af8f6a9f40428244caaebd0e1c5ccbefe4fe76a7be9d12ac164701";
        assert_eq!(hex, expected);
    }

    #[test]
    fn only_the_same_key_tag_and_bytes_verify() {
        let key = SignKey::from_secret(&[1; 32]);
        let public = key.public();
        let signature = sign(&key, tags::RECORD, b"bytes");
        assert!(verify(&public, tags::RECORD, b"bytes", &signature));
        assert!(!verify(&public, tags::RECORD, b"byte", &signature));
        assert!(!verify(&public, tags::GRANT, b"bytes", &signature));
        assert!(!verify(
            &SignKey::from_secret(&[2; 32]).public(),
            tags::RECORD,
            b"bytes",
            &signature
        ));
        for at in 0..64 {
            let mut changed = signature;
            changed[at] ^= 1;
            assert!(!verify(&public, tags::RECORD, b"bytes", &changed), "byte {at}");
        }
    }

    /// With the neutral element as key and as R, and S = 0, plain Ed25519 accepts every message.
    #[test]
    fn a_key_of_low_order_verifies_nothing() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!verify(&neutral, tags::RECORD, b"bytes", &signature));
        assert!(!verify(&[0xff; 32], tags::RECORD, b"bytes", &signature));
    }

    /// Half of all 32 bytes are no point of the curve.
    #[test]
    fn a_key_that_is_no_key_verifies_nothing() {
        let signature = sign(&SignKey::from_secret(&[1; 32]), tags::RECORD, b"bytes");
        for byte in 0..=u8::MAX {
            assert!(!verify(&[byte; 32], tags::RECORD, b"bytes", &signature), "{byte}");
        }
    }
}
