//! The items of a closed segment are those that a start finds there.

use super::*;
use crate::store::frame::Position;
use crate::store::layout;
use crate::store::named::copies_of;
use crate::store::scan::Window;
use crate::store::segment::{Parsed, Verdict};
use crate::store::segment_index::{Closed, IndexReader};
use crate::testing::SimFs;

/// All pieces of a segment.
fn pieces(disk: &Disk<SimFs>, segment: u32) -> Result<Vec<SegmentItems>, ReadError> {
    let mut pieces = vec![disk.segment_items(segment, None)?];
    while let Some(next) = pieces.last().unwrap().next {
        pieces.push(disk.segment_items(segment, Some(next))?);
    }
    Ok(pieces)
}

fn items(disk: &Disk<SimFs>, segment: u32) -> Result<Vec<SegmentItem>, ReadError> {
    Ok(pieces(disk, segment)?.into_iter().flat_map(|piece| piece.items).collect())
}

/// What an item is, as the tests have it, and where, if that is told.
fn told(item: &SegmentItem) -> (Thing, Option<LogPlace>) {
    let (address, record) = (Address(item.id), RecordId(item.id));
    match item.states {
        Statement::Record => (Thing::Record(record), Some(item.place)),
        Statement::Page => (Thing::Page(address), Some(item.place)),
        Statement::Small => (Thing::Small(address), Some(item.place)),
        Statement::BlockFile { length } => (Thing::Block(address, length), None),
        Statement::Lost => (Thing::Lost(address), None),
        Statement::Dropped { since } => (Thing::Dropped(Dropped { address, since }), None),
        Statement::Expired { at_ms: 7 } => (Thing::Expired(record), None),
        Statement::Expired { .. } => panic!("it is when the writer says"),
        Statement::Removed => (Thing::Removed, None),
    }
}

fn found(found: &LogEntry) -> (Thing, Option<LogPlace>) {
    let place = match found {
        LogEntry::Record(_, place, _)
        | LogEntry::Page(_, place, _)
        | LogEntry::Block(_, BlockPlace::Log(place), _) => Some(*place),
        _ => None,
    };
    (thing(found), place)
}

#[test]
fn items_are_told_as_a_start_finds_them() {
    for seed in 0..20 {
        let (fs, mut writer, mut dice) = (SimFs::new(), Writer::default(), Dice(seed));
        let disk = start(fs.clone(), 1).unwrap().disk;
        (0..60).for_each(|_| writer.put(&disk, &mut dice).unwrap());
        disk.commit(&Group { removed: vec![1], ..Group::default() }).unwrap();
        assert_eq!(disk.segment_items(1, None), Err(ReadError::Gone));
        drop(disk);
        let opened = start(fs.restart(), 2).unwrap();
        let mut numbers: Vec<u32> =
            fs.paths("log/").iter().filter_map(|path| number(path)).collect();
        let newest = numbers.pop().unwrap();
        assert!(numbers.len() > 2);
        let mut all = Vec::new();
        for number in &numbers {
            let of_one = items(&opened.disk, *number).unwrap();
            assert!(of_one.iter().all(|item| item.place.segment == *number));
            all.extend(of_one);
        }
        assert_eq!(opened.disk.segment_items(newest + 1, None), Err(ReadError::Gone), "it is open");
        assert!(all.is_sorted_by_key(|item| (item.group, item.place.segment, item.place.offset)));
        let all: Vec<_> = all.iter().map(told).collect();
        let rest = opened.found.len() - all.len();
        assert!(opened.found.iter().map(found).take(all.len()).eq(all), "and {rest} more");
    }
}

fn number(path: &str) -> Option<u32> {
    layout::segment_number(path.strip_prefix("log/")?)
}

#[test]
fn a_piece_has_whole_groups() {
    let fs = SimFs::new();
    let (disk, _) = open(fs.clone(), Config::default(), [1; 16], drop).unwrap();
    let address = |number: u16| Address(std::array::from_fn(|at| number.to_be_bytes()[at % 2]));
    for first in [0, 3_000, 6_000] {
        let dropped = (first..first + 3_000).map(address).map(Dropped::from).collect();
        disk.commit(&Group { dropped, ..Group::default() }).unwrap();
    }
    drop(disk);
    let (disk, _) = open(fs.restart(), Config::default(), [2; 16], drop).unwrap();
    let pieces = pieces(&disk, 1).unwrap();
    assert_eq!(pieces.iter().map(|piece| piece.items.len()).collect::<Vec<_>>(), [6_000, 3_000]);
    let ids = pieces.iter().flat_map(|piece| &piece.items).map(|item| item.id);
    assert!(ids.eq((0..9_000).map(|number| address(number).0)));
}

#[test]
fn of_a_damaged_segment_all_is_told_that_can_be_told_apart() {
    let fs = SimFs::new();
    let disk = start(fs.clone(), 1).unwrap().disk;
    let address = |number: u8| Address([number; 32]);
    let small = |number| (address(number), Bytes::from(vec![number; 100]));
    for first in [1, 11, 21] {
        let group = Group {
            dropped: vec![Dropped { address: address(first), since: Some(1) }],
            small: vec![small(first + 1), small(first + 2)],
            ..Group::default()
        };
        commit(&disk, &group).unwrap();
    }
    drop(disk);
    let disk = start(fs.restart(), 2).unwrap().disk;
    let fs = disk.file_system();
    assert!(items(&disk, 1).is_ok());
    for at in [0, 4096] {
        assert!(fs.tamper().flip(&layout::segment(1), at));
    }
    assert_eq!(items(&disk, 1), Err(ReadError::Damaged), "the header");
    assert!(fs.tamper().flip(&layout::segment(1), 0));
    let all = items(&disk, 1).unwrap();
    let told = |items: &[SegmentItem]| items.iter().map(|item| item.id[0]).collect::<Vec<_>>();
    assert_eq!(told(&all), [1, 2, 3, 11, 12, 13, 21, 22, 23]);
    let flip = |at: u32| assert!(fs.tamper().flip(&layout::segment(1), at as usize));
    // The bytes of a block: it is told where it was, and is found to be bad by whoever reads it.
    flip(all[1].place.offset + 50);
    let damaged = items(&disk, 1).unwrap();
    assert_eq!(told(&damaged), told(&all));
    assert!(damaged.iter().map(|item| item.place).eq(all.iter().map(|item| item.place)));
    assert_eq!(disk.read_log(all[1].place), Err(ReadError::Damaged));
    // What has no bytes of its own is not believed.
    flip(all[3].place.offset - 20);
    assert_eq!(told(&items(&disk, 1).unwrap()), [1, 2, 3, 12, 13, 21, 22, 23]);
    // The length of an item: what follows it in its group cannot be found.
    flip(all[4].place.offset - 6);
    assert_eq!(told(&items(&disk, 1).unwrap()), [1, 2, 3, 21, 22, 23]);
}

#[test]
fn an_index_is_of_a_segment_that_ends_with_the_same_group() {
    let fs = SimFs::new();
    let disk = start(fs.clone(), 1).unwrap().disk;
    let small = vec![(Address([1; 32]), Bytes::from_static(b"small"))];
    commit(&disk, &Group { small, ..Group::default() }).unwrap();
    drop(disk);
    let opened = start(fs.restart(), 2).unwrap();
    opened.disk.index_segment(1);
    let fs = opened.disk.file_system();
    let header = |number| {
        let file = fs.open(&layout::segment(number)).unwrap();
        match Parsed::first(copies_of(fs, &file, number).unwrap()) {
            Parsed::Header(header) => header,
            other => panic!("{other:?}"),
        }
    };
    let (header, next) = (header(1), header(2));
    let Verdict { end, last, .. } = next.before;
    let other = Position { number: last.number + 1, ..last };
    let unlike = Position { chain: last.chain ^ 1, ..last };
    for (last, is_its) in
        [(None, true), (Some(last), true), (Some(other), false), (Some(unlike), false)]
    {
        let file = fs.open(&layout::segment(1)).unwrap();
        let closed = Closed { header: &header, end, last };
        let index = IndexReader::open(Window::new(fs, &file), &closed).unwrap();
        assert_eq!(index.is_some(), is_its, "{last:?}");
    }
}

/// The pieces of a segment cost what one pass over its index costs.
#[test]
fn a_piece_goes_on_where_the_one_before_it_ended() {
    let fs = SimFs::new();
    let (disk, _) = open(fs.clone(), Config::default(), [1; 16], drop).unwrap();
    let id = |number: u32| Address(std::array::from_fn(|at| number.to_be_bytes()[at % 4]));
    for first in (0..60_000).step_by(1_000) {
        let dropped = (first..first + 1_000).map(id).map(Dropped::from).collect();
        disk.commit(&Group { dropped, ..Group::default() }).unwrap();
    }
    drop(disk);
    let (disk, _) = open(fs.restart(), Config::default(), [2; 16], drop).unwrap();
    let without = pieces(&disk, 1).unwrap();
    disk.index_segment(1);
    let before = disk.file_system().bytes_read();
    let with = pieces(&disk, 1).unwrap();
    let read = disk.file_system().bytes_read() - before;
    let all = |pieces: &[SegmentItems]| -> Vec<_> {
        pieces.iter().flat_map(|piece| piece.items.clone()).collect()
    };
    assert!(all(&with) == all(&without) && with.len() > 5, "{} pieces", with.len());
    assert!(with[..with.len() - 1].iter().all(|piece| piece.next.unwrap().chunk.is_some()));
    // A head, and a window of 256 KiB: of each piece.
    assert!(read < with.len() as u64 * 3 * 256 * 1024, "{read} bytes");
}
