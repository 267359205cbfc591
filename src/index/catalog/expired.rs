//! The ids of records that have expired, and when: known for as long as a peer may have them still.
//!
//! Knows no entry. Invariant: an id is in here once; of too many those that expired first are forgotten.

use crate::ids::RecordId;
use crate::index::segmented::SegmentedVec;
use crate::index::sorted::{Cursor, Keys, Side, SortedIndex};
use crate::limits::EXPIRED_MAX;
use crate::store::values::Expired;

const TIME: usize = size_of::<u64>();

/// When, and what.
#[derive(Debug)]
pub(super) struct Row([u8; TIME + RecordId::LENGTH]);

impl Row {
    fn new(Expired { id, at_ms }: Expired) -> Self {
        let mut bytes = [0; TIME + RecordId::LENGTH];
        bytes[..TIME].copy_from_slice(&at_ms.to_be_bytes());
        bytes[TIME..].copy_from_slice(&id.0);
        Self(bytes)
    }

    fn id(&self) -> RecordId {
        RecordId(std::array::from_fn(|index| self.0[TIME + index]))
    }

    fn at_ms(&self) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|index| self.0[index]))
    }
}

/// Rows ordered by id.
pub(super) struct ById<'a>(&'a SegmentedVec<Row>);

impl Keys for ById<'_> {
    type Key<'a>
        = &'a [u8]
    where
        Self: 'a;

    fn key(&self, slot: u32) -> &[u8] {
        &self.0[slot].0[TIME..]
    }
}

/// Rows ordered by time.
struct ByTime<'a>(&'a SegmentedVec<Row>);

impl Keys for ByTime<'_> {
    type Key<'a>
        = &'a [u8]
    where
        Self: 'a;

    fn key(&self, slot: u32) -> &[u8] {
        &self.0[slot].0
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ExpiredIds {
    rows: SegmentedVec<Row>,
    by_id: SortedIndex,
    by_time: SortedIndex,
    count: usize,
}

impl ExpiredIds {
    /// Orders rows by id.
    pub(super) fn by_id(&self) -> ById<'_> {
        ById(&self.rows)
    }

    /// The row of an id.
    pub(super) fn slot(&self, id: &RecordId) -> Option<u32> {
        let cursor = self.by_id.seek(&id.0, Side::Before, &ById(&self.rows));
        self.by_id.after(cursor).next().filter(|slot| self.rows[*slot].id() == *id)
    }

    /// What a row says.
    pub(super) fn get(&self, slot: u32) -> Expired {
        Expired { id: self.rows[slot].id(), at_ms: self.rows[slot].at_ms() }
    }

    /// A record has expired that is in no row. Where it is from now on.
    pub(super) fn insert(&mut self, expired: Expired) -> u32 {
        let slot = self.rows.insert(Row::new(expired));
        let cursor = self.by_id.seek(&expired.id.0, Side::Before, &ById(&self.rows));
        self.by_id.insert(cursor, slot, &ById(&self.rows));
        let cursor = self.by_time.seek(&self.rows[slot].0, Side::Before, &ByTime(&self.rows));
        self.by_time.insert(cursor, slot, &ByTime(&self.rows));
        self.count += 1;
        slot
    }

    /// A row is not needed any more.
    pub(super) fn remove(&mut self, slot: u32) {
        self.by_id.remove(slot, &ById(&self.rows));
        self.by_time.remove(slot, &ByTime(&self.rows));
        self.rows.remove(slot);
        self.count -= 1;
    }

    /// Some are to be forgotten whenever they expired.
    pub(super) fn are_too_many(&self) -> bool {
        self.count > EXPIRED_MAX
    }

    /// The first to be forgotten: what expired by then, or first of too many.
    pub(super) fn oldest(&self, by_ms: u64) -> Option<u32> {
        let slot = self.by_time.after(Cursor::FIRST).next()?;
        (self.are_too_many() || self.rows[slot].at_ms() <= by_ms).then_some(slot)
    }

    /// When the one expired that is forgotten first.
    pub(super) fn first_ms(&self) -> Option<u64> {
        self.by_time.after(Cursor::FIRST).next().map(|slot| self.rows[slot].at_ms())
    }

    /// Those that expired after this.
    pub(super) fn after(&self, at_ms: u64) -> impl Iterator<Item = u32> {
        let key = at_ms.saturating_add(1).to_be_bytes();
        self.by_time.after(self.by_time.seek(&key, Side::Before, &ByTime(&self.rows)))
    }

    /// How many.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_ids_those_that_expired_first_are_forgotten() {
        let mut expired = ExpiredIds::default();
        for number in 0..EXPIRED_MAX as u64 + 3 {
            let mut id = RecordId([9; 32]);
            id.0[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            expired.insert(Expired { id, at_ms: 1_000_000 - number });
            if let Some(oldest) = expired.oldest(0) {
                assert_eq!(expired.get(oldest).at_ms, 1_000_000 - number);
                expired.remove(oldest);
            }
        }
        assert_eq!(expired.count(), EXPIRED_MAX);
        assert_eq!(expired.after(999_999).count(), 1);
        assert_eq!(expired.first_ms(), Some(1_000_000 + 1 - EXPIRED_MAX as u64));
    }
}
