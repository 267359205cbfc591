//! The index of a closed segment: what a start has to know of its groups, so that it need not read them.
//!
//! ```text
//! behind the last group, at the next page:
//! head:  magic 8 | version 2 | zeros 2 | segment 4 | store id 16 | where the last group ends 8 | that group 8 | chain 4
//!        | bytes of all chunks 8 | CRC 4 | zeros up to the next page
//! chunk: bytes of its groups 4 | where the last of them ends 8 | that group 8 | chain 4 | CRC 4 | groups
//! group: number 8 | items 4 | of each: kind 1 | id 32 | length 4 | what is kept of its bytes
//! kept:  of a record or page: 0 | length 4 | all of it; or 1 | the outline of a file's record or a tombstone, or what the
//!        page names; of `removed` as of a record that is none of these; of a block file and `expired` their bytes; of others nothing
//! ```
//! Big endian, CRC-32C, which also covers the segment's salt, where the head or chunk stands, and of a chunk where its first
//! group begins. Older programs read up to the last group, and not on. Knows no file but through a window. Invariant: it is
//! derived: where anything of it is not as it was written, or not of this very segment with this very end, the groups
//! themselves are read; and only of a segment whose groups are all good is there one.

use crate::ids::{Address, RecordId};
use crate::seeded::{self, Bug};
use crate::store::frame::{BODY_MAX, HEAD, ITEM_HEAD, Kind, Position, Salt, TAIL};
use crate::store::fs::FileSystem;
use crate::store::items::stated;
use crate::store::removed::RemovedSegments;
use crate::store::scan::{Scan, Seen, Window};
use crate::store::segment::{FRAMES, Header};
use crate::store::values::{BlockPlace, Dropped, Expired, LogEntry, LogPlace};
use crate::wire::Malformed;
use crate::wire::cursor::{Field, Reader, require};
use crate::wire::outline::{self, Before};
use crate::wire::page::{Entries, Page};
use crate::wire::record::{Record, RecordKind};
use bytes::Bytes;
use std::io;

const MAGIC: &[u8; 8] = b"dfsdidx\n";
/// The format that is written; an index of any other is none.
const VERSION: u16 = 1;
/// The head has a page of its own, and begins one: whatever a power cut leaves of it, the last group is not touched.
const PAGE: u64 = 4096;
/// Bytes of a head, and of what stands in front of a chunk's groups.
const INDEX_HEAD: usize = 64;
const CHUNK_HEAD: usize = 28;
/// A chunk is closed when it has so many bytes. One has whole groups: an item is at most a byte longer than in the log, and a
/// group so much longer than that has no index.
const CHUNK: usize = 128 * 1024;
const CHUNK_MAX: usize = CHUNK + BODY_MAX + 64;

/// How the rest of an item's bytes is kept.
const WHOLE: u8 = 0;
const OUTLINE: u8 = 1;

/// Where the index stands of a segment that ends there.
pub(crate) fn start(end: u64) -> u64 {
    end.next_multiple_of(PAGE)
}

fn check(salt: &Salt, places: &[u64], parts: &[&[u8]]) -> u32 {
    let check = places.iter().fold(crc32c::crc32c(salt), |check, place| {
        crc32c::crc32c_append(check, &place.to_be_bytes())
    });
    parts.iter().fold(check, |check, part| crc32c::crc32c_append(check, part))
}

/// A segment that has ended: its header, where its last good group ends, and that group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed<'a> {
    pub(crate) header: &'a Header,
    pub(crate) end: u64,
    /// `None` if nobody who is left says which it was.
    pub(crate) last: Option<Position>,
}

/// Makes the index of a segment, group by group.
pub(crate) struct IndexWriter<'a, F: FileSystem> {
    fs: &'a F,
    file: &'a F::File,
    header: &'a Header,
    /// Where the index begins, and where the next chunk does.
    start: u64,
    at: u64,
    chunk: Vec<u8>,
    /// Where the first group of the chunk begins, and the last one ends.
    from: u64,
    until: u64,
    last: Position,
    before: Before,
}

impl<'a, F: FileSystem> IndexWriter<'a, F> {
    /// Of a segment that ends there.
    pub(crate) fn new(fs: &'a F, file: &'a F::File, header: &'a Header, end: u64) -> Self {
        let start = start(end);
        Self {
            fs,
            file,
            header,
            start,
            at: start + PAGE,
            chunk: vec![0; CHUNK_HEAD],
            from: FRAMES,
            until: FRAMES,
            last: Position::default(),
            before: Before::default(),
        }
    }

    /// Takes the next group.
    pub(crate) fn add(&mut self, group: &Seen) -> io::Result<()> {
        group.position.number.put(&mut self.chunk);
        let count = u32::try_from(group.found.len()).expect("a group is bounded");
        count.put(&mut self.chunk);
        for found in &group.found {
            put_item(found, &mut self.before, &mut self.chunk);
        }
        (self.until, self.last) = (group.end, group.position);
        if self.chunk.len() >= CHUNK { self.close_chunk() } else { Ok(()) }
    }

    fn close_chunk(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.chunk.len() - CHUNK_HEAD).expect("a chunk is bounded");
        let mut head = Vec::with_capacity(CHUNK_HEAD);
        length.put(&mut head);
        self.until.put(&mut head);
        self.last.number.put(&mut head);
        self.last.chain.put(&mut head);
        let groups = &self.chunk[CHUNK_HEAD..];
        check(&self.header.salt, &[self.at, self.from], &[&head, groups]).put(&mut head);
        self.chunk[..CHUNK_HEAD].copy_from_slice(&head);
        self.fs.write_at(self.file, self.at, &self.chunk)?;
        self.at += self.chunk.len() as u64;
        self.from = self.until;
        self.before = Before::default();
        self.chunk.truncate(CHUNK_HEAD);
        Ok(())
    }

    /// All groups were taken, and all of the segment was good: from now on there is an index.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.chunk.len() > CHUNK_HEAD {
            self.close_chunk()?;
        }
        let mut head = Vec::with_capacity(INDEX_HEAD);
        head.extend_from_slice(MAGIC);
        VERSION.put(&mut head);
        head.extend_from_slice(&[0; 2]);
        self.header.number.put(&mut head);
        self.header.store.put(&mut head);
        self.until.put(&mut head);
        self.last.number.put(&mut head);
        self.last.chain.put(&mut head);
        (self.at - self.start - PAGE).put(&mut head);
        check(&self.header.salt, &[self.start], &[&head]).put(&mut head);
        self.fs.write_at(self.file, self.start, &head)
    }
}

/// Reads the index of a segment, chunk by chunk.
pub(crate) struct IndexReader<'a, F: FileSystem> {
    window: Window<'a, F>,
    segment: u32,
    salt: Salt,
    at: u64,
    /// Where the chunks end.
    limit: u64,
    /// Where the groups end that were read.
    until: u64,
}

/// Groups of a chunk, and what is known after them.
pub(crate) struct Chunk {
    pub(crate) groups: Vec<IndexedGroup>,
    pub(crate) until: u64,
    pub(crate) last: Position,
}

/// A group of which an index tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IndexedGroup {
    pub(crate) number: u64,
    pub(crate) start: u64,
    pub(crate) found: Vec<LogEntry>,
}

impl<'a, F: FileSystem> IndexReader<'a, F> {
    /// The index of exactly this segment, if there is one.
    pub(crate) fn open(mut window: Window<'a, F>, closed: &Closed<'_>) -> io::Result<Option<Self>> {
        let Closed { header, end, last } = *closed;
        let start = start(end);
        let bytes = window.read(start, INDEX_HEAD)?;
        let Some((head, stated)) = bytes.split_at_checked(INDEX_HEAD - 4) else {
            return Ok(None);
        };
        let is_sound = check(&header.salt, &[start], &[head]).to_be_bytes() == stated;
        let Ok(said) = Said::take(head) else {
            return Ok(None);
        };
        let is_its = said.segment == header.number
            && said.store == header.store
            && said.end == end
            && last.is_none_or(|last| last == said.last);
        if !(is_sound || seeded::is_on(Bug::BelieveBadIndex))
            || !(is_its || seeded::is_on(Bug::BelieveStaleIndex))
        {
            return Ok(None);
        }
        let at = start + PAGE;
        let limit = at.saturating_add(said.length);
        let (segment, salt) = (header.number, header.salt);
        Ok(Some(Self { window, segment, salt, at, limit, until: FRAMES }))
    }

    /// Where the groups end that were read, or passed.
    pub(crate) fn until(&self) -> u64 {
        self.until
    }

    /// Whose index it is.
    pub(crate) fn segment(&self) -> u32 {
        self.segment
    }

    /// The next chunk. `None` if there is none, or it is bad.
    pub(crate) fn next(&mut self) -> io::Result<Option<Chunk>> {
        let Some((length, until)) = self.chunk_head()? else {
            return Ok(None);
        };
        let (at, from) = (self.at, self.until);
        let bytes = self.window.read(at, CHUNK_HEAD + length)?;
        let Some((head, groups)) = bytes.split_at_checked(CHUNK_HEAD) else {
            return Ok(None);
        };
        let (said, stated) = head.split_at(CHUNK_HEAD - 4);
        let is_sound = check(&self.salt, &[at, from], &[said, groups]).to_be_bytes() == stated;
        if groups.len() != length || !(is_sound || seeded::is_on(Bug::BelieveBadIndex)) {
            return Ok(None);
        }
        let last = Position::take(&mut Reader::new(&said[12..]));
        let (Ok(last), Ok(groups)) = (last, take_groups(groups, self.segment, from, until)) else {
            return Ok(None);
        };
        (self.at, self.until) = (at + (CHUNK_HEAD + length) as u64, until);
        Ok(Some(Chunk { groups, until, last }))
    }

    /// Where the next chunk stands.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Goes on where another ended. What does not stand there is not taken for a chunk.
    pub(crate) fn resume(&mut self, at: u64, until: u64) {
        (self.at, self.until) = (at, until);
    }

    /// How long the groups of the next chunk are, and where the last of them ends, if there is one.
    fn chunk_head(&mut self) -> io::Result<Option<(usize, u64)>> {
        if self.at >= self.limit {
            return Ok(None);
        }
        let head = self.window.read(self.at, CHUNK_HEAD)?;
        let mut from = Reader::new(head);
        let (Ok(length), Ok(until)) = (u32::take(&mut from), u64::take(&mut from)) else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let fits = length <= CHUNK_MAX && (length as u64) < self.limit - self.at;
        Ok((fits && until > self.until).then_some((length, until)))
    }
}

/// What stands where the index of a segment should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexState {
    /// Nothing.
    None,
    /// It tells what the groups tell, or these are not all good.
    Good,
    /// No index of this segment, or one that cannot be read to its end.
    Bad,
    /// It tells something else.
    Wrong,
}

/// Compares the index of a segment with its groups.
pub(crate) fn judge<F: FileSystem>(
    fs: &F,
    file: &F::File,
    closed: &Closed<'_>,
) -> io::Result<IndexState> {
    let Closed { header, end, .. } = *closed;
    let Some(mut index) = IndexReader::open(Window::new(fs, file), closed)? else {
        let head = fs.read(file, start(end), MAGIC.len())?;
        return Ok(if head == MAGIC { IndexState::Bad } else { IndexState::None });
    };
    let (segment, salt) = (header.number, header.salt);
    let mut scan = Scan { window: Window::new(fs, file), segment, salt, end: Some(end) };
    while index.until() < end {
        let Some(chunk) = index.next()? else {
            return Ok(IndexState::Bad);
        };
        for group in chunk.groups {
            let Some(seen) = scan.group_at(group.start, end)? else {
                return Ok(IndexState::Good);
            };
            let is_same = seen.position.number == group.number
                && encoded(&seen.found) == encoded(&group.found);
            if !is_same {
                return Ok(IndexState::Wrong);
            }
        }
    }
    Ok(IndexState::Good)
}

/// What the head of an index says.
struct Said {
    segment: u32,
    store: crate::ids::StoreId,
    end: u64,
    last: Position,
    length: u64,
}

impl Said {
    fn take(head: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(head);
        require(from.bytes(MAGIC.len())? == MAGIC, "no index")?;
        require(u16::take(&mut from)? == VERSION, "an index of another format")?;
        from.bytes(2)?;
        Ok(Self {
            segment: Field::take(&mut from)?,
            store: Field::take(&mut from)?,
            end: Field::take(&mut from)?,
            last: Position::take(&mut from)?,
            length: Field::take(&mut from)?,
        })
    }
}

impl Position {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { number: Field::take(from)?, chain: Field::take(from)? })
    }
}

fn put_item(found: &LogEntry, before: &mut Before, out: &mut Vec<u8>) {
    let (_, id, length) = stated(found);
    out.push(Kind::of(found) as u8);
    out.extend_from_slice(&id);
    length.put(out);
    match found {
        LogEntry::Record(_, _, bytes) => match Record::decode(bytes) {
            Ok(record) if matches!(record.kind, RecordKind::File | RecordKind::Tombstone) => {
                put_outline(&record, before, out);
            }
            Ok(_) | Err(_) => put_whole(bytes, out),
        },
        LogEntry::Outline(_, _, record) => put_outline(record, before, out),
        LogEntry::Page(_, _, bytes) => match Page::decode(bytes) {
            Ok(page) => put_entries(&page.entries, out),
            Err(_) => put_whole(bytes, out),
        },
        LogEntry::PageEntries(_, _, entries) => put_entries(entries, out),
        LogEntry::Block(_, BlockPlace::Tree { length }, _) => length.put(out),
        LogEntry::Expired(expired, _) => expired.at_ms.put(out),
        LogEntry::Removed(removed) => {
            let mut bytes = Vec::with_capacity(removed.length());
            removed.encode(&mut bytes);
            put_whole(&bytes, out);
        }
        LogEntry::Dropped(Dropped { since: Some(since), .. }, _) => since.put(out),
        LogEntry::Block(_, BlockPlace::Log(_), _) | LogEntry::Lost(..) | LogEntry::Dropped(..) => {}
    }
}

fn put_outline(record: &Record, before: &mut Before, out: &mut Vec<u8>) {
    out.push(OUTLINE);
    outline::put(record, before, out);
}

fn put_entries(entries: &Entries, out: &mut Vec<u8>) {
    out.push(OUTLINE);
    entries.encode(out);
}

/// What an index has of a group, whether that was read there or in the log.
fn encoded(found: &[LogEntry]) -> Vec<u8> {
    let (mut before, mut bytes) = (Before::default(), Vec::new());
    found.iter().for_each(|found| put_item(found, &mut before, &mut bytes));
    bytes
}

fn put_whole(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(WHOLE);
    u32::try_from(bytes.len()).expect("a segment is shorter than 4 GiB").put(out);
    out.extend_from_slice(bytes);
}

/// The groups of a chunk, the first of which begins at `start`; an error if the last does not end at `until`.
fn take_groups(
    bytes: &[u8],
    segment: u32,
    mut start: u64,
    until: u64,
) -> Result<Vec<IndexedGroup>, Malformed> {
    let (mut from, mut before) = (Reader::new(bytes), Before::default());
    let mut groups = Vec::new();
    while !from.is_empty() {
        let (number, count) = (u64::take(&mut from)?, u32::take(&mut from)?);
        let mut group = IndexedGroup { number, start, found: Vec::new() };
        let mut at = start + HEAD as u64;
        for _ in 0..count {
            at += ITEM_HEAD as u64;
            let (found, length) = take_item(&mut from, &mut before, segment, at)?;
            at += u64::from(length);
            let is_left_out = matches!(found, LogEntry::Dropped(..) | LogEntry::Expired(..))
                && seeded::is_on(Bug::IndexWithoutGraves);
            group.found.extend((!is_left_out).then_some(found));
        }
        start = at + TAIL as u64;
        groups.push(group);
    }
    require(start == until, "groups that end elsewhere")?;
    Ok(groups)
}

/// The next item, whose own bytes begin at `at` of the segment, and how many they are.
fn take_item(
    from: &mut Reader<'_>,
    before: &mut Before,
    segment: u32,
    at: u64,
) -> Result<(LogEntry, u32), Malformed> {
    let kind = Kind::parse(u8::take(from)?).ok_or(Malformed("an item's kind"))?;
    let (id, length): ([u8; 32], u32) = (Field::take(from)?, Field::take(from)?);
    let offset = u32::try_from(at).map_err(|_| Malformed("an item beyond its segment"))?;
    let (address, place) = (Address(id), LogPlace { segment, offset, length });
    let found = match kind {
        Kind::Lost => LogEntry::Lost(address, segment),
        Kind::Dropped => {
            let since = if length == 0 { None } else { Some(Field::take(from)?) };
            LogEntry::Dropped(Dropped { address, since }, segment)
        }
        Kind::Block => {
            LogEntry::Block(address, BlockPlace::Tree { length: Field::take(from)? }, segment)
        }
        Kind::Small => LogEntry::Block(address, BlockPlace::Log(place), segment),
        Kind::Expired => {
            let at_ms = Field::take(from)?;
            LogEntry::Expired(Expired { id: RecordId(id), at_ms }, segment)
        }
        Kind::Page => match take_whole(from)? {
            Some(bytes) => LogEntry::Page(address, place, bytes),
            None => LogEntry::PageEntries(address, place, Entries::take(from)?),
        },
        Kind::Record => match take_whole(from)? {
            Some(bytes) => LogEntry::Record(RecordId(id), place, bytes),
            None => {
                let record = Box::new(outline::take(from, before)?);
                LogEntry::Outline(RecordId(id), place, record)
            }
        },
        Kind::Removed => {
            let removed = take_whole(from)?.and_then(|bytes| RemovedSegments::decode(&bytes));
            LogEntry::Removed(removed.ok_or(Malformed("a set of segments"))?)
        }
    };
    Ok((found, length))
}

/// All bytes of an item; `None` if an outline follows.
fn take_whole(from: &mut Reader<'_>) -> Result<Option<Bytes>, Malformed> {
    match u8::take(from)? {
        WHOLE => {
            let length = usize::try_from(u32::take(from)?).unwrap_or(usize::MAX);
            Ok(Some(Bytes::copy_from_slice(from.bytes(length)?)))
        }
        OUTLINE => Ok(None),
        _ => Err(Malformed("an unknown way to keep an item")),
    }
}
