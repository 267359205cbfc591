//! Segments of the log: how many of their bytes are needed, and how many reads of each are under way.
//!
//! Knows no disk. Invariant: a segment that is not in a table has nothing that is counted there.

use super::packed::PackedLocation;
use crate::store::values::ITEM_HEAD;
use std::collections::BTreeMap;

/// Of each segment the bytes of the items that are needed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LiveBytes(BTreeMap<u32, u64>);

impl LiveBytes {
    /// An item is needed from now on.
    pub(crate) fn add(&mut self, place: impl Into<PackedLocation>) {
        let place = place.into();
        *self.0.entry(place.segment()).or_default() += item_bytes(place);
    }

    /// It is needed no longer.
    pub(crate) fn remove(&mut self, place: impl Into<PackedLocation>) {
        let place = place.into();
        let left = self.of(place.segment()).checked_sub(item_bytes(place));
        match left.expect("an item is counted as long as it is needed") {
            0 => drop(self.0.remove(&place.segment())),
            left => drop(self.0.insert(place.segment(), left)),
        }
    }

    /// Bytes of a segment that are needed.
    #[must_use]
    pub(crate) fn of(&self, segment: u32) -> u64 {
        self.0.get(&segment).copied().unwrap_or(0)
    }
}

/// Bytes that an item has in the log.
fn item_bytes(place: PackedLocation) -> u64 {
    ITEM_HEAD as u64 + u64::from(place.item_length())
}

/// The segments that a job reads: they are not removed as long as it is under way. Whoever begins it has these from
/// `Readers::pin`, and gives them back when it has ended.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Pins(Vec<u32>);

/// Of each segment how many reads of it are under way.
#[derive(Debug, Default)]
pub(crate) struct Readers(BTreeMap<u32, u32>);

impl Readers {
    /// A job begins that reads these segments.
    pub(crate) fn pin(&mut self, segments: impl IntoIterator<Item = u32>) -> Pins {
        let mut segments: Vec<_> = segments.into_iter().collect();
        segments.sort_unstable();
        segments.dedup();
        for segment in &segments {
            *self.0.entry(*segment).or_default() += 1;
        }
        Pins(segments)
    }

    /// It has ended.
    pub(crate) fn unpin(&mut self, Pins(segments): Pins) {
        for segment in segments {
            let readers = self.0.get_mut(&segment).expect("what is given back was pinned");
            *readers -= 1;
            if *readers == 0 {
                self.0.remove(&segment);
            }
        }
    }

    /// How many reads of a segment are under way.
    #[must_use]
    pub(crate) fn of(&self, segment: u32) -> u32 {
        self.0.get(&segment).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Address, NameId, RecordId, VersionId, Writer};
    use crate::index::Index;
    use crate::store::values::{BlockPlace, Expired, LogPlace};
    use crate::wire::discards::discarding;
    use crate::wire::record::{Record, RecordKind};
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn what_is_needed_of_a_segment_is_counted_with_the_heads_of_items() {
        let mut live = LiveBytes::default();
        let place = LogPlace { segment: 3, offset: 9_000, length: 700 };
        live.add(place);
        live.add(PackedLocation::file(3, 70_000));
        live.add(LogPlace { segment: 4, ..place });
        assert_eq!([2, 3, 4].map(|segment| live.of(segment)), [0, 741 + 45, 741]);
        live.remove(place);
        live.remove(PackedLocation::file(3, 70_000));
        assert_eq!((live.of(3), live.0.len()), (0, 1));
    }

    /// A record by its number, as one that supersedes another and discards a third now and then.
    fn record(number: u64, rng: &mut ChaCha8Rng) -> Record {
        let version = |stamp| VersionId { stamp, writer: Writer([1; 8]) };
        let name = NameId([u8::try_from(number % 5).unwrap(); 32]);
        let kinds = [RecordKind::File, RecordKind::Tombstone, RecordKind::Grant];
        let kind = kinds[rng.random_range(0..3)];
        let mut record = Record::unsigned(kind, name, version(number));
        record.parents =
            (0..rng.random_range(0..3)).map(|_| version(rng.random_range(0..60))).collect();
        if rng.random_range(0..8) == 0 {
            record.extensions.extend(discarding(&[version(rng.random_range(0..60))]));
        }
        record
    }

    fn change(index: &mut Index, rng: &mut ChaCha8Rng) {
        let number = rng.random_range(0..60_u64);
        let id = [u8::try_from(number).unwrap() + 1; 32];
        let segment = rng.random_range(1..6);
        let place = LogPlace { segment, offset: 9_000, length: rng.random_range(0..70_000) };
        match rng.random_range(0..9) {
            0..3 => drop(index.catalog.insert(RecordId(id), &record(number, rng), place)),
            3 => index.catalog.damage(&RecordId(id)),
            4 => index.catalog.expire(Expired { id: RecordId(id), at_ms: 7 }),
            5 => {
                let length = rng.random_range(1..1 << 20);
                index.holdings.insert(Address(id), BlockPlace::Tree { length }, segment);
            }
            6 => index.holdings.insert(Address(id), BlockPlace::Log(place), segment),
            // No page has a block's address.
            7 => index.holdings.insert_page(Address([id[0] + 100; 32]), place),
            _ => {
                index.holdings.remove(&Address(id));
                index.holdings.remove(&Address([id[0] + 100; 32]));
            }
        }
    }

    #[test]
    fn what_is_counted_is_what_a_recount_finds() {
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut index = Index::for_tests();
            for step in 0..2_000 {
                change(&mut index, &mut rng);
                if step % 50 > 0 {
                    continue;
                }
                let mut records = LiveBytes::default();
                let all = index.catalog.range(RecordId([0; 32]), RecordId([u8::MAX; 32]));
                all.for_each(|entry| records.add(entry.place()));
                assert_eq!(*index.catalog.live(), records, "seed {seed}, step {step}");
                let others = index.holdings.recount();
                assert_eq!(*index.holdings.live(), others, "seed {seed}, step {step}");
                let both = |segment| records.of(segment) + others.of(segment);
                assert!((0..7).all(|segment| index.live_bytes(segment) == both(segment)));
            }
        }
    }

    #[test]
    fn a_segment_is_read_until_every_job_that_reads_it_has_ended() {
        let mut readers = Readers::default();
        let (first, second) = (readers.pin([3, 1, 3]), readers.pin([3]));
        assert_eq!([1, 2, 3].map(|segment| readers.of(segment)), [1, 0, 2]);
        readers.unpin(first);
        assert_eq!([1, 2, 3].map(|segment| readers.of(segment)), [0, 0, 1]);
        readers.unpin(second);
        assert!(readers.0.is_empty());
        let none = readers.pin([]);
        readers.unpin(none);
    }
}
