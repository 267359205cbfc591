//! Segments of the log: how many of their bytes are needed, and how many reads of each are under way.
//!
//! Knows no disk. Invariant: a segment that is not in a table has nothing that is counted there.

use super::packed::PackedLocation;
use crate::store::values::ITEM_HEAD;
use std::collections::{BTreeMap, BTreeSet};

/// Of each segment the bytes of the items that are needed.
#[derive(Debug, Default)]
pub(crate) struct LiveBytes {
    bytes: BTreeMap<u32, u64>,
    /// Segments of which fewer are needed than when somebody last asked.
    fallen: BTreeSet<u32>,
}

impl LiveBytes {
    /// An item is needed from now on.
    pub(crate) fn add(&mut self, place: impl Into<PackedLocation>) {
        let place = place.into();
        self.add_bytes(place.segment(), item_bytes(place));
    }

    /// It is needed no longer.
    pub(crate) fn remove(&mut self, place: impl Into<PackedLocation>) {
        let place = place.into();
        self.remove_bytes(place.segment(), item_bytes(place));
    }

    /// So many bytes of a segment are needed from now on.
    pub(super) fn add_bytes(&mut self, segment: u32, bytes: u64) {
        *self.bytes.entry(segment).or_default() += bytes;
    }

    /// They are needed no longer.
    pub(super) fn remove_bytes(&mut self, segment: u32, bytes: u64) {
        let left = self.of(segment).checked_sub(bytes);
        match left.expect("an item is counted as long as it is needed") {
            0 => drop(self.bytes.remove(&segment)),
            left => drop(self.bytes.insert(segment, left)),
        }
        self.fallen.insert(segment);
    }

    /// Bytes of a segment that are needed.
    #[must_use]
    pub(crate) fn of(&self, segment: u32) -> u64 {
        self.bytes.get(&segment).copied().unwrap_or(0)
    }

    /// In all segments.
    #[must_use]
    pub(crate) fn all(&self) -> u64 {
        self.bytes.values().sum()
    }

    /// One of the segments of which fewer bytes are needed than when it was last told.
    pub(crate) fn take_fallen(&mut self) -> Option<u32> {
        self.fallen.pop_first()
    }
}

#[cfg(test)]
impl PartialEq for LiveBytes {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
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
pub(crate) struct Readers {
    counts: BTreeMap<u32, u32>,
    /// Segments that are being removed.
    closing: BTreeSet<u32>,
}

impl Readers {
    /// A job begins that reads these segments.
    pub(crate) fn pin(&mut self, segments: impl IntoIterator<Item = u32>) -> Pins {
        self.pin_each(segments.into_iter().collect())
    }

    fn pin_each(&mut self, mut segments: Vec<u32>) -> Pins {
        segments.sort_unstable();
        segments.dedup();
        // Whoever has still to read in one that goes finds that it is gone, and looks it up once more.
        segments.retain(|segment| !self.closing.contains(segment));
        for segment in &segments {
            *self.counts.entry(*segment).or_default() += 1;
        }
        Pins(segments)
    }

    /// A segment that nobody reads is being removed.
    pub(crate) fn close(&mut self, segment: u32) {
        self.closing.insert(segment);
    }

    /// It is removed, or will not be.
    pub(crate) fn closed(&mut self, segment: u32) {
        self.closing.remove(&segment);
    }

    /// It has ended.
    pub(crate) fn unpin(&mut self, Pins(segments): Pins) {
        for segment in segments {
            let readers = self.counts.get_mut(&segment).expect("what is given back was pinned");
            *readers -= 1;
            if *readers == 0 {
                self.counts.remove(&segment);
            }
        }
    }

    /// How many reads of a segment are under way.
    #[must_use]
    pub(crate) fn of(&self, segment: u32) -> u32 {
        self.counts.get(&segment).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Address, NameId, RecordId, VersionId, Writer};
    use crate::index::Index;
    use crate::index::graves::Graves;
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
        assert_eq!((live.of(3), live.bytes.len(), live.all()), (0, 1, 741));
        let fallen: Vec<_> = std::iter::from_fn(|| live.take_fallen()).collect();
        assert_eq!(fallen, [3]);
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
        match rng.random_range(0..12) {
            0..3 => drop(index.catalog.insert(RecordId(id), &record(number, rng), place)),
            3 => index.catalog.damage(&RecordId(id)),
            4 => index.catalog.expire(Expired { id: RecordId(id), at_ms: 7 }, segment),
            5 => {
                let length = rng.random_range(1..1 << 20);
                index.holdings.insert(Address(id), BlockPlace::Tree { length }, segment);
            }
            6 => index.holdings.insert(Address(id), BlockPlace::Log(place), segment),
            // No page has a block's address.
            7 => index.holdings.insert_page(Address([id[0] + 100; 32]), place),
            8 => {
                index.holdings.remove(&Address(id));
                index.holdings.remove(&Address([id[0] + 100; 32]));
            }
            9 => {
                index.holdings.lose(&Address(id));
                index.holdings.lost(&Address(id), segment);
                index.holdings.lost(&Address([id[0] + 100; 32]), segment);
            }
            10 => index.holdings.dropped(&Address(id), segment),
            _ => {
                index.bury_segment(segment);
                while index.forget_gone() {}
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
                let (records, others) = (index.catalog.recount(), index.holdings.recount());
                assert_eq!(*index.catalog.live(), records, "seed {seed}, step {step}");
                assert_eq!(*index.holdings.live(), others, "seed {seed}, step {step}");
                let [blocks, pages] = index.holdings.graves();
                let graves = [index.catalog.graves(), blocks, pages];
                let counts = graves.map(Graves::recount);
                for (graves, count) in graves.iter().zip(&counts) {
                    assert_eq!(graves.live(), count, "seed {seed}, step {step}");
                }
                let of_graves = |segment| counts.iter().map(|count| count.of(segment)).sum::<u64>();
                let all = |segment| records.of(segment) + others.of(segment) + of_graves(segment);
                assert!((0..7).all(|segment| index.live_bytes(segment) == all(segment)));
                assert_eq!(index.all_live_bytes(), (0..7).map(all).sum::<u64>());
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
        assert!(readers.counts.is_empty());
        readers.close(3);
        let late = readers.pin([2, 3]);
        assert_eq!([2, 3].map(|segment| readers.of(segment)), [1, 0]);
        readers.closed(3);
        readers.unpin(late);
        let none = readers.pin([]);
        readers.unpin(none);
    }
}
