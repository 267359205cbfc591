//! What nobody can decode of the log is told at every start, until it was made good; what was never acknowledged is not.

use super::check::rebuilt;
use super::damage::{closed, killed};
use super::removed::{fill, remove};
use super::*;
use crate::ids::Hash;
use crate::store::layout;
use crate::testing::SimFs;
use crate::wire::log_damage::LogDamage;

const FIRST: &str = "log/00000001.seg";
const NONE: LogDamage = LogDamage { places: 0, bytes: 0 };
/// Before a record in the log: its own head, and that of its group.
const ITEM_HEAD: usize = 41;
const HEAD: usize = 32;

/// A start that ends in order, and what it found.
fn started(fs: &mut SimFs, entropy: u8) -> RecoveryReport {
    *fs = fs.restart();
    let recovered = start(fs.clone(), entropy).unwrap().recovered;
    *fs = fs.restart();
    recovered
}

fn make_good(fs: &mut SimFs, damage: Hash) {
    *fs = fs.restart();
    let opened = start(fs.clone(), 77).unwrap();
    opened.disk.made_good(&damage).unwrap();
    drop(opened);
    *fs = fs.restart();
}

#[test]
fn of_a_damaged_byte_it_is_known_whether_a_record_is_lost_with_it() {
    let (fs, writer, places) = closed(3);
    let record = places[1].offset as usize;
    let group = record - ITEM_HEAD - HEAD;
    let length = 300;
    let Thing::Record(id) = writer.promised[1] else { panic!("a record was put") };
    for at in group..record + length + 4 {
        let mut fs = fs.restart();
        assert!(fs.tamper().flip(FIRST, at));
        for entropy in 2..4 {
            let RecoveryReport { log_damage, remains, .. } = started(&mut fs, entropy);
            let whole = remains.iter().any(|one| one.id == id && one.bytes.len() == length);
            match at - group {
                // The heads say nothing but what follows, and the kind is found by the check sum.
                0..=HEAD => assert!(remains[0].is_sound && whole && log_damage == NONE, "{at}"),
                // Where the record ends is not known.
                place if (HEAD + 33..HEAD + 37).contains(&place) => {
                    assert!(!whole && log_damage.places == 1, "{at}: {log_damage:?}");
                }
                // The end mark.
                place if place >= HEAD + ITEM_HEAD + length => {
                    assert!(remains[0].is_sound && whole && log_damage == NONE, "{at}");
                }
                // Something about the record itself: whoever knows records judges that.
                _ => assert!(!remains[0].is_sound && log_damage == NONE, "{at}: {log_damage:?}"),
            }
        }
    }
}

#[test]
fn a_damaged_block_of_the_log_says_nothing_against_names() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let small = content(&mut Dice(1), 5_000);
    let record = (RecordId([1; 32]), content(&mut Dice(2), 300));
    let group = Group {
        small: vec![(address_of(&small), small)],
        records: vec![record.clone()],
        ..Group::default()
    };
    let place = commit(&opened.disk, &group).unwrap().small[0];
    let after = (RecordId([2; 32]), content(&mut Dice(3), 300));
    commit(&opened.disk, &Group { records: vec![after], ..Group::default() }).unwrap();
    drop(opened);
    let mut fs = fs.restart();
    assert!(fs.tamper().flip(FIRST, place.offset as usize + 2_000));
    let recovered = started(&mut fs, 2);
    assert_eq!(recovered.log_damage, NONE);
    let Remains { id, bytes, is_sound, .. } = recovered.remains[0].clone();
    assert!(is_sound && (id, bytes) == record);
}

/// A store of which a record is lost, and nobody can say which.
fn damaged() -> (SimFs, Vec<LogPlace>) {
    let (fs, _, places) = closed(6);
    assert!(fs.tamper().flip(FIRST, places[1].offset as usize - 5));
    (fs.restart(), places)
}

#[test]
fn damage_is_told_at_every_start_until_it_was_made_good() {
    let (mut fs, places) = damaged();
    let first = started(&mut fs, 2);
    assert_eq!(first.log_damage.places, 1);
    for entropy in 3..6 {
        let again = started(&mut fs, entropy);
        assert_eq!((again.log_damage, again.damage), (first.log_damage, first.damage));
    }
    make_good(&mut fs, first.damage);
    for entropy in 6..8 {
        assert_eq!(started(&mut fs, entropy).log_damage, NONE);
    }
    // An operator makes room.
    for path in fs.paths("quarantine/") {
        fs.remove(&path).unwrap();
    }
    assert_eq!(started(&mut fs, 8).log_damage, NONE);
    // More of it is something else.
    assert!(fs.tamper().flip(FIRST, places[3].offset as usize - 5));
    let more = started(&mut fs, 9);
    assert_eq!(more.log_damage.places, 2);
    assert_ne!(more.damage, first.damage);
}

#[test]
fn who_made_good_other_damage_has_not_made_good_this() {
    let (mut fs, _) = damaged();
    let first = started(&mut fs, 2);
    make_good(&mut fs, Hash([7; 32]));
    assert_eq!(started(&mut fs, 3).log_damage, first.log_damage);
}

fn one_record(seed: u64) -> Group {
    let record = (RecordId([u8::try_from(seed).unwrap(); 32]), content(&mut Dice(seed), 300));
    Group { records: vec![record], ..Group::default() }
}

#[test]
fn what_was_made_good_of_one_segment_stays_so_when_another_is_removed() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    fill(&opened.disk, 6);
    let last = commit(&opened.disk, &one_record(9)).unwrap().records[0];
    commit(&opened.disk, &one_record(10)).unwrap();
    drop(opened);
    let mut fs = fs.restart();
    let harm =
        |fs: &SimFs, segment| assert!(fs.tamper().flip(&layout::segment(segment), 8192 + 32 + 33));
    [2, 4].into_iter().for_each(|segment| harm(&fs, segment));
    let first = started(&mut fs, 2);
    assert_eq!(first.log_damage.places, 2);
    make_good(&mut fs, first.damage);
    assert_eq!(started(&mut fs, 3).log_damage, NONE);
    let opened = start(fs.clone(), 4).unwrap();
    assert_eq!(remove(&opened.disk, &[2]), [2]);
    drop(opened);
    assert_eq!(started(&mut fs, 5).log_damage, NONE);
    assert!(fs.tamper().flip(&layout::segment(last.segment), last.offset as usize - 5));
    assert_eq!(started(&mut fs, 6).log_damage.places, 2, "with new damage all is told");
}

#[test]
fn what_was_guessed_of_a_record_is_not_told_once_it_was_made_good() {
    let (mut fs, _, places) = closed(3);
    assert!(fs.tamper().flip(FIRST, places[1].offset as usize + 50));
    let first = started(&mut fs, 2);
    assert_eq!((first.log_damage, first.remains.len()), (NONE, 1));
    make_good(&mut fs, first.damage);
    assert_eq!(started(&mut fs, 3).remains, []);
}

#[test]
fn segments_that_are_gone_are_told_at_every_start() {
    let (fs, _, _) = closed(2);
    let mut fs = fs.restart();
    let damage = started(&mut fs, 2).damage;
    let whole = fs.restart();
    // Without a header that can be read.
    assert!(fs.tamper().flip(FIRST, 20) && fs.tamper().flip(FIRST, 4096 + 20));
    for entropy in 3..6 {
        let recovered = started(&mut fs, entropy);
        assert_eq!(recovered.log_damage.places, 1);
        assert!(recovered.log_damage.bytes > 600, "{:?}", recovered.log_damage);
        assert_ne!(recovered.damage, damage);
    }
    // Missing.
    let mut fs = whole.restart();
    fs.remove(FIRST).unwrap();
    for entropy in 3..6 {
        assert_eq!(started(&mut fs, entropy).log_damage, LogDamage { places: 1, bytes: 0 });
    }
    // And found in a backup, say.
    fs.create(FIRST).unwrap();
    let bytes = {
        let file = whole.open(FIRST).unwrap();
        let length = usize::try_from(whole.length(&file).unwrap()).unwrap();
        whole.read(&file, 0, length).unwrap()
    };
    let file = fs.reopen(FIRST).unwrap();
    fs.write_at(&file, 0, &bytes).unwrap();
    assert_eq!(started(&mut fs, 6).log_damage, NONE);
}

#[test]
fn what_was_never_acknowledged_is_no_damage() {
    for groups in 1..4 {
        for cut in 0..40 {
            let (fs, _, places) = killed(groups);
            let last = places[groups - 1].offset as usize;
            assert!(fs.tamper().flip(FIRST, last - 60 + cut * 8));
            let mut fs = fs.power_cut(cut as u64);
            for entropy in 2..5 {
                let recovered = started(&mut fs, entropy);
                assert_eq!((recovered.log_damage, recovered.remains.len()), (NONE, 0));
                assert_eq!(recovered.group, groups as u64 - 1);
            }
        }
    }
}

#[test]
fn a_rebuild_gives_up_what_nobody_can_decode() {
    let (mut fs, _) = damaged();
    assert_eq!(started(&mut fs, 2).log_damage.places, 1);
    rebuilt(&mut fs);
    assert_eq!(started(&mut fs, 3).log_damage, NONE);
    assert!(fs.open(layout::MADE_GOOD).is_ok());
}
