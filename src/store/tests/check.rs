//! The check and the rebuild of a folder: each kind of damage is named, and repaired so that a start goes on.

use super::*;
use crate::crypto::keys::{RootKey, record_id};
use crate::crypto::{sign, tags};
use crate::fsck::finding::{Event, Finding, Grade, Known, Summary};
use crate::fsck::{check, rebuild};
use crate::ids::{NameId, VersionId, Writer};
use crate::store::layout;
use crate::testing::SimFs;
use crate::wire::message::BlockRef;
use crate::wire::record::{BlockList, Record, RecordKind};

fn root() -> RootKey {
    RootKey::generate(&[9; 32])
}

/// A signed record of a file with these blocks.
pub(super) fn record(stamp: u64, blocks: &[&Bytes]) -> (RecordId, Bytes) {
    let list = blocks.iter().map(|block| BlockRef {
        address: address_of(block),
        length: u32::try_from(block.len()).unwrap(),
    });
    signed(stamp, BlockList::Inline(list.collect()))
}

pub(super) fn signed(stamp: u64, blocks: BlockList) -> (RecordId, Bytes) {
    let name = NameId([u8::try_from(stamp).unwrap(); 32]);
    let version = VersionId { stamp, writer: Writer::default() };
    let bare = Record::unsigned(RecordKind::File, name, version);
    let mut record = Record { epoch: 1, signer: root().0.public(), blocks, ..bare };
    record.signature = sign::sign(&root().0, tags::RECORD, &record.signed_bytes());
    let bytes = Bytes::from(record.to_bytes());
    (record_id(&bytes), bytes)
}

/// Three files, each with one block in the tree and one in the log, and the start of each group.
pub(super) struct Shelf {
    pub(super) fs: SimFs,
    pub(super) blocks: Vec<Bytes>,
    pub(super) places: Vec<Committed>,
}

pub(super) fn shelf() -> Shelf {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let (mut blocks, mut places) = (Vec::new(), Vec::new());
    for index in 1..=3_u64 {
        let block = content(&mut Dice(index), LEAF * 2 + 9);
        let small = content(&mut Dice(index + 50), 700);
        assert!(draft(&opened.disk, index, &block));
        let length = u32::try_from(block.len()).unwrap();
        let group = Group {
            blocks: vec![(index, address_of(&block), length)],
            small: vec![(address_of(&small), small.clone())],
            records: vec![record(index, &[&block, &small])],
            ..Group::default()
        };
        places.push(commit(&opened.disk, &group).unwrap());
        blocks.push(block);
    }
    drop(opened);
    Shelf { fs: fs.restart(), blocks, places }
}

impl Shelf {
    fn path(&self, index: usize) -> String {
        layout::block(&address_of(&self.blocks[index]))
    }
}

pub(super) fn with_known<T>(run: impl FnOnce(&Known<'_>) -> T) -> T {
    run(&Known { root: Some(root().0.public()), granted: &|_| None, name: &|_| None })
}

/// The findings of a check that changes nothing.
pub(super) fn checked(fs: &SimFs) -> (Summary, Vec<Finding>) {
    let mut found = Vec::new();
    let fs = fs.restart();
    let calls = fs.calls();
    let summary = with_known(|known| {
        check(&fs, known, &mut |event| match event {
            Event::Found(finding) => found.push(finding),
            Event::Bytes(_) => {}
        })
    });
    assert_eq!(fs.calls(), calls, "a check changes nothing");
    (summary.unwrap(), found)
}

/// Rebuilds the folder; `fs` is what that leaves, after the process has ended.
pub(super) fn rebuilt(fs: &mut SimFs) -> Summary {
    let (summary, _) = checked(fs);
    *fs = fs.restart();
    let after = with_known(|known| {
        rebuild(fs.clone(), small_segments(), [7; 16], known, &summary, &mut |_| {})
    });
    *fs = fs.restart();
    after.unwrap()
}

/// A start that ends in order; what it found.
pub(super) fn started(fs: &mut SimFs, entropy: u8) -> (RecoveryReport, Vec<LogEntry>) {
    *fs = fs.restart();
    let Opened { disk, recovered, found } = start(fs.clone(), entropy).unwrap();
    drop(disk);
    *fs = fs.restart();
    (recovered, found)
}

pub(super) fn damage(found: &[Finding]) -> Vec<(&str, &str)> {
    let bad = found.iter().filter(|finding| finding.grade == Grade::Damage);
    bad.map(|finding| (finding.path.as_str(), finding.what.as_str())).collect()
}

#[test]
fn a_sound_store_is_clean() {
    let mut shelf = shelf();
    let (summary, found) = checked(&shelf.fs);
    assert_eq!(found, []);
    assert!(summary.is_clean());
    assert_eq!((summary.records, summary.blocks, summary.segments), (3, 6, 1));
    assert!(rebuilt(&mut shelf.fs).is_clean());
    assert_eq!(started(&mut shelf.fs, 3).1.len(), 9);
}

type Harm = (&'static str, fn(&Shelf), &'static str);

/// What can happen to a block file, and what is said of it.
const HARMS: [Harm; 6] = [
    (
        "data",
        |shelf| assert!(shelf.fs.tamper().flip(&shelf.path(1), LEAF + 3)),
        "leaf 1 of 3 is bad",
    ),
    (
        "hashes",
        |shelf| assert!(shelf.fs.tamper().flip(&shelf.path(1), 2 * LEAF + 9 + 40)),
        "leaf hashes or",
    ),
    (
        "trailer",
        |shelf| assert!(shelf.fs.tamper().flip(&shelf.path(1), 2 * LEAF + 9 + 100)),
        "the trailer",
    ),
    ("cut", |shelf| shelf.fs.truncate(&shelf.path(1), 100).unwrap(), "100 bytes long"),
    ("gone", |shelf| shelf.fs.remove(&shelf.path(1)).unwrap(), "missing"),
    ("another", |shelf| shelf.fs.rename(&shelf.path(0), &shelf.path(1)).unwrap(), "trailer"),
];

#[test]
fn a_bad_block_is_named_and_noted_as_lost() {
    for (kind, harm, said) in HARMS {
        let mut shelf = shelf();
        harm(&shelf);
        let (summary, found) = checked(&shelf.fs);
        let bad = damage(&found);
        let of_it: Vec<_> = bad.iter().filter(|(path, _)| *path == shelf.path(1)).collect();
        assert_eq!(of_it.len(), 1, "{kind}: {bad:?}");
        assert!(of_it[0].1.contains(said), "{kind}: {}", of_it[0].1);
        assert!(summary.missing >= 1, "{kind}: the file is told of");
        let after = rebuilt(&mut shelf.fs);
        assert_eq!(after.damaged, 0, "{kind}");
        assert_eq!(after.missing, summary.missing, "{kind}");
        let (_, found) = started(&mut shelf.fs, 3);
        let lost = Thing::Lost(address_of(&shelf.blocks[1]));
        assert!(found.iter().any(|found| thing(found) == lost), "{kind}: it is wanted again");
    }
}

#[test]
fn blocks_of_a_rotten_group_are_taken_in_again() {
    let mut shelf = shelf();
    let record = shelf.places[1].records[0];
    assert!(shelf.fs.tamper().flip(&layout::segment(record.segment), record.offset as usize + 20));
    let (summary, found) = checked(&shelf.fs);
    assert!(summary.log_has_gaps);
    assert_eq!(damage(&found).len(), 1, "{found:?}");
    assert!(damage(&found)[0].1.contains("groups"), "{found:?}");
    let after = rebuilt(&mut shelf.fs);
    assert!(after.is_clean(), "what was said once is a note: {after:?}");
    let (_, found) = started(&mut shelf.fs, 3);
    let length = u32::try_from(shelf.blocks[1].len()).unwrap();
    let block = Thing::Block(address_of(&shelf.blocks[1]), length);
    let is_held = found.iter().any(|found| thing(found) == block);
    assert!(is_held, "its file is good, and held again");
}

#[test]
fn a_lost_segment_is_told_once_and_gives_the_log_a_new_life() {
    let mut shelf = shelf();
    let life = started(&mut shelf.fs, 4).0.store;
    shelf.fs.remove(&layout::segment(1)).unwrap();
    let (summary, found) = checked(&shelf.fs);
    assert_eq!(summary.damaged, 1, "{found:?}");
    let (recovered, _) = started(&mut shelf.fs, 5);
    assert_eq!(recovered.notes.len(), 1);
    assert_ne!(recovered.store, life, "peers must doubt what we hold");
    let (again, _) = started(&mut shelf.fs, 6);
    assert_eq!((again.notes.len(), again.store), (0, recovered.store));
    assert_eq!(checked(&shelf.fs).0.damaged, 0, "an earlier start has said so");
}

#[test]
fn headers_tails_and_strange_files_are_told_apart() {
    let mut shelf = shelf();
    assert!(shelf.fs.tamper().flip("log/00000001.seg", 20));
    let (summary, found) = checked(&shelf.fs);
    assert!(summary.is_clean() && found[0].what.contains("one of the two copies"));
    assert!(shelf.fs.tamper().flip("log/00000001.seg", 4096 + 20));
    let (_, found) = checked(&shelf.fs);
    assert!(damage(&found)[0].1.contains("neither copy"), "{found:?}");
    for path in ["log/what", "blocks/what", "tmp/0000000000000001", "log/00000009.seg"] {
        shelf.fs.create(path).unwrap();
    }
    let (_, found) = checked(&shelf.fs);
    for said in ["not dfsd's", "1 unfinished files", "begun and not finished"] {
        let told = found.iter().any(|finding| finding.what.contains(said));
        assert!(told, "{said}: {found:?}");
    }
    assert_eq!(rebuilt(&mut shelf.fs).damaged, 0);
}

#[test]
fn a_torn_tail_is_normal() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    for stamp in 1..=2 {
        let group = Group { records: vec![record(stamp, &[])], ..Group::default() };
        let place = commit(&opened.disk, &group).unwrap().records[0];
        if stamp == 2 {
            assert!(fs.tamper().flip("log/00000001.seg", place.offset as usize));
        }
    }
    let (summary, found) = checked(&fs);
    assert!(summary.is_clean());
    assert_eq!(found.len(), 1);
    assert!(found[0].what.contains("a torn tail after group 1"), "{found:?}");
}

#[test]
fn forged_and_foreign_records_are_found() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let (id, bytes) = record(1, &[]);
    let mut forged = bytes.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Bytes::from(forged);
    let junk = Bytes::from_static(b"junk");
    let records = vec![
        (id, bytes.clone()),
        (record_id(&forged), forged),
        (record_id(&junk), junk),
        (RecordId([1; 32]), bytes),
    ];
    commit(&opened.disk, &Group { records, ..Group::default() }).unwrap();
    drop(opened);
    let (summary, found) = checked(&fs.restart());
    assert_eq!((summary.records, summary.damaged), (4, 3));
    for said in ["wrong signature", "breaks the format's rules", "not what its id says"] {
        assert!(damage(&found).iter().any(|(_, what)| what.contains(said)), "{said}: {found:?}");
    }
    let stranger = Known { root: Some([1; 32]), granted: &|_| None, name: &|_| None };
    let mut notes = 0;
    let told = check(&fs.restart(), &stranger, &mut |event| {
        let Event::Found(finding) = event else { return };
        notes += u64::from(finding.what.contains("whose grant is not here"));
    });
    assert!(told.is_ok() && notes == 1);
}

#[test]
fn orphans_are_put_aside_or_taken_in() {
    let mut shelf = shelf();
    let (spare, wanted) = (content(&mut Dice(99), LEAF + 1), content(&mut Dice(98), LEAF + 2));
    shelf.fs = shelf.fs.restart();
    let opened = start(shelf.fs.clone(), 2).unwrap();
    let group = Group { records: vec![record(9, &[&wanted])], ..Group::default() };
    commit(&opened.disk, &group).unwrap();
    for (number, block) in [(70, &spare), (71, &wanted)] {
        assert!(draft(&opened.disk, number, block));
        for folder in layout::shard(&address_of(block)) {
            shelf.fs.make_folder(&folder).unwrap();
        }
        let place = layout::block(&address_of(block));
        shelf.fs.rename(&layout::draft(number), &place).unwrap();
    }
    drop(opened);
    let (summary, found) = checked(&shelf.fs);
    assert!(summary.is_clean(), "{found:?}");
    assert!(found.iter().any(|finding| finding.what.starts_with("1 good block files")));
    assert_eq!(rebuilt(&mut shelf.fs).repaired, 2);
    assert_eq!(shelf.fs.paths("quarantine/"), [layout::bad_block(&address_of(&spare))]);
    let (summary, found) = checked(&shelf.fs);
    assert_eq!(found.len(), 1, "only what is in quarantine: {found:?}");
    assert_eq!(summary.blocks, 7);
}

#[test]
fn a_power_cut_in_a_rebuild_leaves_a_folder_that_can_be_rebuilt() {
    for call in 0.. {
        let shelf = shelf();
        assert!(shelf.fs.tamper().flip(&shelf.path(0), 5));
        let record = shelf.places[1].records[0];
        assert!(
            shelf.fs.tamper().flip(&layout::segment(record.segment), record.offset as usize + 20)
        );
        let (summary, _) = checked(&shelf.fs);
        let fs = shelf.fs.restart();
        fs.tamper().cut_after(call);
        let done = with_known(|known| {
            rebuild(fs.clone(), small_segments(), [7; 16], known, &summary, &mut |_| {})
        });
        let cut = fs.is_cut();
        assert!(cut || done.is_ok(), "only a cut ends it");
        for seed in 0..4 {
            let mut fs = if cut { fs.power_cut(seed) } else { fs.restart() };
            assert_eq!(rebuilt(&mut fs).damaged, 0, "cut after {call}, seed {seed}");
            let held: Vec<_> = started(&mut fs, 8).1.iter().map(thing).collect();
            let length = u32::try_from(shelf.blocks[2].len()).unwrap();
            let good = Thing::Block(address_of(&shelf.blocks[2]), length);
            assert!(held.contains(&good), "what was good is lost by no cut");
            assert!(held.contains(&Thing::Lost(address_of(&shelf.blocks[0]))));
            let again = Thing::Block(address_of(&shelf.blocks[1]), length);
            assert!(held.contains(&again), "cut after {call}, seed {seed}");
        }
        if !cut {
            return;
        }
    }
}
