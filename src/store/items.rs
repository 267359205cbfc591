//! The items of a closed segment, piece by piece, without their bytes; and how it gets its index.
//!
//! Invariant: what is handed on is all that the good groups of a segment hold, and of damaged ones what can be told from what
//! is beside it: the bytes of these may be bad, so whoever needs them compares them with their ids. Only the index is written,
//! behind the last group; nobody waits for it, and it is not flushed.

use crate::store::blocks::{ReadFault, retry_once};
use crate::store::frame::{HEAD, Harm, ITEM_HEAD, Kind, Left, SINCE, since};
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::named::copies_of;
use crate::store::scan::{Scan, Window};
use crate::store::segment::{FRAMES, Header, Parsed};
use crate::store::segment_index::{Closed, IndexReader, IndexWriter};
use crate::store::values::{
    BlockPlace, Dropped, Expired, ItemsFrom, LogEntry, LogPlace, SegmentItem, SegmentItems,
    Statement,
};
use std::io;

/// A piece has fewer items than this, but for those of its last groups.
const PIECE: usize = 4096;
/// Bytes that are read at once: a group or some.
const READ: usize = 256 * 1024;

/// The groups of a segment that ends at `end`, from there on, or from the first.
pub(super) fn read<F: FileSystem>(
    fs: &F,
    segment: u32,
    from: Option<ItemsFrom>,
    end: u64,
) -> Result<SegmentItems, ReadFault> {
    retry_once(|| {
        let file = fs.open(&layout::segment(segment))?;
        let header = header(fs, &file, segment)?.ok_or(ReadFault::Damaged)?;
        let closed = Closed { header: &header, end, last: None };
        let mut found = SegmentItems::default();
        let mut offset = from.map_or(FRAMES, |from| u64::from(from.group));
        let mut chunk = None;
        if from.is_none_or(|from| from.chunk.is_some())
            && let Some(mut index) = IndexReader::open(Window::by(fs, &file, READ), &closed)?
        {
            if let Some(at) = from.and_then(|from| from.chunk) {
                index.resume(u64::from(at), offset);
            }
            read_index(&mut index, end, &mut found)?;
            offset = index.until();
            chunk = u32::try_from(index.at()).ok();
        }
        let scan = || {
            let window = Window::by(fs, &file, READ);
            Scan { window, segment, salt: header.salt, end: Some(end) }
        };
        let mut groups = scan();
        while offset < end && found.items.len() < PIECE {
            chunk = None;
            offset = match groups.group_at(offset, end)? {
                Some(seen) => {
                    found.items.extend(items(
                        seen.position.number,
                        seen.start,
                        &seen.found,
                        segment,
                    ));
                    seen.end
                }
                None => {
                    let next = groups.after_damage(offset, end)?;
                    scan().remains(&(offset..next), |left, at, _| {
                        found.items.extend(item_left(&left, at, segment));
                    })?;
                    next
                }
            };
        }
        let group = u32::try_from(offset).expect("a segment is shorter than 4 GiB");
        found.next = (offset < end).then_some(ItemsFrom { group, chunk });
        Ok(found)
    })
}

/// What an index says of the next groups.
fn read_index<F: FileSystem>(
    index: &mut IndexReader<'_, F>,
    end: u64,
    found: &mut SegmentItems,
) -> io::Result<()> {
    while index.until() < end
        && found.items.len() < PIECE
        && let Some(chunk) = index.next()?
    {
        for group in &chunk.groups {
            found.items.extend(items(group.number, group.start, &group.found, index.segment()));
        }
    }
    Ok(())
}

/// An item of a damaged group, whose own bytes begin there: if it is all that it says, or it has bytes that will be compared
/// with its id.
fn item_left(left: &Left<'_>, at: u64, segment: u32) -> Option<SegmentItem> {
    let is_sound = left.harm != Harm::Any;
    let number = |sound: &[u8]| sound.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let states = match (left.kind, left.bytes.len()) {
        (Kind::Record, _) => Statement::Record,
        (Kind::Page, _) => Statement::Page,
        (Kind::Small, _) => Statement::Small,
        (Kind::Block, 4) if is_sound => {
            Statement::BlockFile { length: u32::try_from(number(left.bytes)).ok()? }
        }
        (Kind::Expired, 8) if is_sound => Statement::Expired { at_ms: number(left.bytes) },
        (Kind::Lost, 0) if is_sound => Statement::Lost,
        (Kind::Dropped, _) if is_sound => Statement::Dropped { since: since(left.bytes)? },
        (Kind::Block | Kind::Expired | Kind::Lost | Kind::Dropped | Kind::Removed, _) => None?,
    };
    let (offset, length) = (u32::try_from(at).ok()?, u32::try_from(left.bytes.len()).ok()?);
    Some(SegmentItem { group: 0, states, id: left.id, place: LogPlace { segment, offset, length } })
}

fn header<F: FileSystem>(fs: &F, file: &F::File, segment: u32) -> io::Result<Option<Header>> {
    Ok(match Parsed::first(copies_of(fs, file, segment)?) {
        Parsed::Header(header) => Some(header),
        Parsed::Newer(_) | Parsed::Bad => None,
    })
}

/// Writes the index of a segment that ends at `end`, if every group of it is good; whether it did.
pub(super) fn write_index<F: FileSystem>(fs: &F, segment: u32, end: u64) -> io::Result<bool> {
    let file = fs.reopen(&layout::segment(segment))?;
    let Some(header) = header(fs, &file, segment)? else {
        return Ok(false);
    };
    let scan = Scan { window: Window::new(fs, &file), segment, salt: header.salt, end: Some(end) };
    let mut index = IndexWriter::new(fs, &file, &header, end);
    let mut written = Ok(());
    let scanned = scan.run(&mut |group| {
        if written.is_ok() {
            written = index.add(&group);
        }
    })?;
    written?;
    let is_good = scanned.damaged.is_empty() && scanned.groups > 0;
    if is_good {
        index.finish()?;
    }
    Ok(is_good)
}

/// The items of a group that begins there.
fn items(
    number: u64,
    start: u64,
    found: &[LogEntry],
    segment: u32,
) -> impl Iterator<Item = SegmentItem> {
    let mut at = start + HEAD as u64;
    found.iter().map(move |found| {
        let (states, id, length) = stated(found);
        let offset = u32::try_from(at + ITEM_HEAD as u64).expect("a segment is shorter than 4 GiB");
        at += ITEM_HEAD as u64 + u64::from(length);
        let place = LogPlace { segment, offset, length };
        SegmentItem { group: number, states, id, place }
    })
}

/// What an item states, its id, and how many bytes of its own it has.
pub(super) fn stated(found: &LogEntry) -> (Statement, [u8; 32], u32) {
    match found {
        LogEntry::Record(id, place, _) | LogEntry::Outline(id, place, _) => {
            (Statement::Record, id.0, place.length)
        }
        LogEntry::Page(address, place, _) | LogEntry::PageEntries(address, place, _) => {
            (Statement::Page, address.0, place.length)
        }
        LogEntry::Block(address, BlockPlace::Log(place), _) => {
            (Statement::Small, address.0, place.length)
        }
        LogEntry::Block(address, BlockPlace::Tree { length }, _) => {
            (Statement::BlockFile { length: *length }, address.0, 4)
        }
        LogEntry::Lost(address, _) => (Statement::Lost, address.0, 0),
        LogEntry::Dropped(Dropped { address, since }, _) => (
            Statement::Dropped { since: *since },
            address.0,
            if since.is_some() { SINCE } else { 0 },
        ),
        LogEntry::Expired(Expired { id, at_ms }, _) => {
            (Statement::Expired { at_ms: *at_ms }, id.0, 8)
        }
        LogEntry::Removed(removed) => {
            let length = u32::try_from(removed.length()).expect("the list is short");
            (Statement::Removed, [0; 32], length)
        }
    }
}
