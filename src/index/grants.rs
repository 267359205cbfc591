//! Grants: which keys may sign, and the records by which the network's root lets them.
//!
//! Knows nothing of where they are kept. Invariant: a key is allowed if it is the root's, or a record that the root
//! signed names it; that record is here whole, so that a client can be given it before it is told of anything else.

use crate::crypto::keys::record_id;
use crate::ids::RecordId;
use crate::keyring::grant::granted_key;
use crate::limits::GRANTS_MAX;
use crate::wire::message::PushedRecord;
use crate::wire::record::Record;
use bytes::Bytes;
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug)]
pub(crate) struct Grants {
    root: [u8; 32],
    by_key: BTreeMap<[u8; 32], Bytes>,
}

/// What a record is as a grant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Learnt {
    /// The root did not sign it, or it is no grant.
    NoGrant,
    /// Its key was allowed before.
    Known,
    /// Its key is allowed from now on.
    New,
}

impl Grants {
    pub(crate) fn new(root: [u8; 32]) -> Self {
        Self { root, by_key: BTreeMap::new() }
    }

    /// Whether this key may sign.
    #[must_use]
    pub(crate) fn allow(&self, signer: &[u8; 32]) -> bool {
        *signer == self.root || self.by_key.contains_key(signer)
    }

    /// Looks at a record that may be a grant.
    pub(crate) fn learn(&mut self, record: &Record, bytes: &Bytes) -> Learnt {
        let Some(key) = granted_key(record, &self.root) else {
            return Learnt::NoGrant;
        };
        match self.by_key.insert(key, bytes.clone()) {
            Some(_) => Learnt::Known,
            None => Learnt::New,
        }
    }

    /// Those records, one for each key.
    pub(crate) fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.by_key.values().map(|bytes| record_id(bytes))
    }

    /// What a client is given, so that it can judge records: no more than it keeps, nor than an outbox bears.
    #[must_use]
    pub(crate) fn for_client(&self) -> Vec<PushedRecord> {
        let grants = self.by_key.values().take(GRANTS_MAX);
        grants.map(|record| PushedRecord { record: record.clone(), block: Bytes::new() }).collect()
    }
}
