//! In which order versions go: a start that finds what is left must find nothing as a head that was none.

use crate::crypto::alias::Aliases;
use crate::ids::{NameId, RecordId, VersionId, Writer};
use crate::index::catalog::{Catalog, Verdict};
use crate::index::entry::{Entry, Flag};
use crate::limits::CALENDAR_MIN;
use crate::store::values::LogPlace;
use crate::testing::Dice;
use crate::time::{Step, stamp_at, step_after, wall_ms_of};
use crate::wire::discards::discarding;
use crate::wire::record::{Record, RecordKind};
use crate::wire::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PLACE: LogPlace = LogPlace { segment: 1, offset: 64, length: 200 };
const ENTROPY: [u8; 16] = [9; 16];
const NAMES: u64 = 2;
/// Milliseconds between a version and the next, so that several are of one step.
const PACE: u64 = 1_700;
const DAY: u64 = 24 * 3_600_000;

fn version(at_ms: u64) -> VersionId {
    VersionId { stamp: stamp_at(CALENDAR_MIN + at_ms), writer: Writer([1; 8]) }
}

fn id(number: u64) -> RecordId {
    let mut id = RecordId([7; 32]);
    id.0[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

fn record(version: VersionId, parents: &[VersionId], discards: &[VersionId]) -> Record {
    let bare = Record::unsigned(RecordKind::File, NameId([7; 32]), version);
    let mut record = Record { parents: parents.to_vec(), ..bare };
    record.extensions.extend(discarding(discards));
    record
}

fn settings(keep_versions: Option<u32>) -> Settings {
    Settings { keep_versions, retention: Duration::ZERO, ..Settings::default() }
}

/// What writers write of one name. Some is dated in the future, and supersedes nothing.
struct Writing {
    name: u64,
    /// What is in time, and not superseded by what is.
    heads: BTreeSet<VersionId>,
    /// What is not, and not discarded.
    future: BTreeSet<VersionId>,
}

impl Writing {
    fn write(&mut self, dice: &mut Dice, number: u64) -> Record {
        let heads: Vec<_> = self.heads.iter().rev().take(8).copied().collect();
        let kind = if dice.below(5) == 0 { RecordKind::Tombstone } else { RecordKind::File };
        let is_future = dice.below(8) == 0;
        let ahead = if is_future { 2 * DAY } else { 0 };
        let mut new = record(version(number * PACE + ahead), &heads, &[]);
        (new.kind, new.name) = (kind, NameId([self.name as u8; 32]));
        if is_future {
            new.parents.clear();
            self.future.insert(new.version);
            return new;
        }
        // Nobody knows of all that is there.
        new.parents.retain(|_| dice.below(4) > 0);
        if dice.below(3) == 0 {
            let discards: Vec<_> = self.future.iter().copied().collect();
            new.extensions.extend(discarding(&discards));
            self.future.retain(|_| dice.below(3) == 0);
        }
        self.heads.retain(|head| !new.parents.contains(head));
        self.heads.insert(new.version);
        new
    }
}

fn history(dice: &mut Dice, versions: u64) -> BTreeMap<u64, Record> {
    let mut writing: Vec<_> = (0..NAMES)
        .map(|name| Writing { name, heads: BTreeSet::new(), future: BTreeSet::new() })
        .collect();
    let mut write = |number| {
        let name = dice.below(NAMES as usize);
        (number, writing[name].write(dice, number))
    };
    (1..=versions).map(&mut write).collect()
}

/// A catalog, and what is in it.
struct Node {
    catalog: Catalog,
    keep: Option<u32>,
    held: BTreeMap<RecordId, Record>,
}

impl Node {
    fn new(catalog: Catalog, keep: Option<u32>) -> Self {
        let mut node = Self { catalog, keep, held: BTreeMap::new() };
        node.catalog.set(&settings(keep));
        node.catalog.set_latest(version(DAY).stamp);
        node
    }

    fn insert(&mut self, id: RecordId, record: &Record) {
        self.catalog.insert(id, record, PLACE);
        self.held.insert(id, record.clone());
    }

    /// One group: it is durable, or it is not.
    fn let_go(&mut self, by: Step, count: usize) -> Vec<RecordId> {
        let due = self.catalog.due(by, count);
        for one in &due {
            self.catalog.expire(*one, 1);
            self.held.remove(&one.id);
        }
        due.into_iter().map(|one| one.id).collect()
    }

    /// A start finds what is left.
    fn started(&self) -> Catalog {
        let mut node = Self::new(Catalog::for_start(Aliases::new(ENTROPY)), self.keep);
        self.held.iter().rev().for_each(|(id, record)| node.insert(*id, record));
        node.catalog.put_in_order();
        node.catalog.rebind(usize::MAX);
        node.catalog
    }
}

/// All that is known of what is held, and of its names.
fn told(catalog: &Catalog) -> Vec<String> {
    let entry = |entry: &Entry| {
        let at_ms = wall_ms_of(entry.version().stamp) - CALENDAR_MIN;
        let flags = [Flag::Discarded, Flag::Beyond].map(|flag| entry.is(flag));
        format!("{at_ms} ms: {} since {} {flags:?}", entry.is_head(), entry.since())
    };
    let entries = catalog.range(RecordId([0; 32]), RecordId([u8::MAX; 32])).map(entry);
    let names = (0..NAMES).map(|name| NameId([name as u8; 32]));
    let names = names.map(|name| format!("{:?}", catalog.heads(&name, 99)));
    entries.chain(names).collect()
}

#[test]
fn whatever_has_gone_a_start_finds_nothing_that_was_superseded_or_discarded_as_a_head() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let all = history(&mut dice, 60);
        let mut left: Vec<_> = all.keys().copied().collect();
        let keep = [None, Some(0), Some(1), Some(3)][dice.below(4)];
        let mut node = Node::new(Catalog::new(Aliases::new(ENTROPY)), keep);
        node.catalog.rebind(usize::MAX);
        let mut now = step_after(version(0).stamp);
        while !left.is_empty() || dice.below(30) > 0 {
            match dice.below(8) {
                0..5 if !left.is_empty() => {
                    // Most come in the order in which they were written.
                    let at = if dice.below(3) > 0 { 0 } else { dice.below(left.len()) };
                    let number = left.remove(at);
                    let (id, record) = (id(number), &all[&number]);
                    let verdict = node.catalog.judge(&id, record, None, Some(now));
                    if verdict == Verdict::Takes {
                        node.insert(id, record);
                    }
                }
                5 => now += 1,
                6 => node.catalog.ripen(),
                _ => {
                    node.let_go(now, 1 + dice.below(3));
                }
            }
            for (live, started) in told(&node.catalog).into_iter().zip(told(&node.started())) {
                assert_eq!(live, started, "seed {seed}, {keep:?}");
            }
        }
    }
}

/// Versions of one step, each of which supersedes the one before.
#[test]
fn of_versions_of_one_step_those_go_first_that_the_others_supersede() {
    const VERSIONS: u64 = 200;
    for keep in [None, Some(3)] {
        for ascending in [true, false] {
            let mut node = Node::new(Catalog::new(Aliases::new(ENTROPY)), keep);
            node.catalog.rebind(usize::MAX);
            let numbers = 1..=VERSIONS;
            let numbers: Vec<_> =
                if ascending { numbers.collect() } else { numbers.rev().collect() };
            for number in numbers {
                let parents: Vec<_> = (1..number).next_back().map(version).into_iter().collect();
                node.insert(id(number), &record(version(number), &parents, &[]));
            }
            node.catalog.ripen();
            let by = if keep.is_some() { 0 } else { Step::MAX - 1 };
            let gone = std::iter::from_fn(|| Some(node.let_go(by, 16)).filter(|it| !it.is_empty()));
            let gone: Vec<_> = gone.flatten().collect();
            let expected = 1..VERSIONS - keep.map_or(0, u64::from);
            assert_eq!(gone, expected.map(id).collect::<Vec<_>>(), "{keep:?}, {ascending}");
        }
    }
}

/// What is discarded, what discards it, and what supersedes that.
#[test]
fn what_is_discarded_goes_before_what_discards_it() {
    let [discarder, last, discarded] = [1, 2, 2 * DAY].map(version);
    let records = [
        record(discarded, &[], &[]),
        record(discarder, &[], &[discarded]),
        record(last, &[discarder], &[]),
    ];
    for keep in [None, Some(0)] {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut node = Node::new(Catalog::new(Aliases::new(ENTROPY)), keep);
            node.catalog.rebind(usize::MAX);
            order.iter().for_each(|at| node.insert(id(*at), &records[*at as usize]));
            node.catalog.ripen();
            let by = if keep.is_some() { 0 } else { Step::MAX - 1 };
            let gone = [(); 3].map(|()| node.let_go(by, 1));
            assert_eq!(gone, [vec![id(0)], vec![id(1)], vec![]], "{keep:?}, {order:?}");
        }
    }
}

/// What supersedes it may go already.
#[test]
fn what_comes_late_goes_before_what_supersedes_it() {
    let versions = [1, 2, 3].map(version);
    let mut node = Node::new(Catalog::new(Aliases::new(ENTROPY)), Some(0));
    node.catalog.rebind(usize::MAX);
    for at in [1, 2] {
        node.insert(id(at), &record(versions[at as usize], &[versions[at as usize - 1]], &[]));
    }
    node.catalog.ripen();
    node.insert(id(0), &record(versions[0], &[], &[]));
    assert_eq!([(); 3].map(|()| node.let_go(0, 1)), [vec![id(0)], vec![id(1)], vec![]]);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "a start has not found all")]
fn as_long_as_a_start_finds_ever_more_nobody_asks_what_is_a_head() {
    let mut catalog = Catalog::for_start(Aliases::new(ENTROPY));
    catalog.insert(id(1), &record(version(1), &[], &[]), PLACE);
    let _ = catalog.heads(&NameId([7; 32]), 8);
}
