//! Cycles: what is in a node's index, and what a mark and a sweep make of it.

use super::*;
use crate::index::entry::Entry;
use crate::server::links::Peer;
use crate::server::output::Output;
use crate::server::samples::{file, new_record};
use crate::server::work::{Job, ReadFor};
use crate::store::values::{BlockPlace, Expired, LogPlace};
use crate::wire::message::BlockRef;
use crate::wire::page::{Entries, Page, PageRef};
use crate::wire::record::{BlockList, Record};
use std::collections::BTreeMap;

fn address(number: u8) -> Address {
    Address([number; 32])
}

fn block(number: u8) -> BlockRef {
    BlockRef { address: address(number), length: 70_000 }
}

/// A node whose log is a table.
struct Setting {
    cx: Context,
    collect: Collect,
    log: BTreeMap<[u8; 32], Result<Bytes, ReadError>>,
    offset: u32,
    /// Files that went.
    gone: Vec<u8>,
    /// How long a group of them takes.
    takes: Duration,
}

impl Setting {
    fn new() -> Self {
        let mut cx = Context::for_tests();
        (1..4).for_each(|link| cx.links.insert(link, Peer::for_tests(None)));
        cx.index.catalog.set_latest(u64::MAX >> 1);
        let mut collect = Collect::new(1 << 30, cx.now.instant);
        collect.orphans = None;
        let (log, offset, gone) = (BTreeMap::new(), 9_000, Vec::new());
        Self { cx, collect, log, offset, gone, takes: Duration::ZERO }
    }

    fn place(&mut self, id: [u8; 32], bytes: Vec<u8>) -> LogPlace {
        let length = u32::try_from(bytes.len()).unwrap();
        self.offset += length;
        self.cx.index.group += 1;
        self.log.insert(id, Ok(bytes.into()));
        LogPlace { segment: 1, offset: self.offset, length }
    }

    /// Block files are here.
    fn hold(&mut self, numbers: &[u8]) {
        for number in numbers {
            let place = BlockPlace::Tree { length: 70_000 };
            self.cx.index.holdings.insert(address(*number), place, 1);
        }
    }

    fn record(&mut self, record: &Record) -> RecordId {
        let bytes = record.to_bytes();
        let id = crate::crypto::keys::record_id(&bytes);
        let place = self.place(id.0, bytes);
        self.cx.index.catalog.insert(id, record, place);
        id
    }

    /// A file of these blocks is stored.
    fn file(&mut self, name: u64, version: u8, blocks: &[u8]) -> RecordId {
        let blocks: Vec<_> = blocks.iter().map(|number| block(*number)).collect();
        self.record(&file(name, version, &blocks))
    }

    /// A long file is.
    fn long(&mut self, name: u64, root: u8) -> RecordId {
        let blocks = BlockList::Pages { root: address(root), depth: 2, blocks: 4, bytes: 280_000 };
        self.record(&Record { blocks, ..file(name, 1, &[]) })
    }

    fn page(&mut self, number: u8, entries: Entries) {
        let count = match &entries {
            Entries::Blocks(blocks) => blocks.len(),
            Entries::Pages { pages, .. } => pages.len(),
        };
        let page = Page { sealed: vec![9; count * 64], entries };
        let mut bytes = Vec::new();
        page.encode(&mut bytes);
        let place = self.place([number; 32], bytes);
        self.cx.index.holdings.insert_page(address(number), place);
    }

    fn leaf_page(&mut self, number: u8, blocks: &[u8]) {
        self.page(number, Entries::Blocks(blocks.iter().map(|number| block(*number)).collect()));
    }

    fn inner_page(&mut self, number: u8, pages: &[u8]) {
        let page = |number: &u8| PageRef { address: address(*number), blocks: 1, bytes: 70_000 };
        let pages = pages.iter().map(page).collect();
        self.page(number, Entries::Pages { depth: 2, pages });
    }

    fn expire(&mut self, id: RecordId) {
        self.cx.index.catalog.expire(Expired { id, at_ms: 7 }, 1);
        self.cx.index.group += 1;
    }

    /// One turn after the other, as long as anything comes of them.
    fn go_on(&mut self) {
        loop {
            self.collect.end_turn(&mut self.cx, true);
            if self.cx.outputs.is_empty() && self.collect.events.is_empty() {
                return;
            }
            self.turn();
        }
    }

    fn turn(&mut self) {
        while let Some(output) = self.cx.outputs.pop_front() {
            let Output::Job(Job::ReadLog { purpose, items, .. }) = output else {
                panic!("it only reads: {output:?}");
            };
            let read: Vec<_> = items.iter().map(|item| self.log[&item.id].clone()).collect();
            let ReadFor::Collect(reading) = purpose.reason else { panic!("for a mark") };
            self.cx.index.readers.unpin(purpose.pins);
            self.collect.read(&mut self.cx, reading, read);
        }
        while let Some(event) = self.collect.poll_event() {
            match event {
                Event::Drop { files, .. } => {
                    assert!(files.len() <= FILES as usize);
                    self.gone.extend(files.iter().map(|file| file.0[0]));
                    self.cx.now.instant = self.cx.now.instant + self.takes;
                    self.collect.dropped(&mut self.cx);
                }
                Event::RecordDamaged(id) => self.cx.index.damage(&id),
                Event::PageDamaged(page) => drop(self.cx.index.holdings.remove(&page)),
                Event::Marked => {}
            }
        }
    }

    /// For so long; the files that went.
    fn run(&mut self, time: Duration) -> Vec<u8> {
        let end = self.cx.now.instant + time;
        self.go_on();
        while let Some(next) = self.cx.timers.first().filter(|next| *next <= end) {
            self.cx.now.instant = self.cx.now.instant.max(next);
            let timer = self.cx.timers.take_due(next).map(|(_, timer)| timer);
            assert_eq!(timer, Some(Timer::Collect));
            self.collect.timeout(&mut self.cx);
            self.go_on();
        }
        self.cx.now.instant = end;
        self.go_on();
        let mut gone = std::mem::take(&mut self.gone);
        gone.sort_unstable();
        gone
    }

    /// Until nothing more is done.
    fn settle(&mut self) -> Vec<u8> {
        let mut gone = self.run(Duration::from_secs(20));
        gone.extend(self.run(Duration::from_hours(200)));
        assert_eq!(self.cx.timers.first(), None, "it is at rest");
        gone.sort_unstable();
        gone
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_a_record_names_stays_until_the_last_that_names_it_has_expired() {
    let mut node = Setting::new();
    node.hold(&[1, 2, 3, 4, 5, 6, 7]);
    let first = node.file(1, 1, &[1, 2]);
    let second = node.file(1, 2, &[2, 3]);
    node.leaf_page(101, &[4, 5]);
    node.leaf_page(102, &[6]);
    node.inner_page(100, &[101, 102]);
    let long = node.long(2, 100);
    assert_eq!(node.settle(), [7], "nobody has named it");
    node.expire(first);
    assert_eq!(node.run(MINUTE), [1]);
    node.expire(long);
    assert_eq!(node.run(MINUTE), [4, 5, 6]);
    assert!(node.cx.index.holdings.page(&address(100)).is_none());
    node.expire(second);
    assert_eq!(node.settle(), [2, 3]);
    let state = node.collect.state();
    assert_eq!(state.last.map(|last| last.gone.count), Some(2));
    assert_eq!((state.void, state.reclaimable), (None, Amount::default()));
}

/// The version that named it expires before the mark is there, and the one that names it now comes behind the mark.
#[test]
fn what_is_named_while_a_mark_runs_stays_wherever_the_mark_is() {
    for turns in 0..12 {
        let mut node = Setting::new();
        node.hold(&[4, 5, 6]);
        node.leaf_page(101, &[4, 5]);
        node.leaf_page(102, &[6]);
        node.inner_page(100, &[101, 102]);
        let old = node.long(2, 100);
        for name in 0..200 {
            node.file(10 + name, 1, &[]);
        }
        node.settle();
        node.expire(old);
        node.cx.now.instant = node.cx.now.instant + MINUTE;
        node.collect.timeout(&mut node.cx);
        for _ in 0..turns {
            node.turn();
            node.collect.end_turn(&mut node.cx, true);
        }
        if !matches!(node.collect.phase, Phase::Marking(_)) {
            assert!(turns > 3, "the mark takes some turns");
            continue;
        }
        let blocks = BlockList::Pages { root: address(100), depth: 2, blocks: 4, bytes: 280_000 };
        let record = Record { blocks, ..file(3, 1, &[]) };
        node.record(&record);
        node.collect.came(&mut node.cx, &record);
        assert!(node.settle().is_empty(), "after {turns} turns");
        assert!(node.cx.index.holdings.page(&address(102)).is_some());
    }
}

#[test]
fn at_rest_nothing_is_done() {
    let mut node = Setting::new();
    node.hold(&[1]);
    node.file(1, 1, &[1]);
    assert!(node.settle().is_empty());
    let began = node.collect.schedule.began();
    assert!(node.run(Duration::from_hours(10_000)).is_empty());
    assert_eq!(node.collect.schedule.began(), began);
}

#[test]
fn a_mark_that_met_a_missing_page_sweeps_nothing() {
    let mut node = Setting::new();
    node.hold(&[1, 2, 3]);
    node.leaf_page(101, &[1]);
    node.inner_page(100, &[101, 102]);
    node.long(1, 100);
    assert!(node.settle().is_empty());
    assert_eq!(node.collect.state().void, Some(Void::Page));
    // Its blocks are known when it comes.
    node.leaf_page(102, &[2]);
    assert_eq!(node.settle(), [3]);
    assert_eq!(node.collect.state().void, None);
}

#[test]
fn a_mark_sweeps_nothing_as_long_as_a_record_or_a_page_is_damaged() {
    for damaged in [0, 100] {
        let mut node = Setting::new();
        node.hold(&[1, 2]);
        node.leaf_page(100, &[1]);
        let id = node.long(1, 100);
        let damaged = if damaged == 0 { id.0 } else { [damaged; 32] };
        let sound = node.log.insert(damaged, Err(ReadError::Damaged)).unwrap();
        assert!(node.settle().is_empty());
        let void = if damaged == id.0 { Void::Damaged } else { Void::Page };
        assert_eq!(node.collect.state().void, Some(void));
        node.log.insert(damaged, sound);
        node.leaf_page(100, &[1]);
        node.long(1, 100);
        assert_eq!(node.settle(), [2]);
    }
}

#[test]
fn what_cannot_be_read_now_is_read_again() {
    let mut node = Setting::new();
    node.hold(&[1, 2]);
    let id = node.file(1, 1, &[1]);
    let why = ReadError::Disk(DiskError::Scarce("no descriptor".to_owned()));
    let sound = node.log.insert(id.0, Err(why)).unwrap();
    assert!(node.run(MINUTE).is_empty());
    assert_eq!(node.collect.state().void, Some(Void::Unread));
    node.log.insert(id.0, sound);
    assert_eq!(node.settle(), [2]);
}

#[test]
fn what_came_and_was_not_named_stays_for_the_grace() {
    let mut node = Setting::new();
    assert!(node.settle().is_empty());
    node.hold(&[1]);
    node.cx.index.group += 1;
    node.cx.index.holdings.await_name(&address(1));
    assert!(node.run(Duration::from_hours(23)).is_empty());
    assert_eq!(node.run(Duration::from_hours(14)), [1], "after one and a half times the grace");
}

#[test]
fn what_was_found_at_a_start_and_is_named_by_nobody_stays_for_the_grace_from_when_it_came() {
    let mut node = Setting::new();
    node.hold(&[1]);
    node.cx.index.holdings.insert(address(2), BlockPlace::Tree { length: 7 }, 3);
    let now_ms = node.cx.now.wall_ms;
    let hour = 3_600_000;
    let begun = [(2, now_ms - 25 * hour), (3, now_ms - 20 * hour), (4, now_ms - 13 * hour)];
    let begun = begun.map(|(segment, at_ms)| SegmentBegun { segment, at_ms });
    node.collect.start(&mut node.cx, &begun);
    assert_eq!(node.run(Duration::from_hours(10)), [1]);
    assert_eq!(node.run(Duration::from_hours(3)), [2], "since it came at least 13 hours ago");
}

#[test]
fn what_a_client_was_told_of_stays_as_long_as_it_is_there() {
    let mut node = Setting::new();
    node.cx.index.settings.grace = Duration::ZERO;
    node.hold(&[1, 2, 3]);
    let id = node.file(1, 1, &[1, 2]);
    assert_eq!(node.settle(), [3]);
    node.cx.tell_have(1, &[address(1)]);
    node.cx.outputs.clear();
    node.expire(id);
    assert_eq!(node.settle(), [2]);
    node.cx.reliance.link_closed(1);
    assert_eq!(node.settle(), [1]);
}

#[test]
fn what_was_served_stays_as_long_as_the_get_goes_on() {
    let mut node = Setting::new();
    node.hold(&[1, 2, 3]);
    node.leaf_page(101, &[2]);
    node.inner_page(100, &[101]);
    let (short, long) = (node.file(1, 1, &[1]), node.long(2, 100));
    let other = node.file(3, 1, &[3]);
    node.collect.served(&node.cx, 1, Served::Blocks(vec![address(1)]));
    node.collect.served(&node.cx, 2, Served::Page { address: address(100), depth: 2 });
    for id in [short, long, other] {
        node.expire(id);
    }
    assert_eq!(node.run(MINUTE), [3]);
    for _ in 0..5 {
        node.collect.heard(&node.cx, 1);
        node.collect.heard(&node.cx, 2);
        node.cx.index.group += 1;
        assert!(node.run(Duration::from_secs(50 * 60)).is_empty());
    }
    node.collect.link_closed(1);
    assert_eq!(node.settle(), [1, 2]);
}

#[test]
fn files_go_a_few_at_a_time_in_a_minute_if_there_is_room_and_they_are_many() {
    let milli = Duration::from_millis;
    for (count, took, expected) in [
        (60_000, 0, 4),
        (60_000, 1, 3),
        (60_000, 3, 3),
        (400, 1, 16),
        (10_000_000, 0, 1),
        (10_000_000, 5, 5),
        (u64::MAX, 40, 16),
        (0, 0, 16),
    ] {
        assert_eq!(pause(milli(took), pace(count)), milli(expected), "{count}, {took} ms");
    }
    for (has_room, expected) in [(true, 20..=28), (false, 92..=104)] {
        let mut node = Setting::new();
        let all: Vec<u8> = (0..200).collect();
        node.hold(&all);
        node.takes = milli(2);
        if !has_room {
            node.cx.space.ran_out();
        }
        node.run(schedule::AFTER_START);
        let gone = node.run(milli(100)).len();
        assert!(expected.contains(&gone), "{gone} in 100 ms, four each 18, or each 4");
        assert_eq!(node.settle().len(), 200 - gone);
    }
}

#[test]
fn what_came_not_long_ago_is_looked_at_once_and_when_the_grace_says_so() {
    let mut node = Setting::new();
    node.cx.index.settings.grace = Duration::MAX;
    let all: Vec<u8> = (0..200).collect();
    node.hold(&all);
    node.cx.index.holdings.await_name(&address(0));
    assert_eq!(node.run(MINUTE), all[1..]);
    let timers = std::iter::from_fn(|| node.cx.timers.take_due(Instant(u64::MAX)));
    assert_eq!(timers.count(), 1, "one that may be far off");
    node.cx.index.settings.grace = Duration::from_hours(1);
    assert!(node.run(Duration::from_mins(59)).is_empty());
    assert_eq!(node.settle(), [0]);
}

#[test]
fn what_cannot_be_written_down_stays_until_the_next_cycle() {
    let mut node = Setting::new();
    node.settle();
    node.collect.not_dropped(&mut node.cx, &[address(9)]);
    assert_eq!(node.settle(), [9]);
}

#[test]
fn overwriting_one_name_among_many_does_not_mark_them_all_each_time() {
    let mut node = Setting::new();
    for name in 0..2_000 {
        node.record(&file(name, 1, &[]));
    }
    node.settle();
    // Each read takes a second.
    node.collect.rate = 2_000;
    let mut cycles = 0;
    let mut began = node.collect.schedule.began();
    for version in 1..60 {
        let old = new_record(7, version).id;
        node.record(&file(7, version + 1, &[]));
        if node.cx.index.catalog.get(&old).is_some_and(Entry::is_superseded) {
            node.expire(old);
        }
        node.run(Duration::from_secs(10));
        if node.collect.schedule.began() != began {
            began = node.collect.schedule.began();
            cycles += 1;
        }
    }
    assert!((1..4).contains(&cycles), "{cycles} cycles in ten minutes");
}

#[test]
fn what_only_superseded_versions_need_is_counted_apart() {
    let mut node = Setting::new();
    node.hold(&[1, 2, 3, 4, 5, 6, 7]);
    node.leaf_page(100, &[4, 5]);
    node.leaf_page(101, &[5, 6]);
    // Each second version shares a block with the first, which it supersedes.
    let past = node.file(1, 1, &[1, 2]);
    node.file(1, 2, &[2, 3]);
    node.long(2, 100);
    let blocks = BlockList::Pages { root: address(101), depth: 1, blocks: 2, bytes: 140_000 };
    node.record(&Record { blocks, ..file(2, 2, &[]) });
    assert_eq!(node.settle(), [7]);
    let counted = |node: &Setting| {
        let needed = node.collect.state().needed.unwrap();
        [needed.standing, needed.past].map(|amount| (amount.count, amount.bytes / 70_000))
    };
    assert_eq!(counted(&node), [(4 + 1, 4), (2 + 1, 2)], "pages are counted too");
    node.expire(past);
    assert_eq!(node.settle(), [1]);
    assert_eq!(counted(&node), [(5, 4), (2, 1)]);
}
