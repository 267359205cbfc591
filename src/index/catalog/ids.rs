//! Records by their ids, in order, and what ranges of them add up to.
//!
//! Knows no name. Invariant: the count and the fingerprint are those of the entries that are in here.

use crate::ids::{Hash, RecordId};
use crate::index::entry::Entry;
use crate::index::keyed::{KeyedIndex, Vacancy};
use crate::index::segmented::SegmentedVec;
use crate::index::sorted::{Keys, Side, xor_into};
use crate::wire::message::RangeSummary;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ids {
    index: KeyedIndex,
    count: u64,
    /// The exclusive or of all ids.
    fingerprint: Hash,
}

/// Entries ordered by id.
pub(super) struct ById<'a>(pub(super) &'a SegmentedVec<Entry>);

impl Keys for ById<'_> {
    type Key<'a>
        = &'a [u8]
    where
        Self: 'a;

    fn key(&self, slot: u32) -> &[u8] {
        self.0[slot].id_bytes()
    }
}

impl Ids {
    /// None, for as long as a start finds ever more.
    pub(super) fn for_start() -> Self {
        Self { index: KeyedIndex::for_start(), ..Self::default() }
    }

    /// A start has found all.
    pub(super) fn put_in_order(&mut self, entries: &SegmentedVec<Entry>) {
        self.index.put_in_order(&ById(entries));
    }

    /// The entry of an id, or where it would be.
    pub(super) fn find(
        &self,
        entries: &SegmentedVec<Entry>,
        id: &RecordId,
    ) -> Result<u32, Vacancy> {
        self.index.find(&id.0, &ById(entries))
    }

    /// The entry of an id.
    pub(super) fn slot(&self, entries: &SegmentedVec<Entry>, id: &RecordId) -> Option<u32> {
        self.find(entries, id).ok()
    }

    /// An entry that is not in here, where its id would be.
    pub(super) fn insert(&mut self, entries: &SegmentedVec<Entry>, at: Vacancy, slot: u32) {
        self.index.insert(at, slot, &ById(entries));
        self.count += 1;
        xor_into(&mut self.fingerprint, entries[slot].id_bytes());
    }

    /// An entry that is in here.
    pub(super) fn remove(&mut self, entries: &SegmentedVec<Entry>, slot: u32) {
        let was_here = self.index.remove(slot, &ById(entries));
        debug_assert!(was_here, "whoever removes a record has found it");
        self.count -= 1;
        xor_into(&mut self.fingerprint, entries[slot].id_bytes());
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Those from `first` to `last`, both included, in order.
    pub(super) fn range<'a>(
        &'a self,
        entries: &'a SegmentedVec<Entry>,
        first: RecordId,
        last: RecordId,
    ) -> impl Iterator<Item = &'a Entry> {
        let order = self.index.order();
        let cursor = order.seek(&first.0, Side::Before, &ById(entries));
        let found = order.after(cursor).map(|slot| &entries[slot]);
        found.take_while(move |entry| entry.id_bytes() <= &last.0[..])
    }

    /// What there is in all; known at any time, however much that is.
    pub(super) fn whole(&self) -> RangeSummary {
        let (first, last) = (RecordId([0; 32]), RecordId([u8::MAX; 32]));
        RangeSummary { first, last, count: self.count, fingerprint: self.fingerprint }
    }

    /// What lies between two ids, both included.
    pub(super) fn summary(
        &self,
        entries: &SegmentedVec<Entry>,
        first: RecordId,
        last: RecordId,
    ) -> RangeSummary {
        let (ids, order) = (ById(entries), self.index.order());
        let from = order.seek(&first.0, Side::Before, &ids);
        let to = order.seek(&last.0, Side::After, &ids);
        let (count, fingerprint) = order.sum(from, to, &ids);
        RangeSummary { first, last, count, fingerprint }
    }
}

#[cfg(test)]
impl Ids {
    /// Bytes for which there is room.
    pub(super) fn room(&self) -> usize {
        self.index.room()
    }
}
