//! Of a segment that was written anew and stays, since something in it is damaged: what it holds still is buried like
//! anything else, and nothing more than that.

use super::*;

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
    bench.commit(&Group { dropped: vec![file], ..Group::default() });
    bench.expire(record);
    bench.cx.index.catalog.forget_expired(u64::MAX);
    bench.rest();
    roll(&mut bench, 400, 2);
    bench.rest();
    assert!(bench.segments().contains(&FIRST.to_owned()));
    let [blocks, _] = bench.cx.index.holdings.graves();
    assert_eq!((blocks.of(&file.0), bench.cx.index.catalog.graves().of(&record.0)), (None, None));
}
