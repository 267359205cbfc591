//! Frames of the log: one frame is one commit group.
//!
//! ```text
//! frame: magic 4 | body length 4 | group number 8 | chain 4 | CRC of the body 4 | zeros 4 | CRC of the head 4 | body | end mark 4
//! item:  kind 1 | id 32 | length 4 | CRC of kind, id, length and bytes 4 | bytes
//! kinds: 1 block lost, 2 block file (bytes: its length 4), 3 small block, 4 page, 5 record,
//!        6 block dropped (bytes: none; or 4, the first segment in which a record may stand that names it),
//!        7 record expired (bytes: when 8), 8 segments removed (id: zeros; bytes: all that are, as `removed` writes them)
//! ```
//! Big endian, CRC-32C. The head's CRC also covers the segment's salt and the frame's offset, so that bytes inside an
//! item, whoever composed them, do not pass for a frame. The chain is a CRC over all groups before. The end mark is not
//! zero, so that a frame cut short in space that reads as zeros is not whole. Knows no file. Invariant: what a group loses
//! stands before what it brings; and what says that segments are removed stands alone in its frame, which names no block
//! file that could make it void.

use crate::ids::{Address, RecordId};
use crate::limits::LOG_BLOCK_MAX;
use crate::seeded::{self, Bug};
use crate::store::removed::RemovedSegments;
use crate::store::values::{BlockPlace, Committed, Dropped, Expired, Group, LogEntry, LogPlace};
use bytes::Bytes;

/// Bytes before a frame's body.
pub(crate) const HEAD: usize = 32;
/// Bytes after it.
pub(crate) const TAIL: usize = 4;
pub(crate) use crate::store::values::ITEM_HEAD;
/// The longest body that is believed.
pub(crate) const BODY_MAX: usize = 64 * 1024 * 1024;
/// Bytes with which an item says since which segment.
pub(crate) const SINCE: u32 = 4;
/// The first bytes of a frame.
pub(crate) const MAGIC: [u8; 4] = *b"dfsG";

const END: [u8; 4] = *b"done";

/// What makes a segment's frames its own.
pub(crate) type Salt = [u8; 16];

/// The last group: its number, and a CRC over all groups up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub(crate) number: u64,
    pub(crate) chain: u32,
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the body.
    pub(crate) length: usize,
    /// The group.
    pub(crate) number: u64,
    /// Over all groups before.
    pub(crate) chain: u32,
    body_check: u32,
}

impl Head {
    /// The head in these bytes, if they are one and stand at this offset of a segment with this salt.
    pub(crate) fn parse(bytes: &[u8], salt: &Salt, offset: u64) -> Option<Self> {
        let (covered, check) = bytes.get(..HEAD)?.split_at_checked(HEAD - 4)?;
        let head = Self {
            length: usize::try_from(u32_at(covered, 4)?).ok()?,
            number: u64::from(u32_at(covered, 8)?) << 32 | u64::from(u32_at(covered, 12)?),
            chain: u32_at(covered, 16)?,
            body_check: u32_at(covered, 20)?,
        };
        let sound = covered.starts_with(&MAGIC)
            && head.length <= BODY_MAX
            && head_check(covered, salt, offset).to_be_bytes() == check;
        sound.then_some(head)
    }

    /// Whether these bytes after the head are the body and the end mark.
    pub(crate) fn fits<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (body, tail) = rest.split_at_checked(self.length)?;
        let sound = tail.starts_with(&END) && crc32c::crc32c(body) == self.body_check;
        (sound || seeded::is_on(Bug::BelieveTornFrame)).then_some(body)
    }

    /// Where a frame ends that begins at `offset`.
    pub(crate) fn end(&self, offset: u64) -> u64 {
        offset + (HEAD + self.length + TAIL) as u64
    }

    /// Where the log stands after this group.
    pub(crate) fn position(&self) -> Position {
        Position {
            number: self.number,
            chain: next_chain(self.chain, self.number, self.body_check),
        }
    }
}

fn next_chain(chain: u32, number: u64, body_check: u32) -> u32 {
    let chain = crc32c::crc32c_append(chain, &number.to_be_bytes());
    crc32c::crc32c_append(chain, &body_check.to_be_bytes())
}

fn head_check(covered: &[u8], salt: &Salt, offset: u64) -> u32 {
    let check = crc32c::crc32c(salt);
    let check = crc32c::crc32c_append(check, &offset.to_be_bytes());
    crc32c::crc32c_append(check, covered)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

/// A group, encoded for one place in the log.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The whole frame.
    pub(crate) bytes: Vec<u8>,
    /// Where the group's things will be.
    pub(crate) committed: Committed,
    /// Where the log stands with it.
    pub(crate) position: Position,
}

/// Where a frame will stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FramePlace {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) salt: Salt,
    pub(crate) last: Position,
}

/// What becomes a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Frame<'a> {
    /// All that a group holds, but for the segments that it removes.
    Group(&'a Group),
    /// Segments are gone on purpose.
    Removed(&'a RemovedSegments),
}

impl Frame<'_> {
    /// Bytes that it has.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Group(group) => frame_length(group),
            Self::Removed(removed) => HEAD + ITEM_HEAD + removed.length() + TAIL,
        }
    }

    /// Its bytes, after `place.last`.
    pub(crate) fn encode(&self, place: &FramePlace) -> Encoded {
        match self {
            Self::Group(group) => encode(group, place),
            Self::Removed(removed) => encode_removed(removed, place),
        }
    }
}

fn frame_length(group: &Group) -> usize {
    let parts = group.small.iter().chain(&group.pages);
    let bytes: usize = parts.map(|(_, bytes)| bytes.len() + ITEM_HEAD).sum();
    let records = group.records.iter().map(|(_, record)| record.len());
    let records: usize = records.map(|length| length + ITEM_HEAD).sum();
    let named = (group.blocks.len() + group.named.len()) * (ITEM_HEAD + 4);
    let lost = (group.lost.len() + group.dropped.len()) * ITEM_HEAD;
    let since = group.dropped.iter().filter(|dropped| dropped.since.is_some()).count();
    let gone = lost + since * SINCE as usize + group.expired.len() * (ITEM_HEAD + 8);
    HEAD + bytes + records + named + gone + TAIL
}

fn encode(group: &Group, place: &FramePlace) -> Encoded {
    let mut writer = ItemWriter::new(frame_length(group), place);
    for address in &group.lost {
        writer.item(Kind::Lost, &address.0, &[]);
    }
    for Dropped { address, since } in &group.dropped {
        let since = since.map(u32::to_be_bytes);
        writer.item(Kind::Dropped, &address.0, since.as_ref().map_or(&[], |bytes| bytes));
    }
    for Expired { id, at_ms } in &group.expired {
        writer.item(Kind::Expired, &id.0, &at_ms.to_be_bytes());
    }
    let blocks = group.blocks.iter().map(|(_, address, length)| (address, length));
    for (address, length) in blocks.chain(group.named.iter().map(|(at, length)| (at, length))) {
        writer.item(Kind::Block, &address.0, &length.to_be_bytes());
    }
    let number = place.last.number + 1;
    let segment = place.segment;
    let mut committed = Committed { number, segment, ..Committed::default() };
    for (address, bytes) in &group.small {
        committed.small.push(writer.item(Kind::Small, &address.0, bytes));
    }
    for (address, bytes) in &group.pages {
        committed.pages.push(writer.item(Kind::Page, &address.0, bytes));
    }
    for (id, bytes) in &group.records {
        committed.records.push(writer.item(Kind::Record, &id.0, bytes));
    }
    let (bytes, position) = writer.seal();
    Encoded { bytes, committed, position }
}

fn encode_removed(removed: &RemovedSegments, place: &FramePlace) -> Encoded {
    let mut own = Vec::with_capacity(removed.length());
    removed.encode(&mut own);
    let mut writer = ItemWriter::new(Frame::Removed(removed).length(), place);
    writer.item(Kind::Removed, &[0; 32], &own);
    let (bytes, position) = writer.seal();
    let committed = Committed { number: position.number, ..Committed::default() };
    Encoded { bytes, committed, position }
}

struct ItemWriter {
    bytes: Vec<u8>,
    place: FramePlace,
}

impl ItemWriter {
    /// Of a frame of this length; its head is written by `seal`.
    fn new(length: usize, place: &FramePlace) -> Self {
        let mut bytes = Vec::with_capacity(length);
        bytes.resize(HEAD, 0);
        Self { bytes, place: *place }
    }

    fn item(&mut self, kind: Kind, id: &[u8; 32], bytes: &[u8]) -> LogPlace {
        let start = self.bytes.len();
        let length = as_u32(bytes.len());
        self.bytes.push(kind as u8);
        self.bytes.extend(id);
        self.bytes.extend(length.to_be_bytes());
        let check = crc32c::crc32c_append(crc32c::crc32c(&self.bytes[start..]), bytes);
        self.bytes.extend(check.to_be_bytes());
        let place = LogPlace {
            segment: self.place.segment,
            offset: as_u32(position_in_segment(self.place.offset) + self.bytes.len()),
            length,
        };
        self.bytes.extend(bytes);
        place
    }

    fn seal(mut self) -> (Vec<u8>, Position) {
        let last = self.place.last;
        let number = last.number + 1;
        let body = &self.bytes[HEAD..];
        assert!(body.len() <= BODY_MAX, "the core bounds its groups");
        let body_check = crc32c::crc32c(body);
        let mut head = Vec::with_capacity(HEAD);
        head.extend(MAGIC);
        head.extend(as_u32(body.len()).to_be_bytes());
        head.extend(number.to_be_bytes());
        head.extend(last.chain.to_be_bytes());
        head.extend(body_check.to_be_bytes());
        head.extend([0; 4]);
        let check = head_check(&head, &self.place.salt, self.place.offset);
        head.extend(check.to_be_bytes());
        self.bytes[..HEAD].copy_from_slice(&head);
        self.bytes.extend(END);
        let chain = next_chain(last.chain, number, body_check);
        (self.bytes, Position { number, chain })
    }
}

fn as_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a segment is shorter than 4 GiB")
}

fn position_in_segment(offset: u64) -> usize {
    usize::try_from(offset).expect("a segment is shorter than 4 GiB")
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Lost = 1,
    Block = 2,
    Small = 3,
    Page = 4,
    Record = 5,
    Dropped = 6,
    Expired = 7,
    Removed = 8,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Lost,
        Self::Block,
        Self::Small,
        Self::Page,
        Self::Record,
        Self::Dropped,
        Self::Expired,
        Self::Removed,
    ];

    pub(crate) fn parse(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Of the item that has told this.
    pub(crate) fn of(found: &LogEntry) -> Self {
        match found {
            LogEntry::Lost(..) => Self::Lost,
            LogEntry::Block(_, BlockPlace::Tree { .. }, _) => Self::Block,
            LogEntry::Block(_, BlockPlace::Log(_), _) => Self::Small,
            LogEntry::Page(..) | LogEntry::PageEntries(..) => Self::Page,
            LogEntry::Record(..) | LogEntry::Outline(..) => Self::Record,
            LogEntry::Dropped(..) => Self::Dropped,
            LogEntry::Expired(..) => Self::Expired,
            LogEntry::Removed(_) => Self::Removed,
        }
    }
}

/// An item as it stands in the log.
pub(crate) struct Item<'a> {
    kind: Kind,
    pub(crate) id: [u8; 32],
    pub(crate) bytes: &'a [u8],
}

impl<'a> Item<'a> {
    /// The item at the beginning of these bytes, if its CRC is right.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(ITEM_HEAD)?;
        let own = rest.get(..usize::try_from(u32_at(head, 33)?).ok()?)?;
        let check = crc32c::crc32c_append(crc32c::crc32c(&head[..ITEM_HEAD - 4]), own);
        if u32_at(head, ITEM_HEAD - 4)? != check && !seeded::is_on(Bug::BelieveTornFrame) {
            return None;
        }
        Some(Self { kind: Kind::parse(head[0])?, id: head[1..33].try_into().ok()?, bytes: own })
    }

    fn found(&self, place: LogPlace) -> Option<LogEntry> {
        let address = Address(self.id);
        Some(match self.kind {
            Kind::Lost => LogEntry::Lost(address, place.segment),
            Kind::Block => {
                let length = u32::from_be_bytes(self.bytes.try_into().ok()?);
                LogEntry::Block(address, BlockPlace::Tree { length }, place.segment)
            }
            Kind::Small => LogEntry::Block(address, BlockPlace::Log(place), place.segment),
            Kind::Page => LogEntry::Page(address, place, Bytes::copy_from_slice(self.bytes)),
            Kind::Record => {
                let bytes = Bytes::copy_from_slice(self.bytes);
                LogEntry::Record(RecordId(self.id), place, bytes)
            }
            Kind::Dropped => {
                let since = since(self.bytes)?;
                LogEntry::Dropped(Dropped { address, since }, place.segment)
            }
            Kind::Expired => {
                let at_ms = u64::from_be_bytes(self.bytes.try_into().ok()?);
                LogEntry::Expired(Expired { id: RecordId(self.id), at_ms }, place.segment)
            }
            Kind::Removed => LogEntry::Removed(removed(self.bytes)?),
        })
    }
}

/// What an item *dropped* says with its bytes, if that is anything.
pub(crate) fn since(bytes: &[u8]) -> Option<Option<u32>> {
    match bytes {
        [] => Some(None),
        _ => bytes.try_into().ok().map(|bytes| Some(u32::from_be_bytes(bytes))),
    }
}

/// Exactly these bytes, as a set of segments.
fn removed(bytes: &[u8]) -> Option<RemovedSegments> {
    RemovedSegments::decode(bytes).filter(|removed| removed.length() == bytes.len())
}

/// Whether a body that begins so may say that segments are removed.
pub(crate) fn may_remove(body: &[u8]) -> bool {
    body.first() == Some(&(Kind::Removed as u8))
}

/// What a frame's body holds, `offset` being where the body begins; `None` if it is no body.
pub(crate) fn decode(body: &[u8], segment: u32, offset: u64) -> Option<Vec<LogEntry>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let item = Item::parse(&body[at..])?;
        at += ITEM_HEAD;
        let place = LogPlace {
            segment,
            offset: u32::try_from(offset + at as u64).ok()?,
            length: u32::try_from(item.bytes.len()).ok()?,
        };
        found.push(item.found(place)?);
        at += item.bytes.len();
    }
    let is_removed = |found: &LogEntry| matches!(found, LogEntry::Removed(_));
    (found.len() == 1 || !found.iter().any(is_removed)).then_some(found)
}

/// Whether a frame ends with these bytes.
pub(crate) fn is_end(bytes: &[u8]) -> bool {
    bytes == END
}

/// The length of an item's own bytes, by its head alone; `None` if it is no head.
pub(crate) fn item_length(head: &[u8]) -> Option<usize> {
    let length = usize::try_from(u32_at(head, 33)?).ok()?;
    (length <= LOG_BLOCK_MAX).then_some(length)
}

/// An item, in bytes that are damaged somewhere.
pub(crate) struct Left<'a> {
    pub(crate) kind: Kind,
    pub(crate) id: [u8; 32],
    pub(crate) bytes: &'a [u8],
    pub(crate) harm: Harm,
}

/// What of an item is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Nothing: it can be read where it is.
    None,
    /// Only its kind, which is known by the CRC.
    Kind,
    /// Anything.
    Any,
}

impl Left<'_> {
    /// Whether it only says that something is gone which is found to be gone by itself, or is missed by nobody.
    pub(crate) fn only_loses(&self) -> bool {
        match self.kind {
            Kind::Lost => self.bytes.is_empty(),
            Kind::Dropped => since(self.bytes).is_some(),
            Kind::Removed => removed(self.bytes).is_some(),
            Kind::Expired | Kind::Block | Kind::Small | Kind::Page | Kind::Record => false,
        }
    }

    /// Which record has expired, if that is what it says.
    pub(crate) fn expired(&self) -> Option<Expired> {
        let is_it = self.kind == Kind::Expired && self.harm != Harm::Any;
        let at_ms = u64::from_be_bytes(self.bytes.try_into().ok()?);
        is_it.then_some(Expired { id: RecordId(self.id), at_ms })
    }
}

/// The item that these bytes are, if they can be one.
pub(crate) fn left(item: &[u8]) -> Option<Left<'_>> {
    let (head, bytes) = item.split_at_checked(ITEM_HEAD)?;
    let stated = u32_at(head, ITEM_HEAD - 4)?;
    let fits = |kind: &Kind| {
        let check = crc32c::crc32c_append(crc32c::crc32c(&[*kind as u8]), &head[1..ITEM_HEAD - 4]);
        stated == crc32c::crc32c_append(check, bytes)
    };
    let written = Kind::parse(head[0]);
    let (kind, harm) = match (written, Kind::ALL.into_iter().find(fits)) {
        (Some(written), Some(kind)) if written == kind => (kind, Harm::None),
        (_, Some(kind)) => (kind, Harm::Kind),
        (Some(written), None) => (written, Harm::Any),
        (None, None) => return None,
    };
    Some(Left { kind, id: head[1..33].try_into().ok()?, bytes, harm })
}

#[cfg(test)]
mod tests;
