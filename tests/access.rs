//! The keys of a network that tests use: always the same, and all of them.

use dfsd::crypto::data::DataKeys;
use dfsd::crypto::keys::{NetworkKey, RootKey, WriteKey};
use dfsd::keyring::{Access, grant};

/// Of somebody who may do everything.
pub(crate) fn access() -> Access {
    let root = RootKey::generate(&[1; 32]);
    let network = NetworkKey::generate(&[2; 32], &root);
    let sign = WriteKey::generate(&[3; 32]);
    let grant = grant::grant(&root, &sign.public(), 1_000);
    let data = Some(DataKeys::generate(&[4; 32]));
    Access { network, data, write: Some(WriteKey { sign, grant }) }
}
