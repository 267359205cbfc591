//! The grant: the record by which the root lets a key write.
//!
//! Knows nothing about who keeps it. Invariant: a grant is a record like any other, signed under
//! the same tag, so every node keeps and forwards it; it is good when the root that the network key
//! names has signed it.

use crate::crypto::keys::{RootKey, grant_name, writer_of};
use crate::crypto::sign::{sign, verify};
use crate::crypto::tags;
use crate::ids::VersionId;
use crate::seeded::{self, Bug};
use crate::time::stamp_at;
use crate::wire::record::{Extension, Record, RecordKind};

/// The extension of a grant that holds the Ed25519 key granted.
pub const GRANTED_KEY: u16 = 1;

/// The encoded record by which `root` grants writing to the key that `granted` verifies.
#[must_use]
pub fn grant(root: &RootKey, granted: &[u8; 32], wall_ms: u64) -> Vec<u8> {
    let signer = root.0.public();
    let version = VersionId { stamp: stamp_at(wall_ms), writer: writer_of(&signer) };
    let mut record = Record {
        signer,
        extensions: vec![Extension { tag: GRANTED_KEY, value: granted.to_vec() }],
        ..Record::unsigned(RecordKind::Grant, grant_name(granted), version)
    };
    record.signature = sign(&root.0, tags::RECORD, &record.signed_bytes());
    record.to_bytes()
}

/// The key that this record is about, if it is a grant, whoever has signed it.
#[must_use]
pub fn named_key(record: &Record) -> Option<[u8; 32]> {
    let is_grant = record.kind == RecordKind::Grant;
    let mut extensions = record.extensions.iter().filter(|_| is_grant);
    let extension = extensions.find(|extension| extension.tag == GRANTED_KEY)?;
    extension.value.as_slice().try_into().ok()
}

/// The key that this record grants writing to, if it is a grant and `root` has signed it.
#[must_use]
pub fn granted_key(record: &Record, root: &[u8; 32]) -> Option<[u8; 32]> {
    let key = named_key(record).filter(|_| record.signer == *root)?;
    let is_good = record.name == grant_name(&key)
        && (verify(root, tags::RECORD, &record.signed_bytes(), &record.signature)
            || seeded::is_on(Bug::AcceptUnsignedGrant));
    is_good.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_roots_own_grant_is_good() {
        let (root, other) = (RootKey::generate(&[1; 32]), RootKey::generate(&[2; 32]));
        let encoded = grant(&root, &[7; 32], 1_000_000);
        let record = Record::decode(&encoded).unwrap();
        assert_eq!(granted_key(&record, &root.0.public()), Some([7; 32]));
        assert_eq!(granted_key(&record, &other.0.public()), None);

        let mut another_key = record.clone();
        another_key.extensions[0].value = vec![8; 32];
        assert_eq!(granted_key(&another_key, &root.0.public()), None);
        another_key.name = grant_name(&[8; 32]);
        assert_eq!(granted_key(&another_key, &root.0.public()), None);
        let mut another_kind = record;
        another_kind.kind = RecordKind::File;
        assert_eq!(granted_key(&another_kind, &root.0.public()), None);
    }
}
