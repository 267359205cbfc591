//! Records and puts on their way into the catalog.
//!
//! Decides nothing. Invariant: what a put brings stays together until all of it is committed, or none.

use crate::ids::{Address, RecordId};
use crate::index::holdings::Epoch;
use crate::limits::INLINE_BLOCK_MAX;
use crate::server::asker::Asker;
use crate::server::output::Link;
use crate::wire::condition::Condition;
use crate::wire::message::PushedRecord;
use crate::wire::record::{BlockList, Record, RecordKind};
use bytes::Bytes;

/// A record on its way into the catalog.
#[derive(Debug, Clone)]
pub(in crate::server) struct NewRecord {
    pub(in crate::server) id: RecordId,
    pub(in crate::server) record: Record,
    pub(in crate::server) bytes: Bytes,
    /// The small block that came with it.
    pub(in crate::server) block: Bytes,
    /// The connection to the peer that sent it; none if a client made it, which is when it is pushed on.
    pub(in crate::server) source: Option<Link>,
    /// All that it names is known to be held, or is in the same group. Once it is durable: nothing is known to be lacking.
    pub(in crate::server) complete: bool,
}

impl NewRecord {
    /// Whether it adds no contents: below the reserve such are still taken, or nothing could ever be deleted.
    pub(super) fn only_deletes(&self) -> bool {
        match self.record.kind {
            RecordKind::Tombstone | RecordKind::Grant | RecordKind::Setting => true,
            RecordKind::File
            | RecordKind::Admission
            | RecordKind::Presence
            | RecordKind::Other(_) => false,
        }
    }

    /// As it is sent to a peer.
    pub(in crate::server) fn pushed(&self) -> PushedRecord {
        let is_small = is_inline(&self.record, self.block.len());
        let block = if is_small { self.block.clone() } else { Bytes::new() };
        PushedRecord { record: self.bytes.clone(), block }
    }
}

/// Whether records add no contents.
pub(in crate::server) fn only_deletes(records: &[NewRecord]) -> bool {
    records.iter().all(NewRecord::only_deletes)
}

/// A small block that comes with a put.
#[derive(Debug)]
pub(in crate::server) struct Brought {
    /// Known once it is checked.
    pub(super) address: Address,
    pub(super) block: Bytes,
}

/// A put between its arrival and its group.
#[derive(Debug)]
pub(in crate::server) struct ReadyPut {
    pub(in crate::server) asker: Asker,
    pub(super) records: Vec<NewRecord>,
    /// One for each record, or none.
    pub(super) conditions: Vec<Condition>,
    pub(super) blocks: Vec<Brought>,
    /// Since when it counts on what is here, as soon as that is looked through.
    pub(in crate::server) relies: Option<Epoch>,
}

impl ReadyPut {
    /// What it puts.
    pub(in crate::server) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().map(|new| &new.record)
    }

    /// The addresses of the blocks that came with the put.
    pub(in crate::server) fn brought(&self) -> impl Iterator<Item = &Address> {
        self.blocks.iter().map(|brought| &brought.address)
    }

    /// What it takes in memory.
    pub(in crate::server) fn bytes(&self) -> usize {
        let records = self.records.iter().map(|new| new.bytes.len());
        records.chain(self.blocks.iter().map(|brought| brought.block.len())).sum()
    }

    /// Whether a block came with the put.
    pub(in crate::server) fn brings(&self, address: &Address) -> bool {
        self.brought().any(|brought| brought == address)
    }

    /// Whether each block that came with it is named by one of its records.
    pub(super) fn names_all_it_brings(&self) -> bool {
        let is_named = |brought: &Brought| self.records().any(|record| names(record, brought));
        self.blocks.iter().all(is_named)
    }
}

/// Whether a record itself lists this block.
pub(super) fn names(record: &Record, Brought { address, block }: &Brought) -> bool {
    match &record.blocks {
        BlockList::Inline(blocks) => blocks
            .iter()
            .any(|listed| listed.address == *address && listed.length as usize == block.len()),
        BlockList::Pages { .. } => false,
    }
}

/// Whether a record lists one block, so short that it may come with it.
pub(super) fn is_inline(record: &Record, length: usize) -> bool {
    match &record.blocks {
        BlockList::Inline(blocks) => {
            length <= INLINE_BLOCK_MAX
                && matches!(blocks.as_slice(), [block] if block.length as usize == length)
        }
        BlockList::Pages { .. } => false,
    }
}
