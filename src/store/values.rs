//! What the core and the disk tell each other: what is to be kept, where it is, and what went wrong.
#![allow(
    missing_docs,
    reason = "the variants are documented, and their fields named for what they are"
)]

use crate::ids::{Address, Hash, RecordId};
use crate::store::removed::RemovedSegments;
use crate::wire::log_damage::LogDamage;
use crate::wire::page::Entries;
use crate::wire::record::Record;
use bytes::Bytes;

/// Names a block that is being written, before it has a place in the tree.
pub type Draft = u64;

/// Bytes before an item's own in the log.
pub const ITEM_HEAD: usize = 41;

/// Where an item of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPlace {
    /// The segment.
    pub segment: u32,
    /// Where the item's bytes begin in it.
    pub offset: u32,
    /// How many there are.
    pub length: u32,
}

/// An item of the log, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogItem {
    /// A record's id, or the address of a page or block.
    pub id: [u8; 32],
    /// Where it is.
    pub place: LogPlace,
}

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockPlace {
    /// A file of the tree; the block's length is stated.
    Tree { length: u32 },
    /// An item of the log.
    Log(LogPlace),
}

/// What a group makes durable.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Finished drafts, renamed to their place in the tree by this commit: (draft, address, length).
    pub blocks: Vec<(Draft, Address, u32)>,
    /// Blocks whose files are in their places already, and which an earlier group names: (address, length).
    pub named: Vec<(Address, u32)>,
    /// Small blocks, for the log.
    pub small: Vec<(Address, Bytes)>,
    /// Pages, for the log.
    pub pages: Vec<(Address, Bytes)>,
    /// Encoded records.
    pub records: Vec<(RecordId, Bytes)>,
    /// Blocks that turned out to be bad or gone: no longer held, and to be fetched again.
    pub lost: Vec<Address>,
    /// Blocks that are not owed any more: no longer held, and not to be fetched.
    pub dropped: Vec<Dropped>,
    /// Records that are no longer held.
    pub expired: Vec<Expired>,
    /// Segments of the log of which nothing is needed any more, once the rest of the group is durable.
    pub removed: Vec<u32>,
    /// When it was made, in milliseconds since 1970; 0 if that is not known.
    pub at_ms: u64,
}

/// A block that is gone, and is not to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dropped {
    /// The block.
    pub address: Address,
    /// None if no record that stands before this names it. Else one may that does, and not before this segment: it lacks the
    /// block.
    pub since: Option<u32>,
}

impl From<Address> for Dropped {
    /// No record names it.
    fn from(address: Address) -> Self {
        Self { address, since: None }
    }
}

/// A record that is gone, since another superseded it for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// The record.
    pub id: RecordId,
    /// When it expired, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Where a committed group's things are now, in the order in which the group had them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The group's number.
    pub number: u64,
    /// The segment in which all of it stands.
    pub segment: u32,
    /// Places of `Group::small`.
    pub small: Vec<LogPlace>,
    /// Places of `Group::pages`.
    pub pages: Vec<LogPlace>,
    /// Places of `Group::records`.
    pub records: Vec<LogPlace>,
    /// A segment that was closed for this group, and may get an index.
    pub closed: Option<u32>,
    /// Those of `Group::removed` that are gone. The others were not there, or are in use, or there was no room to say so.
    pub removed: Vec<u32>,
    /// There are files that were removed and whose space is still to be freed.
    pub frees: bool,
    /// Where the log ends now.
    pub end: SegmentEnd,
}

/// Where the good groups of a segment end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SegmentEnd {
    /// The segment.
    pub segment: u32,
    /// Where they end in it.
    pub end: u64,
}

/// What hashing blocks, pages and records has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Bytes that were hashed and are good.
    pub bytes: u64,
    /// Damaged or gone.
    pub bad: Vec<Address>,
    /// They could not be read now, for want of descriptors say, and may be good.
    pub unread: Vec<Address>,
}

/// What a folder of the tree of block files holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockFolder {
    /// Folders below it, each by the first bytes of the addresses there.
    pub folders: Vec<Vec<u8>>,
    /// Files that have a block's name, and are where that block would be.
    pub blocks: Vec<Address>,
}

/// What the disk has left, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// For puts: the reserve is taken off.
    pub usable: u64,
    /// In all.
    pub free: u64,
}

/// Leaves of a block that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafRange {
    /// The first of them.
    pub first: u8,
    /// How many.
    pub count: u8,
}

/// Leaves of a block, read.
#[derive(Debug)]
pub struct LeavesRead {
    /// The block's length.
    pub length: u32,
    /// The hashes of all its leaves.
    pub leaves: Vec<Hash>,
    /// The leaves asked for.
    pub chunks: Vec<Bytes>,
}

/// Why leaves were not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// This leaf is not what its hash says; whoever sent it lied. Nothing was written.
    BadLeaf(u8),
    /// The disk failed.
    Disk(DiskError),
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// It is not there.
    Gone,
    /// It is there and damaged (wrong length, trailer, CRC or hash); a block file was moved to `quarantine/`.
    Damaged,
    /// The disk failed.
    Disk(DiskError),
}

/// The disk failed. After `Failed` from a commit or finish the node must stop acknowledging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskError {
    /// No room; what was asked for was not done and nothing else is harmed.
    Full,
    /// For the moment there are too few descriptors, or too little memory; else as `Full`. The sentence says what and where.
    Scarce(String),
    /// Anything else: the sentence says what and where.
    Failed(String),
}

/// What is known after a start. The things themselves went, one by one, to the visitor of `store::open`.
#[derive(Debug, Clone, Default)]
pub struct RecoveryReport {
    /// The life of this log.
    pub store: crate::ids::StoreId,
    /// The number of the last good group.
    pub group: u64,
    /// Sentences on what was found wrong and what was done about it.
    pub notes: Vec<String>,
    /// When the segments of the log were begun, as far as they say: all that earlier ones hold came before.
    pub begun: Vec<SegmentBegun>,
    /// What is left of records in damaged bytes of the log, whether or not they are elsewhere in it.
    pub remains: Vec<Remains>,
    /// Addresses of blocks and pages that are not whole there, whether or not they are elsewhere.
    pub rotten: Vec<Address>,
    /// Damage of the log in which nobody can say what was, and which was not made good before.
    pub log_damage: LogDamage,
    /// The id of all such damage.
    pub damage: Hash,
    /// The segments that were read, oldest first, but for those that held nothing.
    pub segments: Vec<SegmentEnd>,
    /// Those of them in which something is damaged.
    pub damaged: Vec<u32>,
    /// Segments that are closed, and whose groups were read since they have no index.
    pub unindexed: Vec<u32>,
    /// Where the next group goes.
    pub end: SegmentEnd,
}

/// A segment of the log, and when it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentBegun {
    /// Its number.
    pub segment: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// What is left of a record in damaged bytes: the id under which it was written, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// The id.
    pub id: RecordId,
    /// The bytes.
    pub bytes: Bytes,
    /// Both are as they were written. If not, any of either may be wrong.
    pub is_sound: bool,
    /// Where it can be read, if it can.
    pub place: Option<LogPlace>,
}

/// One thing that a start found in a good group of the log, or sound in a damaged one. The order is the log's, but for what
/// is damaged, of which a segment is told last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEntry {
    /// An encoded record.
    Record(RecordId, LogPlace, Bytes),
    /// An encoded page.
    Page(Address, LogPlace, Bytes),
    /// A file's record or a tombstone of which an index tells: without its sealed part and its signature.
    Outline(RecordId, LogPlace, Box<Record>),
    /// What a page names of which an index tells.
    PageEntries(Address, LogPlace, Entries),
    /// A block, where it is, and the segment that says so.
    Block(Address, BlockPlace, u32),
    /// A block or page found before is not held any more, and is to be fetched again; and the segment that says so.
    Lost(Address, u32),
    /// A block found before is not held any more, and is not to be fetched; and the segment that says so.
    Dropped(Dropped, u32),
    /// A record, found before or not, is not held any more; and the segment that says so.
    Expired(Expired, u32),
    /// All segments that were gone on purpose by then. What they held was not told.
    Removed(RemovedSegments),
}

/// An item of a closed segment, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentItem {
    /// The number of the group that it stands in; 0 if that is damaged.
    pub group: u64,
    /// What it states.
    pub states: Statement,
    /// A record's id, or the address of a page or block; of `Removed` none.
    pub id: [u8; 32],
    /// Where its bytes are.
    pub place: LogPlace,
}

impl SegmentItem {
    /// Bytes that it has in the log.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        ITEM_HEAD as u64 + u64::from(self.place.length)
    }
}

/// What an item states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// A record is here.
    Record,
    /// A page is here.
    Page,
    /// A small block is here.
    Small,
    /// A block of this length is a file of the tree.
    BlockFile { length: u32 },
    /// A block or page is not held any more, and is to be fetched again.
    Lost,
    /// A block is not held any more, and is not to be fetched; for whom, see `Dropped`.
    Dropped { since: Option<u32> },
    /// A record is not held any more since it expired then, in milliseconds since 1970.
    Expired { at_ms: u64 },
    /// Segments are gone on purpose.
    Removed,
}

/// Items of a closed segment that follow each other, those of whole groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentItems {
    /// They, in the order of the log.
    pub items: Vec<SegmentItem>,
    /// Where they go on; `None` if that is all.
    pub next: Option<ItemsFrom>,
}

/// Where the items of a segment go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemsFrom {
    /// Where the next group begins.
    pub group: u32,
    /// Where the index of the segment goes on with that group, if it told of those before.
    pub chunk: Option<u32>,
}
