//! A catalog under a bound, and by a look at everything what is beyond it.

use crate::crypto::alias::Aliases;
use crate::ids::{NameId, RecordId, VersionId, Writer};
use crate::index::catalog::{Catalog, Verdict};
use crate::index::entry::{Entry, Flag};
use crate::index::sorted::xor_into;
use crate::limits::CALENDAR_MIN;
use crate::store::values::{Expired, LogPlace};
use crate::testing::Dice;
use crate::time::{Step, counts_at, stamp_at, step_after, step_at};
use crate::wire::message::RangeSummary;
use crate::wire::record::{Record, RecordKind};
use crate::wire::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};

const PLACE: LogPlace = LogPlace { segment: 1, offset: 64, length: 200 };
const WHOLE: (RecordId, RecordId) = (RecordId([0; 32]), RecordId([u8::MAX; 32]));

fn version(number: u64) -> VersionId {
    VersionId { stamp: stamp_at(CALENDAR_MIN + number * 2_000), writer: Writer([1; 8]) }
}

fn id(number: u64) -> RecordId {
    let mut id = RecordId([7; 32]);
    id.0[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

fn record(name: u64, number: u64, parents: &[u64]) -> Record {
    let kind = if number.is_multiple_of(5) { RecordKind::Tombstone } else { RecordKind::File };
    let bare = Record::unsigned(kind, NameId([name as u8; 32]), version(number));
    Record { parents: parents.iter().map(|parent| version(*parent)).collect(), ..bare }
}

/// Of each version its name, and what it supersedes.
fn history(dice: &mut Dice, versions: u64) -> BTreeMap<u64, Record> {
    let one = |number: u64| {
        let name = number % 3;
        let before: Vec<_> = (1..number).filter(|before| before % 3 == name).collect();
        let mut parents: Vec<u64> = match dice.below(8) {
            0 => Vec::new(),
            1..6 => before.last().copied().into_iter().collect(),
            _ => before.iter().rev().take(4).copied().collect(),
        };
        if dice.below(9) == 0 {
            parents.truncate(1);
        }
        (number, record(name, number, &parents))
    };
    (1..=versions).map(one).collect()
}

fn settings(keep_versions: Option<u32>) -> Settings {
    Settings { keep_versions, ..Settings::default() }
}

fn held(catalog: &Catalog) -> Vec<Entry> {
    catalog.range(WHOLE.0, WHOLE.1).cloned().collect()
}

/// By a look at all: those that have at least so many superseded ones after them.
fn beyond(catalog: &Catalog, keep: Option<u32>) -> BTreeSet<RecordId> {
    let mut past: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in held(catalog).into_iter().filter(Entry::is_superseded) {
        past.entry(entry.name().0).or_default().push((entry.rank(), entry.id()));
    }
    let keep = keep.map_or(usize::MAX, |keep| keep as usize);
    let beyond = past.into_values().flat_map(|mut of| {
        of.sort();
        of.truncate(of.len().saturating_sub(keep));
        of
    });
    beyond.map(|(_, id)| id).collect()
}

fn flagged(catalog: &Catalog) -> BTreeSet<RecordId> {
    held(catalog).iter().filter(|entry| entry.is(Flag::Beyond)).map(Entry::id).collect()
}

/// What counts as of a step, by a look at all.
fn counted(catalog: &Catalog, gone: &[Expired], at: Step) -> RangeSummary {
    let mut range = RangeSummary { first: WHOLE.0, last: WHOLE.1, ..catalog.whole() };
    (range.count, range.fingerprint) = (0, Default::default());
    let gone = gone.iter().filter(|one| counts_at(one.at_ms, at) && !catalog.contains(&one.id));
    let held = held(catalog).into_iter().filter(|entry| !catalog.has_expired(entry, at));
    for id in held.map(|entry| entry.id()).chain(gone.map(|one| one.id)) {
        range.count += 1;
        xor_into(&mut range.fingerprint, &id.0);
    }
    range
}

#[test]
fn whatever_comes_and_goes_the_newest_are_kept_and_no_more() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut left = history(&mut dice, 90);
        let mut catalog = Catalog::new(Aliases::new([9; 16]));
        let (mut keep, mut gone) = (None, Vec::new());
        let now = step_after(version(200).stamp);
        while !left.is_empty() {
            match dice.below(12) {
                0 => {
                    keep = [None, Some(0), Some(1), Some(3), Some(8)][dice.below(5)];
                    catalog.set(&settings(keep));
                }
                1 => {
                    catalog.ripen();
                    let due = catalog.due(now, 4);
                    let allowed = flagged(&catalog);
                    let is_damaged = |id| catalog.lost(..).any(|lost| lost == id);
                    let may_go = |id| allowed.contains(&id) || is_damaged(id);
                    assert!(due.iter().all(|one| may_go(one.id)), "seed {seed}");
                    due.iter().for_each(|one| catalog.expire(*one, 1));
                    gone.extend(due);
                }
                2 => {
                    let number = 1 + dice.below(90) as u64;
                    catalog.damage(&id(number));
                    left.entry(number).or_insert_with(|| record(number % 3, number, &[]));
                }
                _ => {
                    let at = dice.below(left.len());
                    let number = *left.keys().nth(at).unwrap();
                    let record = left.remove(&number).unwrap();
                    catalog.insert(id(number), &record, PLACE);
                }
            }
            while catalog.rebind(1 + dice.below(7)) {}
            for at in [now - 3, now, now + 1] {
                let whole = catalog.summary_at(at, WHOLE.0, WHOLE.1);
                assert_eq!(whole, counted(&catalog, &gone, at), "seed {seed}");
            }
            if catalog.lost(..).next().is_none() {
                assert_eq!(flagged(&catalog), beyond(&catalog, keep), "seed {seed}, {keep:?}");
            }
        }
        // In the end nothing is left that is beyond.
        catalog.ripen();
        catalog.due(now, usize::MAX).iter().for_each(|one| catalog.expire(*one, 1));
        assert!(flagged(&catalog).is_empty(), "seed {seed}");
        assert!(!catalog.has_ripe() && !catalog.has_beyond(), "seed {seed}");
    }
}

#[test]
fn nodes_that_have_told_each_other_what_counts_have_the_same_whatever_they_let_go_before() {
    for seed in 0..60 {
        let mut dice = Dice(1_000 + seed);
        let all = history(&mut dice, 60);
        let keep = Some([0, 1, 2, 5][dice.below(4)]);
        let now = step_after(version(200).stamp);
        let mut nodes = [(); 2].map(|()| Catalog::new(Aliases::new([9; 16])));
        for node in &mut nodes {
            node.set(&settings(keep));
            node.rebind(usize::MAX);
            let mut left: Vec<_> = all.keys().copied().filter(|_| dice.below(4) > 0).collect();
            while !left.is_empty() {
                let number = left.swap_remove(dice.below(left.len()));
                node.insert(id(number), &all[&number], PLACE);
            }
            node.ripen();
            let due = node.due(now, usize::MAX);
            due.iter().for_each(|one| node.expire(*one, 1));
        }
        // Until what was let go a moment ago is not refused any more.
        let later = now + 7;
        let mut rounds = 0;
        while nodes[0].whole_at(later) != nodes[1].whole_at(later) {
            rounds += 1;
            assert!(rounds < 20, "seed {seed}, {keep:?}");
            for (from, to) in [(0, 1), (1, 0)] {
                let told = nodes[from].range_at(later, WHOLE.0, WHOLE.1).map(Entry::id);
                let told: Vec<_> = told.collect();
                for (number, record) in
                    all.iter().filter(|(number, _)| told.contains(&id(**number)))
                {
                    let id = id(*number);
                    let node = &mut nodes[to];
                    let verdict = node.judge(&id, record, Some(later), Some(later));
                    if !node.contains(&id) && verdict == Verdict::Takes {
                        node.insert(id, record, PLACE);
                    }
                }
            }
            for node in &mut nodes {
                node.ripen();
                let due = node.due(now, usize::MAX);
                due.iter().for_each(|one| node.expire(*one, 1));
            }
        }
        let heads = |node: &Catalog, name| node.heads(&NameId([name; 32]), usize::MAX);
        for name in 0..3 {
            assert_eq!(heads(&nodes[0], name), heads(&nodes[1], name), "seed {seed}, {keep:?}");
        }
    }
}

#[test]
fn what_is_let_go_for_the_bound_is_refused_for_a_while_and_counts_as_of_no_step() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    catalog.set(&settings(Some(1)));
    assert!(!catalog.rebind(10), "nothing was here");
    for number in [1, 2, 3, 4] {
        let before: Vec<_> = (1..number).next_back().into_iter().collect();
        catalog.insert(id(number), &record(0, number, &before), PLACE);
    }
    let now = step_after(version(10).stamp);
    assert!(catalog.due(now, 10).is_empty(), "it stays for a while");
    catalog.ripen();
    let due = catalog.due(now, 10);
    assert_eq!(due.len(), 2);
    due.iter().for_each(|one| catalog.expire(*one, 1));
    let at = step_at(due[0].at_ms);
    let takes = |catalog: &Catalog, number, by| {
        let record = record(0, number, &[]);
        catalog.judge(&id(number), &record, Some(by), Some(by)) == Verdict::Takes
    };
    // What supersedes the second is here; of the first it is only known that it has gone.
    for by in [now, at, at + 1, at + 1000] {
        assert!(!catalog.counts(&id(1), by) && !catalog.counts(&id(2), by));
        assert!(!takes(&catalog, 2, by));
        assert_eq!(takes(&catalog, 1, by), by > at, "{by}, {at}");
    }
    catalog.set(&settings(Some(2)));
    assert!(takes(&catalog, 2, now), "the bound is another");
}
