//! Compaction over a real store on a simulated disk: nothing is lost, nothing comes back, and what is not needed goes.

mod aside;

use super::*;
use crate::crypto::keys::record_id;
use crate::crypto::tree;
use crate::ids::{Address, NameId, RecordId, VersionId, Writer};
use crate::index::{Index, IndexBuilder};
use crate::limits::CALENDAR_MIN;
use crate::server::output::Output;
use crate::server::samples::file;
use crate::server::work::{Done, execute};
use crate::server::write::{Event as Written, Write};
use crate::store::fs::{FileSystem, RealFs};
use crate::store::values::{Committed, DiskError, Expired, Group, LogPlace, Space};
use crate::store::{self, Config, Disk};
use crate::testing::{Dice, SimError, SimFs};
use crate::time::{Instant, Now};
use crate::wire::log_damage::LogDamage;
use crate::wire::record::{Record, RecordKind};
use std::collections::BTreeMap;

const CONFIG: Config = Config { segment: 24 * 1024, ..SMALLEST };
const SMALLEST: Config = Config { reserve: 0, reserve_percent: 0, segment: 0, now_ms: 0 };

/// What a node has, apart from where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Known {
    records: BTreeSet<RecordId>,
    files: BTreeSet<Address>,
    pages: BTreeSet<Address>,
}

struct Bench<F: FileSystem = SimFs> {
    fs: SimFs,
    disk: Option<Disk<F>>,
    cx: Context,
    write: Write,
    compact: Compact,
    life: u8,
    drafts: u64,
    bad: Vec<Address>,
    failed: bool,
    /// Bytes of the groups of compaction.
    copied: u64,
}

impl Bench {
    fn new() -> Self {
        Self::open(SimFs::new(), 1, CONFIG)
    }

    fn open(fs: SimFs, life: u8, config: Config) -> Self {
        Self { fs: fs.clone(), ..Self::over(fs, life, config) }
    }

    /// The node is killed, or the power is cut, and it starts again.
    fn restart(self, cut: Option<u64>) -> Self {
        std::mem::forget(self.disk);
        let fs = cut.map_or_else(|| self.fs.restart(), |seed| self.fs.power_cut(seed));
        Self::open(fs, self.life + 1, CONFIG)
    }

    fn segments(&self) -> Vec<String> {
        self.fs.paths("log/")
    }
}

impl<F: FileSystem> Bench<F> {
    fn over(fs: F, life: u8, config: Config) -> Self {
        let mut builder = IndexBuilder::new([1; 32], [life; 16]);
        let opened = store::open(fs, config, [life; 16], |found| builder.found(found));
        let (disk, recovered) = opened.expect("it opens");
        let index = Index::new(builder, recovered.group, LogDamage::default(), None);
        let now = Now { instant: Instant(1), wall_ms: CALENDAR_MIN };
        let cx = Context::new(index, 32 << 20, 7, now);
        let mut compact = Compact::new(&recovered);
        compact.start(&cx);
        let (write, bad) = (Write::default(), Vec::new());
        let (drafts, failed, copied) = (u64::from(life) * 1000, false, 0);
        let fs = SimFs::new();
        Self { fs, disk: Some(disk), cx, write, compact, life, drafts, bad, failed, copied }
    }

    fn disk(&self) -> &Disk<F> {
        self.disk.as_ref().expect("it is open")
    }

    /// A group of others, which is taken into the index as the commit queue does.
    fn commit(&mut self, group: &Group) -> Committed {
        let committed = self.disk().commit(group).expect("the disk is good");
        let Context { index, .. } = &mut self.cx;
        index.group = committed.number;
        index.end = committed.end;
        let segment = committed.segment;
        group.lost.iter().for_each(|address| index.holdings.lost(address, segment));
        group.dropped.iter().for_each(|one| index.holdings.dropped(&one.address, segment));
        group.expired.iter().for_each(|expired| index.catalog.expire(*expired, segment));
        for (_, address, length) in &group.blocks {
            index.holdings.insert(*address, BlockPlace::Tree { length: *length }, segment);
        }
        for ((address, _), place) in group.small.iter().zip(&committed.small) {
            index.holdings.insert(*address, BlockPlace::Log(*place), segment);
        }
        for ((address, _), place) in group.pages.iter().zip(&committed.pages) {
            index.holdings.insert_page(*address, *place);
        }
        for ((id, bytes), place) in group.records.iter().zip(&committed.records) {
            index.catalog.insert(*id, &Record::decode(bytes).unwrap(), *place);
        }
        self.compact.look(&mut self.cx);
        committed
    }

    fn record(&mut self, bytes: &Bytes) -> RecordId {
        let id = record_id(bytes);
        self.commit(&Group { records: vec![(id, bytes.clone())], ..Group::default() });
        id
    }

    fn expire(&mut self, id: RecordId) {
        let expired = vec![Expired { id, at_ms: 7 }];
        self.commit(&Group { expired, ..Group::default() });
    }

    fn small(&mut self, bytes: &Bytes) -> Address {
        let address = Address(tree::tree(bytes).0);
        self.commit(&Group { small: vec![(address, bytes.clone())], ..Group::default() });
        address
    }

    fn file(&mut self, bytes: &Bytes) -> Address {
        let leaves = tree::leaf_hashes(bytes);
        self.drafts += 1;
        for (first, chunk) in (0..).zip(bytes.chunks(crate::limits::LEAF)) {
            let chunk = [Bytes::copy_from_slice(chunk)];
            self.disk().write(self.drafts, first, &chunk, &leaves).unwrap();
        }
        let length = u32::try_from(bytes.len()).unwrap();
        self.disk().finish(self.drafts, length, &leaves).unwrap();
        let address = Address(tree::root(&leaves).0);
        let blocks = vec![(self.drafts, address, length)];
        self.commit(&Group { blocks, ..Group::default() });
        address
    }

    /// What the machines have to tell each other, before a group goes.
    fn dispatch(&mut self) {
        loop {
            if let Some(event) = self.compact.poll_event() {
                match event {
                    Event::Rewrite(rewrite) => self.write.rewrite(rewrite),
                    Event::Bad(bad) => {
                        for address in &bad {
                            self.cx.index.holdings.lose(address);
                            self.cx.index.catalog.damage(&RecordId(address.0));
                        }
                        self.bad.extend(bad);
                    }
                }
            } else if let Some(event) = self.write.poll_event() {
                match event {
                    Written::Compacted(compacted) => {
                        if let Compacted::Copied { bytes } = compacted {
                            self.copied += bytes;
                        }
                        self.compact.compacted(&mut self.cx, compacted);
                    }
                    Written::Failed(_) => self.failed = true,
                    other => panic!("{other:?}"),
                }
            } else {
                return;
            }
        }
    }

    /// The end of a turn: whatever is to be done is asked of the disk.
    fn end_turn(&mut self) {
        self.compact.go_on(&mut self.cx);
        self.dispatch();
    }

    fn job(&mut self) -> Option<Job> {
        self.write.pump(&mut self.cx, true);
        self.cx.outputs.pop_front().map(|output| match output {
            Output::Job(job) => job,
            other => panic!("{other:?}"),
        })
    }

    fn answer(&mut self, done: Done) {
        match done {
            Done::Segment(answer) => self.compact.answered(&mut self.cx, answer),
            Done::Committed { result } => self.write.group_answered(&mut self.cx, result),
            Done::Space { .. } | Done::SegmentIndexed | Done::Freed => {}
            other => panic!("{other:?}"),
        }
        self.dispatch();
    }

    /// One job of the compaction, or a timer, if there is one.
    fn step(&mut self) -> bool {
        self.end_turn();
        if let Some(job) = self.job() {
            let done = execute(self.disk(), job);
            self.answer(done);
            return true;
        }
        let due = self.cx.timers.first();
        let Some(due) = due else { return false };
        self.cx.now.instant = due;
        while let Some((_, timer)) = self.cx.timers.take_due(due) {
            assert_eq!(timer, Timer::Compact);
            self.compact.resume(&mut self.cx);
        }
        self.dispatch();
        true
    }

    /// All that there is to do.
    fn rest(&mut self) {
        for _ in 0..10_000 {
            if !self.step() {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.compact);
    }

    fn known(&self) -> Known {
        let Index { catalog, holdings, .. } = &self.cx.index;
        let mut known = Known { records: catalog.ids().collect(), ..Known::default() };
        for (address, place) in holdings.after(None, usize::MAX) {
            match (holdings.page(&address), place) {
                (Some(_), _) => drop(known.pages.insert(address)),
                (None, BlockPlace::Tree { .. }) => drop(known.files.insert(address)),
                (None, BlockPlace::Log(_)) => {}
            }
        }
        known
    }

    /// All that is held can be read where it is said to be.
    fn verify(&self) {
        let Index { catalog, holdings, .. } = &self.cx.index;
        for (address, place) in holdings.after(None, usize::MAX) {
            let read = match place {
                BlockPlace::Log(place) => self.disk().read_log(place).map(|bytes| {
                    assert_eq!(tree::tree(&bytes).0, address.0);
                }),
                BlockPlace::Tree { .. } => {
                    let found = self.disk().verify(&[(address, place)]);
                    found.bad.is_empty().then_some(()).ok_or(ReadError::Damaged)
                }
            };
            assert_eq!(read, Ok(()), "{address} at {place:?}");
        }
        for id in catalog.ids() {
            let place = catalog.get(&id).unwrap().place();
            let read = self.disk().read_log(place).map(|bytes| record_id(&bytes));
            assert_eq!(read, Ok(id), "at {place:?}");
        }
    }
}

fn version(name: u64, version: u8) -> Bytes {
    Bytes::from(file(name, version, &[]).to_bytes())
}

fn content(seed: u64, length: usize) -> Bytes {
    let seed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    Bytes::from_iter((0..length).map(|at| seed[at % 8] ^ at.to_le_bytes()[at / 8 % 2]))
}

#[test]
fn a_segment_of_which_nothing_is_needed_is_removed() {
    let mut bench = Bench::new();
    let first: Vec<_> = (0..12).map(|seed| bench.small(&content(seed, 6_000))).collect();
    assert!(!bench.step(), "all is needed");
    let before = bench.segments();
    assert_eq!(before.len(), 4);
    first.iter().take(6).for_each(|address| {
        bench.cx.index.holdings.remove(address);
    });
    bench.rest();
    assert_eq!(bench.copied, 0);
    let left = bench.segments();
    assert!(!left.contains(&before[0]) && !left.contains(&before[1]), "{left:?}");
    assert!(before[2..].iter().all(|other| left.contains(other)), "{left:?}");
    bench.verify();
    let bench = bench.restart(None);
    bench.verify();
}

#[test]
fn what_is_needed_of_a_segment_is_written_anew_before_it_goes() {
    let mut bench = Bench::new();
    let mut needed = BTreeSet::new();
    for seed in 0..6 {
        needed.insert(bench.record(&version(seed, 1)));
        bench.small(&content(seed, 6_000));
    }
    let file = bench.file(&content(70, 70_000));
    let page = content(71, 500);
    let at = Address(tree::tree(&page).0);
    bench.commit(&Group { pages: vec![(at, page)], ..Group::default() });
    let rest = (6..12).map(|seed| bench.small(&content(seed, 6_000))).collect::<Vec<_>>();
    let known = bench.known();
    for seed in 0..6 {
        let address = Address(tree::tree(&content(seed, 6_000)).0);
        bench.cx.index.holdings.remove(&address);
    }
    bench.rest();
    assert!(!bench.segments().contains(&"log/00000001.seg".to_owned()));
    assert!(bench.copied > 0 && bench.bad.is_empty());
    assert_eq!(bench.known(), known);
    assert!(known.files.contains(&file) && known.records == needed);
    assert!(rest.iter().all(|address| bench.cx.index.holdings.block(address).is_some()));
    bench.verify();
    for cut in [None, Some(1)] {
        bench = bench.restart(cut);
        assert_eq!(bench.known(), known);
        bench.verify();
    }
}

/// Records that were expired, files that were dropped or lost, do not come back with the segments in which they stand.
#[test]
fn what_is_gone_does_not_come_back_when_what_says_so_was_compacted() {
    let mut bench = Bench::new();
    // The first segment stays, and it has a record and two names of files that go.
    let gone = bench.record(&version(1, 1));
    let dropped = bench.file(&content(91, 70_000));
    let lost = bench.file(&content(92, 70_000));
    let kept = bench.small(&content(90, 20_000));
    bench.small(&content(93, 6_000));
    bench.cx.index.holdings.lose(&lost);
    bench.commit(&Group {
        lost: vec![lost],
        dropped: vec![dropped.into()],
        expired: vec![Expired { id: gone, at_ms: 7 }],
        ..Group::default()
    });
    let waste: Vec<_> = (94..99).map(|seed| bench.small(&content(seed, 6_000))).collect();
    waste.iter().for_each(|address| {
        bench.cx.index.holdings.remove(address);
    });
    bench.rest();
    let left = bench.segments();
    assert!(left.contains(&"log/00000001.seg".to_owned()), "{left:?}");
    assert!(!left.contains(&"log/00000002.seg".to_owned()), "{left:?}");
    let known = bench.known();
    assert!(known.records.is_empty() && known.files.is_empty());
    for cut in [None, Some(3), None] {
        bench = bench.restart(cut);
        assert_eq!(bench.known(), known);
        assert_eq!(bench.cx.index.catalog.expired_ms(&gone), Some(7));
        assert!(bench.cx.index.holdings.block(&kept).is_some());
        bench.rest();
    }
}

#[test]
fn what_dies_while_it_is_written_anew_stays_dead() {
    let mut bench = Bench::new();
    let dies = version(1, 1);
    let id = bench.record(&dies);
    let file = bench.file(&content(1, 70_000));
    let small = bench.small(&content(2, 15_000));
    bench.small(&content(3, 10_000));
    bench.small(&content(4, 10_000));
    bench.cx.index.holdings.remove(&small);
    // Its items are listed, and read.
    for _ in 0..2 {
        bench.end_turn();
        let job = bench.job().expect("it is compacted");
        assert!(matches!(job, Job::ListItems { .. } | Job::ReadItems { .. }), "{job:?}");
        let done = execute(bench.disk(), job);
        bench.answer(done);
    }
    bench.expire(id);
    bench.commit(&Group { dropped: vec![file.into()], ..Group::default() });
    bench.rest();
    assert_eq!(bench.known(), Known::default());
    for cut in [None, Some(5)] {
        bench = bench.restart(cut);
        assert_eq!(bench.known(), Known::default());
        bench.rest();
    }
}

#[test]
fn a_segment_that_is_read_stays_until_the_end_of_that() {
    let mut bench = Bench::new();
    let all: Vec<_> = (0..8).map(|seed| bench.small(&content(seed, 10_000))).collect();
    let place = bench.cx.index.holdings.block(&all[0]).unwrap();
    let pins = bench.cx.index.pin([place]);
    all[..6].iter().for_each(|address| {
        bench.cx.index.holdings.remove(address);
    });
    bench.rest();
    let BlockPlace::Log(place) = place else { panic!("it is in the log") };
    assert_eq!(bench.disk().read_log(place), Ok(content(0, 10_000)));
    assert_eq!(bench.segments().len(), 3, "the others are gone: {:?}", bench.segments());
    bench.cx.index.readers.unpin(pins);
    bench.rest();
    assert_eq!(bench.disk().read_log(place), Err(ReadError::Gone));
}

#[test]
fn what_is_damaged_is_not_written_anew_but_told_of() {
    let mut bench = Bench::new();
    let [bad, good] = [1, 2].map(|seed| bench.small(&content(seed, 3_000)));
    let record = bench.record(&version(1, 1));
    let waste = bench.small(&content(3, 16_000));
    bench.small(&content(4, 10_000));
    bench.small(&content(5, 10_000));
    let at = |place| match place {
        BlockPlace::Log(LogPlace { offset, .. }) => offset as usize,
        BlockPlace::Tree { .. } => panic!("it is in the log"),
    };
    let place = at(bench.cx.index.holdings.block(&bad).unwrap());
    let of_record = bench.cx.index.catalog.get(&record).unwrap().place().offset as usize;
    bench.cx.index.holdings.remove(&waste);
    // Its items are listed before it rots.
    bench.end_turn();
    let job = bench.job().unwrap();
    let done = execute(bench.disk(), job);
    let path = "log/00000001.seg";
    assert!(bench.fs.tamper().flip(path, place) && bench.fs.tamper().flip(path, of_record));
    bench.answer(done);
    bench.rest();
    assert_eq!(bench.bad, [bad, Address(record.0)]);
    assert!(bench.cx.index.holdings.block(&good).is_some());
    // A version was there, and that is not forgotten before it is had again.
    assert!(bench.segments().contains(&path.to_owned()));
    bench.record(&version(1, 1));
    bench.rest();
    assert!(!bench.segments().contains(&path.to_owned()), "{:?}", bench.segments());
    bench.verify();
}

#[test]
fn at_most_as_much_is_written_as_comes_free() {
    let mut bench = Bench::new();
    let all: Vec<_> = (0..200).map(|seed| bench.small(&content(seed, 3_000))).collect();
    let mut dice = Dice(5);
    for address in &all {
        if dice.below(2) == 0 {
            bench.cx.index.holdings.remove(address);
        }
    }
    let before = bench.compact.log_use(&bench.cx);
    bench.rest();
    let after = bench.compact.log_use(&bench.cx);
    assert_eq!((before.rewritten, after.rewritten), (0, bench.copied));
    assert!(after.freed > 100_000 && after.compacted_ms == CALENDAR_MIN);
    let freed = before.bytes - after.bytes;
    assert!(after.rewritten <= 2 * freed, "{after:?}");
    let segments = bench.segments().len();
    assert_eq!(after.segments as usize, segments, "{:?}", bench.segments());
    bench.verify();
}

#[test]
fn without_room_more_is_written_anew_and_with_none_at_all_it_is_tried_again_later() {
    let mut bench = Bench::new();
    let all: Vec<_> = (0..20).map(|seed| bench.small(&content(seed, 3_000))).collect();
    // A third of the first segment.
    all[..2].iter().for_each(|address| {
        bench.cx.index.holdings.remove(address);
    });
    bench.rest();
    assert_eq!(bench.copied, 0, "two thirds are needed");
    let space = |usable, free| Ok(Space { usable, free });
    bench.cx.space_answered(0, space(0, 10_000));
    bench.rest();
    assert_eq!(bench.copied, 0, "a copy does not fit in");
    bench.cx.space_answered(0, space(0, 200_000));
    bench.end_turn();
    bench.fs.tamper().fail_nth(0, SimError::NoSpace);
    for _ in 0..3 {
        let job = bench.job().unwrap();
        let done = execute(bench.disk(), job);
        if let Done::Committed { result } = &done {
            assert_eq!(result.as_ref().err(), Some(&DiskError::Full));
        }
        bench.answer(done);
        bench.end_turn();
    }
    assert_eq!((bench.copied, bench.job().is_none()), (0, true));
    let due = bench.cx.timers.first().unwrap();
    assert_eq!(due.since(bench.cx.now.instant), COMPACT_AGAIN);
    // And longer each time.
    for doubled in 1..4 {
        let begun = bench.cx.timers.first().unwrap();
        bench.fs.tamper().fail_nth(0, SimError::NoSpace);
        while bench.cx.timers.first().is_none_or(|due| due == begun) && bench.step() {}
        let due = bench.cx.timers.first().unwrap();
        assert_eq!(due.since(begun), COMPACT_AGAIN * (1 << doubled));
    }
    bench.rest();
    assert!(bench.copied > 10_000);
    assert!(!bench.segments().contains(&"log/00000001.seg".to_owned()));
    bench.verify();
}

#[test]
fn segments_are_removed_some_at_a_time_and_written_anew_in_small_groups() {
    let mut bench = Bench::new();
    let count = SEGMENTS_REMOVED_AT_ONCE as u64 + 6;
    let all: Vec<_> = (0..=count).map(|seed| bench.small(&content(seed, 30_000))).collect();
    for address in &all {
        bench.cx.index.holdings.remove(address);
    }
    for (has_room, expected) in [(true, 1), (false, SEGMENTS_REMOVED_AT_ONCE)] {
        bench.compact.state = State::Idle;
        if !has_room {
            bench.cx.space.ran_out();
        }
        bench.compact.go_on(&mut bench.cx);
        let Some(Event::Rewrite(Rewrite::Removal(first))) = bench.compact.poll_event() else {
            panic!("they are removed");
        };
        assert_eq!(first.len(), expected);
    }
    let mut bench = Bench::open(SimFs::new(), 1, Config { segment: 6 << 20, ..SMALLEST });
    for part in 0..10 {
        let one = |number: u64| content(part * 1_000 + number, 100);
        let small = (0..500).map(one).map(|bytes| (Address(tree::tree(&bytes).0), bytes));
        bench.commit(&Group { small: small.collect(), ..Group::default() });
    }
    for seed in 0..30 {
        bench.small(&content(90_000 + seed, 60_000));
    }
    let waste: Vec<_> = (0..70).map(|seed| bench.small(&content(80_000 + seed, 60_000))).collect();
    for address in &waste {
        bench.cx.index.holdings.remove(address);
    }
    let mut groups = 0;
    loop {
        bench.end_turn();
        let Some(job) = bench.job() else {
            match bench.step() {
                true => continue,
                false => break,
            }
        };
        if let Job::Commit { group } = &job {
            assert!(group.small.len() <= COPIES_MAX);
            groups += u32::from(!group.small.is_empty());
        }
        let before = bench.copied;
        let done = execute(bench.disk(), job);
        bench.answer(done);
        let bytes = bench.copied - before;
        if bytes > 0 {
            assert!(bytes <= COPIES_BYTES_MAX, "{bytes}");
            let due = bench.cx.timers.first().unwrap().since(bench.cx.now.instant);
            assert!(due.as_secs_f64() >= bytes as f64 / COMPACT_RATE as f64);
        }
    }
    assert!(groups >= 4 && bench.copied > 2_000_000, "{groups} groups, {}", bench.copied);
    assert!(!bench.segments().contains(&"log/00000001.seg".to_owned()));
}

#[test]
fn where_there_is_room_segments_go_one_after_the_other_no_faster_than_they_may() {
    let mut bench = Bench::open(SimFs::new(), 1, Config { segment: 1 << 20, ..SMALLEST });
    let all: Vec<_> = (0..90).map(|seed| bench.small(&content(seed, 60_000))).collect();
    for address in &all {
        bench.cx.index.holdings.remove(address);
    }
    let mut went = Vec::new();
    loop {
        bench.end_turn();
        let Some(job) = bench.job() else {
            match bench.step() {
                true => continue,
                false => break,
            }
        };
        let before = bench.compact.figures.freed;
        if let Job::Commit { group } = &job {
            assert!(group.removed.len() <= 1);
        }
        let done = execute(bench.disk(), job);
        bench.answer(done);
        let bytes = bench.compact.figures.freed - before;
        if bytes > 0 {
            went.push((bench.cx.now.instant, bytes));
        }
    }
    assert!(went.len() >= 4, "{went:?}");
    for ((at, bytes), (next, _)) in went.iter().zip(&went[1..]) {
        assert!(next.since(*at).as_secs_f64() >= *bytes as f64 / REMOVE_RATE as f64);
    }
}

/// One name written over and over, and nothing kept of what it was.
#[test]
fn a_name_that_is_written_over_takes_no_room() {
    let mut bench = Bench::new();
    let mut last = None;
    for round in 0..600_u64 {
        let small = bench.small(&content(round, 4_096));
        let record = bench.record(&version(round / 200, u8::try_from(round % 200).unwrap() + 1));
        if let Some((small, record)) = last.replace((small, record)) {
            bench.expire(record);
            bench.cx.index.holdings.remove(&small);
        }
        bench.step();
    }
    bench.rest();
    // Of each that it has expired is known as long as peers may ask, which takes 30 KB.
    assert!(bench.segments().len() <= 6, "{:?}", bench.segments());
    assert!(bench.copied < 600 * 4_096, "{}", bench.copied);
    let known = bench.known();
    let mut bench = bench.restart(None);
    assert_eq!(bench.known(), known);
    bench.rest();
    assert!(bench.segments().len() <= 6, "{:?}", bench.segments());
}

/// What happens to a store, by dice.
struct Life {
    bench: Bench,
    dice: Dice,
    next: u64,
    records: BTreeMap<RecordId, Bytes>,
    files: BTreeMap<Address, Bytes>,
    /// Lost in the index, and not yet in the log.
    lost: Vec<Address>,
}

impl Life {
    fn some<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.dice.below(all.len())].clone())
    }

    fn live_file(&mut self) -> Option<Address> {
        let files: Vec<_> = self.bench.known().files.into_iter().collect();
        self.some(&files)
    }

    /// Something of others.
    fn act(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if !lost.is_empty() {
            self.bench.commit(&Group { lost, ..Group::default() });
        }
        self.next += 1;
        match self.dice.below(12) {
            0..3 => {
                let bytes = version(self.next, 1);
                self.records.insert(self.bench.record(&bytes), bytes);
                let length = self.dice.below(5_000) + 1;
                self.bench.small(&content(self.next, length));
            }
            3 => {
                let bytes = content(self.next, 66_000);
                self.files.insert(self.bench.file(&bytes), bytes);
            }
            4 => {
                let page = content(self.dice.below(9) as u64, 900);
                let pages = vec![(Address(tree::tree(&page).0), page)];
                self.bench.commit(&Group { pages, ..Group::default() });
            }
            5 | 6 => {
                let records: Vec<_> = self.bench.known().records.into_iter().collect();
                if let Some(id) = self.some(&records) {
                    self.bench.expire(id);
                }
            }
            7 => {
                if let Some(file) = self.live_file() {
                    self.bench.commit(&Group { dropped: vec![file.into()], ..Group::default() });
                }
            }
            8 => {
                if let Some(file) = self.live_file() {
                    self.bench.cx.index.holdings.lose(&file);
                    self.lost.push(file);
                }
            }
            9 => {
                let all: Vec<_> = self.records.values().cloned().collect();
                let known = self.bench.known();
                if let Some(bytes) = self.some(&all)
                    && !known.records.contains(&record_id(&bytes))
                {
                    self.bench.record(&bytes);
                }
                let all: Vec<_> = self.files.values().cloned().collect();
                if let Some(bytes) = self.some(&all) {
                    self.bench.file(&bytes);
                }
            }
            _ => {
                let all = self.bench.cx.index.holdings.after(None, usize::MAX);
                for (address, place) in all {
                    if matches!(place, BlockPlace::Log(_)) && self.dice.below(3) > 0 {
                        self.bench.cx.index.holdings.remove(&address);
                    }
                }
            }
        }
    }

    /// One step of the compaction, and something of others in the middle of it. False if the power goes.
    fn step(&mut self, cut: Option<u64>) -> bool {
        self.bench.end_turn();
        if self.dice.below(3) == 0 {
            self.act();
        }
        let Some(job) = self.bench.job() else {
            return self.bench.step() || cut.is_none();
        };
        if let Some(call) = cut {
            self.bench.fs.tamper().cut_after(call);
        }
        let done = execute(self.bench.disk(), job);
        if self.bench.fs.is_cut() {
            return false;
        }
        self.bench.answer(done);
        !self.bench.failed
    }

    fn run(seed: u64, steps: u64) {
        let bench = Bench::new();
        let (records, files) = (BTreeMap::new(), BTreeMap::new());
        let mut life =
            Self { bench, dice: Dice(seed), next: seed << 32, records, files, lost: Vec::new() };
        for _ in 0..steps {
            life.act();
            let cut = (life.dice.below(8) == 0).then(|| life.dice.below(9) as u64);
            if life.step(cut) && cut.is_none() && life.dice.below(40) > 0 {
                continue;
            }
            // What is lost and not in the log is held again, and found to be bad again.
            let lost = std::mem::take(&mut life.lost);
            lost.iter().for_each(|file| drop(life.files.remove(file)));
            let mut known = life.bench.known();
            let power = (life.dice.below(2) == 0).then(|| life.dice.below(1 << 20) as u64);
            life.bench = life.bench.restart(power);
            let mut found = life.bench.known();
            // Pages that nobody needs may be back.
            found.pages.retain(|page| known.pages.contains(page));
            found.files.retain(|file| !lost.contains(file));
            known.files.retain(|file| !lost.contains(file));
            assert_eq!(found, known, "seed {seed}");
            lost.iter().for_each(|file| {
                life.bench.cx.index.holdings.lose(file);
            });
            life.bench.commit(&Group { lost, ..Group::default() });
            life.bench.verify();
        }
        let lost = std::mem::take(&mut life.lost);
        life.bench.commit(&Group { lost, ..Group::default() });
        life.bench.rest();
        life.bench.verify();
        let known = life.bench.known();
        let bench = life.bench.restart(None);
        assert_eq!(bench.known().records, known.records, "seed {seed}");
        assert_eq!(bench.known().files, known.files, "seed {seed}");
    }
}

#[test]
fn a_restart_finds_what_was_there_whatever_was_compacted() {
    for seed in 0..60 {
        Life::run(seed, 150);
    }
}

/// One name of 4 KiB is written over a million times on a real disk, and each version expires at once.
#[test]
#[ignore = "takes a minute, and writes 5 GB"]
fn a_million_versions_take_three_segments() {
    const BATCH: u64 = 64;
    let folder = tempfile::tempdir().unwrap();
    let config = Config { segment: crate::limits::SEGMENT, ..SMALLEST };
    let mut bench = Bench::over(RealFs::new(folder.path()).unwrap(), 1, config);
    let mut past: Option<(Vec<Expired>, Vec<Address>)> = None;
    let begun = std::time::Instant::now();
    let (mut most, mut last) = (0, begun);
    for batch in 0..1_000_000 / BATCH {
        let mut group = Group::default();
        for number in batch * BATCH..(batch + 1) * BATCH {
            let small = content(number, 4096);
            group.small.push((Address(tree::tree(&small).0), small));
            let id = |stamp| VersionId { stamp, writer: Writer::default() };
            let bare = Record::unsigned(RecordKind::File, NameId([7; 32]), id(number + 2));
            let sealed = vec![8; 200];
            let record = Record { parents: vec![id(number + 1)], sealed, ..bare };
            let bytes = Bytes::from(record.to_bytes());
            group.records.push((record_id(&bytes), bytes));
        }
        let next = group.records.iter().map(|(id, _)| Expired { id: *id, at_ms: 7 }).collect();
        let blocks = group.small.iter().map(|(address, _)| *address).collect();
        bench.commit(&group);
        if let Some((expired, blocks)) = past.replace((next, blocks)) {
            bench.commit(&Group { expired, ..Group::default() });
            for address in blocks {
                bench.cx.index.holdings.remove(&address);
            }
        }
        bench.step();
        most = most.max(bench.compact.log_use(&bench.cx).segments);
        if batch % 2_500 == 2_499 {
            println!(
                "{} versions: {} us each",
                (batch + 1) * BATCH,
                last.elapsed().as_micros() as u64 / (2_500 * BATCH)
            );
            last = std::time::Instant::now();
        }
    }
    let written = begun.elapsed();
    bench.rest();
    let log_use = bench.compact.log_use(&bench.cx);
    let files = std::fs::read_dir(folder.path().join("log")).unwrap();
    let lengths: Vec<_> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
    println!("{written:?}; at most {most} segments; at rest {lengths:?}, {log_use:?}");
    assert!(lengths.len() <= 3, "{lengths:?}");
}
