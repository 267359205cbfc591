//! Slots that are found by their keys, no two of which are equal: in the order of these, but while a start finds them.
//!
//! Keeps no key. Invariant: a slot is in here once.

use super::sorted::{Cursor, Keys, Side, SortedIndex};
use super::unordered::Unordered;

/// Where a key would be that is not here, as long as nothing changes.
#[derive(Debug)]
pub(crate) struct Vacancy(Cursor);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct KeyedIndex {
    order: SortedIndex,
    found: Option<Unordered>,
}

impl KeyedIndex {
    /// An empty one, for as long as a start finds ever more.
    pub(crate) fn for_start() -> Self {
        Self { order: SortedIndex::default(), found: Some(Unordered::default()) }
    }

    /// All have been found: from now on they are in order.
    pub(crate) fn put_in_order(&mut self, keys: &impl Keys) {
        if let Some(found) = self.found.take() {
            found.put_in_order(&mut self.order, keys);
        }
    }

    /// The slots in the order of their keys.
    pub(crate) fn order(&self) -> &SortedIndex {
        debug_assert!(self.found.is_none(), "a start has not found all");
        &self.order
    }

    /// The slot of a key, or where it would be.
    pub(crate) fn find(&self, key: &[u8], keys: &impl Keys) -> Result<u32, Vacancy> {
        let is_it = |slot: &u32| keys.key(*slot).as_ref() == key;
        if let Some(slot) = self.found.as_ref().and_then(|found| found.get(key)).filter(is_it) {
            return Ok(slot);
        }
        let cursor = self.order.seek(key, Side::Before, keys);
        self.order.after(cursor).next().filter(is_it).ok_or(Vacancy(cursor))
    }

    /// The same, if only the slot matters.
    pub(crate) fn slot(&self, key: &[u8], keys: &impl Keys) -> Option<u32> {
        self.find(key, keys).ok()
    }

    /// A slot whose key is not here.
    pub(crate) fn insert(&mut self, Vacancy(cursor): Vacancy, slot: u32, keys: &impl Keys) {
        let is_taken = |found: &mut Unordered| found.insert(keys.key(slot).as_ref(), slot);
        if !self.found.as_mut().is_some_and(is_taken) {
            self.order.insert(cursor, slot, keys);
        }
    }

    /// Takes a slot out; its key must still be found. False if it is not here.
    pub(crate) fn remove(&mut self, slot: u32, keys: &impl Keys) -> bool {
        let is_taken_out = |found: &mut Unordered| found.remove(keys.key(slot).as_ref(), slot);
        self.found.as_mut().is_some_and(is_taken_out) || self.order.remove(slot, keys)
    }
}

#[cfg(test)]
impl KeyedIndex {
    /// Bytes for which there is room.
    pub(crate) fn room(&self) -> usize {
        self.order.room()
    }
}
