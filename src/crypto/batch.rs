//! Many signatures by few keys, verified with one equation (Bernstein, Duif, Lange, Schwabe and Yang, 2012).
//!
//! Knows nothing about what is signed. Invariant: a batch that is found good holds nothing that its keys' holders have not
//! signed. It is not as strict as `sign::verify` with what such a holder makes up himself, so nothing is stored for it;
//! and it does not say which of a bad batch is bad.
//!
//! The sum of all single equations, each times a factor that nobody can choose, is zero: `sum z (s B - R - h A) = 0`. The
//! factors are hashes of the whole batch. With few keys it costs a third of as many single verifications.

use super::sign::Verifier;
use super::tags;
use crate::seeded::{self, Bug};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use dfsd_kernels::is_zero_sum;
use sha2::{Digest, Sha256, Sha512};
use std::collections::BTreeMap;

/// Signatures that are to be verified together.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each as `R`, `s` and `h`.
    signatures: Vec<(EdwardsPoint, Scalar, Scalar)>,
    /// The key of each.
    signers: Vec<[u8; 32]>,
    keys: BTreeMap<[u8; 32], EdwardsPoint>,
    /// Of everything that is in it.
    transcript: Sha512,
    is_bad: bool,
}

impl Batch {
    /// One more: `key` is said to have signed `bytes` for the purpose of `tag`.
    pub fn add(&mut self, key: &Verifier, tag: &[u8], bytes: &[u8], signature: &[u8; 64]) {
        let (public, point) = key.point();
        match parts(&public, [tag, bytes], signature) {
            Some((r, s, h)) if !point.is_small_order() && !r.is_small_order() => {
                self.transcript.update(public);
                self.transcript.update(signature);
                self.transcript.update(h.as_bytes());
                self.keys.insert(public, point);
                self.signers.push(public);
                self.signatures.push((r, s, h));
            }
            Some(_) | None => self.is_bad = true,
        }
    }

    /// Whether each is what it is said to be.
    #[must_use]
    pub fn is_good(self) -> bool {
        if self.is_bad {
            return false;
        }
        let seed = self.transcript.finalize();
        let factors: Vec<Scalar> =
            (0..self.signatures.len() as u64).map(|number| factor(&seed, number)).collect();
        let mut base = Scalar::ZERO;
        let mut by_key: BTreeMap<[u8; 32], Scalar> = BTreeMap::new();
        for ((factor, (_, s, h)), signer) in factors.iter().zip(&self.signatures).zip(&self.signers)
        {
            base -= factor * s;
            *by_key.entry(*signer).or_insert(Scalar::ZERO) += factor * h;
        }
        let scalars =
            factors.into_iter().chain(by_key.into_values()).chain([base]).collect::<Vec<_>>();
        let points = self.signatures.iter().map(|(r, _, _)| *r);
        let points = points.chain(self.keys.into_values()).chain([ED25519_BASEPOINT_POINT]);
        is_zero_sum(&scalars, &points.collect::<Vec<_>>())
    }
}

/// A signature's two halves and the hash that binds them to the key and the message; `None` if it is no signature.
fn parts(
    public: &[u8; 32],
    message: [&[u8]; 2],
    signature: &[u8; 64],
) -> Option<(EdwardsPoint, Scalar, Scalar)> {
    let (r, s) = signature.split_at(32);
    let point = CompressedEdwardsY::from_slice(r).ok()?.decompress()?;
    let s: Option<Scalar> = Scalar::from_canonical_bytes(s.try_into().ok()?).into();
    let hash = Sha512::new().chain_update(r).chain_update(public);
    let hash = message.into_iter().fold(hash, Digest::chain_update);
    Some((point, s?, Scalar::from_bytes_mod_order_wide(&hash.finalize().into())))
}

/// 128 bits, which nobody knows before the whole batch is known.
fn factor(seed: &[u8], number: u64) -> Scalar {
    let hash = Sha256::new().chain_update(tags::BATCH).chain_update(seed);
    let hash = hash.chain_update(number.to_be_bytes()).finalize();
    let (half, _) = hash.split_at(16);
    if seeded::is_on(Bug::EqualFactors) {
        return Scalar::ONE;
    }
    Scalar::from(u128::from_le_bytes(half.try_into().expect("it is 16 bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sign::{SignKey, sign, verify};

    struct Signed {
        public: [u8; 32],
        bytes: Vec<u8>,
        signature: [u8; 64],
    }

    /// So many by each of so many keys.
    fn signed(keys: u8, each: usize) -> Vec<Signed> {
        let mut all = Vec::new();
        for number in 0..each {
            for key in 1..=keys {
                let key = SignKey::from_secret(&[key; 32]);
                let bytes = vec![7; number * 13];
                let signature = sign(&key, tags::RECORD, &bytes);
                all.push(Signed { public: key.public(), bytes, signature });
            }
        }
        all
    }

    fn is_good(all: &[Signed]) -> bool {
        let mut batch = Batch::default();
        for one in all {
            let key = Verifier::new(&one.public).unwrap();
            batch.add(&key, tags::RECORD, &one.bytes, &one.signature);
        }
        batch.is_good()
    }

    #[test]
    fn what_each_verifies_alone_verifies_together() {
        for (keys, each) in [(1, 0), (1, 1), (1, 2), (1, 200), (3, 30), (40, 1)] {
            assert!(is_good(&signed(keys, each)), "{each} by each of {keys}");
        }
    }

    #[test]
    fn one_bad_signature_spoils_the_batch_wherever_it_is_bad() {
        let mut all = signed(2, 8);
        for at in 0..all.len() {
            for byte in 0..64 {
                all[at].signature[byte] ^= 1 << (byte % 8);
                let Signed { public, bytes, signature } = &all[at];
                assert!(!verify(public, tags::RECORD, bytes, signature));
                assert!(!is_good(&all), "byte {byte} of {at}");
                all[at].signature[byte] ^= 1 << (byte % 8);
            }
            all[at].bytes.push(0);
            assert!(!is_good(&all), "the message of {at}");
            all[at].bytes.pop();
        }
        assert!(is_good(&all));
    }

    #[test]
    fn signatures_that_changed_places_are_bad_and_so_is_another_purpose() {
        let mut all = signed(1, 8);
        let (first, last) = (all[0].signature, all[7].signature);
        (all[0].signature, all[7].signature) = (last, first);
        assert!(!is_good(&all));
        let one = &signed(1, 1)[0];
        let mut batch = Batch::default();
        let key = Verifier::new(&one.public).unwrap();
        batch.add(&key, tags::GRANT, &one.bytes, &one.signature);
        assert!(!batch.is_good());
    }

    /// What one makes up so that it cancels out against another: the halves `s` of two, changed by as much.
    #[test]
    fn errors_do_not_cancel_out() {
        let mut all = signed(1, 2);
        for (at, change) in [(0, Scalar::ONE), (1, -Scalar::ONE)] {
            let s: [u8; 32] = all[at].signature[32..].try_into().unwrap();
            let s = Scalar::from_canonical_bytes(s).unwrap() + change;
            all[at].signature[32..].copy_from_slice(s.as_bytes());
        }
        assert!(!is_good(&all));
    }

    #[test]
    fn a_key_or_a_half_of_small_order_is_none() {
        // The neutral point as key and as R, and s = 0: the equation of one that looks no further holds.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let forged = Signed { public: neutral, bytes: b"anything".to_vec(), signature };
        assert!(!is_good(&[forged]));
    }
}
