//! One script for the real disk and the simulated one.

use super::*;
use crate::store::fs::{Kind, RealFs};
use crate::testing::SimFs;
use std::io::ErrorKind;

#[test]
fn the_file_system_does_what_its_words_say() {
    let folder = tempfile::tempdir().unwrap();
    file_system(&RealFs::new(folder.path()).unwrap());
    let other = tempfile::tempdir().unwrap();
    file_system(&RealFs::remote(other.path()).unwrap());
    file_system(&SimFs::new());
}

fn file_system<F: FileSystem>(fs: &F) {
    let kind = |result: std::io::Result<()>| result.map_err(|error| error.kind());
    fs.make_folder("a").unwrap();
    fs.make_folder("a").unwrap();
    assert_eq!(kind(fs.make_folder("x/y")), Err(ErrorKind::NotFound));
    let file = fs.create("a/one").unwrap();
    assert_eq!(kind(fs.create("a/one").map(drop)), Err(ErrorKind::AlreadyExists));
    assert_eq!(kind(fs.open("a/two").map(drop)), Err(ErrorKind::NotFound));
    assert_eq!(kind(fs.reopen("a/two").map(drop)), Err(ErrorKind::NotFound));
    let file = {
        drop(file);
        fs.reopen("a/one").unwrap()
    };
    fs.write_at(&file, 3, b"hello").unwrap();
    let mut bytes = [1; 10];
    assert_eq!(fs.read_at(&file, 0, &mut bytes).unwrap(), 8);
    assert_eq!(&bytes, b"\0\0\0hello\x01\x01");
    assert_eq!(fs.read_at(&file, 99, &mut bytes).unwrap(), 0);
    pieces(fs, &file);
    fs.preallocate(&file, 20).unwrap();
    fs.preallocate(&file, 10).unwrap();
    assert_eq!(fs.length(&file).unwrap(), 20);
    fs.truncate("a/one", 4).unwrap();
    assert_eq!(fs.length(&file).unwrap(), 4);
    fs.rewrite("a/one", 2, b"\0h").unwrap();
    assert_eq!(fs.read_at(&file, 0, &mut bytes).unwrap(), 4);
    assert_eq!(bytes[..4], *b"\0\0\0h");
    fs.sync_file(&file).unwrap();
    identities(fs, &file);
    drop(fs.create("a/two").unwrap());
    fs.rename("a/one", "a/two").unwrap();
    assert_eq!(fs.identify("a/two").unwrap().number, fs.identify_file(&file).unwrap().number);
    assert_eq!(kind(fs.rename("a/one", "a/x")), Err(ErrorKind::NotFound));
    assert_eq!(fs.list("a").unwrap(), ["two"]);
    assert_eq!(fs.list("").unwrap(), ["a"]);
    assert_eq!(kind(fs.list("b").map(drop)), Err(ErrorKind::NotFound));
    fs.sync_folder("a").unwrap();
    fs.sync_folder("").unwrap();
    fs.remove("a/two").unwrap();
    assert_eq!(kind(fs.remove("a/two")), Err(ErrorKind::NotFound));
    assert_eq!(fs.length(&file).unwrap(), 4, "an open file outlives its name");
    fs.sync_all().unwrap();
    assert_eq!(fs.length(&file).unwrap(), 4);
    assert!(fs.space().unwrap().free <= fs.space().unwrap().total);
}

/// `a/one` is the file, and everything is in one place.
fn identities<F: FileSystem>(fs: &F, file: &F::File) {
    let identify = |path: &str| fs.identify(path).map_err(|error| error.kind());
    let one = identify("a/one").unwrap();
    assert_eq!((one, one.kind), (fs.identify_file(file).unwrap(), Kind::File));
    let (root, folder) = (identify("").unwrap(), identify("a").unwrap());
    assert_eq!((root.kind, folder.kind), (Kind::Folder, Kind::Folder));
    assert_eq!((root.volume, folder.volume), (one.volume, one.volume));
    assert!(root.number != folder.number && folder.number != one.number);
    assert_eq!(identify("a/two"), Err(ErrorKind::NotFound));
    assert_eq!(fs.identify("a").unwrap(), folder, "it stays the same");
}

/// More than the system takes at a time, some of them empty, and none at all; what was there before is there again.
fn pieces<F: FileSystem>(fs: &F, file: &F::File) {
    let before = fs.read(file, 0, 100).unwrap();
    let piece = |number: usize| Bytes::from(vec![b'a' + (number % 26) as u8; number % 5]);
    let pieces: Vec<Bytes> = (0..40).map(piece).collect();
    fs.write_pieces_at(file, 8, &pieces).unwrap();
    assert_eq!(fs.read(file, 0, 100).unwrap(), [&before[..], &pieces.concat()].concat());
    fs.truncate("a/one", 8).unwrap();
    fs.write_pieces_at(file, 3, &[]).unwrap();
    fs.write_pieces_at(file, 3, &[Bytes::new()]).unwrap();
    assert_eq!(fs.read(file, 0, 100).unwrap(), before);
}

#[test]
fn a_store_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    reopening(|| RealFs::new(folder.path()).unwrap());
    let mut fs = SimFs::new();
    reopening(|| {
        fs = fs.restart();
        fs.clone()
    });
}

fn reopening<F: FileSystem>(mut next: impl FnMut() -> F) {
    let mut writer = Writer::default();
    let mut dice = Dice(3);
    let mut life = None;
    for round in 0..6 {
        let opened = start(next(), round).unwrap();
        writer.drafts = 0;
        writer.check(&opened);
        let store = opened.recovered.store;
        assert_eq!(*life.get_or_insert(store), store);
        assert_eq!(opened.recovered.notes, [""; 0]);
        for _ in 0..5 {
            writer.put(&opened.disk, &mut dice).unwrap();
        }
    }
}

#[test]
fn both_disks_answer_alike() {
    let folder = tempfile::tempdir().unwrap();
    asked(RealFs::new(folder.path()).unwrap());
    asked(SimFs::new());
}

fn asked<F: FileSystem>(fs: F) {
    let opened = start(fs, 1).unwrap();
    let disk = &opened.disk;
    let mut dice = Dice(1);
    let block = content(&mut dice, 3 * LEAF + 5);
    let length = u32::try_from(block.len()).unwrap();
    let (address, place) = (address_of(&block), BlockPlace::Tree { length });
    assert!(draft(disk, 7, &block));
    let gone = read_leaves(disk, (address, place), (0, 1)).err();
    assert_eq!(gone, Some(ReadError::Gone), "not committed yet");
    let small = content(&mut dice, LEAF + 9);
    let record = content(&mut dice, 200);
    let group = Group {
        blocks: vec![(7, address, length)],
        small: vec![(address_of(&small), small.clone())],
        records: vec![(RecordId([1; 32]), record.clone())],
        ..Group::default()
    };
    let committed = commit(disk, &group).unwrap();
    assert_eq!(committed.number, 1);
    let read = read_leaves(disk, (address, place), (2, 2)).unwrap();
    assert_eq!(read.chunks.concat(), block[2 * LEAF..]);
    assert_eq!((read.length, read.leaves.len()), (length, 4));
    let beyond = read_leaves(disk, (address, place), (2, 3)).err();
    assert_eq!(beyond, Some(ReadError::Gone));
    let in_log = (address_of(&small), BlockPlace::Log(committed.small[0]));
    let read = read_leaves(disk, in_log, (1, 1)).unwrap();
    assert_eq!(read.chunks, [small.slice(LEAF..)]);
    assert_eq!(read_log(disk, committed.records[0]), Ok(record));
    let nowhere = LogPlace { segment: 99, offset: 9000, length: 1 };
    assert_eq!(read_log(disk, nowhere), Err(ReadError::Gone));
    let absent = (Address([9; 32]), BlockPlace::Tree { length: 5 });
    assert_eq!(verify(disk, &[(address, place), in_log, absent]), [absent.0]);
    assert_eq!(commit(disk, &Group::default()).map(|done| done.number), Ok(1));
    lost_blocks_go(disk, (address, place));
    let text = "node 127.0.0.1:7400\n".to_owned();
    for _ in 0..2 {
        disk.write_peers(&text).unwrap();
    }
    let space = disk.space().unwrap();
    assert!(space.usable < space.free);
}

fn lost_blocks_go<F: FileSystem>(disk: &Disk<F>, (address, place): (Address, BlockPlace)) {
    let group = Group { lost: vec![address], ..Group::default() };
    commit(disk, &group).unwrap();
    let gone = read_leaves(disk, (address, place), (0, 1)).err();
    assert_eq!(gone, Some(ReadError::Gone));
}

#[test]
fn a_lie_is_named_and_not_written() {
    let opened = start(SimFs::new(), 1).unwrap();
    let block = content(&mut Dice(1), LEAF + 100);
    let leaves = tree::leaf_hashes(&block);
    let good = block.slice(..LEAF);
    let short = block.slice(..100);
    for (chunks, first, bad) in [
        (vec![good.clone(), short.clone()], 0, 1),
        (vec![short], 0, 0),
        (vec![good.clone()], 1, 1),
        (vec![good], 200, 200),
        (vec![Bytes::new()], 1, 1),
    ] {
        let result = opened.disk.write(1, first, &chunks, &leaves);
        assert_eq!(result, Err(WriteError::BadLeaf(bad)));
    }
    opened.disk.discard(1);
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(RealFs::new(folder.path()).unwrap(), 1).unwrap();
    let second = start(RealFs::new(folder.path()).unwrap(), 2);
    assert_eq!(second.err(), Some(OpenError::Locked));
    drop(first);
    assert!(start(RealFs::new(folder.path()).unwrap(), 3).is_ok());
    let fs = SimFs::new();
    let _first = start(fs.clone(), 1).unwrap();
    assert_eq!(start(fs, 2).err(), Some(OpenError::Locked));
}
