//! A store on a simulated disk, without a node: what is found after power cuts, failed flushes and rot.

use bytes::Bytes;
use dfsd::crypto::tree;
use dfsd::ids::{Address, RecordId};
use dfsd::limits::{DRAFTS_OPEN_MAX, LEAF, LOG_BLOCK_MAX, RESERVE_FILES, RESERVE_PERCENT};
use dfsd::store::fs::FileSystem;
use dfsd::store::values::{BlockPlace, Group, LogEntry};
use dfsd::store::{Disk, open};
use dfsd::testing::{SimError, SimFs};

const LARGE: usize = LOG_BLOCK_MAX + LEAF + 7;

/// A store, and what its log holds.
fn start(fs: &SimFs) -> (Disk<SimFs>, Vec<LogEntry>) {
    let mut found = Vec::new();
    let opened = open(fs.clone(), Default::default(), [7; 16], |item| found.push(item));
    let (disk, _) = opened.expect("a simulated disk opens");
    (disk, found)
}

fn content(seed: u8, length: usize) -> Bytes {
    (0..length).map(|at| seed ^ (at / 5) as u8 ^ (at >> 11) as u8).collect()
}

fn record(seed: u8) -> (RecordId, Bytes) {
    (RecordId([seed; 32]), content(seed, 300))
}

/// Writes a block under `tmp/`, flushed, ready for a group. None if the disk fails.
fn draft(disk: &Disk<SimFs>, draft: u64, block: &Bytes) -> Option<(u64, Address, u32)> {
    let leaves = tree::leaf_hashes(block);
    let length = block.len() as u32;
    let chunks: Vec<_> = block.chunks(LEAF).map(Bytes::copy_from_slice).collect();
    let _ = disk.write(draft, 0, &chunks, &leaves);
    let address = Address(tree::root(&leaves).0);
    disk.finish(draft, length, &leaves).ok().map(|()| (draft, address, length))
}

/// True if the group is said to be durable.
fn commit(disk: &Disk<SimFs>, group: &Group) -> bool {
    disk.commit(group).is_ok()
}

fn has_record(found: &[LogEntry], (id, bytes): &(RecordId, Bytes)) -> bool {
    found
        .iter()
        .any(|item| matches!(item, LogEntry::Record(other, _, has) if other == id && has == bytes))
}

/// The blocks that a start promises and that are not what their addresses say.
fn bad(disk: &Disk<SimFs>, found: &[LogEntry]) -> Vec<Address> {
    let block = |item: &LogEntry| match item {
        LogEntry::Block(address, place, _) => Some((*address, *place)),
        LogEntry::Page(..) | LogEntry::Record(..) | LogEntry::Lost(..) => None,
        LogEntry::Dropped(..) | LogEntry::Expired(..) | LogEntry::Removed(_) => None,
        LogEntry::PageEntries(..) | LogEntry::Outline(..) => None,
    };
    let blocks: Vec<_> = found.iter().filter_map(block).collect();
    disk.verify(&blocks).bad
}

#[test]
fn whenever_the_power_goes_what_a_start_finds_is_whole() {
    for seed in 0..200 {
        let fs = SimFs::new();
        let (disk, _) = start(&fs);
        assert!(commit(&disk, &Group { records: vec![record(1)], ..Group::default() }));
        fs.tamper().cut_after(seed % 20);
        let (large, small) = (content(2, LARGE), content(3, LOG_BLOCK_MAX));
        let records = vec![record(2)];
        let small = vec![(Address(tree::tree(&small).0), small)];
        let blocks: Vec<_> = draft(&disk, 1, &large).into_iter().collect();
        let done = commit(&disk, &Group { blocks, small, records, ..Group::default() });
        drop(disk);
        let (disk, found) = start(&fs.power_cut(seed));
        assert!(has_record(&found, &record(1)), "seed {seed} lost what was flushed");
        let kept = has_record(&found, &record(2));
        assert!(kept || !done, "seed {seed} lost what was flushed");
        assert_eq!(bad(&disk, &found), [], "seed {seed}");
    }
}

#[test]
fn of_a_torn_group_nothing_is_believed() {
    for seed in 0..100 {
        let fs = SimFs::new();
        let (disk, _) = start(&fs);
        assert!(commit(&disk, &Group { records: vec![record(1)], ..Group::default() }));
        fs.tamper().cut_after(1 + seed % 2);
        let small = content(3, LOG_BLOCK_MAX);
        let small = vec![(Address(tree::tree(&small).0), small)];
        commit(&disk, &Group { small, ..Group::default() });
        drop(disk);
        let (disk, found) = start(&fs.power_cut(seed));
        assert_eq!(bad(&disk, &found), [], "seed {seed}");
    }
}

#[test]
fn what_a_failed_flush_has_not_flushed_is_not_acknowledged() {
    for seed in 0..100 {
        let fs = SimFs::new();
        let (disk, _) = start(&fs);
        assert!(commit(&disk, &Group { records: vec![record(1)], ..Group::default() }));
        fs.tamper().fail_nth(seed % 6, SimError::Io);
        let done = commit(&disk, &Group { records: vec![record(2)], ..Group::default() });
        std::mem::forget(disk);
        let (_, found) = start(&fs.power_cut(seed));
        assert!(!done || has_record(&found, &record(2)), "seed {seed}");
    }
}

/// A start takes the hole for a commit that was cut off, unless something follows that group.
#[test]
fn rot_in_a_block_does_not_make_the_group_void_that_brought_it() {
    let fs = SimFs::new();
    let (disk, _) = start(&fs);
    let block = content(2, LARGE);
    let (blocks, records) = (draft(&disk, 1, &block).into_iter().collect(), vec![record(1)]);
    assert!(commit(&disk, &Group { blocks, records, ..Group::default() }));
    let address = Address(tree::tree(&block).0);
    let path = fs.paths("blocks").into_iter().find(|path| path.ends_with(&address.to_string()));
    assert!(fs.tamper().flip(&path.expect("the block has a file"), 1_000));
    let place = BlockPlace::Tree { length: LARGE as u32 };
    assert_eq!(disk.verify(&[(address, place)]).bad, [address]);
    let (_, found) = start(&fs.power_cut(1));
    assert!(has_record(&found, &record(1)), "what was acknowledged with the block is lost");
}

/// What cannot be opened for the moment may be a good block, acknowledged long ago.
#[test]
fn a_block_that_is_put_again_survives_want_of_descriptors_and_of_room() {
    let block = content(2, LARGE);
    let mut outcomes = [0, 0];
    for (want, full) in (0..8).flat_map(|want| (0..8).map(move |full| (want, full))) {
        let fs = SimFs::new();
        let (disk, _) = start(&fs);
        let put = |number| {
            let blocks: Vec<_> = draft(&disk, number, &block).into_iter().collect();
            assert_eq!(blocks.len(), 1);
            Group { blocks, records: vec![record(2)], ..Group::default() }
        };
        assert!(commit(&disk, &put(1)));
        let again = put(2);
        fs.tamper().fail_call(want, SimError::NoDescriptor, false);
        fs.tamper().fail_nth(full, SimError::NoSpace);
        outcomes[usize::from(commit(&disk, &again))] += 1;
        let (disk, found) = start(&fs.restart());
        assert_eq!(bad(&disk, &found), [], "call {want} and changing call {full}");
        // A group whose block is missing counts as torn, and all that came with it is lost.
        assert!(has_record(&found, &record(2)), "call {want} and changing call {full}");
    }
    assert!(outcomes[0] > 6 && outcomes[1] > 0, "{outcomes:?}");
}

/// More blocks at a time than may be open, written to in turn.
#[test]
fn any_number_of_blocks_may_be_half_written() {
    let fs = SimFs::new();
    let (disk, _) = start(&fs);
    let count = DRAFTS_OPEN_MAX as u64 + 10;
    let block =
        |number: u64| -> Bytes { [&number.to_be_bytes()[..], &content(1, LARGE)].concat().into() };
    for at in 0..LARGE.div_ceil(LEAF) {
        for draft in 0..count {
            let block = block(draft);
            let chunk = block.slice(at * LEAF..block.len().min((at + 1) * LEAF));
            disk.write(draft, at as u8, &[chunk], &tree::leaf_hashes(&block)).unwrap();
        }
    }
    let mut blocks = Vec::new();
    for draft in 0..count {
        let leaves = tree::leaf_hashes(&block(draft));
        let (length, address) = (block(draft).len() as u32, Address(tree::root(&leaves).0));
        disk.finish(draft, length, &leaves).unwrap();
        blocks.push((draft, address, length));
    }
    assert!(commit(&disk, &Group { blocks, ..Group::default() }));
    let (disk, found) = start(&fs.restart());
    assert_eq!(found.len() as u64, count);
    assert_eq!(bad(&disk, &found), []);
}

/// As before Linux 5.8, which does not tell of all that `syncfs` has failed to write.
#[test]
fn a_full_disk_is_started_from() {
    let fs = SimFs::new();
    let (disk, _) = start(&fs);
    let (first, second) = (record(1), record(2));
    assert!(commit(&disk, &Group { records: vec![first.clone()], ..Group::default() }));
    // Killed.
    std::mem::forget(disk);
    let fs = fs.restart();
    fs.tamper().fill();
    let (disk, found) = start(&fs);
    assert!(has_record(&found, &first));
    assert!(commit(&disk, &Group { records: vec![second.clone()], ..Group::default() }));
    std::mem::forget(disk);
    let (_, found) = start(&fs.power_cut(1));
    assert!(has_record(&found, &first) && has_record(&found, &second));
}

#[test]
fn a_flush_of_everything_that_fails_in_silence_is_noticed() {
    for seed in 0..60 {
        let fs = SimFs::new();
        let (disk, _) = start(&fs);
        fs.tamper().set_quiet();
        let blocks = draft(&disk, 1, &content(2, LARGE)).into_iter().collect();
        fs.tamper().fail_nth(seed % 10, SimError::Io);
        let done = commit(&disk, &Group { blocks, records: vec![record(2)], ..Group::default() });
        std::mem::forget(disk);
        let (_, found) = start(&fs.power_cut(seed));
        assert!(!done || has_record(&found, &record(2)), "seed {seed}");
    }
}

#[test]
fn what_lies_on_two_file_systems_is_refused_by_name() {
    for folder in ["blocks", "tmp", "log", "quarantine"] {
        let fs = SimFs::new();
        drop(start(&fs));
        let fs = fs.restart();
        fs.tamper().mount(folder);
        let Err(error) = open(fs, Default::default(), [7; 16], |_| {}) else {
            panic!("{folder} is elsewhere");
        };
        assert!(error.to_string().contains(folder), "{error}");
    }
}

/// Whatever is written after that has no name.
#[test]
fn once_a_folder_is_gone_nothing_is_acknowledged() {
    for folder in ["log", "blocks", "tmp"] {
        for comes_back in [false, true] {
            let fs = SimFs::new();
            let (disk, _) = start(&fs);
            let group = |seed| Group { records: vec![record(seed)], ..Group::default() };
            assert!(commit(&disk, &group(1)));
            fs.tamper().remove_folder(folder);
            if comes_back {
                fs.make_folder(folder).unwrap();
            }
            assert!(!commit(&disk, &group(2)), "{folder} is gone");
            assert!(!commit(&disk, &group(3)), "and stays so");
        }
    }
    let fs = SimFs::new();
    let (disk, _) = start(&fs);
    fs.remove(&fs.paths("log/")[0]).unwrap();
    assert!(!commit(&disk, &Group { records: vec![record(1)], ..Group::default() }));
}

#[test]
fn files_are_set_aside_as_bytes_are() {
    let fs = SimFs::new();
    let (disk, _) = start(&fs);
    let usable = || disk.space().unwrap().usable;
    assert!(usable() > 0);
    let reserve = RESERVE_FILES.max((1 << 30) / 100 * RESERVE_PERCENT);
    fs.tamper().set_free_files(reserve);
    assert_eq!(usable(), 0);
    fs.tamper().set_free_files(reserve + 1);
    assert!(usable() > 0);
}
