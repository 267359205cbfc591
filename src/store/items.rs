//! The items of a closed segment, piece by piece, without their bytes.
//!
//! Changes nothing. Invariant: what is handed on is all that the groups of a whole segment hold; where a group is damaged
//! that is said, and nothing is left out.

use crate::store::blocks::{ReadFault, retry_once};
use crate::store::frame::{HEAD, ITEM_HEAD};
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::scan::{Scan, Seen, Window};
use crate::store::segment::{FRAMES, Header, Parsed};
use crate::store::values::{BlockPlace, Expired, LogEntry, LogPlace};
use crate::store::values::{SegmentItem, SegmentItems, Statement};

/// A piece has fewer items than this, but for those of its last group.
const PIECE: usize = 4096;
/// Bytes that are read at once: a group or some.
const READ: usize = 256 * 1024;

/// The groups of a segment that ends at `end`, from the one at `from` on, or the first.
pub(super) fn read<F: FileSystem>(
    fs: &F,
    segment: u32,
    from: Option<u32>,
    end: u64,
) -> Result<SegmentItems, ReadFault> {
    retry_once(|| {
        let file = fs.open(&layout::segment(segment))?;
        let mut window = Window::by(fs, &file, READ);
        let frames = usize::try_from(FRAMES).expect("it is small");
        let copies = Header::parse_both(window.read(0, frames)?, segment);
        let Parsed::Header(header) = Parsed::first(copies) else {
            return Err(ReadFault::Damaged);
        };
        let mut scan = Scan { window, segment, salt: header.salt, end: Some(end) };
        let mut found = SegmentItems::default();
        let mut offset = from.map_or(FRAMES, u64::from);
        while offset < end && found.items.len() < PIECE {
            let seen = scan.group_at(offset, end)?.ok_or(ReadFault::Damaged)?;
            offset = seen.end;
            found.items.extend(items(&seen, segment));
        }
        let next = u32::try_from(offset).expect("a segment is shorter than 4 GiB");
        found.next = (offset < end).then_some(next);
        Ok(found)
    })
}

/// The items of a group.
fn items(group: &Seen, segment: u32) -> impl Iterator<Item = SegmentItem> {
    let number = group.position.number;
    let mut at = group.start + HEAD as u64;
    group.found.iter().map(move |found| {
        let (states, id, length) = stated(found);
        let offset = u32::try_from(at + ITEM_HEAD as u64).expect("a segment is shorter than 4 GiB");
        at += ITEM_HEAD as u64 + u64::from(length);
        let place = LogPlace { segment, offset, length };
        SegmentItem { group: number, states, id, place }
    })
}

/// What an item states, its id, and how many bytes of its own it has.
fn stated(found: &LogEntry) -> (Statement, [u8; 32], u32) {
    match found {
        LogEntry::Record(id, place, _) => (Statement::Record, id.0, place.length),
        LogEntry::Page(address, place, _) => (Statement::Page, address.0, place.length),
        LogEntry::Block(address, BlockPlace::Log(place), _) => {
            (Statement::Small, address.0, place.length)
        }
        LogEntry::Block(address, BlockPlace::Tree { length }, _) => {
            (Statement::BlockFile { length: *length }, address.0, 4)
        }
        LogEntry::Lost(address, _) => (Statement::Lost, address.0, 0),
        LogEntry::Dropped(address, _) => (Statement::Dropped, address.0, 0),
        LogEntry::Expired(Expired { id, at_ms }, _) => {
            (Statement::Expired { at_ms: *at_ms }, id.0, 8)
        }
        LogEntry::Removed(removed) => {
            let length = u32::try_from(removed.length()).expect("the list is short");
            (Statement::Removed, [0; 32], length)
        }
    }
}
