//! Indexes of closed segments: a start finds by them what it finds by reading the groups, and believes none that does not fit.
//!
//! Knows how an index begins, and no more of its format. Invariant: what a start should find is what one finds that reads all.

use bytes::Bytes;
use dfsd::crypto::keys::record_id;
use dfsd::crypto::tree;
use dfsd::ids::{Address, NameId, RecordId, VersionId, Writer};
use dfsd::store::fs::FileSystem;
use dfsd::store::values::{BlockPlace, Dropped, Expired, Group, LogEntry, SegmentItem};
use dfsd::store::{self, Config, Disk};
use dfsd::testing::SimFs;
use dfsd::wire::discards::discarding;
use dfsd::wire::message::BlockRef;
use dfsd::wire::page::{Entries, Page, PageRef};
use dfsd::wire::record::{BlockList, Record, RecordKind};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

const MAGIC: &[u8] = b"dfsdidx\n";
const CONFIG: Config = Config { reserve: 0, reserve_percent: 0, segment: 24 * 1024, now_ms: 0 };

fn path(segment: u32) -> String {
    format!("log/{segment:08}.seg")
}

struct Dice(ChaCha8Rng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }
}

/// An open disk, and what its start found and what it could not find by indexes.
struct Opened {
    disk: Disk<SimFs>,
    found: Vec<LogEntry>,
    unindexed: Vec<u32>,
}

fn open(fs: &SimFs, life: u8) -> Opened {
    let mut found = Vec::new();
    let opened = store::open(fs.clone(), CONFIG, [life; 16], |entry| found.push(entry));
    let (disk, recovered) = opened.expect("it opens");
    assert!(recovered.notes.iter().all(|note| note.ends_with("it is discarded")));
    Opened { disk, found, unindexed: recovered.unindexed }
}

/// What is found by reading all groups.
fn read_whole(fs: &SimFs) -> Vec<LogEntry> {
    let mut found = Vec::new();
    let opened = store::open_whole(fs.restart(), CONFIG, [99; 16], |entry| found.push(entry));
    opened.map(drop).expect("it opens");
    found
}

/// A start that gives every closed segment its index; the disk as the next one finds it.
fn indexed(fs: &SimFs, life: u8) -> SimFs {
    let opened = open(fs, life);
    opened.unindexed.iter().for_each(|segment| opened.disk.index_segment(*segment));
    std::mem::forget(opened.disk);
    fs.restart()
}

/// As an index has it.
fn outlined(found: &LogEntry) -> LogEntry {
    match found {
        LogEntry::Record(id, place, bytes) => match Record::decode(bytes) {
            Ok(record) if matches!(record.kind, RecordKind::File | RecordKind::Tombstone) => {
                let bare = Record::unsigned(record.kind, record.name, record.version);
                let Record { sealed, sealed_tag, signature, .. } = bare;
                let outline = Record { sealed, sealed_tag, signature, ..record };
                LogEntry::Outline(*id, *place, Box::new(outline))
            }
            _ => found.clone(),
        },
        LogEntry::Page(address, place, bytes) => match Page::decode(bytes) {
            Ok(page) => LogEntry::PageEntries(*address, *place, page.entries),
            Err(_) => found.clone(),
        },
        _ => found.clone(),
    }
}

fn same(found: &[LogEntry], whole: &[LogEntry]) -> bool {
    found.iter().map(outlined).eq(whole.iter().map(outlined))
}

fn noise(dice: &mut Dice, length: usize) -> Bytes {
    Bytes::from_iter((0..length).map(|_| dice.below(256) as u8))
}

fn address(dice: &mut Dice) -> Address {
    Address(noise(dice, 32)[..].try_into().unwrap())
}

/// A record of any kind, or none at all.
fn record(dice: &mut Dice) -> (RecordId, Bytes) {
    let stamp = 10 + dice.below(1 << 30) as u64;
    let version = |stamp| VersionId { stamp, writer: Writer([1; 8]) };
    let kinds = [RecordKind::File, RecordKind::Tombstone, RecordKind::Grant, RecordKind::Other(9)];
    let kind = kinds[dice.below(4)];
    let mut record = Record::unsigned(kind, NameId(address(dice).0), version(stamp));
    record.epoch = dice.below(2) as u32;
    record.parents = (0..dice.below(3) as u64).map(|back| version(stamp - 1 - back)).collect();
    record.extensions.extend(discarding(&[version(stamp + 5)]).filter(|_| dice.below(3) == 0));
    record.sealed = noise(dice, 100).to_vec();
    if kind == RecordKind::File {
        let length = 1 + dice.below(9_000) as u32;
        record.blocks = match dice.below(2) {
            0 => BlockList::Inline(vec![BlockRef { address: address(dice), length }; 2]),
            _ => BlockList::Pages { root: address(dice), depth: 1, blocks: 7, bytes: 700 },
        };
    }
    let bytes = match dice.below(8) {
        0 => noise(dice, 300),
        _ => Bytes::from(record.to_bytes()),
    };
    (record_id(&bytes), bytes)
}

fn page(dice: &mut Dice) -> (Address, Bytes) {
    let mut bytes = Vec::new();
    let entries = match dice.below(2) {
        0 => Entries::Blocks(vec![BlockRef { address: address(dice), length: 9 }; 5]),
        _ => {
            let page = PageRef { address: address(dice), blocks: 2, bytes: 9 };
            Entries::Pages { depth: 2, pages: vec![page; 3] }
        }
    };
    let sealed = vec![7; entries.count() * 64];
    Page { entries, sealed }.encode(&mut bytes);
    if dice.below(5) == 0 {
        bytes = noise(dice, 90).to_vec();
    }
    (Address(tree::tree(&bytes).0), Bytes::from(bytes))
}

fn group(dice: &mut Dice) -> Group {
    let mut group = Group::default();
    for _ in 0..dice.below(4) {
        let length = 1 + dice.below(2_000);
        let small = noise(dice, length);
        group.small.push((Address(tree::tree(&small).0), small));
    }
    group.pages = (0..dice.below(3)).map(|_| page(dice)).collect();
    group.records = (0..dice.below(6)).map(|_| record(dice)).collect();
    group.lost = (0..dice.below(2)).map(|_| address(dice)).collect();
    let dropped = |dice: &mut Dice| {
        let since = (dice.below(2) == 0).then(|| dice.below(9) as u32);
        Dropped { address: address(dice), since }
    };
    group.dropped = (0..dice.below(3)).map(|_| dropped(dice)).collect();
    let expired = |dice: &mut Dice| Expired { id: RecordId(address(dice).0), at_ms: 70_000 };
    group.expired = (0..dice.below(3)).map(|_| expired(dice)).collect();
    group
}

/// A log of some segments, none of which has an index.
fn filled(seed: u64) -> SimFs {
    let fs = SimFs::new();
    let disk = open(&fs, 1).disk;
    let mut dice = Dice::new(seed);
    for number in 0..40 {
        let removed = if number == 30 { vec![2] } else { Vec::new() };
        disk.commit(&Group { removed, ..group(&mut dice) }).unwrap();
    }
    std::mem::forget(disk);
    fs.restart()
}

/// The numbers of all segments but the newest, which is open.
fn closed(fs: &SimFs) -> Vec<u32> {
    let number = |path: &String| path[4..12].parse().unwrap();
    let mut numbers: Vec<u32> = fs.paths("log/").iter().map(number).collect();
    numbers.pop();
    numbers
}

fn items(disk: &Disk<SimFs>, segment: u32) -> Vec<SegmentItem> {
    let (mut items, mut from) = (Vec::new(), None);
    loop {
        let piece = disk.segment_items(segment, from).unwrap();
        items.extend(piece.items);
        from = piece.next;
        if from.is_none() {
            return items;
        }
    }
}

#[test]
fn a_start_finds_by_indexes_what_it_finds_in_groups() {
    for seed in 0..10 {
        let plain = filled(seed);
        let whole = read_whole(&plain);
        let fs = indexed(&plain.restart(), 2);
        let opened = open(&fs, 3);
        assert!(opened.unindexed.is_empty(), "seed {seed}: {:?}", opened.unindexed);
        assert!(same(&opened.found, &whole), "seed {seed}");
        let outlines = |entry: &&LogEntry| matches!(entry, LogEntry::Outline(..));
        assert!(opened.found.iter().filter(outlines).count() > 10);
        assert!(same(&read_whole(&fs), &whole), "and the groups are what they were");
        // What an index says of items, and where they are.
        let other = open(&plain, 3).disk;
        for segment in closed(&fs) {
            assert_eq!(items(&opened.disk, segment), items(&other, segment), "segment {segment}");
        }
        for found in &opened.found {
            if let LogEntry::Outline(id, place, _) = found {
                let bytes = opened.disk.read_log(*place).unwrap();
                assert_eq!(record_id(&bytes), *id);
            }
        }
    }
}

/// A small block takes as many bytes in the log as it has, and in an index as many as another.
#[test]
fn a_start_reads_indexes_and_the_last_segment() {
    let config = Config { segment: 1 << 20, ..CONFIG };
    let fs = SimFs::new();
    let (disk, _) = store::open(fs.clone(), config, [1; 16], drop).unwrap();
    let mut dice = Dice::new(1);
    for _ in 0..100 {
        let mut group = Group::default();
        for _ in 0..30 {
            let block = noise(&mut dice, 4096);
            let address = Address(tree::tree(&block).0);
            group.small.push((address, block));
            let version = VersionId { stamp: 9, writer: Writer([1; 8]) };
            let mut record = Record::unsigned(RecordKind::File, NameId(address.0), version);
            record.blocks = BlockList::Inline(vec![BlockRef { address, length: 4096 }]);
            record.sealed = vec![7; 200];
            let bytes = Bytes::from(record.to_bytes());
            group.records.push((record_id(&bytes), bytes));
        }
        let committed = disk.commit(&group).unwrap();
        committed.closed.into_iter().for_each(|segment| disk.index_segment(segment));
    }
    std::mem::forget(disk);
    let fs = fs.restart();
    let mut names = 0;
    let count = |entry| names += u64::from(matches!(entry, LogEntry::Outline(..)));
    let (_, recovered) = store::open(fs.clone(), config, [2; 16], count).unwrap();
    assert_eq!(recovered.unindexed.len(), 1, "the last one");
    assert!(names >= 2_700, "{names} of 3,000");
    let segments = closed(&fs).len() as u64;
    // Of each name some 180 bytes, of each segment its head and that of its index; the last segment, and its heads before.
    let most = names * 200 + segments * 16_384 + 2 * (1 << 20) + 4096;
    assert!(fs.bytes_read() < most, "{} bytes, at most {most}", fs.bytes_read());
    assert!(most < 100 * 30 * 4096 / 4);
}

/// Where the index of a segment begins, and where its file ends.
fn region(fs: &SimFs, segment: u32) -> (usize, usize) {
    let file = fs.open(&path(segment)).unwrap();
    let length = usize::try_from(fs.length(&file).unwrap()).unwrap();
    let bytes = fs.read(&file, 0, length).unwrap();
    let mut pages = (0..length).step_by(4096);
    (pages.find(|at| bytes[*at..].starts_with(MAGIC)).expect("it has one"), length)
}

#[test]
fn an_index_that_is_damaged_anywhere_is_none() {
    let fs = indexed(&filled(3), 2);
    let whole = read_whole(&fs);
    let (start, end) = region(&fs, 1);
    let head = (start..start + 64).chain(start + 4096..start + 4096 + 200);
    for at in head.chain((start + 4096..end).step_by(41)) {
        let fs = fs.restart();
        assert!(fs.tamper().flip(&path(1), at));
        let opened = open(&fs, 3);
        assert_eq!(opened.unindexed, [1], "byte {}", at - start);
        assert!(same(&opened.found, &whole), "byte {}", at - start);
        // It gets another.
        opened.disk.index_segment(1);
        std::mem::forget(opened.disk);
        let opened = open(&fs.restart(), 4);
        assert!(opened.unindexed.is_empty() && same(&opened.found, &whole));
    }
    for length in (start..end).step_by(97) {
        let fs = fs.restart();
        fs.truncate(&path(1), length as u64).unwrap();
        let opened = open(&fs, 3);
        assert!(opened.unindexed == [1] && same(&opened.found, &whole), "cut at {length}");
    }
}

/// A group was believed once, and another time it was void: the two indexes stand in the same place.
#[test]
fn the_index_of_a_segment_that_ended_elsewhere_is_none() {
    let fs = SimFs::new();
    let disk = open(&fs, 1).disk;
    let mut dice = Dice::new(5);
    let block = noise(&mut dice, 700);
    let leaves = tree::leaf_hashes(&block);
    let held = Address(tree::root(&leaves).0);
    disk.commit(&Group { records: vec![record(&mut dice)], ..Group::default() }).unwrap();
    disk.write(1, 0, &[block], &leaves).unwrap();
    disk.finish(1, 700, &leaves).unwrap();
    let records = vec![record(&mut dice)];
    disk.commit(&Group { blocks: vec![(1, held, 700)], records, ..Group::default() }).unwrap();
    std::mem::forget(disk);
    let [believed, void] = [fs.restart(), fs.restart()];
    let files = void.paths("blocks/");
    files.iter().for_each(|file| void.remove(file).unwrap());
    let [believed, void] = [indexed(&believed, 2), indexed(&void, 2)];
    let [longer, shorter] = [&believed, &void].map(|fs| open(&fs.restart(), 3).found.len());
    assert_eq!((longer, shorter), (3, 1));
    let (start, end) = region(&believed, 1);
    assert_eq!(region(&void, 1).0, start);
    for (from, to) in [(&believed, &void), (&void, &believed)] {
        let (whole, to) = (read_whole(to), to.restart());
        let index = from.read(&from.open(&path(1)).unwrap(), start as u64, end - start).unwrap();
        to.write_at(&to.reopen(&path(1)).unwrap(), start as u64, &index).unwrap();
        let opened = open(&to, 3);
        assert!(opened.unindexed == [1] && same(&opened.found, &whole));
    }
}

#[test]
fn a_segment_with_damage_gets_no_index() {
    let fs = filled(4);
    let target = fs.restart();
    assert!(target.tamper().flip(&path(3), 9_000));
    let (disk, recovered) = store::open(target.clone(), CONFIG, [2; 16], drop).unwrap();
    assert!(!recovered.unindexed.contains(&3) && recovered.unindexed.contains(&4));
    disk.index_segment(3);
    std::mem::forget(disk);
    let opened = store::open(target.restart(), CONFIG, [3; 16], drop).unwrap();
    assert!(
        !opened.1.remains.is_empty() || opened.1.log_damage.is_any() || !opened.1.rotten.is_empty()
    );
}

/// Where there is little room left it is for others.
#[test]
fn without_room_there_is_no_index_and_a_start_reads_the_groups() {
    let fs = filled(6);
    let whole = read_whole(&fs);
    fs.tamper().set_free(20_000);
    let fs = indexed(&fs, 2);
    fs.tamper().set_free(1 << 40);
    let opened = open(&fs, 3);
    assert!(opened.unindexed.contains(&1) && same(&opened.found, &whole));
    let places = opened.found.iter().filter(|entry| {
        matches!(entry, LogEntry::Block(_, BlockPlace::Log(place), _) if place.segment == 1)
    });
    assert!(places.count() > 0);
}
