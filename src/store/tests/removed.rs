//! Segments that are gone on purpose, blocks that were dropped and records that have expired: no damage, and gone for good.

use super::check::{checked, damage, record, started};
use super::damage::killed;
use super::*;
use crate::fsck::finding::Grade;
use crate::limits::{REMOVED_OPEN_MAX, SEGMENTS_REMOVED_MAX};
use crate::store::fs::RealFs;
use crate::store::layout;
use crate::testing::{SimError, SimFs};

/// Fills a segment of its own.
pub(super) fn filling(seed: u64) -> (Address, Bytes) {
    let block = content(&mut Dice(seed), 30_000);
    (address_of(&block), block)
}

/// So many groups, each in a segment of its own, from the first on; and where they are.
pub(super) fn fill<F: FileSystem>(disk: &Disk<F>, count: u64) -> Vec<LogPlace> {
    let group = |seed| Group { small: vec![filling(seed)], ..Group::default() };
    let places = (1..=count).map(|seed| commit(disk, &group(seed)).unwrap().small[0]);
    let places: Vec<_> = places.collect();
    assert!(places.iter().zip(1..).all(|(place, number)| place.segment == number));
    places
}

pub(super) fn remove<F: FileSystem>(disk: &Disk<F>, numbers: &[u32]) -> Vec<u32> {
    let group = Group { removed: numbers.to_vec(), ..Group::default() };
    commit(disk, &group).unwrap().removed
}

/// The segments whose blocks are found.
pub(super) fn found_in(found: &[LogEntry]) -> Vec<u32> {
    let place = |found: &LogEntry| match found {
        LogEntry::Block(_, BlockPlace::Log(place), _) => Some(place.segment),
        _ => None,
    };
    found.iter().filter_map(place).collect()
}

#[test]
fn a_removed_segment_is_gone_and_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    removing(|| RealFs::new(folder.path()).unwrap());
    let mut fs = SimFs::new();
    removing(|| {
        fs = fs.restart();
        fs.clone()
    });
}

fn removing<F: FileSystem>(mut next: impl FnMut() -> F) {
    let opened = start(next(), 1).unwrap();
    let store = opened.recovered.store;
    let places = fill(&opened.disk, 6);
    assert_eq!(read_log(&opened.disk, places[1]), Ok(filling(2).1), "and it is open from now on");
    let group = Group {
        dropped: vec![Address([1; 32]).into()],
        removed: vec![2, 5, 7, 9],
        ..Group::default()
    };
    let committed = commit(&opened.disk, &group).unwrap();
    assert_eq!(committed.removed, [2, 5], "neither what is appended to, nor what is not there");
    assert_eq!(
        (committed.number, committed.segment),
        (8, 7),
        "its own number, and that of the rest"
    );
    assert_eq!(read_log(&opened.disk, places[1]), Err(ReadError::Gone));
    assert_eq!(read_log(&opened.disk, places[2]), Ok(filling(3).1));
    assert_eq!(remove(&opened.disk, &[2]), [0; 0], "it is gone already");
    drop(opened);
    for (entropy, gone, left) in
        [(2, &[][..], &[1, 3, 4, 6][..]), (3, &[1, 3], &[4, 6]), (4, &[4], &[6]), (5, &[], &[6])]
    {
        let opened = start(next(), entropy).unwrap();
        assert_eq!(opened.recovered.notes, [""; 0], "start {entropy}");
        assert_eq!(opened.recovered.store, store);
        assert_eq!(found_in(&opened.found), [gone, left].concat(), "start {entropy}");
        assert_eq!(remove(&opened.disk, gone), gone);
    }
}

/// Six segments, of which the second and the fifth are gone on purpose, closed in order; and the bytes of these two.
pub(super) fn holed() -> (SimFs, Vec<Vec<u8>>) {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    fill(&opened.disk, 6);
    let bytes = vec![bytes_of(&fs, 2), bytes_of(&fs, 5)];
    assert_eq!(remove(&opened.disk, &[2, 5]), [2, 5]);
    drop(opened);
    (fs.restart(), bytes)
}

/// All of a segment.
pub(super) fn bytes_of(fs: &SimFs, segment: u32) -> Vec<u8> {
    let file = fs.open(&layout::segment(segment)).unwrap();
    let length = usize::try_from(fs.length(&file).unwrap()).unwrap();
    fs.read(&file, 0, length).unwrap()
}

/// Puts a segment there.
pub(super) fn put_back(fs: &SimFs, segment: u32, bytes: &[u8]) {
    let file = fs.create(&layout::segment(segment)).unwrap();
    fs.write_at(&file, 0, bytes).unwrap();
}

#[test]
fn what_is_left_of_a_removed_segment_is_not_read_but_removed() {
    for restarts in 0..2 {
        let (mut fs, bytes) = holed();
        for entropy in 0..restarts {
            started(&mut fs, 20 + entropy);
        }
        for (number, bytes) in [2, 5].into_iter().zip(&bytes) {
            put_back(&fs, number, bytes);
        }
        // Rot in it is no damage either.
        assert!(
            fs.tamper().flip(&layout::segment(5), 20)
                && fs.tamper().flip(&layout::segment(5), 4096 + 20)
        );
        let (summary, findings) = checked(&fs);
        assert!(summary.is_clean() && findings.len() == 2, "{findings:?}");
        assert!(findings.iter().all(|finding| finding.what.contains("given up")));
        let (recovered, found) = started(&mut fs, 3);
        assert_eq!((recovered.notes.len(), found_in(&found)), (0, vec![1, 3, 4, 6]));
        assert!(fs.open(&layout::segment(2)).is_err() && fs.open(&layout::segment(5)).is_err());
        assert_eq!(checked(&fs).1, []);
    }
}

#[test]
fn a_segment_that_is_not_gone_on_purpose_is_missed_also_if_one_that_is_told_of_it() {
    for (number, told) in [(3, "its last group was 3"), (4, "missing"), (1, "missing")] {
        let (fs, _) = holed();
        fs.remove(&layout::segment(number)).unwrap();
        let (summary, findings) = checked(&fs);
        assert_eq!(summary.damaged, 1, "{number}: {findings:?}");
        assert!(damage(&findings)[0].1.contains(told), "{number}: {findings:?}");
        let mut fs = fs.restart();
        let notes = started(&mut fs, 3).0.notes;
        assert_eq!(notes.len(), 1, "{number}: {notes:?}");
        assert_eq!(started(&mut fs, 4).0.notes, [""; 0], "{number}: told once");
    }
}

#[test]
fn what_the_header_of_a_removed_segment_said_of_the_one_before_still_counts() {
    let (fs, _, places) = killed(4);
    assert!(fs.tamper().flip("log/00000001.seg", places[3].offset as usize));
    let opened = start(fs.clone(), 2).unwrap();
    assert_eq!(opened.found.len(), 3, "the last group is void");
    for seed in [70, 71] {
        let group = Group { small: vec![filling(seed)], ..Group::default() };
        commit(&opened.disk, &group).unwrap();
    }
    // Which said where the first one ends.
    assert_eq!(remove(&opened.disk, &[2]), [2]);
    drop(opened);
    let mut fs = fs.restart();
    // Were the bytes to come right again, they are void all the same.
    assert!(fs.tamper().flip("log/00000001.seg", places[3].offset as usize));
    for entropy in 3..5 {
        let (recovered, found) = started(&mut fs, entropy);
        let records = found.iter().filter(|found| matches!(found, LogEntry::Record(..)));
        assert_eq!((recovered.notes.len(), records.count()), (0, 3));
    }
    let summary = checked(&fs).0;
    assert_eq!((summary.log_has_gaps, summary.records), (false, 3));
}

/// Whoever sends a small block composes bytes that look like an item: in damaged bytes none is believed that takes away, but
/// that a record has expired where such bytes cannot be.
#[test]
fn in_damaged_bytes_nothing_is_believed_that_says_what_is_gone_but_expired_records() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    fill(&opened.disk, 4);
    let small = content(&mut Dice(40), 500);
    let kept = record(9, &[&small]);
    let held = Group { small: vec![(address_of(&small), small.clone())], ..Group::default() };
    commit(&opened.disk, &Group { records: vec![kept.clone()], ..held }).unwrap();
    let group = Group {
        dropped: vec![address_of(&small).into()],
        expired: vec![Expired { id: kept.0, at_ms: 7 }],
        removed: vec![2],
        ..Group::default()
    };
    let committed = commit(&opened.disk, &group).unwrap();
    assert_eq!(committed.removed, [2]);
    let later = Group { records: vec![record(10, &[])], ..Group::default() };
    commit(&opened.disk, &later).unwrap();
    let found = started(&mut fs.restart(), 3).1;
    let in_segment = committed.segment;
    assert!(found.contains(&LogEntry::Expired(group.expired[0], in_segment)));
    assert!(found.contains(&LogEntry::Dropped(address_of(&small).into(), in_segment)));
    drop(opened);
    let mut fs = fs.restart();
    let segment = layout::segment(committed.segment);
    // The heads of both frames: their items are whole.
    let heads = heads(&fs, committed.segment);
    let [.., gone, removed, _later, _closed] = heads[..] else { panic!("frames: {heads:?}") };
    assert!(fs.tamper().flip(&segment, gone + 20) && fs.tamper().flip(&segment, removed + 20));
    let (recovered, found) = started(&mut fs, 4);
    let told: Vec<_> = found.iter().map(thing).collect();
    assert!(
        told.contains(&Thing::Record(kept.0)) && told.contains(&Thing::Small(address_of(&small)))
    );
    assert!(!told.iter().any(|thing| matches!(thing, Thing::Dropped(_) | Thing::Removed)));
    assert!(told.contains(&Thing::Expired(kept.0)));
    assert_eq!(recovered.notes.len(), 2, "the damage, and the segment: {:?}", recovered.notes);
    assert!(!recovered.log_damage.is_any() || recovered.log_damage.bytes == 0);
}

/// Where the frames of a segment begin.
pub(super) fn heads(fs: &SimFs, segment: u32) -> Vec<usize> {
    let bytes = bytes_of(fs, segment);
    let heads = bytes.windows(4).enumerate().filter(|(_, four)| *four == b"dfsG");
    heads.map(|(at, _)| at).collect()
}

#[test]
fn what_was_dropped_or_has_expired_is_neither_missing_nor_known() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let (block, small) = (content(&mut Dice(1), LEAF * 3), content(&mut Dice(2), 500));
    assert!(draft(&opened.disk, 1, &block));
    let length = u32::try_from(block.len()).unwrap();
    let (kept, past) = (record(1, &[&block, &small]), record(2, &[&small]));
    let group = Group {
        blocks: vec![(1, address_of(&block), length)],
        small: vec![(address_of(&small), small.clone())],
        records: vec![kept, past.clone()],
        ..Group::default()
    };
    commit(&opened.disk, &group).unwrap();
    let expired = Expired { id: past.0, at_ms: 7_000 };
    let dropped = vec![address_of(&block).into(), address_of(&small).into()];
    let gone = Group { dropped, expired: vec![expired], ..Group::default() };
    commit(&opened.disk, &gone).unwrap();
    assert!(fs.open(&layout::block(&address_of(&block))).is_err(), "its file is gone");
    drop(opened);
    let mut fs = fs.restart();
    let (summary, findings) = checked(&fs);
    assert_eq!(findings, []);
    assert_eq!((summary.records, summary.blocks), (1, 0));
    let found = started(&mut fs, 2).1;
    assert!(found.contains(&LogEntry::Expired(expired, 1)), "{found:?}");
    // Had again.
    let opened = start(fs.clone(), 3).unwrap();
    let small = vec![(address_of(&small), small)];
    let again = Group { small, records: vec![past], ..Group::default() };
    commit(&opened.disk, &again).unwrap();
    drop(opened);
    let summary = checked(&fs.restart()).0;
    assert_eq!((summary.records, summary.blocks), (2, 1));
}

#[test]
fn without_room_to_say_so_a_segment_stays() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    fill(&opened.disk, 3);
    // The new segment that says so finds none.
    fs.tamper().fail_nth(0, SimError::NoSpace);
    assert_eq!(remove(&opened.disk, &[1, 2]), [0; 0]);
    assert!(fs.open(&layout::segment(1)).is_ok());
    assert_eq!(remove(&opened.disk, &[1, 2]), [1, 2]);
    drop(opened);
    let (recovered, found) = started(&mut fs.restart(), 2);
    assert_eq!((recovered.notes.len(), found_in(&found)), (0, vec![3]));
}

#[test]
fn with_very_many_holes_the_next_wait_for_the_oldest() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let most = u32::try_from(SEGMENTS_REMOVED_MAX).unwrap();
    fill(&opened.disk, 2 * u64::from(most) + 6);
    let all: Vec<u32> = (1..=most + 2).map(|number| 2 * number).collect();
    assert_eq!(remove(&opened.disk, &all), all[..SEGMENTS_REMOVED_MAX]);
    drop(opened);
    let mut fs = fs.restart();
    let (recovered, found) = started(&mut fs, 2);
    assert_eq!(recovered.notes, [""; 0]);
    let left = (0..=most).map(|number| 2 * number + 1).chain(2 * most + 2..=2 * most + 6);
    assert_eq!(found_in(&found), left.collect::<Vec<_>>());
    let findings = checked(&fs).1;
    assert!(findings.iter().all(|finding| finding.grade < Grade::Missing), "{findings:?}");
}

/// One old segment stays, and all behind it go for as long as the node runs and after each start.
#[test]
fn behind_one_that_stays_any_number_goes() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let count = u32::try_from(SEGMENTS_REMOVED_MAX).unwrap() + 20;
    fill(&opened.disk, u64::from(count));
    let all: Vec<u32> = (2..count - 1).collect();
    for numbers in all.chunks(64) {
        assert_eq!(remove(&opened.disk, numbers), numbers);
    }
    drop(opened);
    let mut fs = fs.restart();
    for entropy in 2..5 {
        put_back(&fs, 7, &bytes_of(&fs, 1));
        let (recovered, found) = started(&mut fs, entropy);
        assert_eq!((recovered.notes, found_in(&found)), (vec![], vec![1, count - 1, count]));
        let findings = checked(&fs).1;
        assert!(findings.iter().all(|finding| finding.grade < Grade::Missing), "{findings:?}");
    }
    let opened = start(fs.restart(), 6).unwrap();
    assert_eq!(remove(&opened.disk, &[count - 1, 1]), [count - 1, 1]);
}

/// Writes both copies of a segment's header anew: the 80 bytes that all formats have, with this version.
fn set_version(fs: &SimFs, number: u32, version: u8) {
    let file = fs.open(&layout::segment(number)).unwrap();
    let mut header = fs.read(&file, 0, 80).unwrap();
    header[9] = version;
    let sum = crc32c::crc32c(&header[..76]);
    header[76..].copy_from_slice(&sum.to_be_bytes());
    header.resize(4096, 0);
    for at in [0, 4096] {
        fs.write_at(&file, at, &header).unwrap();
    }
}

#[test]
fn a_folder_of_the_first_format_is_opened_as_before_and_one_of_the_next_is_refused() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let store = opened.recovered.store;
    fill(&opened.disk, 3);
    drop(opened);
    let mut fs = fs.restart();
    (1..=4).for_each(|number| set_version(&fs, number, 1));
    assert_eq!(checked(&fs).1, []);
    for (entropy, found) in [(2, &[1, 2, 3][..]), (3, &[1, 2, 3])] {
        let (recovered, here) = started(&mut fs, entropy);
        assert_eq!((recovered.notes.len(), recovered.store), (0, store));
        assert_eq!(found_in(&here), found);
    }
    // And goes on in the present one.
    let opened = start(fs.clone(), 4).unwrap();
    assert_eq!(remove(&opened.disk, &[2]), [2]);
    drop(opened);
    fs = fs.restart();
    let (recovered, here) = started(&mut fs, 5);
    assert_eq!((recovered.notes.len(), found_in(&here)), (0, vec![1, 3]));
    set_version(&fs, 3, 4);
    let refused = start(fs.restart(), 6).err();
    assert_eq!(refused, Some(OpenError::Newer { segment: 3, version: 4 }));
}

/// Compaction writes what is needed of a segment anew before that goes: until then it is there twice.
#[test]
fn what_was_written_anew_is_checked_and_found_like_any_other() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let (block, small) = (content(&mut Dice(1), LEAF * 3), content(&mut Dice(2), 20_000));
    assert!(draft(&opened.disk, 1, &block));
    let length = u32::try_from(block.len()).unwrap();
    let small = vec![(address_of(&small), small)];
    let records = vec![record(1, &[&block, &small[0].1])];
    let page = record(2, &[]);
    let expired = vec![Expired { id: page.0, at_ms: 7 }];
    let blocks = vec![(1, address_of(&block), length)];
    let first =
        Group { blocks, small: small.clone(), records: records.clone(), ..Group::default() };
    assert_eq!(commit(&opened.disk, &first).unwrap().segment, 1);
    commit(&opened.disk, &Group { expired: expired.clone(), ..Group::default() }).unwrap();
    let named = vec![(address_of(&block), length)];
    let copy = Group { named, small, records, ..Group::default() };
    let copied = commit(&opened.disk, &copy).unwrap();
    assert!(copied.segment > 1 && copied.end.segment == copied.segment);
    std::mem::forget(opened);
    for removed in [vec![], vec![1]] {
        let opened = start(fs.restart(), 2).unwrap();
        assert_eq!(remove(&opened.disk, &removed), removed);
        let file = BlockPlace::Tree { length };
        let seen = opened.disk.verify(&[(address_of(&block), file)]);
        assert!(seen.bad.is_empty(), "the file was not renamed, nor removed");
        let mut after = opened.disk.file_system().restart();
        std::mem::forget(opened);
        let (summary, findings) = checked(&after);
        assert_eq!(findings, [], "{removed:?}");
        assert_eq!((summary.records, summary.blocks), (1, 2));
        let (recovered, found) = started(&mut after, 3);
        assert_eq!(recovered.notes, [""; 0]);
        let last = found.iter().rev().find_map(|found| match found {
            LogEntry::Record(_, place, _) => Some(place.segment),
            _ => None,
        });
        assert_eq!(last, Some(copied.segment));
        assert!(found.contains(&LogEntry::Expired(expired[0], 2)), "{found:?}");
    }
}

/// Their space is freed when nobody waits for a group.
#[test]
fn few_of_many_removed_files_are_kept_open() {
    let folder = tempfile::tempdir().unwrap();
    let opened = start(RealFs::new(folder.path()).unwrap(), 1).unwrap();
    let blocks: Vec<_> = (0..REMOVED_OPEN_MAX as u64 + 9)
        .map(|seed| (seed, content(&mut Dice(seed), LEAF * 3)))
        .map(|(seed, block)| {
            assert!(draft(&opened.disk, seed, &block));
            (seed, address_of(&block), u32::try_from(block.len()).unwrap())
        })
        .collect();
    let dropped = blocks.iter().map(|(_, address, _)| (*address).into()).collect();
    let brought = commit(&opened.disk, &Group { blocks, ..Group::default() }).unwrap();
    let gone = commit(&opened.disk, &Group { dropped, ..Group::default() }).unwrap();
    assert!(!brought.frees && gone.frees);
    let removed = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let paths = open.filter_map(|open| std::fs::read_link(open.path()).ok());
        let paths = paths.filter(|path| path.starts_with(folder.path()));
        paths.filter(|path| path.to_string_lossy().ends_with(" (deleted)")).count()
    };
    assert_eq!(removed(), REMOVED_OPEN_MAX);
    opened.disk.free();
    assert_eq!(removed(), 0);
}
