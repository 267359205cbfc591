//! The primitives under the transport: X25519, SHA-256, AES-256-GCM, and randomness that was handed
//! in.
//!
//! Knows nothing about handshakes: `snow` calls it. Snow's own resolvers would take the system's
//! randomness, and an older generation of the same crates. Invariant: no primitive accepts what it
//! cannot authenticate, or a key of low order.

use crate::crypto::keys::static_public;
use rand::rngs::ChaCha20Rng;
use rand::{Rng, SeedableRng};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use sha2::{Digest, Sha256};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// By how much a sealed record is longer than what is in it.
pub const OVERHEAD: usize = 16;

/// Our choice of primitives, with the randomness that was handed in.
pub(super) struct Primitives(pub(super) Zeroizing<[u8; 32]>);

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn types::Random>> {
        Some(Box::new(SeededRng(ChaCha20Rng::from_seed(*self.0))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn types::Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::<Curve25519>::default() as _)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn types::Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::<Sha2>::default() as _)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn types::Cipher>> {
        matches!(choice, CipherChoice::AESGCM).then(|| Box::new(AesGcm(aes_gcm(&[0; 32]))) as _)
    }
}

struct SeededRng(ChaCha20Rng);

impl types::Random for SeededRng {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

#[derive(Default, Zeroize, ZeroizeOnDrop)]
struct Curve25519 {
    secret: [u8; 32],
    public: [u8; 32],
}

impl types::Dh for Curve25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        self.secret.copy_from_slice(secret);
        self.public = static_public(&self.secret);
    }

    fn generate(&mut self, rng: &mut dyn types::Random) -> Result<(), snow::Error> {
        rng.try_fill_bytes(&mut self.secret)?;
        self.public = static_public(&self.secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.secret
    }

    /// Snow passes a longer buffer than the key. A key of low order is refused: it would contribute
    /// nothing.
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public: [u8; 32] =
            public.get(..32).ok_or(snow::Error::Dh)?.try_into().map_err(|_| snow::Error::Dh)?;
        #[cfg(test)]
        DIFFIE_HELLMANS.with(|count| count.set(count.get() + 1));
        let shared = StaticSecret::from(self.secret).diffie_hellman(&PublicKey::from(public));
        if !shared.was_contributory() {
            return Err(snow::Error::Dh);
        }
        out[..32].copy_from_slice(shared.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
thread_local! {
    /// How often this thread has computed a shared secret.
    pub(crate) static DIFFIE_HELLMANS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[derive(Default)]
struct Sha2(Sha256);

impl types::Hash for Sha2 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(&self.0.finalize_reset());
    }
}

/// Of the handshake: its nonces are counted by snow.
struct AesGcm(LessSafeKey);

pub(super) fn aes_gcm(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 keys have 32 bytes"))
}

pub(super) fn gcm_nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl types::Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = aes_gcm(key);
    }

    fn encrypt(&self, nonce: u64, public: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        let (body, rest) = out.split_at_mut(plain.len());
        body.copy_from_slice(plain);
        let tag = self
            .0
            .seal_in_place_separate_tag(gcm_nonce(nonce), Aad::from(public), body)
            .expect("a record is shorter than AES-GCM's bound");
        rest[..OVERHEAD].copy_from_slice(tag.as_ref());
        plain.len() + OVERHEAD
    }

    fn decrypt(
        &self,
        nonce: u64,
        public: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, snow::Error> {
        let (body, tag) = sealed.split_last_chunk::<OVERHEAD>().ok_or(snow::Error::Decrypt)?;
        let out = out.get_mut(..body.len()).ok_or(snow::Error::Decrypt)?;
        out.copy_from_slice(body);
        self.0
            .open_in_place_separate_tag(
                gcm_nonce(nonce),
                Aad::from(public),
                Tag::from(*tag),
                out,
                0..,
            )
            .map_err(|_| snow::Error::Decrypt)?;
        Ok(body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snow::types::Dh;

    /// With these the shared secret would be zero, whatever ours is: 0, 1, -1 and the two of order 8, and 0 and 1 again
    /// in their other encodings.
    #[test]
    fn a_key_of_low_order_is_refused() {
        let eighth = |hex: &str| {
            let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
            std::array::from_fn(byte)
        };
        let mut keys: Vec<[u8; 32]> = vec![
            eighth("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            eighth("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        ];
        for (first, others, last) in
            [(0, 0, 0), (1, 0, 0), (0xec, 0xff, 0x7f), (0xed, 0xff, 0x7f), (0xee, 0xff, 0x7f)]
        {
            let mut key = [others; 32];
            (key[0], key[31]) = (first, last);
            keys.push(key);
        }
        let mut ours = Curve25519::default();
        ours.set(&[7; 32]);
        let mut out = [0; 32];
        for key in keys {
            assert!(ours.dh(&key, &mut out).is_err(), "{key:?}");
        }
        assert!(ours.dh(&static_public(&[8; 32]), &mut out).is_ok());
        assert!(ours.dh(&[9; 31], &mut out).is_err(), "and one that is too short");
    }
}
