//! Signatures of records.
//!
//! Knows no grant. Invariant: a record counts as signed only if the key that it names signed it.

use crate::crypto::{sign, tags};
use crate::wire::record::Record;

/// Whether the signer named by a record signed it.
#[must_use]
pub fn signed(record: &Record) -> bool {
    sign::verify(&record.signer, tags::RECORD, &record.signed_bytes(), &record.signature)
}
