//! Slots by how their keys begin, in no order: for as long as a start finds ever more of them.
//!
//! To put each in its place when it is found would cost several looks at keys that are far from the processor, so all are put
//! in order at once in the end. Keeps no key. Invariant: no two slots in here have keys that begin alike; who has another one
//! puts it in its place at once.

use super::sorted::{Keys, SortedIndex, prefix};
use std::collections::HashMap;
use std::collections::hash_map;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Unordered(HashMap<u64, u32>);

impl Unordered {
    /// The one slot whose key may be this, or begin with it.
    #[must_use]
    pub(crate) fn get(&self, key: &[u8]) -> Option<u32> {
        self.0.get(&prefix(key)).copied()
    }

    /// Takes a slot in. False if there is another whose key begins alike.
    #[must_use]
    pub(crate) fn insert(&mut self, key: &[u8], slot: u32) -> bool {
        match self.0.entry(prefix(key)) {
            hash_map::Entry::Occupied(_) => false,
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(slot);
                true
            }
        }
    }

    /// Takes a slot out. False if it is not here.
    pub(crate) fn remove(&mut self, key: &[u8], slot: u32) -> bool {
        let is_here = self.get(key) == Some(slot);
        if is_here {
            self.0.remove(&prefix(key));
        }
        is_here
    }

    /// Puts all where they belong.
    pub(crate) fn put_in_order(self, order: &mut SortedIndex, keys: &impl Keys) {
        let mut slots: Vec<_> = self.0.into_iter().collect();
        slots.sort_unstable();
        order.merge(&slots, keys);
    }
}
