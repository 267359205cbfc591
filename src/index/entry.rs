//! An entry: what the catalog keeps of a record, in 82 bytes.
//!
//! Knows no other entry. Invariant: the bytes of its key order entries by the alias of their name, then the heads before those
//! that are superseded, then by version, then by id. What stands before those bytes orders them otherwise: by what they supersede
//! themselves. In the order in which they are to go no version stands behind one that supersedes or discards it, unless that
//! one is discarded itself.

use super::packed::PackedLocation;
use crate::crypto::alias::{Alias, Mark};
use crate::ids::{RecordId, VersionId, Writer};
use crate::seeded::{self, Bug};
use crate::store::values::{LogItem, LogPlace};
use crate::time::{STAMP_MAX, Step};
use crate::wire::message::VersionMark;
use crate::wire::record::{Record, RecordKind};

/// The kinds that the catalog tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A version of a file.
    File = 0,
    /// A deletion.
    Tombstone = 1,
    /// A grant.
    Grant = 2,
    /// Kept and forwarded only.
    Other = 3,
    /// A version of a setting.
    Setting = 4,
}

impl Kind {
    pub(crate) fn of(kind: RecordKind) -> Self {
        match kind {
            RecordKind::File => Self::File,
            RecordKind::Tombstone => Self::Tombstone,
            RecordKind::Grant => Self::Grant,
            RecordKind::Setting => Self::Setting,
            RecordKind::Admission | RecordKind::Presence | RecordKind::Other(_) => Self::Other,
        }
    }

    /// Whether what it is expires once it is superseded.
    #[must_use]
    pub(crate) fn expires(self) -> bool {
        matches!(self, Self::File | Self::Tombstone)
    }

    /// Whether it is a version of a name, or of a setting, which has heads like a name.
    #[must_use]
    pub(crate) fn is_version(self) -> bool {
        match self {
            Self::File | Self::Tombstone | Self::Setting => true,
            Self::Grant | Self::Other => false,
        }
    }
}

/// What is said of a record with one bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// Its bytes are damaged on the disk: it is no longer had, and what it was is still known.
    Damaged = 1 << 3,
    /// Another record discards it, as dated in the future: it is no version of its name any more.
    Discarded = 1 << 4,
    /// It names more than one parent.
    Merges = 1 << 5,
    /// It is superseded, and as many newer ones of its name are as are kept.
    Beyond = 1 << 6,
    /// It was taken out of the catalog, and its row is free.
    Gone = 1 << 7,
}

/// The flags lie beside the kind.
const KIND: u8 = 0b111;
/// Where the version and the id stand in a key.
const VERSION: usize = Alias::LENGTH;
const ID: usize = VERSION + 16;
const KEY: usize = ID + RecordId::LENGTH;
/// Where the mark of the parent stands, and the key, in all that is kept.
const PARENT: usize = size_of::<Step>();
const FRONT: usize = PARENT + size_of::<Mark>();
const ALL: usize = FRONT + KEY;
/// What `going_key` and `since_key` give.
pub(crate) const GOING_KEY: usize = KEY;
pub(crate) const SINCE_KEY: usize = PARENT + KEY;
/// Set in the first byte of a version that is superseded: no stamp reaches that bit, and heads come first.
const SUPERSEDED: u8 = 0x80;

const _: () = assert!(STAMP_MAX >> 63 == 0);

/// What the catalog keeps of a record.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// When it was superseded; the mark of its first parent; then the name's alias, the version and the id: one after the
    /// other, so that their bytes have the order of what they mean.
    bytes: [u8; ALL],
    place: PackedLocation,
    bits: u8,
}

impl Entry {
    /// Of a record that is a head.
    #[must_use]
    pub(crate) fn new(id: RecordId, name: &Alias, record: &Record, place: LogPlace) -> Self {
        let mut bytes = [0; ALL];
        let mark = VersionMark { version: record.version, record: id };
        bytes[FRONT..].copy_from_slice(&record_key(name, &mark, true));
        Self { bytes, place: place.into(), bits: Kind::of(record.kind) as u8 }
    }

    /// By which the versions of all names are ordered.
    #[must_use]
    pub(crate) fn key(&self) -> &[u8] {
        &self.bytes[FRONT..]
    }

    /// By which those of a name are ordered that are to go: first what is discarded, the greatest first, since what discards
    /// a version is dated before it; then the others, the least first, since what supersedes a version is dated after it.
    #[must_use]
    pub(crate) fn going_key(&self) -> [u8; GOING_KEY] {
        let mut key: [u8; GOING_KEY] = self.part(0);
        let goes_first = self.is(Flag::Discarded) && !seeded::is_on(Bug::DiscarderFirst);
        if goes_first || seeded::is_on(Bug::GreatestFirst) {
            key[VERSION..ID].iter_mut().for_each(|byte| *byte = !*byte);
            key[VERSION] &= !SUPERSEDED;
        } else {
            key[VERSION] |= SUPERSEDED;
        }
        key
    }

    /// By which those that are superseded are ordered: by when that was, and then as those of a name are to go.
    #[must_use]
    pub(crate) fn since_key(&self) -> [u8; SINCE_KEY] {
        let mut key = [0; SINCE_KEY];
        key[..PARENT].copy_from_slice(&self.bytes[..PARENT]);
        key[PARENT..].copy_from_slice(&self.going_key());
        key
    }

    /// By which the children of one parent are found.
    #[must_use]
    pub(crate) fn parent_key(&self) -> &[u8] {
        &self.bytes[PARENT..]
    }

    /// By which all records are ordered.
    #[must_use]
    pub(crate) fn id_bytes(&self) -> &[u8] {
        &self.bytes[FRONT + ID..]
    }

    fn part<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|index| self.bytes[FRONT + at + index])
    }

    /// The record.
    #[must_use]
    pub(crate) fn id(&self) -> RecordId {
        RecordId(self.part(ID))
    }

    /// The name it is about.
    #[must_use]
    pub(crate) fn name(&self) -> Alias {
        Alias(self.part(0))
    }

    /// The version.
    #[must_use]
    pub(crate) fn version(&self) -> VersionId {
        let stamp = u64::from_be_bytes(self.part(VERSION)) & STAMP_MAX;
        VersionId { stamp, writer: Writer(self.part(VERSION + 8)) }
    }

    /// By which the versions of one name are ordered, heads or not.
    #[must_use]
    pub(crate) fn rank(&self) -> VersionMark {
        VersionMark { version: self.version(), record: self.id() }
    }

    /// No known record names it as a parent.
    #[must_use]
    pub(crate) fn is_head(&self) -> bool {
        self.bytes[FRONT + VERSION] & SUPERSEDED == 0
    }

    /// It is a version, and a known record names it as a parent.
    #[must_use]
    pub(crate) fn is_superseded(&self) -> bool {
        self.kind().is_version() && !self.is_head()
    }

    /// A record that names it as a parent is known. Its key changes: it must not be in an index meanwhile.
    pub(crate) fn become_superseded(&mut self) {
        self.bytes[FRONT + VERSION] |= SUPERSEDED;
    }

    /// The step in which a version of that time superseded it first; of a tombstone that is a head, its own.
    #[must_use]
    pub(crate) fn since(&self) -> Step {
        Step::from_be_bytes(std::array::from_fn(|index| self.bytes[index]))
    }

    /// From now on it is this step. It must not be in an index meanwhile that orders by it.
    pub(crate) fn set_since(&mut self, since: Step) {
        self.bytes[..PARENT].copy_from_slice(&since.to_be_bytes());
    }

    /// The mark of its first parent; zero for none.
    #[must_use]
    pub(crate) fn parent(&self) -> Mark {
        std::array::from_fn(|index| self.bytes[PARENT + index])
    }

    /// It names one.
    #[must_use]
    pub(crate) fn has_parent(&self) -> bool {
        self.parent() != Mark::default()
    }

    /// It names this parent, and perhaps others after it.
    pub(crate) fn set_parent(&mut self, parent: Mark) {
        self.bytes[PARENT..FRONT].copy_from_slice(&parent);
    }

    /// It has been written again, there.
    pub(crate) fn move_to(&mut self, place: LogPlace) {
        self.place = place.into();
    }

    /// Where its bytes are.
    #[must_use]
    pub(crate) fn place(&self) -> LogPlace {
        self.place.in_log()
    }

    /// The record as an item of the log.
    #[must_use]
    pub(crate) fn item(&self) -> LogItem {
        LogItem { id: self.id().0, place: self.place() }
    }

    /// What it states.
    #[must_use]
    pub(crate) fn kind(&self) -> Kind {
        let kinds = [Kind::File, Kind::Tombstone, Kind::Grant, Kind::Other, Kind::Setting];
        kinds[usize::from(self.bits & KIND)]
    }

    /// Whether its bytes are damaged and no other version supersedes it: whoever asks for the name may be told so.
    #[must_use]
    pub(crate) fn is_damaged_head(&self) -> bool {
        self.is(Flag::Damaged) && self.is_head() && !self.is(Flag::Discarded)
    }

    /// Whether that is so.
    #[must_use]
    pub(crate) fn is(&self, flag: Flag) -> bool {
        self.bits & flag as u8 != 0
    }

    /// From now on it is so, or not.
    pub(crate) fn set(&mut self, flag: Flag, on: bool) {
        self.bits = if on { self.bits | flag as u8 } else { self.bits & !(flag as u8) };
    }
}

/// How the keys of one version begin, as a head or as one that is superseded.
#[must_use]
pub(crate) fn version_key(name: &Alias, version: &VersionId, head: bool) -> [u8; ID] {
    let mut key = [0; ID];
    key[..VERSION].copy_from_slice(&name.0);
    key[VERSION..VERSION + 8].copy_from_slice(&version.stamp.to_be_bytes());
    key[VERSION + 8..].copy_from_slice(&version.writer.0);
    key[VERSION] &= !SUPERSEDED;
    if !head {
        key[VERSION] |= SUPERSEDED;
    }
    key
}

/// How the keys begin of those that name a version as their first parent, from a stamp on: heads, or others.
#[must_use]
pub(crate) fn children_key(
    parent: &Mark,
    name: &Alias,
    stamp: u64,
    head: bool,
) -> [u8; FRONT - PARENT + ID] {
    let mut key = [0; FRONT - PARENT + ID];
    let (mark, rest) = key.split_at_mut(FRONT - PARENT);
    mark.copy_from_slice(parent);
    let first = VersionId { stamp, ..VersionId::default() };
    rest.copy_from_slice(&version_key(name, &first, head));
    key
}

/// The key of a record that states a version.
#[must_use]
pub(crate) fn record_key(name: &Alias, mark: &VersionMark, head: bool) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..ID].copy_from_slice(&version_key(name, &mark.version, head));
    key[ID..].copy_from_slice(&mark.record.0);
    key
}

/// After the keys of a name's heads, and before those of its other versions.
#[must_use]
pub(crate) fn others_key(name: &Alias) -> [u8; ID] {
    version_key(name, &VersionId::default(), false)
}
