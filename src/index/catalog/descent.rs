//! Descent: which versions that are here name a version as a parent, whether or not that one is here.
//!
//! Knows marks of parents, which are kept with the entries: the first with the entry itself, further ones here. Invariant: in
//! here is each entry that is a version, and nothing else; what a version that is gone has said of its parents is gone with it,
//! so that two nodes that have the same records say the same of them.

use crate::crypto::alias::{Alias, Mark};
use crate::index::entry::{Entry, Flag, children_key};
use crate::index::segmented::SegmentedVec;
use crate::index::sorted::{Keys, Side, SortedIndex};
use std::collections::{BTreeMap, BTreeSet};

type Entries = SegmentedVec<Entry>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Descent {
    /// Those that name a parent, by the first.
    by_first: SortedIndex,
    /// Those that merge several, by each other parent.
    by_other: BTreeSet<(Mark, u32)>,
    others: BTreeMap<u32, Vec<Mark>>,
}

/// Entries ordered by their first parent.
struct ByParent<'a>(&'a Entries);

impl Keys for ByParent<'_> {
    fn key(&self, slot: u32) -> &[u8] {
        self.0[slot].parent_key()
    }
}

impl Descent {
    /// A version that names these parents.
    pub(super) fn insert(&mut self, entries: &mut Entries, slot: u32, parents: Vec<Mark>) {
        let mut parents = parents.into_iter();
        let Some(first) = parents.next() else {
            return;
        };
        entries[slot].set_parent(first);
        let others: Vec<_> = parents.collect();
        if !others.is_empty() {
            entries[slot].set(Flag::Merges, true);
            self.by_other.extend(others.iter().map(|mark| (*mark, slot)));
            self.others.insert(slot, others);
        }
        self.enter(entries, slot);
    }

    /// It goes.
    pub(super) fn remove(&mut self, entries: &Entries, slot: u32) {
        self.leave(entries, slot);
        if entries[slot].is(Flag::Merges) {
            for mark in self.others.remove(&slot).unwrap_or_default() {
                self.by_other.remove(&(mark, slot));
            }
        }
    }

    /// Its key is about to change.
    pub(super) fn leave(&mut self, entries: &Entries, slot: u32) {
        if entries[slot].parent() != Mark::default() {
            self.by_first.remove(slot, &ByParent(entries));
        }
    }

    /// Its key has changed.
    pub(super) fn enter(&mut self, entries: &Entries, slot: u32) {
        if entries[slot].parent() != Mark::default() {
            let keys = ByParent(entries);
            let cursor = self.by_first.seek(keys.key(slot), Side::Before, &keys);
            self.by_first.insert(cursor, slot, &keys);
        }
    }

    /// The least stamp of the versions that name this one as a parent. Few are looked at, however many there are.
    pub(super) fn first(&self, entries: &Entries, version: &Mark, name: Alias) -> Option<u64> {
        let keys = ByParent(entries);
        let children = [true, false].map(|head| {
            let key = children_key(version, &name, head);
            let cursor = self.by_first.seek(&key, Side::Before, &keys);
            let child = self.by_first.after(cursor).next();
            child.filter(|child| entries[*child].parent() == *version)
        });
        let others = self.by_other.range((*version, 0)..=(*version, u32::MAX));
        let all = children.into_iter().flatten().chain(others.map(|(_, child)| *child));
        let all = all.map(|child| &entries[child]).filter(|child| child.name() == name);
        all.map(|child| child.version().stamp).min()
    }
}

#[cfg(test)]
impl Descent {
    /// Bytes for which there is room.
    pub(super) fn room(&self) -> usize {
        self.by_first.room()
    }
}
