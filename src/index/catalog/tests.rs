//! The catalog alone, with records that nobody signed.

use super::*;
use crate::crypto::keys::record_id;
use crate::ids::Writer;
use crate::index::sorted::xor_into;
use crate::limits::CALENDAR_MIN;
use crate::store::values::{Expired, Remains};
use crate::time::{Step, stamp_at, step_after, step_ms};
use crate::wire::discards::discarding;
use crate::wire::record::RecordKind;
use crate::wire::settings::Settings;
use std::time::Duration;

const NAME: NameId = NameId([7; 32]);

fn version(stamp: u64) -> VersionId {
    VersionId { stamp, writer: Writer([1; 8]) }
}

const PLACE: LogPlace = LogPlace { segment: 1, offset: 64, length: 200 };

fn record(kind: RecordKind, stamp: u64, parents: Vec<VersionId>) -> Record {
    Record { parents, ..Record::unsigned(kind, NAME, version(stamp)) }
}

fn insert(catalog: &mut Catalog, kind: RecordKind, stamp: u64, parents: &[u64]) -> RecordId {
    let id = RecordId([u8::try_from(stamp).unwrap(); 32]);
    let parents = parents.iter().map(|parent| version(*parent)).collect();
    let record = record(kind, stamp, parents);
    assert!(catalog.insert(id, &record, PLACE));
    assert!(!catalog.insert(id, &record, PLACE), "a record is known once");
    id
}

/// Inserts a version that discards others.
fn insert_discarding(catalog: &mut Catalog, stamp: u64, discards: &[u64]) {
    let mut record = record(RecordKind::File, stamp, Vec::new());
    let discards: Vec<_> = discards.iter().map(|stamp| version(*stamp)).collect();
    record.extensions.extend(discarding(&discards));
    assert!(catalog.insert(RecordId([u8::try_from(stamp).unwrap(); 32]), &record, PLACE));
}

/// Inserts in this order and looks at what is shown and at the heads, greatest first.
fn check(order: &[(RecordKind, u64, &[u64])], shown: Option<u64>, heads: &[u64]) {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    for (kind, stamp, parents) in order {
        insert(&mut catalog, *kind, *stamp, parents);
    }
    let found = catalog.shown(&NAME).map(|entry| entry.version().stamp);
    assert_eq!(found, shown, "{order:?}");
    assert_eq!(catalog.names(), u64::from(shown.is_some()), "{order:?}");
    let found: Vec<_> = catalog.heads(&NAME, 8).iter().map(|head| head.stamp).collect();
    assert_eq!(found, heads, "{order:?}");
}

#[test]
fn the_greatest_version_is_shown_whatever_came_first() {
    use RecordKind::{File, Tombstone};
    let (one, two, gone) = ((File, 1, &[][..]), (File, 2, &[1][..]), (Tombstone, 3, &[2][..]));
    check(&[one, two], Some(2), &[2]);
    check(&[two, one], Some(2), &[2]);
    check(&[one, two, gone], None, &[3]);
    check(&[gone, two, one], None, &[3]);
    check(&[two, gone, one], None, &[3]);
    let beside = (File, 4, &[1][..]);
    check(&[one, beside, two], Some(4), &[4, 2]);
    check(&[beside, two, one], Some(4), &[4, 2]);
}

#[test]
fn a_damaged_version_hides_the_one_before_until_it_comes_again() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    insert(&mut catalog, RecordKind::File, 1, &[]);
    let damaged = insert(&mut catalog, RecordKind::File, 2, &[1]);
    let whole = catalog.whole();
    catalog.damage(&damaged);
    assert!(catalog.greatest(&NAME).unwrap().is(Flag::Damaged));
    assert_eq!((catalog.names(), catalog.records()), (1, 1));
    assert_eq!(catalog.heads(&NAME, 8), [version(2)], "an overwrite supersedes it");
    assert!(!catalog.contains(&damaged) && catalog.lost(..).any(|id| id == damaged));
    assert_eq!(catalog.whole(), catalog.summary(whole.first, whole.last));
    insert(&mut catalog, RecordKind::File, 2, &[1]);
    assert!(!catalog.greatest(&NAME).unwrap().is(Flag::Damaged));
    assert_eq!((catalog.names(), catalog.records()), (1, 2));
    assert_eq!((catalog.whole(), catalog.lost(..).count()), (whole, 0));
    catalog.damage(&damaged);
    insert(&mut catalog, RecordKind::File, 3, &[2]);
    assert!(!catalog.greatest(&NAME).unwrap().is(Flag::Damaged));
    assert_eq!(catalog.heads(&NAME, 8), [version(3)]);
    insert(&mut catalog, RecordKind::File, 2, &[1]);
    assert_eq!(catalog.heads(&NAME, 8), [version(3)]);
}

#[test]
fn a_damaged_tombstone_does_not_bring_its_name_back() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    insert(&mut catalog, RecordKind::File, 1, &[]);
    let damaged = insert(&mut catalog, RecordKind::Tombstone, 2, &[1]);
    catalog.damage(&damaged);
    assert!(catalog.greatest(&NAME).unwrap().is(Flag::Damaged));
    assert_eq!((catalog.shown(&NAME).is_some(), catalog.names()), (false, 0));
    assert_eq!(catalog.names_after(None).count(), 0);
}

#[test]
fn of_many_heads_the_greatest_and_the_least_are_told_so_that_all_are_consumed() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    for stamp in 1..=40 {
        insert(&mut catalog, RecordKind::File, stamp, &[]);
    }
    let stamps = |catalog: &Catalog, count| -> Vec<u64> {
        catalog.heads(&NAME, count).iter().map(|head| head.stamp).collect()
    };
    assert_eq!(stamps(&catalog, 8), [40, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(stamps(&catalog, 64).len(), 40);
    let mut writes = 0;
    while stamps(&catalog, 8).len() > 1 {
        let parents = stamps(&catalog, 8);
        writes += 1;
        insert(&mut catalog, RecordKind::File, 40 + writes, &parents);
    }
    assert_eq!(writes, 6, "each consumes eight and is one itself");
}

#[test]
fn what_is_dated_in_the_future_counts_when_its_time_has_come() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    catalog.set_latest(10);
    insert(&mut catalog, RecordKind::File, 20, &[]);
    assert!(catalog.greatest(&NAME).is_none() && catalog.heads(&NAME, 8).is_empty());
    assert!(matches!(catalog.names_after(None).next(), Some(Listed::Future(..))));
    insert(&mut catalog, RecordKind::File, 1, &[]);
    insert(&mut catalog, RecordKind::Tombstone, 21, &[1]);
    assert_eq!(catalog.shown(&NAME).map(|entry| entry.version().stamp), Some(1));
    assert_eq!(catalog.heads(&NAME, 8), [version(1)], "superseded by nothing that counts");
    assert_eq!(catalog.future(&NAME, 8), [version(21), version(20)]);
    assert!(matches!(catalog.names_after(None).next(), Some(Listed::Future(..))));
    catalog.set_latest(20);
    assert_eq!(catalog.heads(&NAME, 8), [version(20)]);
    assert_eq!(catalog.future(&NAME, 8), [version(21)]);
    catalog.set_latest(21);
    assert!(catalog.shown(&NAME).is_none() && catalog.future(&NAME, 8).is_empty());
    assert_eq!(catalog.names_after(None).count(), 0);
}

/// As after a start, which does not find the record that discarded it.
#[test]
fn what_was_discarded_is_forgotten_with_the_record_that_did() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    insert_discarding(&mut catalog, 2, &[20]);
    insert_discarding(&mut catalog, 3, &[20]);
    for (gone, left) in [(2, [version(3)]), (3, [version(20)])] {
        catalog.expire(Expired { id: RecordId([gone; 32]), at_ms: 7 }, 1);
        let id = insert(&mut catalog, RecordKind::File, 20, &[]);
        assert_eq!(catalog.heads(&NAME, 8), left);
        catalog.expire(Expired { id, at_ms: 7 }, 1);
    }
}

/// A version is superseded by one and discarded by another.
#[test]
fn when_a_version_expires_does_not_depend_on_the_order_in_which_records_come() {
    let at = |step: u64| CALENDAR_MIN + step * 100_000;
    let id = |number: u8| RecordId([number; 32]);
    let (discarded, child) = (version(stamp_at(at(9))), version(stamp_at(at(3))));
    let one = |number: u8, version: VersionId, parents: Vec<VersionId>, discards: &[VersionId]| {
        let mut record = Record { parents, ..Record::unsigned(RecordKind::File, NAME, version) };
        record.extensions.extend(discarding(discards));
        (id(number), record)
    };
    for (discards, expected) in [(1, 1), (5, 3)] {
        let records = [
            one(1, discarded, Vec::new(), &[]),
            one(2, child, vec![discarded], &[]),
            one(3, version(stamp_at(at(discards))), Vec::new(), &[discarded]),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut catalog = Catalog::new(Aliases::new([9; 16]));
            for number in order {
                let (id, record): &(RecordId, Record) = &records[number];
                assert!(catalog.insert(*id, record, PLACE));
            }
            let entry = catalog.get(&id(1)).unwrap();
            assert_eq!(entry.since(), step_after(stamp_at(at(expected))), "{discards} {order:?}");
            assert!(entry.is(Flag::Discarded) && entry.is_superseded(), "{discards} {order:?}");
            let entry = entry.clone();
            catalog.damage(&id(1));
            assert_eq!(catalog.lost(..).collect::<Vec<_>>(), [id(1)]);
            assert!(catalog.insert(entry.id(), &records[0].1, PLACE));
            let again = catalog.get(&id(1)).unwrap();
            assert_eq!((again.since(), again.is_superseded()), (entry.since(), true));
        }
    }
}

#[test]
fn beside_heads_of_the_future_those_are_told_that_they_supersede() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    catalog.set_latest(10);
    for (stamp, parents) in [(1, &[][..]), (2, &[1]), (20, &[2]), (21, &[20]), (22, &[])] {
        insert(&mut catalog, RecordKind::File, stamp, parents);
    }
    assert_eq!(catalog.future(&NAME, 8), [22, 21, 20].map(version));
    assert_eq!(catalog.future(&NAME, 2), [22, 21].map(version));
    insert_discarding(&mut catalog, 3, &[21, 22]);
    assert!(catalog.future(&NAME, 8).is_empty(), "none is a head");
}

#[test]
fn what_is_discarded_never_counts_again() {
    for discarded_first in [true, false] {
        let mut catalog = Catalog::new(Aliases::new([9; 16]));
        catalog.set_latest(10);
        if discarded_first {
            insert_discarding(&mut catalog, 2, &[20]);
        }
        let id = insert(&mut catalog, RecordKind::File, 20, &[]);
        if !discarded_first {
            insert_discarding(&mut catalog, 2, &[20]);
        }
        for latest in [10, 30] {
            catalog.set_latest(latest);
            assert_eq!(catalog.shown(&NAME).map(|entry| entry.version().stamp), Some(2));
            assert_eq!(catalog.heads(&NAME, 8), [version(2)]);
            assert!(catalog.future(&NAME, 8).is_empty());
        }
        assert_eq!((catalog.names(), catalog.records()), (1, 2), "its record is still one");
        catalog.damage(&id);
        insert(&mut catalog, RecordKind::File, 20, &[]);
        assert_eq!(catalog.heads(&NAME, 8), [version(2)], "also when it has come again");
        assert_eq!((catalog.names(), catalog.records()), (1, 2));
    }
}

#[test]
fn versions_descend_whether_or_not_they_are_superseded() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    let all: &[(u64, &[u64])] =
        &[(1, &[]), (2, &[1]), (3, &[]), (4, &[2]), (5, &[]), (6, &[5]), (7, &[])];
    for (stamp, parents) in all {
        insert(&mut catalog, RecordKind::File, *stamp, parents);
    }
    let before = |catalog: &Catalog, mark: Option<VersionMark>| {
        let versions = catalog.versions_before(&NAME, mark);
        versions.map(|entry| entry.version().stamp).collect::<Vec<_>>()
    };
    assert_eq!(before(&catalog, None), [7, 6, 5, 4, 3, 2, 1]);
    for entry in 1..=7_u8 {
        let mark = VersionMark { version: version(entry.into()), record: RecordId([entry; 32]) };
        let rest: Vec<u64> = (1..u64::from(entry)).rev().collect();
        assert_eq!(before(&catalog, Some(mark)), rest, "before {entry}");
    }
    catalog.damage(&RecordId([6; 32]));
    assert_eq!(before(&catalog, None), [7, 6, 5, 4, 3, 2, 1], "a damaged one is among them");
    catalog.set_latest(4);
    assert_eq!(before(&catalog, None), [4, 3, 2, 1], "but none that is dated in the future");
    let other = catalog.versions_before(&NameId([8; 32]), None);
    assert_eq!(other.count(), 0);
}

#[test]
fn a_view_has_what_was_shown_then_and_what_is_deleted_now() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    insert(&mut catalog, RecordKind::File, 10, &[]);
    insert(&mut catalog, RecordKind::Tombstone, 20, &[10]);
    insert(&mut catalog, RecordKind::File, 30, &[20]);
    insert(&mut catalog, RecordKind::Tombstone, 40, &[30]);
    let seen = |catalog: &Catalog, view| {
        let viewed = catalog.past_after(None, view).next().unwrap();
        assert!(!viewed.is_future);
        viewed.entry.map(|entry| entry.version().stamp)
    };
    let at = [(9, None), (10, Some(10)), (19, Some(10)), (20, None), (35, Some(30)), (40, None)];
    for (stamp, expected) in at {
        assert_eq!(seen(&catalog, View::At(stamp)), expected, "at {stamp}");
    }
    assert_eq!(seen(&catalog, View::Deleted), Some(40));
    catalog.set_latest(35);
    assert!(seen(&catalog, View::Deleted).is_none());
    assert_eq!(seen(&catalog, View::At(u64::MAX)), Some(30));
    catalog.set_latest(25);
    assert!(catalog.past_after(None, View::Deleted).next().unwrap().is_future);
    let name = catalog.past_after(None, View::Deleted).next().unwrap().name;
    assert_eq!(catalog.past_after(Some(name), View::Deleted).count(), 0);
}

/// The entries looked at for the newest three of so many versions.
fn looks_for_newest(versions: u64) -> u64 {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    for stamp in 1..=versions {
        let mut id = RecordId([0; 32]);
        id.0[..8].copy_from_slice(&stamp.to_be_bytes());
        let parents = if stamp > 1 { vec![version(stamp - 1)] } else { Vec::new() };
        catalog.insert(id, &record(RecordKind::File, stamp, parents), PLACE);
    }
    catalog.versions.steps.0.set(0);
    assert_eq!(catalog.versions_before(&NAME, None).take(3).count(), 3);
    catalog.versions.steps.0.get()
}

#[test]
fn the_newest_of_very_many_versions_cost_no_look_at_the_others() {
    assert_eq!(looks_for_newest(10_000), looks_for_newest(10));
}

/// The entries looked at to answer for a name with so many versions that are dated in the future.
fn looks_beside_future(count: u64) -> u64 {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    catalog.set_latest(10);
    for stamp in [1].into_iter().chain(11..11 + count) {
        let mut id = RecordId([0; 32]);
        id.0[..8].copy_from_slice(&stamp.to_be_bytes());
        catalog.insert(id, &record(RecordKind::File, stamp, Vec::new()), PLACE);
    }
    catalog.versions.steps.0.set(0);
    assert_eq!(catalog.heads(&NAME, 8), [version(1)]);
    assert_eq!(catalog.future(&NAME, 8).len(), 8);
    catalog.versions.steps.0.get()
}

#[test]
fn versions_of_the_future_cost_no_looks() {
    assert_eq!(looks_beside_future(10_000), looks_beside_future(10));
}

/// The entries looked at for an overwrite and a question, of a name that has so many versions.
fn steps(versions: u64, ascending: bool) -> u64 {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    let stamps: Vec<u64> = (1..=versions).collect();
    let in_order = stamps.iter().copied();
    let mut most = 0;
    let order: Vec<u64> = if ascending { in_order.collect() } else { in_order.rev().collect() };
    for stamp in order {
        catalog.versions.steps.0.set(0);
        let parent = version(stamp - 1);
        let parents = if stamp > 1 { vec![parent] } else { Vec::new() };
        let mut id = RecordId([0; 32]);
        id.0[..8].copy_from_slice(&stamp.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let record = record(RecordKind::File, stamp, parents);
        catalog.insert(id, &record, PLACE);
        let _ = (catalog.heads(&NAME, 8), catalog.shown(&NAME));
        most = most.max(catalog.versions.steps.0.get());
    }
    assert_eq!(catalog.heads(&NAME, 8), [version(versions)]);
    most
}

#[test]
fn a_name_with_many_versions_costs_no_more_looks_than_one_with_few() {
    for ascending in [true, false] {
        assert!(steps(100_000, ascending) <= steps(10, ascending), "{ascending}");
    }
}

#[test]
fn the_summaries_of_the_parts_make_that_of_the_whole() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    for stamp in 1..100 {
        insert(&mut catalog, RecordKind::File, stamp, &[]);
    }
    let edge = |byte| RecordId([byte; 32]);
    let (low, high) = (catalog.summary(edge(0), edge(49)), catalog.summary(edge(50), edge(255)));
    let whole = catalog.summary(edge(0), edge(255));
    assert_eq!(low.count + high.count, whole.count);
    for at in 0..32 {
        assert_eq!(low.fingerprint.0[at] ^ high.fingerprint.0[at], whole.fingerprint.0[at]);
    }
    assert_eq!(catalog.range(edge(10), edge(9)).count(), 0);
}

#[test]
fn an_expired_version_is_gone_and_what_it_superseded_may_be_a_head_again() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    let first = insert(&mut catalog, RecordKind::File, 1, &[]);
    let gone = insert(&mut catalog, RecordKind::Tombstone, 2, &[1]);
    insert(&mut catalog, RecordKind::File, 3, &[2]);
    let whole = catalog.whole();
    for (at_ms, id) in [(5, first), (6, gone)] {
        catalog.expire(Expired { id, at_ms }, 1);
        assert!(!catalog.contains(&id));
        assert_eq!(catalog.expired_ms(&id), Some(at_ms));
    }
    assert_eq!((catalog.records(), catalog.names()), (1, 1));
    assert_eq!(catalog.version(&NAME, &version(1)).map(Entry::id), None);
    assert_eq!(catalog.whole(), catalog.summary(whole.first, whole.last));
    catalog.expire(Expired { id: first, at_ms: 7 }, 1);
    assert_eq!((catalog.records(), catalog.expired_ms(&first)), (1, Some(7)), "said once more");
    let again = |catalog: &mut Catalog, stamp| insert(catalog, RecordKind::File, stamp, &[]);
    again(&mut catalog, 2);
    assert_eq!(catalog.heads(&NAME, 8), [version(3)], "what supersedes it is here");
    catalog.expire(Expired { id: gone, at_ms: 6 }, 1);
    again(&mut catalog, 1);
    assert_eq!(catalog.heads(&NAME, 8), [version(3), version(1)], "nothing that is here does");
    assert_eq!((catalog.records(), catalog.expired_ms(&first)), (2, None));
    // The last of all: nothing is shown.
    catalog.expire(Expired { id: RecordId([3; 32]), at_ms: 9 }, 1);
    catalog.expire(Expired { id: first, at_ms: 9 }, 1);
    assert_eq!((catalog.records(), catalog.names()), (0, 0));
    assert!(catalog.greatest(&NAME).is_none() && catalog.names_after(None).next().is_none());
}

/// Of three versions, each of which supersedes the one before, two expire, and the first of them comes again. What says that
/// the second has gone was written anew after that.
#[test]
fn a_start_finds_the_same_heads_wherever_the_log_says_what_has_expired() {
    let heads = |catalog: &Catalog| {
        let heads = catalog.heads(&NAME, 9);
        heads.iter().map(|version| version.stamp).collect::<Vec<_>>()
    };
    for late in [false, true] {
        let mut catalog = Catalog::for_start(Aliases::new([9; 16]));
        insert(&mut catalog, RecordKind::File, 1, &[]);
        let second = insert(&mut catalog, RecordKind::File, 2, &[1]);
        insert(&mut catalog, RecordKind::File, 3, &[2]);
        let expired = |id| Expired { id, at_ms: 7 };
        catalog.expire(expired(RecordId([1; 32])), 1);
        if !late {
            catalog.expire(expired(second), 1);
        }
        insert(&mut catalog, RecordKind::File, 1, &[]);
        if late {
            catalog.expire(expired(second), 1);
        }
        catalog.put_in_order();
        assert_eq!(heads(&catalog), [3, 1]);
        assert_eq!(catalog.due(Step::MAX, 9), [], "nothing that is left expires");
        // From now on it is as it is: nothing brings back what another has superseded.
        insert(&mut catalog, RecordKind::File, 4, &[1, 3]);
        assert_eq!(heads(&catalog), [4]);
        assert_eq!(catalog.shown(&NAME).map(|entry| entry.version().stamp), Some(4));
    }
}

/// One of those that supersede a version is dated before there was this program.
#[test]
fn a_start_finds_since_when_a_version_is_superseded() {
    let at = |seconds: u64| stamp_at(CALENDAR_MIN + seconds * 1000);
    let due = |mut catalog: Catalog| {
        for (number, stamp) in [at(0), 5, at(100), at(50)].into_iter().enumerate() {
            let parents = (number > 0).then(|| version(at(0))).into_iter().collect();
            let id = RecordId([u8::try_from(number).unwrap(); 32]);
            assert!(catalog.insert(id, &record(RecordKind::File, stamp, parents), PLACE));
        }
        catalog.put_in_order();
        catalog.due(Step::MAX, 9)
    };
    let aliases = || Aliases::new([9; 16]);
    let placed = due(Catalog::new(aliases()));
    assert_eq!((placed.len(), due(Catalog::for_start(aliases()))), (1, placed));
}

#[test]
fn a_damaged_record_may_expire_too() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    let id = insert(&mut catalog, RecordKind::File, 1, &[]);
    insert(&mut catalog, RecordKind::File, 2, &[1]);
    catalog.damage(&id);
    catalog.expire(Expired { id, at_ms: 5 }, 1);
    assert_eq!((catalog.records(), catalog.damaged(), catalog.lost(..).count()), (1, 0, 0));
    assert_eq!(catalog.entries.room().1, 1, "its row is free");
}

/// A record whose id is its number.
fn numbered(number: u64) -> RecordId {
    let mut id = RecordId([7; 32]);
    id.0[..8].copy_from_slice(&number.to_be_bytes());
    id
}

#[test]
fn a_removed_entry_frees_its_row() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    for number in 1..5_000 {
        let id = numbered(number);
        let kind = if number % 3 == 0 { RecordKind::Grant } else { RecordKind::File };
        let parents = if number % 2 == 0 { vec![version(number - 1)] } else { Vec::new() };
        assert!(catalog.insert(id, &record(kind, number, parents), PLACE));
        if number % 5 == 0 {
            catalog.damage(&id);
        }
        // A few stay.
        if let Some(before) = number.checked_sub(20) {
            catalog.expire(Expired { id: numbered(before), at_ms: number }, 1);
        }
    }
    assert!(catalog.entries.room().0 <= 64, "{:?}", catalog.entries.room());
    assert!((16..=20).contains(&catalog.records()));
    let damaged = catalog.lost.values().flatten().count() as u64;
    assert_eq!(catalog.live().of(1), (catalog.records() + damaged) * (200 + 41));
    (4_900..5_000).for_each(|number| catalog.expire(Expired { id: numbered(number), at_ms: 1 }, 1));
    assert_eq!((catalog.records(), catalog.names(), catalog.damaged()), (0, 0, 0));
    assert_eq!((catalog.live().of(1), catalog.whole().fingerprint), (0, Default::default()));
    assert_eq!(catalog.names_after(None).count(), 0);
}

/// A version of which a start has only guessed, since its last byte is not as it was; its record, and the id of that.
fn guess(catalog: &mut Catalog, stamp: u64, parents: &[u64]) -> (RecordId, Record) {
    let parents = parents.iter().map(|parent| version(*parent)).collect();
    let record = record(RecordKind::File, stamp, parents);
    let mut bytes = record.to_bytes();
    let id = record_id(&bytes);
    *bytes.last_mut().unwrap() ^= 1;
    let remains = Remains { id, bytes: bytes.into(), is_sound: false, place: None };
    assert!(catalog.insert_remains(&remains));
    (id, record)
}

#[test]
fn of_what_was_guessed_the_true_record_supersedes_what_it_names() {
    for is_superseded in [false, true] {
        let mut catalog = Catalog::new(Aliases::new([9; 16]));
        insert(&mut catalog, RecordKind::File, 1, &[]);
        let (id, record) = guess(&mut catalog, 2, &[1]);
        assert!(catalog.guessed().is_any());
        assert_eq!(catalog.heads(&NAME, 8), [version(2), version(1)], "what it names is not known");
        if is_superseded {
            insert(&mut catalog, RecordKind::File, 3, &[2]);
            assert!(!catalog.guessed().is_any(), "there was such a version");
        }
        assert!(catalog.insert(id, &record, PLACE));
        let head = version(if is_superseded { 3 } else { 2 });
        assert_eq!(catalog.heads(&NAME, 8), [head]);
        assert!(!catalog.guessed().is_any() && catalog.lost(..).next().is_none());
        assert_eq!((catalog.damaged(), catalog.names()), (0, 1));
    }
}

#[test]
fn another_record_of_a_version_that_was_guessed_and_superseded_is_no_head() {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    guess(&mut catalog, 2, &[]);
    insert(&mut catalog, RecordKind::File, 3, &[2]);
    assert_eq!(catalog.heads(&NAME, 8), [version(3)]);
    insert(&mut catalog, RecordKind::File, 2, &[]);
    assert_eq!(catalog.heads(&NAME, 8), [version(3)]);
    assert_eq!(catalog.entries.room().1, 0, "the row of the guess is used again");
}

/// Bytes that a catalog takes for each of so many versions, of one name each or all of one.
fn bytes_a_version(count: u64, of_one: bool) -> usize {
    let mut catalog = Catalog::new(Aliases::new([9; 16]));
    for number in 1..=count {
        let mut name = NameId([7; 32]);
        if !of_one {
            name.0[..8].copy_from_slice(&number.to_be_bytes());
        }
        let mut id = RecordId([0; 32]);
        id.0[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let parents = if number > 1 { vec![version(number - 1)] } else { Vec::new() };
        let bare = Record::unsigned(RecordKind::File, name, version(number));
        catalog.insert(id, &Record { parents, ..bare }, PLACE);
    }
    let rows = catalog.entries.room().0 * size_of::<Entry>();
    (rows + catalog.ids.room() + catalog.versions.room()) / usize::try_from(count).unwrap()
}

#[test]
fn a_version_takes_at_most_a_hundred_bytes() {
    assert!(bytes_a_version(100_000, true) <= 100, "{}", bytes_a_version(100_000, true));
    assert!(bytes_a_version(100_000, false) <= 100, "{}", bytes_a_version(100_000, false));
}

/// A catalog of versions that expire, and by a recount what it has as of a step.
fn as_of(catalog: &mut Catalog, all: &[Expired], step: Step) -> (RangeSummary, RangeSummary) {
    let whole = (RecordId::default(), RecordId([u8::MAX; 32]));
    let mut counted = RangeSummary { first: whole.0, last: whole.1, ..catalog.whole() };
    (counted.count, counted.fingerprint) = (0, Default::default());
    let gone = all.iter().filter(|one| one.at_ms > step_ms(step)).map(|one| one.id);
    let gone: Vec<_> = gone.filter(|id| !catalog.contains(id)).collect();
    let held = catalog.range(whole.0, whole.1).filter(|entry| !catalog.has_expired(entry, step));
    for id in held.map(Entry::id).chain(gone) {
        counted.count += 1;
        xor_into(&mut counted.fingerprint, &id.0);
    }
    (catalog.summary_at(step, whole.0, whole.1), counted)
}

#[test]
fn what_is_compared_as_of_a_step_does_not_depend_on_what_has_been_let_go() {
    let settings = Settings { retention: Duration::ZERO, ..Settings::default() };
    let stamp = |number: u64| stamp_at(CALENDAR_MIN + number * 4_000);
    let first = step_after(stamp(0));
    let fill = |catalog: &mut Catalog| {
        catalog.set(&settings);
        for number in 1..60 {
            let parents = if number % 7 > 0 { vec![version(stamp(number - 1))] } else { vec![] };
            let kind = if number % 5 == 0 { RecordKind::Tombstone } else { RecordKind::File };
            catalog.insert(numbered(number), &record(kind, stamp(number), parents), PLACE);
        }
    };
    let [mut ahead, mut behind] = [(); 2].map(|()| Catalog::new(Aliases::new([9; 16])));
    fill(&mut ahead);
    fill(&mut behind);
    let mut all = Vec::new();
    for step in first..first + 30 {
        let due = ahead.due(step, 3);
        all.extend(due.iter().copied());
        due.into_iter().for_each(|one| ahead.expire(one, 1));
        if step % 4 == 0 {
            // Damaged, and back again.
            let id = numbered(u64::from(step % 59) + 1);
            let is_held = ahead.contains(&id);
            ahead.damage(&id);
            let (compared, counted) = as_of(&mut ahead, &all, step);
            assert_eq!(compared, counted);
            if is_held {
                let number = u64::from(step % 59) + 1;
                let kind = if number % 5 == 0 { RecordKind::Tombstone } else { RecordKind::File };
                ahead.insert(id, &record(kind, stamp(number), Vec::new()), PLACE);
            }
        }
        for at in [step - 8, step - 1, step, step + 5] {
            let (compared, counted) = as_of(&mut ahead, &all, at);
            assert_eq!(compared, counted, "as of {at} at {step}");
            assert_eq!(compared, behind.whole_at(at), "as of {at} at {step}");
        }
    }
    assert!(all.len() > 20 && ahead.records() < behind.records());
}
