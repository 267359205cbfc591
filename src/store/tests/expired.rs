//! That a record has expired is not forgotten with the bytes that say so, or it is told that names may be old.

use super::check::{record, started};
use super::removed::heads;
use super::*;
use crate::index::IndexBuilder;
use crate::store::layout;
use crate::testing::SimFs;

const FIRST: u32 = 1;

fn put(disk: &Disk<SimFs>, record: &(RecordId, Bytes)) {
    commit(disk, &Group { records: vec![record.clone()], ..Group::default() }).unwrap();
}

fn expire(disk: &Disk<SimFs>, record: &(RecordId, Bytes)) {
    let expired = vec![Expired { id: record.0, at_ms: 7 }];
    commit(disk, &Group { expired, ..Group::default() }).unwrap();
}

/// A version, what superseded it, and both expired, the version first; and one more group.
fn deleted() -> (SimFs, RecordId) {
    let fs = SimFs::new();
    let disk = start(fs.clone(), 1).unwrap().disk;
    let [version, tombstone] = [1, 2].map(|stamp| record(stamp, &[]));
    put(&disk, &version);
    put(&disk, &tombstone);
    expire(&disk, &version);
    expire(&disk, &tombstone);
    put(&disk, &record(3, &[]));
    drop(disk);
    (fs.restart(), version.0)
}

/// Whether the record is known to whoever was told all this.
fn is_known(found: &[LogEntry], id: RecordId) -> bool {
    let mut builder = IndexBuilder::new([1; 32], [2; 16]);
    found.iter().cloned().for_each(|found| builder.found(found));
    builder.catalog.contains(&id)
}

#[test]
fn a_deleted_name_does_not_come_back_with_one_damaged_byte() {
    let (fs, version) = deleted();
    let [_, _, third, fourth, ..] = heads(&fs, FIRST)[..] else { panic!("five groups") };
    let mut silent = 0;
    for at in third..fourth {
        let mut fs = fs.restart();
        assert!(fs.tamper().flip(&layout::segment(FIRST), at));
        for entropy in 2..4 {
            let (recovered, found) = started(&mut fs, entropy);
            let is_told = recovered.log_damage.is_any();
            assert!(!is_known(&found, version) || is_told, "byte {}", at - third);
            silent += u32::from(!is_told);
        }
    }
    // The head, the kind and the end mark say nothing about the item.
    assert_eq!(silent, 2 * (32 + 1 + 4));
}

#[test]
fn a_record_that_has_come_again_behind_the_damage_stays() {
    let (fs, version) = deleted();
    let disk = start(fs.clone(), 2).unwrap().disk;
    let version = (version, record(1, &[]).1);
    expire(&disk, &version);
    put(&disk, &version);
    drop(disk);
    let mut fs = fs.restart();
    assert!(is_known(&started(&mut fs, 3).1, version.0));
    let segment = 2;
    let first = heads(&fs, segment)[0];
    assert!(fs.tamper().flip(&layout::segment(segment), first + 20));
    let (recovered, found) = started(&mut fs, 4);
    assert!(is_known(&found, version.0) && !recovered.log_damage.is_any());
}

/// Somebody sends a block that holds what looks like a frame in which a record expires.
#[test]
fn what_somebody_composed_does_not_let_a_record_expire() {
    let fs = SimFs::new();
    let disk = start(fs.clone(), 1).unwrap().disk;
    let kept = record(1, &[]);
    put(&disk, &kept);
    let mut item = [&[7], &kept.0.0[..], &8_u32.to_be_bytes()].concat();
    let check = crc32c::crc32c_append(crc32c::crc32c(&item), &[9; 8]);
    item.extend([&check.to_be_bytes()[..], &[9; 8]].concat());
    let block = Bytes::from([&b"dfsG"[..], &[0; 28], &item, b"done"].concat());
    let small = vec![(address_of(&block), block)];
    let place = commit(&disk, &Group { small, ..Group::default() }).unwrap().small[0];
    put(&disk, &record(2, &[]));
    drop(disk);
    let mut fs = fs.restart();
    let head = heads(&fs, FIRST)[1];
    // Neither how long the frame is nor how long the item.
    let length = place.offset as usize - 8;
    assert!(
        fs.tamper().flip(&layout::segment(FIRST), head + 20)
            && fs.tamper().flip(&layout::segment(FIRST), length)
    );
    let (recovered, found) = started(&mut fs, 2);
    assert!(is_known(&found, kept.0), "{found:?}");
    assert!(recovered.log_damage.is_any());
}
