//! Power cuts, kills and failures at every call: nothing promised is lost, nothing is half there.

use super::*;
use crate::testing::{SimError, SimFs};

/// A store that has been used, so that a workload on it meets old segments, old folders and held blocks.
fn used(seed: u64) -> (SimFs, Writer) {
    let fs = SimFs::new();
    let mut writer = Writer::default();
    let mut dice = Dice(seed);
    let opened = start(fs.clone(), 1).unwrap();
    for _ in 0..3 {
        writer.put(&opened.disk, &mut dice).unwrap();
    }
    drop(opened);
    (fs.restart(), writer)
}

/// Puts until the disk has failed or all is done.
fn work(fs: &SimFs, writer: &mut Writer, seed: u64) {
    let mut dice = Dice(seed);
    let Ok(opened) = start(fs.clone(), 2) else {
        return;
    };
    writer.drafts = 0;
    writer.check_promises(&opened);
    for _ in 0..5 {
        if writer.put(&opened.disk, &mut dice).is_err() {
            return;
        }
    }
}

fn calls_of(fs: &SimFs, writer: &Writer, seed: u64) -> u64 {
    let fs = fs.restart();
    work(&fs, &mut writer.clone(), seed);
    fs.calls()
}

#[test]
fn a_power_cut_at_any_call_loses_nothing_promised_and_shows_no_partial_group() {
    for seed in 0..4 {
        let (fs, writer) = used(seed);
        for call in 0..calls_of(&fs, &writer, seed + 100) {
            let (fs, mut writer) = (fs.restart(), writer.clone());
            fs.tamper().cut_after(call);
            work(&fs, &mut writer, seed + 100);
            for cut in 0..4 {
                let mut writer = writer.clone();
                let found = fs.power_cut(seed ^ call << 8 ^ cut << 40);
                let opened = start(found.clone(), 3).unwrap();
                writer.check(&opened);
                std::mem::forget(opened);
                // Whatever the first start told stays true, whenever the power goes again.
                writer.check(&start(found.power_cut(cut), 4).unwrap());
            }
        }
    }
}

#[test]
fn a_power_cut_at_any_call_of_a_recovery_changes_no_promise() {
    for seed in 0..3 {
        let (fs, writer) = used(seed);
        let all = calls_of(&fs, &writer, seed + 200);
        for call in (0..all).step_by(3) {
            let (fs, mut writer) = (fs.restart(), writer.clone());
            fs.tamper().cut_after(call);
            work(&fs, &mut writer, seed + 200);
            // Killed, so that the next start sees what was never flushed; or cut.
            for found in [fs.restart(), fs.power_cut(call)] {
                recover_with_cuts(&found, &writer, 3);
            }
        }
    }
}

fn recover_with_cuts(found: &SimFs, writer: &Writer, seeds: u64) {
    let counted = found.restart();
    std::mem::forget(start(counted.clone(), 5).unwrap());
    for call in 0..counted.calls() {
        let (fs, mut writer) = (found.restart(), writer.clone());
        fs.tamper().cut_after(call);
        if let Ok(opened) = start(fs.clone(), 5) {
            writer.check_promises(&opened);
        }
        for seed in 0..seeds {
            let fs = fs.power_cut(call << 8 ^ seed);
            let mut writer = writer.clone();
            let opened = start(fs.clone(), 6).unwrap();
            writer.check(&opened);
            std::mem::forget(opened);
            writer.check(&start(fs.power_cut(seed), 7).unwrap());
        }
    }
}

#[test]
fn what_a_killed_process_had_not_flushed_is_flushed_before_it_is_judged() {
    let fs = SimFs::new();
    let mut writer = Writer::default();
    let opened = start(fs.clone(), 1).unwrap();
    let block = content(&mut Dice(1), 30_000);
    let address = writer.remember(&block);
    assert!(draft(&opened.disk, 1, &block));
    let mut group = one_record(1);
    group.blocks = vec![(1, address, 30_000)];
    writer.contents.insert([1; 32], group.records[0].1.clone());
    // Folder, folder, room, rename, append; the flush is the sixth.
    fs.tamper().cut_after(5);
    assert!(commit(&opened.disk, &group).is_err());
    writer.uncertain = things(&group);
    let killed = fs.restart();
    writer.clone().check(&start(killed.restart(), 2).unwrap());
    assert_eq!(start(killed.restart(), 2).unwrap().found.len(), 2);
    recover_with_cuts(&killed, &writer, 40);
}

#[test]
fn a_killed_process_loses_nothing() {
    let (mut fs, mut writer) = used(9);
    for round in 0..12 {
        let opened = start(fs.clone(), round).unwrap();
        writer.drafts = 0;
        writer.check(&opened);
        let mut dice = Dice(u64::from(round));
        for _ in 0..round % 4 {
            writer.put(&opened.disk, &mut dice).unwrap();
        }
        std::mem::forget(opened);
        fs = fs.restart();
    }
    assert!(
        fs.paths("log/").len() < 16,
        "segments without groups are removed: {:?}",
        fs.paths("log/")
    );
}

#[test]
fn a_full_disk_fails_one_put_and_nothing_else() {
    let (fs, writer) = used(11);
    for call in 0..calls_of(&fs, &writer, 300) {
        let (fs, mut writer) = (fs.restart(), writer.clone());
        let opened = start(fs.clone(), 2).unwrap();
        let mut dice = Dice(300);
        writer.drafts = 100;
        fs.tamper().fail_nth(call, SimError::NoSpace);
        let mut has_failed = false;
        for _ in 0..5 {
            match writer.put(&opened.disk, &mut dice) {
                Ok(()) => {}
                Err(DiskError::Full) => assert!(!std::mem::replace(&mut has_failed, true)),
                Err(DiskError::Scarce(_) | DiskError::Failed(_)) => has_failed = true,
            }
        }
        std::mem::forget(opened);
        for fs in [fs.restart(), fs.power_cut(call)] {
            writer.clone().check(&start(fs, 3).unwrap());
        }
    }
}

#[test]
fn after_a_failed_flush_nothing_is_acknowledged() {
    let (fs, writer) = used(13);
    for call in 0..calls_of(&fs, &writer, 400) {
        let (fs, mut writer) = (fs.restart(), writer.clone());
        let opened = start(fs.clone(), 2).unwrap();
        let mut dice = Dice(400);
        writer.drafts = 100;
        fs.tamper().fail_nth(call, SimError::Io);
        let mut failures = Vec::new();
        for _ in 0..5 {
            let _ = writer.put(&opened.disk, &mut dice);
            failures.push(opened.disk.commit(&Group::default()).is_err());
        }
        assert!(failures.is_sorted(), "a failed disk stays failed");
        std::mem::forget(opened);
        for fs in [fs.restart(), fs.power_cut(call)] {
            writer.clone().check(&start(fs, 3).unwrap());
        }
    }
}

fn one_record(id: u8) -> Group {
    Group { records: vec![(RecordId([id; 32]), Bytes::from(vec![id; 3_000]))], ..Group::default() }
}

#[test]
fn a_commit_that_failed_is_followed_by_no_other() {
    for call in 0..3 {
        let fs = SimFs::new();
        let opened = start(fs.clone(), 1).unwrap();
        fs.tamper().fail_nth(call, SimError::Io);
        for id in 0..3 {
            let result = commit(&opened.disk, &one_record(id));
            assert!(matches!(result, Err(DiskError::Failed(_))), "call {call}");
        }
    }
}

#[test]
fn a_short_append_closes_the_segment() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    assert!(commit(&opened.disk, &one_record(1)).is_ok());
    fs.tamper().fail_nth(0, SimError::NoSpace);
    assert_eq!(commit(&opened.disk, &one_record(2)), Err(DiskError::Full));
    let committed = commit(&opened.disk, &one_record(3)).unwrap();
    assert_eq!((committed.number, committed.records[0].segment), (2, 2));
    drop(opened);
    let found = start(fs.restart(), 2).unwrap().found;
    let found: Vec<_> = found.iter().map(thing).collect();
    assert_eq!(found, [1, 3].map(|id| Thing::Record(RecordId([id; 32]))));
}

#[test]
fn the_same_seed_keeps_the_same_things() {
    let (fs, mut writer) = used(1);
    fs.tamper().cut_after(40);
    work(&fs, &mut writer, 5);
    let one = start(fs.power_cut(7), 1).unwrap();
    let other = start(fs.power_cut(7), 1).unwrap();
    assert_eq!(one.found, other.found);
}
