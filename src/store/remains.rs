//! What is left of damaged ranges of the log: their items, each judged by itself.
//!
//! A block or page is as good there as elsewhere if it is what its address says; a record, if whoever knows keys finds that
//! it was signed. Invariant: nothing is believed for its place in the log alone, since a block may hold bytes that look like
//! items, composed by whoever sent it, but that a record has expired where no such bytes can be: were that forgotten, a name
//! deleted before would come back; and what all this costs has a bound.

use crate::crypto::tree;
use crate::ids::{Address, RecordId};
use crate::limits::{RECORD_MAX, REMAINS_HASHED_MAX, REMAINS_MAX};
use crate::seeded::{self, Bug};
use crate::store::block_file;
use crate::store::blocks::{self, ReadFault, retry_once};
use crate::store::error::failed;
use crate::store::frame::{Harm, ITEM_HEAD, Kind, Left};
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::scan::{Scan, Window};
use crate::store::segment::Header;
use crate::store::values::{BlockPlace, DiskError, Expired, LogEntry, LogPlace, Remains};
use crate::wire::page::Page;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

/// Bytes of an item that names a block file.
const LENGTH: usize = 4;

/// What is kept of all damaged ranges.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) records: Vec<Remains>,
    /// Of blocks and pages that are not what their addresses say, as far as these can be known.
    pub(crate) rotten: Vec<Address>,
    /// Of the records.
    bytes: usize,
    /// Block files that were looked at, and how many of their bytes were hashed.
    files: BTreeSet<Address>,
    hashed: u64,
}

/// What is not kept of one range.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gone {
    /// Bytes that are no items, so that anything may have been there, or of records for which there was no room.
    pub(crate) bytes: u64,
    /// Records that are kept and are not as they were written.
    pub(crate) unsound: u64,
}

impl Kept {
    /// Looks through a damaged range. What is whole goes to `found` in the order in which it was written; what a group loses
    /// is left out, since the bytes themselves say what is here.
    pub(crate) fn read<F: FileSystem>(
        &mut self,
        fs: &F,
        header: &Header,
        range: &Range<u64>,
        found: &mut dyn FnMut(LogEntry),
    ) -> Result<Gone, DiskError> {
        let mut gone = Gone::default();
        let mut expired = BTreeMap::new();
        let mut failure = None;
        let scanned = fs.open(&layout::segment(header.number)).and_then(|file| {
            scan(fs, &file, header).remains(range, |left, at, is_proven| {
                let place = place(header.number, at, left.bytes);
                match (left.kind, place) {
                    (Kind::Record, Some(place)) => self.record(&left, place, &mut gone),
                    _ if left.only_loses() => {}
                    (Kind::Expired, _) => match left.expired().filter(|_| is_proven) {
                        Some(one) if has_room(expired.len()) => drop(expired.insert(one.id, one)),
                        Some(_) | None => gone.bytes += (ITEM_HEAD + left.bytes.len()) as u64,
                    },
                    // It was something else.
                    (Kind::Lost | Kind::Dropped | Kind::Removed, _) | (_, None) => {
                        gone.bytes += left.bytes.len() as u64;
                    }
                    (Kind::Block, _) if left.bytes.len() != LENGTH => {
                        gone.bytes += left.bytes.len() as u64;
                    }
                    (Kind::Block, Some(place)) => match self.block_file(fs, &left, place.segment) {
                        Ok(Some(block)) => found(block),
                        Ok(None) => self.rot(left.id),
                        Err(error) => failure = Some(error),
                    },
                    (Kind::Small | Kind::Page, Some(place)) if is_whole(&left) => {
                        found(thing(&left, place));
                    }
                    (Kind::Small | Kind::Page, Some(_)) => self.rot(left.id),
                }
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        // What cannot be read now was told of when the segment was.
        gone.bytes += scanned.unwrap_or(range.end - range.start);
        let say = |one| found(LogEntry::Expired(one, header.number));
        match forget_known(fs, header, range.end, &mut expired) {
            Ok(()) => expired.into_values().for_each(say),
            Err(_) => gone.bytes += (expired.len() * ITEM_HEAD) as u64,
        }
        Ok(gone)
    }

    fn record(&mut self, left: &Left<'_>, place: LogPlace, gone: &mut Gone) {
        let length = left.bytes.len();
        if length > RECORD_MAX || self.bytes + length > REMAINS_MAX {
            gone.bytes += length as u64;
            return;
        }
        self.bytes += length;
        let is_sound = left.harm != Harm::Any;
        gone.unsound += u64::from(!is_sound);
        self.records.push(Remains {
            id: RecordId(left.id),
            bytes: Bytes::copy_from_slice(left.bytes),
            is_sound,
            place: (left.harm == Harm::None).then_some(place),
        });
    }

    fn rot(&mut self, id: [u8; 32]) {
        if has_room(self.rotten.len()) {
            self.rotten.push(Address(id));
        }
    }

    /// The block file that an item names, if it is whole. If the item is not, its file says how long it is. Only what may be
    /// otherwise in a moment keeps a start from going on.
    fn block_file<F: FileSystem>(
        &mut self,
        fs: &F,
        left: &Left<'_>,
        segment: u32,
    ) -> Result<Option<LogEntry>, DiskError> {
        let address = Address(left.id);
        if !has_room(self.files.len()) || !self.files.insert(address) {
            return Ok(None);
        }
        let looked = match (left.harm, left.bytes.try_into()) {
            (Harm::None | Harm::Kind, Ok(bytes)) => Ok(u32::from_be_bytes(bytes)),
            (_, _) => blocks::stated_length(fs, &address),
        };
        let looked = looked.and_then(|length| {
            let is_length = block_file::leaf_count(length).is_some();
            if !is_length || self.hashed + u64::from(length) > REMAINS_HASHED_MAX {
                return Err(ReadFault::Damaged);
            }
            self.hashed += u64::from(length);
            retry_once(|| blocks::verify(fs, &address, length, &mut Vec::new())).map(|()| length)
        });
        match looked {
            Ok(length) => Ok(Some(LogEntry::Block(address, BlockPlace::Tree { length }, segment))),
            Err(ReadFault::Gone | ReadFault::Damaged) => Ok(None),
            Err(ReadFault::Io(error)) => {
                match failed("reading", &layout::block(&address), &error) {
                    DiskError::Scarce(why) => Err(DiskError::Scarce(why)),
                    DiskError::Full | DiskError::Failed(_) => Ok(None),
                }
            }
        }
    }
}

/// Whether there is room for one more id or address beside so many.
fn has_room(count: usize) -> bool {
    (count + 1) * ITEM_HEAD <= REMAINS_MAX
}

fn scan<'a, F: FileSystem>(fs: &'a F, file: &'a F::File, header: &Header) -> Scan<'a, F> {
    let window = Window::new(fs, file);
    Scan { window, segment: header.number, salt: header.salt, end: None }
}

/// Of a segment what is damaged is told last: of these records, those that good groups behind the damage have brought again
/// have not expired.
fn forget_known<F: FileSystem>(
    fs: &F,
    header: &Header,
    end: u64,
    expired: &mut BTreeMap<RecordId, Expired>,
) -> io::Result<()> {
    if expired.is_empty() {
        return Ok(());
    }
    let file = fs.open(&layout::segment(header.number))?;
    let scanned = scan(fs, &file, header).run(&mut |seen| {
        for found in seen.found.iter().filter(|_| seen.start >= end) {
            if let LogEntry::Record(id, ..) = found {
                expired.remove(id);
            }
        }
    });
    scanned.map(drop)
}

fn place(segment: u32, at: u64, bytes: &[u8]) -> Option<LogPlace> {
    let (offset, length) = (u32::try_from(at).ok()?, u32::try_from(bytes.len()).ok()?);
    Some(LogPlace { segment, offset, length })
}

/// Whether a small block or a page can be read where it is.
fn is_whole(left: &Left<'_>) -> bool {
    let is_it = || tree::tree(left.bytes).0 == left.id || seeded::is_on(Bug::BelieveRemains);
    let is_possible = || left.kind == Kind::Small || Page::decode(left.bytes).is_ok();
    left.harm == Harm::None && !seeded::is_on(Bug::LeaveRemains) && is_possible() && is_it()
}

fn thing(left: &Left<'_>, place: LogPlace) -> LogEntry {
    let address = Address(left.id);
    match left.kind {
        Kind::Page => LogEntry::Page(address, place, Bytes::copy_from_slice(left.bytes)),
        _ => LogEntry::Block(address, BlockPlace::Log(place), place.segment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SimFs;

    #[test]
    fn what_is_hashed_for_damage_has_a_bound() {
        let fs = SimFs::new();
        for folder in layout::FOLDERS {
            fs.make_folder(folder).unwrap();
        }
        let block = vec![7; 70_000];
        let leaves = tree::leaf_hashes(&block);
        let id = tree::root(&leaves).0;
        let path = layout::block(&Address(id));
        for (at, _) in path.match_indices('/') {
            fs.make_folder(&path[..at]).unwrap();
        }
        let file = fs.create(&path).unwrap();
        let footer = block_file::footer(70_000, &leaves);
        fs.write_at(&file, 0, &[&block[..], &footer].concat()).unwrap();
        let length = 70_000_u32.to_be_bytes();
        for (harm, bytes) in [(Harm::None, &length[..]), (Harm::Any, &[1, 2, 3])] {
            let left = Left { kind: Kind::Block, id, bytes, harm };
            let mut kept = Kept { hashed: REMAINS_HASHED_MAX - 70_000, ..Kept::default() };
            assert!(kept.block_file(&fs, &left, 1).unwrap().is_some());
            assert!(kept.block_file(&fs, &left, 1).unwrap().is_none(), "once");
            assert_eq!(kept.hashed, REMAINS_HASHED_MAX);
            kept.files.clear();
            assert!(kept.block_file(&fs, &left, 1).unwrap().is_none(), "{harm:?}");
        }
        fs.write_at(&file, 9, &[8]).unwrap();
        let left = Left { kind: Kind::Block, id, bytes: &length, harm: Harm::None };
        assert!(Kept::default().block_file(&fs, &left, 1).unwrap().is_none());
    }
}
