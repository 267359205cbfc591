//! The keys of a network and of its nodes, and the ids that are computed from public things.
//!
//! Knows nothing about files; `keyring` keeps these. Invariant: whoever holds entropy of 32 good
//! bytes gets keys that differ for each purpose, and no two of these types can be taken for each
//! other.

use crate::crypto::sign::SignKey;
use crate::crypto::tags;
use crate::ids::{ClusterId, Hash, NameId, NodeId, RecordId, VersionId, Writer};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest, Sha256};
use std::fmt;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use crate::crypto::data::{DataKeys, Epoch, SpaceKeys};

/// Admits to the network: whoever has it can connect, store and verify ciphertext.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct NetworkKey {
    /// Which network.
    #[zeroize(skip)]
    pub cluster: ClusterId,
    /// Its secret, from which the transport's pre-shared key is derived.
    pub secret: [u8; 32],
    /// The epoch of the secret.
    pub epoch: u16,
    /// The root's Ed25519 verify key, which signs grants.
    pub root: [u8; 32],
}

impl NetworkKey {
    /// A new network below this root.
    #[must_use]
    pub fn generate(entropy: &[u8; 32], root: &RootKey) -> Self {
        let cluster = ClusterId(new_secret(entropy, tags::NEW_CLUSTER));
        let secret = new_secret(entropy, tags::NEW_NETWORK);
        Self { cluster, secret, epoch: 1, root: root.0.public() }
    }
}

impl fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkKey({:?}, epoch {})", self.cluster, self.epoch)
    }
}

/// Signs grants.
#[derive(Clone, Debug)]
pub struct RootKey(pub SignKey);

impl RootKey {
    /// A new root.
    #[must_use]
    pub fn generate(entropy: &[u8; 32]) -> Self {
        Self(SignKey::from_secret(&new_secret(entropy, tags::NEW_ROOT)))
    }
}

/// Signs versions and tombstones.
#[derive(Clone, Debug)]
pub struct WriteKey {
    /// The signing key.
    pub sign: SignKey,
    /// The encoded grant record that names it.
    pub grant: Vec<u8>,
}

impl WriteKey {
    /// The signing half of a new write key; the root has yet to grant it.
    #[must_use]
    pub fn generate(entropy: &[u8; 32]) -> SignKey {
        SignKey::from_secret(&new_secret(entropy, tags::NEW_WRITE))
    }

    /// The verify key that the grant names.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.sign.public()
    }
}

/// What makes a node this node, or a client's process this writer: a signing key and a transport
/// key.
#[derive(Clone)]
pub struct NodeKey {
    sign: SignKey,
    agree: StaticSecret,
}

impl NodeKey {
    /// A new identity.
    #[must_use]
    pub fn generate(entropy: &[u8; 32]) -> Self {
        let sign = new_secret(entropy, tags::NEW_NODE_SIGN);
        let agree = new_secret(entropy, tags::NEW_NODE_STATIC);
        Self::from_secrets(&sign, &agree)
    }

    /// An identity read back.
    #[must_use]
    pub fn from_secrets(sign: &[u8; 32], agree: &[u8; 32]) -> Self {
        Self { sign: SignKey::from_secret(sign), agree: StaticSecret::from(*agree) }
    }

    /// The node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        node_id(&self.verify_key(), &self.static_public())
    }

    /// The signing key.
    #[must_use]
    pub fn sign_key(&self) -> &SignKey {
        &self.sign
    }

    /// The Ed25519 key that verifies what this node signs.
    #[must_use]
    pub fn verify_key(&self) -> [u8; 32] {
        self.sign.public()
    }

    /// The X25519 secret of the transport.
    #[must_use]
    pub fn static_secret(&self) -> &[u8; 32] {
        self.agree.as_bytes()
    }

    /// The X25519 public key of the transport.
    #[must_use]
    pub fn static_public(&self) -> [u8; 32] {
        static_public(self.static_secret())
    }

    /// The writer that this process is in the versions it makes.
    #[must_use]
    pub fn writer(&self) -> Writer {
        writer_of(&self.static_public())
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({:?})", self.node_id())
    }
}

/// The X25519 public key of a secret.
#[must_use]
pub fn static_public(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// The id of the node with these public keys: Ed25519, then X25519.
#[must_use]
pub fn node_id(verify_key: &[u8; 32], static_public: &[u8; 32]) -> NodeId {
    NodeId(tagged(tags::NODE_ID, &[verify_key, static_public]))
}

/// The id of an encoded record, signature included.
#[must_use]
pub fn record_id(record: &[u8]) -> RecordId {
    RecordId(tagged(tags::RECORD_ID, &[record]))
}

/// The hash of the versions that no other of their name supersedes, in ascending order.
#[must_use]
pub fn heads_hash(ascending: &[VersionId]) -> Hash {
    let mut digest = Sha256::new();
    for version in ascending {
        digest.update(version.stamp.to_be_bytes());
        digest.update(version.writer.0);
    }
    Hash(digest.finalize().into())
}

/// The name under which the grant of a key stands.
#[must_use]
pub fn grant_name(granted: &[u8; 32]) -> NameId {
    NameId(tagged(tags::GRANT, &[granted]))
}

/// The name under which the records of a setting stand: nobody else's, since other names are keyed.
#[must_use]
pub fn setting_name(key: u16) -> NameId {
    NameId(tagged(tags::SETTING, &[&key.to_be_bytes()]))
}

/// Who makes versions with this X25519 session key.
#[must_use]
pub fn writer_of(static_public: &[u8; 32]) -> Writer {
    let hash = tagged(tags::WRITER, &[static_public]);
    let mut writer = Writer::default();
    writer.0.copy_from_slice(&hash[..Writer::LENGTH]);
    writer
}

/// Eight bytes that tell a damaged text from a whole one.
#[must_use]
pub fn checksum(tag: &[u8], text: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&tagged(tag, &[text])[..8]);
    sum
}

/// A secret for one purpose out of entropy. One entropy may serve several purposes.
pub(super) fn new_secret(entropy: &[u8; 32], tag: &[u8]) -> [u8; 32] {
    let mut secret = [0; 32];
    Hkdf::<Sha256>::new(None, entropy)
        .expand(tag, &mut secret)
        .expect("32 bytes are within HKDF's bound");
    secret
}

/// What a connection says in clear to differ from all others: tells nothing of the entropy.
pub(crate) fn new_nonce(entropy: &[u8; 32]) -> [u8; 8] {
    let secret = new_secret(entropy, tags::NEW_NONCE);
    *secret.first_chunk().expect("32 bytes are more than 8")
}

/// HMAC-SHA256 in steps.
pub(super) struct Mac(Hmac<Sha256>);

impl Mac {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    pub(super) fn chain(mut self, part: &[u8]) -> Self {
        self.0.update(part);
        self
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }
}

/// HMAC-SHA256 over all parts.
pub(super) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Mac::new(key), |mac, part| mac.chain(part)).finish()
}

fn tagged(tag: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let hasher = Sha256::new_with_prefix(tag);
    parts.iter().fold(hasher, |hasher, part| hasher.chain_update(part)).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::block::{SHARED, seal_block};
    use crate::ids::Hash;

    /// What a log or a message shows of a key is not the key, in whichever form.
    #[test]
    fn no_key_tells_its_secret_by_its_debug_text() {
        let secret = [0xa7; 32];
        let root = RootKey(SignKey::from_secret(&secret));
        let cluster = ClusterId([1; 32]);
        let network = NetworkKey { cluster, secret, epoch: 1, root: root.0.public() };
        let write = WriteKey { sign: SignKey::from_secret(&secret), grant: Vec::new() };
        let epoch = Epoch { number: 1, secret };
        let data = DataKeys::from_epochs(vec![epoch.clone()]).unwrap();
        let node = NodeKey::from_secrets(&secret, &secret);
        let verifier = crate::crypto::sign::Verifier::new(&root.0.public());
        let aliases = crate::crypto::alias::Aliases::new([0xa7; 16]);
        let space = data.newest(&Default::default());
        let texts = [
            format!("{network:?} {root:?} {write:?} {epoch:?} {data:?}"),
            format!("{node:?} {verifier:?} {aliases:?} {space:?}"),
        ];
        for text in texts {
            assert!(!text.contains("a7a7") && !text.contains("A7A7"), "{text}");
            assert!(!text.contains("167, 167"), "{text}");
        }
    }

    /// Made by an independent program. These values never change.
    #[test]
    fn vectors() {
        let node = NodeKey::generate(&[7; 32]);
        let check = |actual: &dyn fmt::Display, expected: &str| {
            assert_eq!(actual.to_string(), expected);
        };
        let node_id = "880fb32209ced09d8edba1c9f5ef735301775be1db3831eb336069c2c1341557";
        check(&node.node_id(), node_id);
        check(&node.writer(), "1895d81b8e2f0ec5");
        let record = "4b9021415785be304efcc7ba7aa7b9a20f985d462c4e31817d871881127d9a13";
        check(&record_id(b"record"), record);
        let grant = "1df7de3710ef00250f95691bec4cff12a9ef3f62f52314dd362aa4e6fae4a024";
        check(&grant_name(&node.verify_key()), grant);
        let setting = "0e06db3d92b8c13ed941c6da1e8fc3a9260d7b369a66f8eac22f9b3af75ee759";
        check(&setting_name(1), setting);

        let root = RootKey::generate(&[7; 32]);
        let network = NetworkKey::generate(&[7; 32], &root);
        let cluster = "15c1f6f53d1170baea9772bb1fa0fea2a4691338d5d55caa80b8fb5958812627";
        check(&network.cluster, cluster);
        let secret = "f5ad7a44851c60c89a582b5569638ee29924ddfa0804b30c0b9f4aa3fe74ea49";
        check(&Hash(network.secret), secret);
        let public = "4345417e11517769340ffb88e5993bcade5469770d85d6c8641ada92e39470ff";
        check(&Hash(network.root), public);
        let write = "69619f037d226e2f930e6a174a09e1d2911a623d13d8a44aa97289dcc93c382b";
        check(&Hash(WriteKey::generate(&[7; 32]).public()), write);
    }

    #[test]
    fn a_node_key_is_what_its_two_secrets_are() {
        let node = NodeKey::generate(&[3; 32]);
        let again = NodeKey::from_secrets(node.sign_key().secret(), node.static_secret());
        assert_eq!(again.node_id(), node.node_id());
    }

    #[test]
    fn debug_prints_no_secret() {
        let (root, node) = (RootKey::generate(&[7; 32]), NodeKey::generate(&[7; 32]));
        let network = NetworkKey::generate(&[7; 32], &root);
        let data = DataKeys::generate(&[7; 32]);
        let write = WriteKey { sign: WriteKey::generate(&[7; 32]), grant: vec![] };
        let space = data.newest(&Default::default());
        let block = seal_block(&space, &SHARED, &mut [1; 100]).secret;
        let (epochs, page) = (data.epochs(), space.content_key(&[b"a page"]));
        let printed = format!(
            "{root:?} {node:?} {network:?} {data:?} {epochs:?} {space:?} {write:?} {block:?}"
        );
        let secrets = [
            root.0.secret(),
            node.static_secret(),
            node.sign_key().secret(),
            &network.secret,
            &data.epochs()[0].secret,
            write.sign.secret(),
            &block.key,
            &block.tree,
            &page,
        ];
        for secret in secrets {
            assert!(!printed.contains(&Hash(*secret).to_string()[..8]), "{printed}");
            assert!(!printed.contains(&format!("{}, {}", secret[0], secret[1])), "{printed}");
        }
    }
}
