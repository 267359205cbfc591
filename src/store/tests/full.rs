//! Starts on a disk without room: what the log has set aside is enough, whenever the power goes.

use super::damage::killed;
use super::*;
use crate::testing::SimFs;

/// A full disk with some groups, whose process was killed.
fn full() -> (SimFs, Writer) {
    let (fs, writer, _) = killed(3);
    fs.tamper().fill();
    (fs, writer)
}

#[test]
fn a_start_without_room_takes_what_was_set_aside() {
    let (fs, mut writer) = full();
    for round in 2..6 {
        let opened = start(fs.restart(), round).unwrap();
        writer.check(&opened);
        drop(opened);
    }
    let opened = start(fs.restart(), 7).unwrap();
    writer.check(&opened);
    let record = content(&mut Dice(9), 300);
    let id = RecordId(writer.remember(&record).0);
    let group = Group { records: vec![(id, record)], ..Group::default() };
    commit(&opened.disk, &group).unwrap();
}

#[test]
fn a_power_cut_at_any_call_of_a_start_without_room_changes_no_promise() {
    let (fs, writer) = full();
    let counted = fs.restart();
    drop(start(counted.clone(), 2).unwrap());
    for call in 0..counted.calls() {
        let fs = fs.restart();
        fs.tamper().cut_after(call);
        drop(start(fs.clone(), 2));
        let cuts = (0..8).map(|seed| fs.power_cut(call << 8 ^ seed));
        for found in cuts.chain([fs.restart()]) {
            let mut writer = writer.clone();
            writer.check(&start(found.clone(), 3).unwrap());
            writer.check(&start(found.power_cut(call), 4).unwrap());
            found.tamper().give_room();
            writer.check(&start(found.restart(), 5).unwrap());
        }
    }
}

#[test]
fn what_cannot_be_read_behind_the_last_group_is_not_cut_off() {
    let (fs, _) = full();
    let path = fs.paths("log/").pop().unwrap();
    let length = |fs: &SimFs| fs.length(&fs.open(&path).unwrap()).unwrap();
    let before = length(&fs);
    assert!(fs.tamper().go_bad(&path, 20_000..20_512));
    let Err(OpenError::Disk(why)) = start(fs.restart(), 2).map(drop) else {
        panic!("there is no room")
    };
    assert!(why.contains("no room"), "{why}");
    assert_eq!(length(&fs), before);
}
