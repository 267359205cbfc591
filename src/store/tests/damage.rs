//! Rot: what is damaged is noticed, put aside and told of; everything else stays.

use super::*;
use crate::limits::{RECORD_MAX, REMAINS_MAX};
use crate::store::layout;
use crate::testing::SimFs;

/// A store with some groups in its first segment, closed in order, and the places of their records.
pub(super) fn closed(groups: usize) -> (SimFs, Writer, Vec<LogPlace>) {
    let (opened, fs, writer, places) = written(groups);
    drop(opened);
    (fs.restart(), writer, places)
}

/// The same of one whose process was killed: nothing was written after the last group.
pub(super) fn killed(groups: usize) -> (SimFs, Writer, Vec<LogPlace>) {
    let (_opened, fs, writer, places) = written(groups);
    (fs.restart(), writer, places)
}

/// A store that is open.
fn written(groups: usize) -> (Opened<SimFs>, SimFs, Writer, Vec<LogPlace>) {
    let fs = SimFs::new();
    let mut writer = Writer::default();
    let opened = start(fs.clone(), 1).unwrap();
    let mut places = Vec::new();
    for index in 0..groups {
        let record = content(&mut Dice(index as u64), 300);
        let id = RecordId(writer.remember(&record).0);
        let group = Group { records: vec![(id, record)], ..Group::default() };
        places.extend(commit(&opened.disk, &group).unwrap().records);
        writer.promised(&group);
    }
    (opened, fs, writer, places)
}

#[test]
fn a_flipped_byte_anywhere_in_an_old_segment_costs_one_group() {
    let (fs, writer, places) = closed(3);
    let store = start(fs.restart(), 2).unwrap().recovered.store;
    let end = places[2].offset as usize + 304;
    for at in (0..end).filter(|at| *at < 80 || (4096..4176).contains(at) || *at >= 8192) {
        let fs = fs.restart();
        drop(start(fs.clone(), 2).unwrap());
        let fs = fs.restart();
        assert!(fs.tamper().flip("log/00000001.seg", at));
        let opened = start(fs.clone(), 3).unwrap();
        let found: Vec<_> = opened.found.iter().map(thing).collect();
        if at < 8192 {
            assert_eq!(found, writer.promised, "the other header is enough");
            assert_eq!(opened.recovered.store, store);
            continue;
        }
        let hit = places.iter().filter(|place| at >= place.offset as usize + 304);
        let mut left = writer.promised.clone();
        left.remove(hit.count());
        assert_eq!(found, left, "byte {at}");
        assert_eq!(opened.recovered.group, 4, "the last says that it was closed in order");
        assert_ne!(opened.recovered.store, store, "peers must doubt what we hold");
        assert_eq!(opened.recovered.notes.len(), 1);
        assert_eq!(fs.paths("quarantine/").len(), 1);
        let life = opened.recovered.store;
        drop(opened);
        let again = start(fs.restart(), 4).unwrap();
        assert_eq!(again.recovered.store, life, "told once");
        assert_eq!(again.found.len(), 2);
        assert_eq!(again.recovered.notes, [""; 0]);
    }
}

#[test]
fn rot_before_good_groups_of_the_newest_segment_is_no_torn_tail() {
    let (fs, writer, places) = closed(4);
    fs.tamper().flip("log/00000001.seg", places[1].offset as usize);
    let opened = start(fs, 2).unwrap();
    let found: Vec<_> = opened.found.iter().map(thing).collect();
    assert_eq!(found, [&writer.promised[..1], &writer.promised[2..]].concat());
    assert_eq!(opened.recovered.group, 5);
}

#[test]
fn a_torn_tail_is_void_for_ever() {
    let (fs, mut writer, places) = killed(4);
    fs.tamper().flip("log/00000001.seg", places[3].offset as usize);
    let opened = start(fs.clone(), 2).unwrap();
    assert_eq!((opened.recovered.group, opened.found.len()), (3, 3));
    assert_eq!(opened.recovered.notes, [""; 0]);
    writer.promised.pop();
    writer.put(&opened.disk, &mut Dice(50)).unwrap();
    drop(opened);
    // Were the bytes to come right again, the verdict would still stand.
    let fs = fs.restart();
    fs.tamper().flip("log/00000001.seg", places[3].offset as usize);
    writer.check(&start(fs, 3).unwrap());
}

#[test]
fn rot_of_the_last_group_is_no_torn_tail_once_the_store_was_closed() {
    let (fs, writer, places) = closed(3);
    let last = places[2].offset as usize;
    for at in last - 73..last + 304 {
        let fs = fs.restart();
        assert!(fs.tamper().flip("log/00000001.seg", at));
        let opened = start(fs.clone(), 2).unwrap();
        let found: Vec<_> = opened.found.iter().map(thing).collect();
        assert_eq!(found, writer.promised[..2], "byte {at}");
        assert_eq!(opened.recovered.notes.len(), 1, "byte {at}");
        drop(opened);
        let again = start(fs.restart(), 3).unwrap().recovered;
        assert_eq!(again.notes, [""; 0], "byte {at}");
        assert!(again.remains.len() == 1 || again.log_damage.is_any(), "byte {at}");
    }
}

#[test]
fn of_damaged_groups_at_the_end_only_the_last_may_be_torn() {
    for groups in 2..5 {
        for damaged in 2..=groups {
            let (fs, writer, places) = killed(groups);
            for place in &places[groups - damaged..] {
                assert!(fs.tamper().flip("log/00000001.seg", place.offset as usize + 100));
            }
            let opened = start(fs.clone(), 2).unwrap();
            let found: Vec<_> = opened.found.iter().map(thing).collect();
            assert_eq!(found, writer.promised[..groups - damaged]);
            assert_eq!(opened.recovered.notes.len(), 1);
            assert_eq!(opened.recovered.remains.len(), damaged - 1);
            let life = opened.recovered.store;
            drop(opened);
            // Nor is the segment taken for an empty one later.
            for entropy in 3..5 {
                let again = start(fs.restart(), entropy).unwrap().recovered;
                assert_eq!((again.notes.len(), again.remains.len()), (0, damaged - 1));
                assert_eq!(again.store, life);
            }
        }
    }
}

#[test]
fn a_group_that_is_void_stays_so_beside_damage_before_it() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let records = (1..4).map(|number| (RecordId([number; 32]), content(&mut Dice(3), 300)));
    let places: Vec<_> = records
        .map(|record| Group { records: vec![record], ..Group::default() })
        .map(|group| commit(&opened.disk, &group).unwrap().records[0])
        .collect();
    let bytes = content(&mut Dice(4), 100_000);
    let address = address_of(&bytes);
    assert!(draft(&opened.disk, 1, &bytes));
    let blocks = vec![(1, address, 100_000)];
    let last = (RecordId([9; 32]), content(&mut Dice(5), 300));
    commit(&opened.disk, &Group { blocks, records: vec![last], ..Group::default() }).unwrap();
    let fs = fs.restart();
    fs.remove(&layout::block(&address)).unwrap();
    assert!(fs.tamper().flip("log/00000001.seg", places[1].offset as usize + 100));
    let expected = [1, 3].map(|number| Thing::Record(RecordId([number; 32])));
    for entropy in 2..5 {
        let opened = start(fs.restart(), entropy).unwrap();
        let found: Vec<_> = opened.found.iter().map(thing).collect();
        assert_eq!(found, expected, "start {entropy}");
    }
    let mut fs = fs.restart();
    for entropy in 2..5 {
        let opened = start(fs.clone(), entropy).unwrap();
        let found: Vec<_> = opened.found.iter().map(thing).collect();
        assert_eq!(found, expected, "start {entropy}");
        drop(opened);
        fs = fs.restart();
    }
}

#[test]
fn a_segment_without_a_readable_header_is_put_aside_whole() {
    let (fs, _, _) = closed(2);
    drop(start(fs.clone(), 2).unwrap());
    let fs = fs.restart();
    fs.tamper().flip("log/00000001.seg", 20);
    fs.tamper().flip("log/00000001.seg", 4096 + 20);
    let opened = start(fs.clone(), 3).unwrap();
    assert_eq!(opened.found, []);
    assert_eq!(opened.recovered.notes.len(), 1);
    assert_eq!(fs.paths("quarantine/"), ["quarantine/00000001.seg"]);
}

#[test]
fn a_segment_that_is_gone_is_told_once_and_ends_the_logs_life() {
    let (fs, _, _) = closed(2);
    let life = start(fs.clone(), 2).unwrap().recovered.store;
    let fs = fs.restart();
    fs.remove("log/00000001.seg").unwrap();
    let opened = start(fs.clone(), 3).unwrap();
    assert_eq!((opened.recovered.notes.len(), opened.found.len()), (1, 0));
    assert_ne!(opened.recovered.store, life, "peers must doubt what we hold");
    let life = opened.recovered.store;
    drop(opened);
    let again = start(fs.restart(), 4).unwrap();
    assert_eq!((again.recovered.notes.len(), again.recovered.store), (0, life));
}

#[test]
fn bytes_that_look_like_a_frame_inside_a_damaged_one_are_not_read() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let record = Bytes::from_static(b"put by somebody");
    let group = Group { records: vec![(RecordId([1; 32]), record)], ..Group::default() };
    let first = commit(&opened.disk, &group).unwrap();
    // A true frame of this very segment, put as a small block.
    let file = fs.open("log/00000001.seg").unwrap();
    let mut frame = vec![0; 200];
    fs.read_at(&file, 8192, &mut frame).unwrap();
    let decoy = Bytes::from(frame.repeat(20));
    let address = address_of(&decoy);
    let second = Group { small: vec![(address, decoy)], ..Group::default() };
    commit(&opened.disk, &second).unwrap();
    commit(
        &opened.disk,
        &Group { records: vec![(RecordId([2; 32]), Bytes::new())], ..Group::default() },
    )
    .unwrap();
    drop(opened);
    // Rot in the head of the second frame, so that its length is not known.
    let head = first.records[0].offset as usize + first.records[0].length as usize + 4;
    let fs = fs.restart();
    assert!(fs.tamper().flip("log/00000001.seg", head + 5));
    let opened = start(fs, 2).unwrap();
    let found: Vec<_> = opened.found.iter().map(thing).collect();
    let [first, third] = [[1; 32], [2; 32]].map(|id| Thing::Record(RecordId(id)));
    assert_eq!(found, [first, third, Thing::Small(address)], "what is damaged is told last");
}

/// A store whose last group names one block.
pub(super) fn with_block(seed: u64) -> (SimFs, Opened<SimFs>, Writer, (Address, BlockPlace)) {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let mut writer = Writer::default();
    let block = content(&mut Dice(seed), 2 * LEAF + 77);
    let address = writer.remember(&block);
    let length = u32::try_from(block.len()).unwrap();
    assert!(draft(&opened.disk, 1, &block));
    let record = content(&mut Dice(seed + 1), 300);
    let group = Group {
        blocks: vec![(1, address, length)],
        records: vec![(RecordId(writer.remember(&record).0), record)],
        ..Group::default()
    };
    commit(&opened.disk, &group).unwrap();
    writer.promised(&group);
    (fs, opened, writer, (address, BlockPlace::Tree { length }))
}

#[test]
fn a_bad_block_is_put_aside_and_its_group_stays_good() {
    let (fs, opened, _, (address, place)) = with_block(1);
    let path = layout::block(&address);
    assert!(fs.tamper().flip(&path, LEAF + 3));
    let served = read_leaves(&opened.disk, (address, place), (1, 1));
    assert!(served.is_ok(), "leaves are checked by whoever receives them");
    assert_eq!(verify(&opened.disk, &[(address, place)]), [address]);
    assert_eq!(fs.paths("blocks/"), [""; 0]);
    assert_eq!(fs.paths("quarantine/"), [layout::bad_block(&address)]);
    // The power goes before the core has noted the loss: the group is not taken for a torn one.
    for seed in 0..20 {
        let again = start(fs.power_cut(seed), 2).unwrap();
        assert_eq!(again.found.len(), 2);
        assert!(again.recovered.notes.is_empty());
        let read = read_leaves(&again.disk, (address, place), (0, 1));
        assert!(matches!(read, Ok(_) | Err(ReadError::Gone)));
    }
}

#[test]
fn a_damaged_foot_is_noticed_on_serving() {
    let length = 2 * LEAF + 77;
    for at in [length, length + 95, length + 96, length + 96 + 31] {
        let (fs, opened, _, block) = with_block(2);
        assert!(fs.tamper().flip(&layout::block(&block.0), at));
        let read = read_leaves(&opened.disk, block, (0, 1)).err();
        assert_eq!(read, Some(ReadError::Damaged));
        let read = read_leaves(&opened.disk, block, (0, 1)).err();
        assert_eq!(read, Some(ReadError::Gone), "it is in quarantine");
    }
}

#[test]
fn a_block_of_another_length_or_cut_short_is_damaged() {
    let (fs, opened, _, (address, _)) = with_block(3);
    fs.truncate(&layout::block(&address), 100).unwrap();
    let place = BlockPlace::Tree { length: 100 };
    let read = read_leaves(&opened.disk, (address, place), (0, 1)).err();
    assert_eq!(read, Some(ReadError::Damaged));
}

#[test]
fn a_group_whose_block_never_came_is_void_as_a_whole() {
    let (fs, opened, _, (address, _)) = with_block(4);
    std::mem::forget(opened);
    let fs = fs.restart();
    fs.remove(&layout::block(&address)).unwrap();
    let opened = start(fs.clone(), 2).unwrap();
    assert_eq!((opened.found.len(), opened.recovered.group), (0, 0));
    assert_eq!(opened.recovered.notes.len(), 1);
    drop(opened);
    assert_eq!(start(fs.restart(), 3).unwrap().found, []);
}

#[test]
fn closing_in_order_leaves_no_group_in_doubt() {
    let (fs, opened, writer, (address, _)) = with_block(5);
    drop(opened);
    let fs = fs.restart();
    fs.remove(&layout::block(&address)).unwrap();
    let opened = start(fs, 2).unwrap();
    let found: Vec<_> = opened.found.iter().map(thing).collect();
    assert_eq!(found, writer.promised);
}

#[test]
fn a_log_item_that_rots_is_damaged_when_read() {
    let (fs, _, places) = closed(2);
    let opened = start(fs.clone(), 2).unwrap();
    fs.tamper().flip("log/00000001.seg", places[0].offset as usize + 100);
    assert_eq!(read_log(&opened.disk, places[0]), Err(ReadError::Damaged));
    assert!(read_log(&opened.disk, places[1]).is_ok());
}

#[test]
fn what_a_newer_program_wrote_is_refused() {
    let (fs, _, _) = closed(1);
    let file = fs.open("log/00000001.seg").unwrap();
    let mut header = vec![0; 80];
    fs.read_at(&file, 0, &mut header).unwrap();
    header[9] = 9;
    let check = crc32c::crc32c(&header[..76]);
    header[76..].copy_from_slice(&check.to_be_bytes());
    fs.write_at(&file, 0, &header).unwrap();
    let error = start(fs, 2).err();
    let (segment, version) = (1, 9);
    assert_eq!(error, Some(OpenError::Newer { segment, version }));
}

#[test]
fn what_is_left_of_damaged_records_is_told_of() {
    // In the record, in the head of its group and in its own check sum.
    for at in [200, -70, -2] {
        let (fs, writer, places) = closed(3);
        let offset = i64::from(places[1].offset) + at;
        assert!(fs.tamper().flip("log/00000001.seg", usize::try_from(offset).unwrap()));
        let opened = start(fs, 2).unwrap();
        let remains = opened.recovered.remains;
        let promised = &writer.promised[1];
        assert_eq!(remains.len(), 1, "{at}");
        assert_eq!(&Thing::Record(remains[0].id), promised);
        assert_eq!(remains[0].bytes.len(), 300);
    }
}

#[test]
fn what_is_left_of_very_many_damaged_records_has_a_bound() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let mut places = Vec::new();
    for index in 0..6 {
        let record = |number: u64| {
            let record = content(&mut Dice(index * 1000 + number), RECORD_MAX);
            (RecordId([number as u8; 32]), record)
        };
        let group = Group { records: (0..1000).map(record).collect(), ..Group::default() };
        places.push(commit(&opened.disk, &group).unwrap().records[0]);
    }
    drop(opened);
    let fs = fs.restart();
    for place in &places[..5] {
        assert!(fs.tamper().flip(&layout::segment(place.segment), place.offset as usize));
    }
    let opened = start(fs, 2).unwrap();
    let bytes: usize = opened.recovered.remains.iter().map(|one| one.bytes.len()).sum();
    assert!(bytes <= REMAINS_MAX && bytes > REMAINS_MAX - RECORD_MAX, "{bytes}");
}
