//! Records for tests of the machines.
//!
//! Knows no machine. Invariant: the same numbers give the same record.

use super::write::NewRecord;
use crate::crypto::keys::record_id;
use crate::ids::{NameId, VersionId, Writer};
use crate::limits::CALENDAR_MIN;
use crate::time::stamp_at;
use crate::wire::message::BlockRef;
use crate::wire::record::{BlockList, FORMAT, Record, RecordKind};
use bytes::Bytes;

/// Who may sign in `Context::for_tests`.
pub(super) const SIGNER: [u8; 32] = [7; 32];

/// A version of a name that supersedes the one before, if there is one; of these blocks.
pub(super) fn file(name: u64, version: u8, blocks: &[BlockRef]) -> Record {
    let id = |version: u8| VersionId {
        stamp: stamp_at(CALENDAR_MIN) + u64::from(version),
        writer: Writer::default(),
    };
    let mut name_id = NameId::default();
    name_id.0[..8].copy_from_slice(&name.to_be_bytes());
    Record {
        format: FORMAT,
        kind: RecordKind::File,
        space: Default::default(),
        name: name_id,
        version: id(version),
        parents: version.checked_sub(1).filter(|before| *before > 0).map(id).into_iter().collect(),
        epoch: 1,
        signer: SIGNER,
        blocks: BlockList::Inline(blocks.to_vec()),
        extensions: Vec::new(),
        sealed_tag: [0; 32],
        sealed: Vec::new(),
        signature: [0; 64],
    }
}

/// The same without a block, on its way into the catalog.
pub(super) fn new_record(name: u64, version: u8) -> NewRecord {
    let record = file(name, version, &[]);
    let bytes = Bytes::from(record.to_bytes());
    let (id, block) = (record_id(&bytes), Bytes::new());
    NewRecord { id, record, bytes, block, source: None, complete: true }
}
