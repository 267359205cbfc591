//! Of a segment that was written anew and stays, since something in it is damaged: what it holds still is buried like
//! anything else, and nothing more than that.

use super::*;
use crate::index::graves::{Grave, Why};

const FIRST: &str = "log/00000001.seg";

/// Fills segments with what is not needed any more, until this many are closed.
fn roll(bench: &mut Bench, seed: u64, count: u32) {
    let last = bench.cx.index.end.segment + count;
    let mut waste = Vec::new();
    while bench.cx.index.end.segment < last {
        waste.push(bench.small(&content(seed + waste.len() as u64, 6_000)));
    }
    waste.iter().for_each(|address| {
        bench.cx.index.holdings.remove(address);
    });
}

/// A store whose first segment was written anew and stays, since a record in it has rotted; and a file that is named there
/// and in a later one.
fn aside() -> (Bench, Address) {
    let mut bench = Bench::new();
    let file = bench.file(&content(1, 70_000));
    let record = bench.record(&version(1, 1));
    roll(&mut bench, 100, 1);
    let rotten = bench.cx.index.catalog.get(&record).unwrap().place().offset as usize;
    bench.end_turn();
    let job = bench.job().unwrap();
    let done = execute(bench.disk(), job);
    assert!(bench.fs.tamper().flip(FIRST, rotten));
    bench.answer(done);
    bench.rest();
    assert_eq!(bench.bad, [Address(record.0)]);
    let place = bench.cx.index.holdings.located(&file).unwrap();
    assert!(place.segment() > 1 && bench.segments().contains(&FIRST.to_owned()));
    (bench, file)
}

#[test]
fn a_file_that_is_lost_after_it_was_named_anew_stays_lost() {
    let (mut bench, file) = aside();
    roll(&mut bench, 200, 1);
    bench.cx.index.holdings.lose(&file);
    bench.commit(&Group { lost: vec![file], ..Group::default() });
    for round in 0..3 {
        roll(&mut bench, 300 + 100 * round, 2);
        bench.rest();
    }
    assert!(bench.segments().contains(&FIRST.to_owned()));
    assert!(bench.segments().len() <= 4, "{:?}", bench.segments());
    let bench = bench.restart(None);
    assert_eq!(bench.known().files, BTreeSet::new());
}

#[test]
fn what_never_stood_in_a_segment_that_stays_needs_no_grave_for_it() {
    let (mut bench, _) = aside();
    roll(&mut bench, 200, 1);
    let (file, record) = (bench.file(&content(2, 70_000)), bench.record(&version(2, 1)));
    roll(&mut bench, 300, 1);
    bench.commit(&Group { dropped: vec![file.into()], ..Group::default() });
    bench.expire(record);
    bench.cx.index.catalog.forget_expired(u64::MAX, usize::MAX);
    bench.rest();
    roll(&mut bench, 400, 2);
    bench.rest();
    assert!(bench.segments().contains(&FIRST.to_owned()));
    let [blocks, _] = bench.cx.index.holdings.graves();
    assert_eq!((blocks.of(&file.0), bench.cx.index.catalog.graves().of(&record.0)), (None, None));
}

#[test]
fn what_a_start_has_found_damaged_stays_until_nothing_is_missing_and_then_goes() {
    let mut bench = Bench::new();
    let [rotten, kept] = [1, 2].map(|seed| bench.small(&content(seed, 2_000)));
    roll(&mut bench, 100, 2);
    let Some(BlockPlace::Log(place)) = bench.cx.index.holdings.block(&rotten) else {
        panic!("it is in the log")
    };
    assert!(bench.fs.tamper().flip(FIRST, place.offset as usize));
    let mut bench = bench.restart(None);
    for (address, _) in bench.cx.index.holdings.after(None, usize::MAX) {
        if address != kept {
            bench.cx.index.holdings.remove(&address);
        }
    }
    bench.cx.index.undecoded = LogDamage { places: 1, bytes: 9 };
    bench.rest();
    assert!(bench.segments().contains(&FIRST.to_owned()));
    assert!(bench.segments().len() <= 3, "others go: {:?}", bench.segments());
    // All that was damaged is known by now, and not all of it is here again.
    bench.cx.index.undecoded = LogDamage::default();
    bench.cx.index.holdings.miss(rotten);
    bench.rest();
    assert!(bench.segments().contains(&FIRST.to_owned()));
    bench.cx.index.holdings.miss_no_more(&rotten);
    bench.rest();
    assert!(!bench.segments().contains(&FIRST.to_owned()));
    assert!(bench.cx.index.holdings.block(&kept).is_some() && bench.copied > 2_000);
    bench.verify();
}

/// What stands in a segment that is gone is forgotten a part at a time, and before the next goes.
#[test]
fn very_much_that_is_gone_is_forgotten_in_steps() {
    let mut bench = Bench::new();
    let count = 5_000_u32;
    let gone = |number: u32| {
        let mut id = [7; 32];
        id[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
        Address(id)
    };
    let small = content(1, 20_000);
    bench.small(&small);
    roll(&mut bench, 100, 1);
    for number in 0..count {
        let [blocks, _] = bench.cx.index.holdings.graves_mut();
        let grave = Grave { segment: 2, why: Why::Dropped };
        blocks.bury(gone(number).0, grave, Some(1));
    }
    bench.cx.index.holdings.remove(&Address(tree::tree(&small).0));
    let mut left = vec![bench.cx.index.live_bytes(2) / 41];
    while bench.step() {
        let needed = bench.cx.index.live_bytes(2) / 41;
        if left.last() != Some(&needed) {
            left.push(needed);
        }
    }
    let steps = left.windows(2).map(|pair| pair[0] - pair[1]).max().unwrap();
    assert!(left[0] == u64::from(count) && steps <= 1024, "{left:?}");
    assert_eq!(left.last(), Some(&0));
}

fn stranger(number: u64) -> Expired {
    let mut id = [9; 32];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Expired { id: RecordId(id), at_ms: 8 }
}

/// It came again, and expired again behind more than one group of copies has.
#[test]
fn of_a_record_that_has_expired_twice_in_a_segment_the_last_time_is_known() {
    let mut bench = Bench::open(SimFs::new(), 1, Config { segment: 450 * 1024, ..SMALLEST });
    let bytes = version(1, 1);
    let id = record_id(&bytes);
    let strangers = (0..4_200).map(stranger).collect();
    bench.record(&bytes);
    bench.commit(&Group { expired: vec![Expired { id, at_ms: 7 }], ..Group::default() });
    bench.commit(&Group { expired: strangers, ..Group::default() });
    bench.record(&bytes);
    bench.commit(&Group { expired: vec![Expired { id, at_ms: 9 }], ..Group::default() });
    let waste: Vec<_> = (0..6).map(|seed| bench.small(&content(seed, 60_000))).collect();
    waste.iter().for_each(|address| {
        bench.cx.index.holdings.remove(address);
    });
    bench.rest();
    assert!(!bench.segments().contains(&FIRST.to_owned()), "{:?}", bench.segments());
    assert_eq!(bench.cx.index.catalog.expired_ms(&id), Some(9));
    let bench = bench.restart(None);
    assert_eq!(bench.cx.index.catalog.expired_ms(&id), Some(9));
}
