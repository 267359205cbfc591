//! What tests of the machines share: records, and how a script is run.
//!
//! Knows no machine. Invariant: the same numbers give the same record.

use super::write::NewRecord;
use crate::crypto::keys::record_id;
use crate::ids::{NameId, VersionId, Writer};
use crate::limits::CALENDAR_MIN;
use crate::time::stamp_at;
use crate::wire::message::BlockRef;
use crate::wire::record::{BlockList, Record, RecordKind};
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
        parents: version.checked_sub(1).filter(|before| *before > 0).map(id).into_iter().collect(),
        signer: SIGNER,
        blocks: BlockList::Inline(blocks.to_vec()),
        ..Record::unsigned(RecordKind::File, name_id, id(version))
    }
}

/// The same without a block, on its way into the catalog.
pub(super) fn new_record(name: u64, version: u8) -> NewRecord {
    let record = file(name, version, &[]);
    let bytes = Bytes::from(record.to_bytes());
    let (id, block) = (record_id(&bytes), Bytes::new());
    NewRecord { id, record, bytes, block, source: None, complete: true }
}

/// A machine in its surroundings, to which the steps of a script are done.
pub(super) trait Bench {
    /// One thing that is done to it.
    type Step;

    fn act(&mut self, step: &Self::Step);

    /// What has come of the last step, in words.
    fn told(&mut self) -> String;
}

/// Does each step, after which that is to have come of it.
pub(super) fn run<B: Bench>(bench: &mut B, script: &[(B::Step, &str)]) {
    for (at, (step, expected)) in script.iter().enumerate() {
        bench.act(step);
        assert_eq!(bench.told(), *expected, "step {at}");
    }
}
