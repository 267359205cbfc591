//! Work: what the core asks of the workers, and the one function that does it.
//!
//! A job carries what it is for, and its answer brings that back: nobody keeps a table of what is under way. Knows no thread.
//! Invariant: every `Job` is answered by exactly one `Done`.
#![allow(
    missing_docs,
    reason = "the variants are documented, and their fields named for what they are"
)]

use super::ask::PageAsked;
use super::asker::Asker;
use super::collect;
use super::output::Link;
use super::query::{self, Passed, QueryId};
use super::replicate::{self, Batch};
use super::scrub::VerifyFor;
use super::transfer::Share;
use super::write::{NewRecord, Offered, ReadyPut};

use crate::crypto::data::DataKeys;
use crate::crypto::keys::record_id;
use crate::crypto::tree;
use crate::ids::{Address, Hash, RecordId};
use crate::index::{Building, Pins};
use crate::keyring::names::name_of;
use crate::keyring::permit::permits;
use crate::keyring::signed::signed;
use crate::limits::AT_ONCE_BYTES_MAX;
use crate::seeded::{self, Bug};
use crate::store::Disk;
use crate::store::fs::FileSystem;
use crate::store::values::{
    BlockFolder, BlockPlace, Committed, DiskError, Draft, Group, ItemsFrom, LeafRange, LeavesRead,
    LogItem, ReadError, SegmentItem, SegmentItems, Space, Statement, Verified, WriteError,
};
use crate::wire::message::BlockRef;
use crate::wire::permit::Permit;
use crate::wire::record::Record;
use bytes::Bytes;
use std::sync::Arc;

/// One thing to check before it is believed.
#[derive(Debug)]
pub enum Check {
    /// The signature of an encoded record.
    Signature(Bytes),
    /// The address of a block.
    Tree(Bytes),
    /// The permit of these blocks.
    Offer(Permit, Vec<BlockRef>),
    /// The address of a page, and its permit.
    Page(Permit, Bytes),
}

impl Check {
    /// Bytes to be looked at.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Signature(bytes) | Self::Tree(bytes) | Self::Page(_, bytes) => bytes.len(),
            Self::Offer(_, blocks) => size_of_val(&blocks[..]),
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// The signature is right, of a record or of a permit.
    Signed,
    /// The signature is wrong.
    Forged,
    /// This is the address.
    Address(Address),
}

/// Work for a worker, and what it is for, which the answer brings back.
#[derive(Debug)]
pub enum Job {
    /// Leaves of a block, whole ones from leaf `first` on, are checked against the hashes of all its leaves and written to
    /// its draft.
    Write { purpose: Writing, draft: Draft, first: u8, chunks: Vec<Bytes>, leaves: Arc<[Hash]> },
    /// All leaves of a draft are written.
    Finish { address: Address, draft: Draft, length: u32, leaves: Arc<[Hash]> },
    /// A draft is not wanted any more.
    Discard { draft: Draft },
    /// Leaves of a block that is held, for this reader.
    ReadLeaves {
        reader: Link,
        address: Address,
        place: BlockPlace,
        first: u8,
        count: u8,
        pins: Pins,
    },
    /// Items of the log.
    ReadLog { purpose: Box<Reading>, items: Vec<LogItem> },
    /// Records of the log are read for their names, which are put in order.
    ReadNames(Box<Naming>),
    /// A group is made durable. At most one is under way.
    Commit { group: Box<Group> },
    /// The items of a closed segment, from the first or from there on.
    ListItems { segment: u32, from: Option<ItemsFrom>, pins: Pins },
    /// Items of a segment that are to be written anew.
    ReadItems { items: Vec<SegmentItem>, pins: Pins },
    /// Blocks, pages and records are looked at anew.
    Verify { purpose: Box<Verifying>, blocks: Vec<(Address, BlockPlace)> },
    /// The file of known peers.
    WritePeers { text: String },
    /// Of the damage that the last start found nothing is missing any more.
    MadeGood { damage: Hash },
    /// A closed segment gets its index.
    IndexSegment { segment: u32 },
    /// The space of what groups have removed is freed.
    Free,
    /// How many bytes has the disk left?
    Space,
    /// What is in the tree of block files, below the folder of these bytes?
    ListBlocks { folder: Vec<u8> },
    /// Signatures and hashes.
    Check { purpose: Box<Checking>, checks: Vec<Check> },
    /// Is a small block that has come what its address says?
    HashSmall { address: Address, block: Bytes },
}

/// Where leaves come from that are written.
#[derive(Debug)]
pub struct Writing {
    pub(super) address: Address,
    pub(super) link: Link,
    /// Which leaves they are.
    pub(super) mask: u32,
    pub(super) share: Share,
    /// What was reserved for them.
    pub(super) bytes: usize,
}

/// What is done with items of the log once they are read.
#[derive(Debug)]
pub(super) enum ReadFor {
    /// Something is answered with them.
    Reply(query::Reading),
    /// What they name is marked.
    Collect(collect::Reading),
    /// What a record names is looked for, or fetched.
    Replicate(replicate::Reading),
    PushRecords {
        link: Link,
        ids: Vec<RecordId>,
    },
    PushBlocks {
        link: Link,
        batch: Batch,
    },
    /// Versions that may name the same blocks as a put.
    KnownLists {
        put: Box<ReadyPut>,
    },
}

/// Why the log is read.
#[derive(Debug)]
pub struct Reading {
    pub(super) reason: ReadFor,
    pub(super) pins: Pins,
}

/// Names that are read and put in order.
#[derive(Debug)]
pub struct Naming {
    pub(super) batch: query::Batch,
    pub(super) pins: Pins,
    /// These open the records.
    pub(super) keys: Arc<DataKeys>,
    /// What is built of them.
    pub(super) building: Building,
    /// Those of which none was read.
    pub(super) unread: Vec<Unnamed>,
}

/// Why something is looked at anew.
#[derive(Debug)]
pub struct Verifying {
    pub(super) reason: VerifyFor,
    pub(super) pins: Pins,
}

/// What is done with what a worker has checked.
#[derive(Debug)]
pub(super) enum CheckFor {
    Put(Box<ReadyPut>),
    Records {
        link: Link,
        items: Vec<NewRecord>,
    },
    Offer(Offered),
    PutPage {
        asker: Asker,
        page: Bytes,
    },
    /// A peer has sent it.
    FetchedPage {
        asked: PageAsked,
        page: Bytes,
    },
    /// What a peer shows of a name, for a client that asked.
    Passed {
        link: Link,
        query: QueryId,
        passed: Passed,
    },
}

/// Why something is checked.
#[derive(Debug)]
pub struct Checking {
    pub(super) reason: CheckFor,
    pub(super) bytes: usize,
}

/// Work that gives way to whatever somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Background {
    /// Of each kind one job runs at a time.
    pub kind: BackgroundKind,
    /// For whom it is done, by a number: they take turns.
    pub owner: usize,
}

/// See `Background`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackgroundKind {
    /// A part of the store is verified.
    Sweep,
    /// A reader found a block damaged.
    Suspect,
    /// Blocks that are offered are here already.
    Offered,
    /// Names are read to be put in order.
    Names,
    /// A closed segment gets its index.
    Index,
    /// The space of removed files is freed.
    Free,
    /// Segments of the log are compacted.
    Compaction,
    /// What no record names is looked for.
    Collect,
}

impl Job {
    /// Which background work it is, if it gives way to others.
    #[must_use]
    pub fn background(&self) -> Option<Background> {
        match self {
            Self::Verify { purpose, .. } => purpose.reason.background(),
            Self::ReadNames(_) => Some(Background { kind: BackgroundKind::Names, owner: 0 }),
            Self::IndexSegment { .. } => Some(Background { kind: BackgroundKind::Index, owner: 0 }),
            Self::Free => Some(Background { kind: BackgroundKind::Free, owner: 0 }),
            Self::ListItems { .. } | Self::ReadItems { .. } => {
                Some(Background { kind: BackgroundKind::Compaction, owner: 0 })
            }
            Self::ReadLog { purpose, .. } if matches!(purpose.reason, ReadFor::Collect(_)) => {
                Some(Background { kind: BackgroundKind::Collect, owner: 0 })
            }
            Self::ListBlocks { .. } => Some(Background { kind: BackgroundKind::Collect, owner: 0 }),
            _ => None,
        }
    }
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// The leaves are written; or one is bad; or the disk failed.
    Wrote { purpose: Writing, draft: Draft, result: Result<(), WriteError> },
    /// The draft is whole and flushed.
    Finished { address: Address, result: Result<(), DiskError> },
    /// The draft is gone.
    Discarded,
    /// The leaves, not checked against the hashes that come with them.
    Leaves { reader: Link, pins: Pins, result: Result<LeavesRead, ReadError> },
    /// Each item, which was checked against its CRC.
    Log { purpose: Box<Reading>, items: Vec<LogItem>, read: Vec<Result<Bytes, ReadError>> },
    /// They are, as far as they could be read.
    NamesRead(Box<Naming>),
    /// Durable.
    Committed { result: Result<Committed, DiskError> },
    /// Something of a segment that is to be written anew.
    Segment(SegmentAnswer),
    /// What of these is bad, and what could not be read.
    Verified { purpose: Box<Verifying>, blocks: Vec<(Address, BlockPlace)>, found: Verified },
    /// The file is written.
    PeersWritten { result: Result<(), DiskError> },
    /// It is written down.
    MadeGood { result: Result<(), DiskError> },
    /// It has one, or a start reads its groups.
    SegmentIndexed,
    /// It is.
    Freed,
    /// What is in that folder.
    BlocksListed { result: Result<BlockFolder, DiskError> },
    /// What the disk has left.
    Space { result: Result<Space, DiskError> },
    /// One for each check, in order.
    Checked { purpose: Box<Checking>, found: Vec<Checked> },
    /// The small block, and the address that it has.
    SmallHashed { address: Address, block: Bytes, found: Address },
}

/// A record of which no name was read.
#[derive(Debug)]
pub struct Unnamed {
    /// Which of those that were to be read.
    pub(super) at: usize,
    /// None if the keys do not open it.
    pub(super) why: Option<ReadError>,
}

/// What was asked of a segment.
#[derive(Debug)]
pub enum SegmentAnswer {
    /// Some of its items.
    Listed { pins: Pins, result: Result<SegmentItems, ReadError> },
    /// What was read of each item, compared with its id. Of what has no bytes of its own nothing was read.
    Read { items: Vec<SegmentItem>, pins: Pins, read: Vec<Result<Bytes, ReadError>> },
}

/// Does the work; may block.
pub fn execute<F: FileSystem>(disk: &Disk<F>, job: Job) -> Done {
    match job {
        Job::Write { purpose, draft, first, chunks, leaves } => {
            Done::Wrote { purpose, draft, result: disk.write(draft, first, &chunks, &leaves) }
        }
        Job::Finish { address, draft, length, leaves } => {
            Done::Finished { address, result: disk.finish(draft, length, &leaves) }
        }
        Job::Discard { draft } => {
            disk.discard(draft);
            Done::Discarded
        }
        Job::ReadLeaves { reader, address, place, first, count, pins } => Done::Leaves {
            reader,
            pins,
            result: disk.read_leaves(&address, place, LeafRange { first, count }),
        },
        Job::ReadLog { purpose, items } => {
            let read = items.iter().map(|item| disk.read_log(item.place)).collect();
            Done::Log { purpose, items, read }
        }
        Job::ReadNames(mut naming) => {
            read_names(disk, &mut naming);
            Done::NamesRead(naming)
        }
        Job::Commit { group } => Done::Committed { result: disk.commit(&group) },
        Job::ListItems { segment, from, pins } => {
            let result = disk.segment_items(segment, from);
            Done::Segment(SegmentAnswer::Listed { pins, result })
        }
        Job::ReadItems { items, pins } => {
            let read = items.iter().map(|item| read_item(disk, item)).collect();
            Done::Segment(SegmentAnswer::Read { items, pins, read })
        }
        Job::Verify { purpose, blocks } => {
            let found = disk.verify(&blocks);
            Done::Verified { purpose, blocks, found }
        }
        Job::WritePeers { text } => Done::PeersWritten { result: disk.write_peers(&text) },
        Job::MadeGood { damage } => Done::MadeGood { result: disk.made_good(&damage) },
        Job::IndexSegment { segment } => {
            disk.index_segment(segment);
            Done::SegmentIndexed
        }
        Job::Free => {
            disk.free();
            Done::Freed
        }
        Job::ListBlocks { folder } => Done::BlocksListed { result: disk.list_blocks(&folder) },
        Job::Space => Done::Space { result: disk.space() },
        Job::Check { purpose, checks } => {
            Done::Checked { purpose, found: checks.iter().map(check).collect() }
        }
        Job::HashSmall { address, block } => {
            Done::SmallHashed { address, found: Address(tree::tree(&block).0), block }
        }
    }
}

/// Does the work if that takes no time to speak of and cannot block; with time also a single put's checks. Any other job
/// comes back.
pub fn execute_at_once<F: FileSystem>(
    disk: &Disk<F>,
    job: Job,
    has_time: bool,
) -> Result<Done, Job> {
    match job {
        Job::ReadLeaves { reader, address, place, first, count, pins } => {
            match disk.leaves_at_once(&address, place, LeafRange { first, count }) {
                Some(read) => Ok(Done::Leaves { reader, pins, result: Ok(read) }),
                None => Err(Job::ReadLeaves { reader, address, place, first, count, pins }),
            }
        }
        Job::ReadLog { purpose, items } => {
            let places: Vec<_> = items.iter().map(|item| item.place).collect();
            match disk.items_at_once(&places) {
                Some(read) => {
                    Ok(Done::Log { purpose, items, read: read.into_iter().map(Ok).collect() })
                }
                None => Err(Job::ReadLog { purpose, items }),
            }
        }
        Job::Check { ref checks, .. } if has_time && are_few(checks) => Ok(execute(disk, job)),
        Job::HashSmall { ref block, .. } if has_time && block.len() <= AT_ONCE_BYTES_MAX => {
            Ok(execute(disk, job))
        }
        other => Err(other),
    }
}

/// Reads the names of records, and goes on with what is built of them.
fn read_names<F: FileSystem>(disk: &Disk<F>, naming: &mut Naming) {
    let Naming { batch, keys, building, unread, .. } = naming;
    let mut names = Vec::new();
    disk.read_each(batch.items(), |at, read| {
        let why = match read.map(|bytes| name_in(keys, bytes)) {
            Ok(Some(name)) => return names.push(name),
            Ok(None) => None,
            Err(why) => Some(why),
        };
        unread.push(Unnamed { at, why });
    });
    building.go_on(names);
}

/// The name that the record in these bytes is of; none if that cannot be told.
fn name_in(keys: &DataKeys, bytes: &[u8]) -> Option<Vec<u8>> {
    Record::decode(bytes).ok().and_then(|record| name_of(keys, &record))
}

/// Whether to check these takes no longer than two threads take to wake each other: a signature, or a small block.
fn are_few(checks: &[Check]) -> bool {
    let signatures = checks.iter().filter(|check| !matches!(check, Check::Tree(_))).count();
    signatures <= 1 && checks.iter().map(Check::len).sum::<usize>() <= AT_ONCE_BYTES_MAX
}

/// The bytes of an item, if they are what its id says.
fn read_item<F: FileSystem>(disk: &Disk<F>, item: &SegmentItem) -> Result<Bytes, ReadError> {
    let is_it = match item.states {
        Statement::Record => |id, bytes: &[u8]| record_id(bytes).0 == id,
        Statement::Page | Statement::Small => |id, bytes: &[u8]| tree::tree(bytes).0 == id,
        _ => return Ok(Bytes::new()),
    };
    disk.read_log(item.place).and_then(|bytes| match is_it(item.id, &bytes) {
        true => Ok(bytes),
        false => Err(ReadError::Damaged),
    })
}

fn check(check: &Check) -> Checked {
    match check {
        Check::Signature(record) => match Record::decode(record) {
            Ok(record) if signed(&record) || seeded::is_on(Bug::AcceptForgery) => Checked::Signed,
            Ok(_) | Err(_) => Checked::Forged,
        },
        Check::Tree(block) => Checked::Address(Address(tree::tree(block).0)),
        Check::Offer(permit, blocks) if permitted(permit, blocks) => Checked::Signed,
        Check::Offer(..) => Checked::Forged,
        Check::Page(permit, page) => {
            let address = Address(tree::tree(page).0);
            let length = u32::try_from(page.len()).unwrap_or(u32::MAX);
            let is_permitted = permitted(permit, &[BlockRef { address, length }]);
            if is_permitted { Checked::Address(address) } else { Checked::Forged }
        }
    }
}

/// Whether a permit is good for exactly these blocks.
fn permitted(permit: &Permit, blocks: &[BlockRef]) -> bool {
    permits(permit, blocks) || seeded::is_on(Bug::PermitForAnyAddress)
}

#[cfg(test)]
mod tests;
