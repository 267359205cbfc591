//! Records as they stand in the log: whether one is what its id and its signer say.
//!
//! Knows no key: who may sign is for others to judge. Invariant: a record that passes would be taken by any peer.

use crate::crypto::keys::record_id;
use crate::crypto::{sign, tags};
use crate::ids::RecordId;
use crate::wire::record::Record;

/// The record in these bytes; or what is wrong with them, to follow "the record".
pub(crate) fn verify(id: &RecordId, bytes: &[u8]) -> Result<Record, &'static str> {
    let record = Record::decode(bytes).map_err(|_| "breaks the format's rules")?;
    if record.to_bytes() != bytes {
        return Err("is not in its one encoding");
    }
    if record_id(bytes) != *id {
        return Err("is not what its id says");
    }
    let signed = record.signed_bytes();
    if !sign::verify(&record.signer, tags::RECORD, &signed, &record.signature) {
        return Err("has a wrong signature");
    }
    Ok(record)
}
