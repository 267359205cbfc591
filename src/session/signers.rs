//! Signers: whose records a session believes, and whether a record is one of theirs.
//!
//! Knows no data key: what a record says is nobody's business before this. Invariant: a key is believed if the
//! network's root has granted it writing, whoever has told of that, or if it is one's own; a record, if such a key has
//! signed it. Within a node all that was left to the node.

use super::error::ClientError;
use crate::crypto::batch::Batch;
use crate::crypto::keys::WriteKey;
use crate::crypto::sign::Verifier;
use crate::crypto::tags;
use crate::ids::RecordId;
use crate::keyring::Access;
use crate::keyring::grant::{granted_key, named_key};
use crate::limits::{GRANTS_MAX, JUDGED_MAX};
use crate::seeded::{self, Bug};
use crate::wire::record::Record;
use std::collections::{BTreeMap, HashSet};

/// See the module.
#[derive(Debug)]
pub(super) struct Signers {
    root: [u8; 32],
    granted: BTreeMap<[u8; 32], Verifier>,
    /// Records that were found to be signed by one of them.
    judged: HashSet<RecordId>,
    /// The node is in this process, and has judged whatever it shows.
    trusts_node: bool,
}

impl Signers {
    /// At first only its own key, if it has one: to that nobody need attest.
    pub(super) fn new(access: &Access) -> Self {
        let own = access.write.as_ref().map(WriteKey::public);
        let own = own.and_then(|key| Some((key, Verifier::new(&key)?)));
        let (root, granted) = (access.network.root, own.into_iter().collect());
        Self { root, granted, judged: HashSet::new(), trusts_node: false }
    }

    /// For a session within its node.
    pub(super) fn judged_by_node(access: &Access) -> Self {
        Self { trusts_node: true, ..Self::new(access) }
    }

    /// Somebody shows a grant. What is none, or is one too many, changes nothing.
    pub(super) fn learn(&mut self, grant: &[u8]) {
        if self.trusts_node {
            return;
        }
        let Ok(record) = Record::decode(grant) else { return };
        // Each connection shows the same ones, and to verify a signature takes as long as half a handshake.
        if named_key(&record).is_some_and(|key| self.granted.contains_key(&key)) {
            return;
        }
        let key = if seeded::is_on(Bug::BelieveAnyGrant) {
            granted_key(&record, &record.signer)
        } else {
            granted_key(&record, &self.root)
        };
        if let Some(key) = key
            && self.granted.len() < GRANTS_MAX
            && let Some(verifier) = Verifier::new(&key)
        {
            self.granted.insert(key, verifier);
        }
    }

    /// The same, and not again for a record that was looked at before: whoever reads a file again and again, a part of it
    /// each time perhaps, waits for no signature.
    pub(super) fn judge_once(&mut self, id: RecordId, record: &Record) -> Result<(), ClientError> {
        if self.trusts_node || self.judged.contains(&id) {
            return Ok(());
        }
        self.judge(record)?;
        if self.judged.len() >= JUDGED_MAX {
            self.judged.clear();
        }
        self.judged.insert(id);
        Ok(())
    }

    /// Whether somebody who may write has signed a record.
    pub(super) fn judge(&self, record: &Record) -> Result<(), ClientError> {
        let granted = self.granted.get(&record.signer);
        if granted.is_none() && seeded::is_on(Bug::BelieveAnySigner) {
            return Ok(());
        }
        let verifier = granted.ok_or(ClientError::Forged)?;
        let signed = || verifier.verify(tags::RECORD, &record.signed_bytes(), &record.signature);
        if seeded::is_on(Bug::SkipSignature) || signed() {
            Ok(())
        } else {
            Err(ClientError::Forged)
        }
    }

    /// The same of many records at once: false if somebody else has signed one of them, or nobody.
    pub(super) fn judge_all(&self, records: &[&Record]) -> bool {
        if self.trusts_node {
            return true;
        }
        let mut batch = Batch::default();
        for record in records {
            let Some(verifier) = self.granted.get(&record.signer) else { return false };
            batch.add(verifier, tags::RECORD, &record.signed_bytes(), &record.signature);
        }
        batch.is_good() || seeded::is_on(Bug::TrustBatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::data::DataKeys;
    use crate::crypto::keys::{NetworkKey, RootKey};
    use crate::crypto::sign;
    use crate::keyring::grant::grant;

    fn access(root: &RootKey) -> Access {
        let data = Some(DataKeys::generate(&[4; 32]));
        Access { network: NetworkKey::generate(&[2; 32], root), data, write: None }
    }

    fn signed_by(write: &WriteKey) -> Record {
        let root = RootKey::generate(&[9; 32]);
        let mut record = Record::decode(&grant(&root, &[8; 32], 5)).unwrap();
        record.signer = write.public();
        record.signature = sign::sign(&write.sign, tags::RECORD, &record.signed_bytes());
        record
    }

    #[test]
    fn only_what_the_root_has_granted_is_believed() {
        let (root, other) = (RootKey::generate(&[1; 32]), RootKey::generate(&[7; 32]));
        let mut signers = Signers::new(&access(&root));
        let sign = WriteKey::generate(&[3; 32]);
        let bad = grant(&other, &sign.public(), 5);
        let good = grant(&root, &sign.public(), 5);
        let write = WriteKey { sign, grant: Vec::new() };
        let record = signed_by(&write);
        assert_eq!(signers.judge(&record), Err(ClientError::Forged), "nobody has granted it");
        signers.learn(&bad);
        signers.learn(b"no record");
        assert_eq!(signers.judge(&record), Err(ClientError::Forged), "another root has");
        signers.learn(&good);
        assert_eq!(signers.judge(&record), Ok(()));
        let unsigned = Record { signature: [0; 64], ..record };
        assert_eq!(signers.judge(&unsigned), Err(ClientError::Forged));
    }

    #[test]
    fn a_record_is_judged_once_and_no_more_are_remembered_than_the_bound() {
        let root = RootKey::generate(&[1; 32]);
        let sign = WriteKey::generate(&[3; 32]);
        let write = WriteKey { grant: grant(&root, &sign.public(), 5), sign };
        let mut signers = Signers::new(&Access { write: Some(write.clone()), ..access(&root) });
        let good = signed_by(&write);
        let bad = Record { signature: [0; 64], ..good.clone() };
        let id = |number: usize| {
            let mut id = RecordId::default();
            id.0[..8].copy_from_slice(&number.to_be_bytes());
            id
        };
        assert!(signers.judge_once(id(0), &bad).is_err());
        assert!(signers.judge_once(id(0), &bad).is_err(), "what was found bad stays so");
        assert!(signers.judge_once(id(1), &good).is_ok());
        assert!(
            signers.judge_once(id(1), &bad).is_ok(),
            "an id has one record: it is not looked at"
        );
        (0..JUDGED_MAX + 3)
            .for_each(|number| assert!(signers.judge_once(id(number), &good).is_ok()));
        assert!(signers.judged.len() <= JUDGED_MAX);
    }

    #[test]
    fn no_more_grants_are_kept_than_the_bound() {
        let root = RootKey::generate(&[1; 32]);
        let mut signers = Signers::new(&access(&root));
        for number in 0..GRANTS_MAX + 3 {
            let mut secret = [0; 32];
            secret[..8].copy_from_slice(&number.to_be_bytes());
            signers.learn(&grant(&root, &WriteKey::generate(&secret).public(), 5));
        }
        assert_eq!(signers.granted.len(), GRANTS_MAX);
    }
}
