//! What a start makes of what it finds, in whatever order.

use super::*;
use crate::ids::{NameId, VersionId, Writer};
use crate::limits::CALENDAR_MIN;
use crate::store::values::{BlockPlace, Expired};
use crate::time::{Step, stamp_at};
use crate::wire::discards::discarding;
use crate::wire::message::BlockRef;
use crate::wire::record::BlockList;
use proptest::collection::vec;
use proptest::prelude::*;

const PLACE: LogPlace = LogPlace { segment: 1, offset: 9_000, length: 7 };

/// A file of one block.
fn file(block: Address) -> (RecordId, Bytes) {
    let version = VersionId { stamp: 9, writer: Writer([1; 8]) };
    let bare = Record::unsigned(RecordKind::File, NameId([7; 32]), version);
    let blocks = BlockList::Inline(vec![BlockRef { address: block, length: 7 }]);
    let bytes = Bytes::from(Record { blocks, ..bare }.to_bytes());
    (record_id(&bytes), bytes)
}

fn missing(mut builder: IndexBuilder) -> (usize, usize, usize) {
    let missing = builder.take_missing(&[]);
    (missing.blocks.len(), missing.pages.len(), missing.records.len())
}

#[test]
fn what_is_dropped_is_not_here_and_not_missing_and_what_is_lost_is() {
    let address = Address([5; 32]);
    let here = LogEntry::Block(address, BlockPlace::Tree { length: 7 }, 1);
    for (then, expected) in [
        (vec![LogEntry::Lost(address, 1)], (1, 0, 0)),
        (vec![LogEntry::Dropped(address.into(), 1)], (0, 0, 0)),
        (vec![LogEntry::Lost(address, 1), LogEntry::Dropped(address.into(), 1)], (0, 0, 0)),
        (
            vec![
                LogEntry::Lost(address, 1),
                LogEntry::Lost(address, 1),
                LogEntry::Dropped(address.into(), 1),
            ],
            (0, 0, 0),
        ),
    ] {
        let mut builder = IndexBuilder::new([1; 32], [2; 16]);
        let (id, bytes) = file(address);
        builder.found(here.clone());
        builder.found(LogEntry::Record(id, PLACE, bytes));
        then.into_iter().for_each(|found| builder.found(found));
        assert!(builder.holdings.block(&address).is_none() && builder.catalog.contains(&id));
        assert_eq!(missing(builder), expected);
    }
}

/// Nothing of it is left but that it was lost: it was had again since and swept, or it is needed and not here.
#[test]
fn of_what_was_lost_only_what_a_record_lacks_is_missing() {
    let address = Address([5; 32]);
    let (id, bytes) = file(address);
    let (lost, dropped) = (LogEntry::Lost(address, 2), LogEntry::Dropped(address.into(), 7));
    let record = LogEntry::Record(id, PLACE, bytes);
    for (told, expected, is_doubtful) in [
        (vec![lost.clone()], (0, 0, 0), true),
        (vec![lost.clone(), dropped], (0, 0, 0), false),
        (vec![lost.clone(), record.clone()], (0, 1, 1), true),
        (vec![record, lost], (0, 1, 1), true),
    ] {
        let mut builder = IndexBuilder::new([1; 32], [2; 16]);
        told.into_iter().for_each(|one| builder.found(one));
        let found = builder.take_missing(&[]);
        assert_eq!((found.blocks.len(), found.pages.len(), found.records.len()), expected);
        assert_eq!(found.doubtful.contains(&address), is_doubtful);
    }
}

/// Blocks and pages share one space of addresses, and who writes both can see to it that they meet.
#[test]
fn with_a_block_that_is_dropped_no_page_of_its_address_is_forgotten() {
    let address = Address([5; 32]);
    let page = LogEntry::Page(address, PLACE, Bytes::new());
    let block = LogEntry::Block(address, BlockPlace::Tree { length: 7 }, 1);
    let (id, bytes) = file(address);
    let record = LogEntry::Record(id, PLACE, bytes);
    for (then, expected) in [
        (vec![LogEntry::Dropped(address.into(), 1)], (0, 0, 1)),
        (vec![block.clone(), LogEntry::Dropped(address.into(), 1)], (0, 0, 0)),
        (vec![block, LogEntry::Lost(address, 1), LogEntry::Dropped(address.into(), 1)], (0, 0, 0)),
    ] {
        let mut builder = IndexBuilder::new([1; 32], [2; 16]);
        [page.clone(), record.clone()].into_iter().chain(then).for_each(|one| builder.found(one));
        assert_eq!(builder.holdings.page(&address), Some(PLACE));
        assert!(builder.holdings.block(&address).is_none());
        assert_eq!(missing(builder), expected);
    }
    let mut builder = IndexBuilder::new([1; 32], [2; 16]);
    let lost = [page, LogEntry::Lost(address, 1), LogEntry::Dropped(address.into(), 1)];
    lost.into_iter().for_each(|one| builder.found(one));
    assert_eq!(missing(builder), (0, 1, 0), "the page");
}

/// A block is dropped when no record names it, and the segment that said that it was here may be gone.
#[test]
fn who_names_what_was_dropped_before_lacks_it() {
    let address = Address([5; 32]);
    let (id, bytes) = file(address);
    let record = LogEntry::Record(id, PLACE, bytes);
    let dropped = LogEntry::Dropped(address.into(), 1);
    let block = LogEntry::Block(address, BlockPlace::Tree { length: 7 }, 1);
    for (told, expected) in [
        (vec![dropped.clone(), record.clone()], (0, 0, 1)),
        (vec![block.clone(), dropped.clone(), record.clone()], (0, 0, 1)),
        (vec![dropped.clone(), record.clone(), block.clone()], (0, 0, 0)),
        (vec![dropped, block, LogEntry::Lost(address, 1), record], (1, 0, 1)),
    ] {
        let mut builder = IndexBuilder::new([1; 32], [2; 16]);
        told.into_iter().for_each(|one| builder.found(one));
        assert_eq!(missing(builder), expected);
    }
}

/// It was dropped before the record came, and that was written anew behind it.
#[test]
fn who_came_since_what_it_names_was_dropped_lacks_it() {
    let address = Address([5; 32]);
    let (id, bytes) = file(address);
    let record = LogEntry::Record(id, LogPlace { segment: 3, ..PLACE }, bytes.clone());
    let moved = LogEntry::Record(id, LogPlace { segment: 6, ..PLACE }, bytes);
    let block = |segment| LogEntry::Block(address, BlockPlace::Tree { length: 7 }, segment);
    let dropped = |since, segment| LogEntry::Dropped(Dropped { address, since }, segment);
    for (told, incomplete) in [
        (vec![block(1), record.clone(), dropped(None, 4)], 0),
        (vec![block(1), record.clone(), dropped(Some(2), 4)], 1),
        (vec![block(1), record.clone(), dropped(Some(3), 4)], 1),
        (vec![block(1), record.clone(), dropped(Some(4), 4)], 0),
        // It stands there too where it was dropped first.
        (vec![block(1), dropped(None, 2), record.clone(), dropped(Some(2), 4)], 1),
        (vec![block(1), record.clone(), dropped(Some(2), 4), moved.clone()], 1),
        (vec![block(1), record, dropped(Some(2), 4), block(5)], 1),
        (vec![block(1), dropped(Some(2), 4), block(5), moved], 0),
    ] {
        let mut builder = IndexBuilder::new([1; 32], [2; 16]);
        told.iter().for_each(|one| builder.found(one.clone()));
        builder.put_in_order();
        assert_eq!(missing(builder), (0, 0, incomplete), "{told:?}");
    }
}

/// It was dropped when no record named it, and the record that did before is back.
#[test]
fn who_comes_back_and_names_what_was_dropped_lacks_it() {
    let [first, second, page] = [5, 6, 7].map(|of| Address([of; 32]));
    let inline = file(first);
    let block = |address| BlockRef { address, length: 7 };
    let paged = {
        let version = VersionId { stamp: 3, writer: Writer([1; 8]) };
        let bare = Record::unsigned(RecordKind::File, NameId([7; 32]), version);
        let blocks = BlockList::Pages { root: page, depth: 1, blocks: 2, bytes: 14 };
        let bytes = Bytes::from(Record { blocks, ..bare }.to_bytes());
        (record_id(&bytes), bytes)
    };
    let here = |address| LogEntry::Block(address, BlockPlace::Tree { length: 7 }, 1);
    let entries = Entries::Blocks(vec![block(first), block(second)]);
    let page = LogEntry::PageEntries(page, PLACE, entries);
    let dropped = LogEntry::Dropped(first.into(), 1);
    let other = LogEntry::Dropped(Address([9; 32]).into(), 1);
    let [inline, paged] = [inline, paged].map(|(id, it)| LogEntry::Record(id, PLACE, it));
    let (first, second) = (here(first), here(second));
    let all = [first.clone(), second.clone(), page.clone()];
    let told = |parts: &[&[LogEntry]]| parts.concat();
    for (told, incomplete) in [
        (vec![first.clone(), inline.clone(), dropped.clone(), inline.clone()], 1),
        (vec![first.clone(), inline.clone(), other.clone(), inline], 0),
        (told(&[&all, &[paged.clone(), dropped.clone(), paged.clone()]]), 1),
        // Another record may name a page that was there.
        (told(&[&all, &[dropped.clone(), paged.clone()]]), 1),
        (told(&[&all, &[dropped.clone(), first.clone(), page.clone(), paged.clone()]]), 0),
        // A page that waits.
        (vec![first.clone(), page.clone(), dropped.clone(), second.clone(), paged.clone()], 1),
        (vec![page, paged.clone(), dropped.clone(), second, paged.clone(), first], 1),
        (told(&[&[dropped], &all, &[paged.clone(), other, paged]]), 1),
    ] {
        let mut builder = IndexBuilder::new([1; 32], [2; 16]);
        told.iter().for_each(|one| builder.found(one.clone()));
        assert_eq!(missing(builder), (0, 0, incomplete), "{told:?}");
    }
}

/// The first two are of before there was this program, which says nothing of when that was; of the others some are of one
/// step.
fn stamp(number: u8) -> u64 {
    match u64::from(number) {
        number @ 0..2 => 7 + number,
        number => stamp_at(CALENDAR_MIN + number * 6_000),
    }
}

/// The record of a version: its name, the number of its stamp, and that of its parent; some have two, and some discard
/// another.
fn version((name, stamp, parent): (u8, u8, u8)) -> LogEntry {
    let version = |number| VersionId { stamp: self::stamp(number), writer: Writer([1; 8]) };
    let kind = if stamp % 5 == 4 { RecordKind::Tombstone } else { RecordKind::File };
    let mut record = Record::unsigned(kind, NameId([name; 32]), version(stamp));
    record.parents = (0..parent).rev().take(usize::from(1 + stamp % 2)).map(version).collect();
    if stamp == 3 {
        record.extensions.extend(discarding(&[version(5)]));
    }
    let bytes = Bytes::from(record.to_bytes());
    LogEntry::Record(record_id(&bytes), PLACE, bytes)
}

fn entry((kind, name, stamp, parent): (u8, u8, u8, u8)) -> LogEntry {
    // Two that begin alike, and others.
    let mut address = Address([name; 32]);
    address.0[9] = stamp % 2;
    match (kind, version((name, stamp, parent.min(stamp)))) {
        (0, LogEntry::Record(id, ..)) => LogEntry::Expired(Expired { id, at_ms: 7 }, 1),
        (1, _) => LogEntry::Block(address, BlockPlace::Tree { length: 7 }, 1),
        (2, _) => LogEntry::Page(address, PLACE, Bytes::new()),
        (3, _) => LogEntry::Dropped(address.into(), 1),
        (4, _) => LogEntry::Lost(address, 1),
        (_, record) => record,
    }
}

fn told(builder: &mut IndexBuilder) -> String {
    let IndexBuilder { catalog, holdings, .. } = builder;
    let first = RecordId::default();
    let last = RecordId([u8::MAX; 32]);
    let entries: Vec<_> =
        catalog.range(first, last).map(|it| (it.rank(), it.is_head(), it.since())).collect();
    let names = (0..4).map(|name| {
        let name = NameId([name; 32]);
        let versions = catalog.versions_before(&name, None).map(|entry| entry.rank());
        (catalog.heads(&name, 9), versions.collect::<Vec<_>>())
    });
    let names: Vec<_> = names.collect();
    let (counts, whole) = ((catalog.names(), catalog.records()), catalog.whole());
    let listed = catalog.names_after(None).count();
    let held = holdings.after(None, 1_000);
    let due = catalog.due(Step::MAX, 1_000);
    let told = format!("{entries:?} {names:?} {counts:?} {whole:?} {listed} {held:?} {due:?}");
    format!("{told} {}", holdings.count())
}

proptest! {
    /// Found in no order and then put in order, or each put in its place at once, but for what expires later.
    #[test]
    fn what_is_put_in_order_in_the_end_is_what_it_would_have_been(
        entries in vec((0_u8..12, 0_u8..4, 0_u8..6, 0_u8..4), 0..60),
    ) {
        let entries: Vec<_> = entries.into_iter().map(entry).collect();
        let [mut found, mut placed] = [0; 2].map(|_| IndexBuilder::new([1; 32], [2; 16]));
        placed.put_in_order();
        for (at, one) in entries.iter().enumerate() {
            found.found(one.clone());
            let expires = |other: &LogEntry| match (one, other) {
                (LogEntry::Record(id, ..), LogEntry::Expired(expired, _)) => expired.id == *id,
                _ => false,
            };
            if !entries[at..].iter().any(expires) {
                placed.found(one.clone());
            }
        }
        found.put_in_order();
        prop_assert_eq!(told(&mut found), told(&mut placed));
    }
}

#[test]
fn what_only_an_expired_record_lacks_is_not_asked_for() {
    let address = Address([5; 32]);
    let (id, bytes) = file(address);
    let mut builder = IndexBuilder::new([1; 32], [2; 16]);
    builder.found(LogEntry::Record(id, PLACE, bytes));
    builder.found(LogEntry::Expired(Expired { id, at_ms: 7 }, 1));
    let missing = builder.take_missing(&[address]);
    assert!(missing.pages.is_empty() && missing.records.is_empty());
}

#[test]
fn of_an_expired_record_only_that_it_has_is_known_and_nothing_is_missing_for_it() {
    let (id, bytes) = file(Address([5; 32]));
    let expired = Expired { id, at_ms: 70_000 };
    let mut builder = IndexBuilder::new([1; 32], [2; 16]);
    builder.found(LogEntry::Record(id, PLACE, bytes.clone()));
    builder.found(LogEntry::Expired(expired, 1));
    assert!(!builder.catalog.contains(&id));
    assert_eq!(builder.catalog.expired_ms(&id), Some(70_000));
    // What is left of it in damaged bytes does not bring it back.
    for is_sound in [true, false] {
        let left = if is_sound { bytes.clone() } else { bytes.slice(1..) };
        let remains = [Remains { id, bytes: left, is_sound, place: Some(PLACE) }];
        builder.believe(&remains, |catalog, one| assert!(catalog.insert_remains(one)));
        assert!(!builder.catalog.contains(&id) && builder.catalog.lost(..).next().is_none());
    }
    assert_eq!(missing(builder), (0, 0, 0));
    let mut builder = IndexBuilder::new([1; 32], [2; 16]);
    builder.found(LogEntry::Expired(expired, 1));
    builder.found(LogEntry::Record(id, PLACE, bytes));
    assert!(builder.catalog.contains(&id) && builder.catalog.expired_ms(&id).is_none());
    assert_eq!(missing(builder), (0, 0, 1), "it is had again");
}
