//! Descent: which versions that are here name a version as a parent, whether or not that one is here.
//!
//! Knows marks of parents, which are kept with the entries: the first with the entry itself, further ones here. Invariant, but
//! while a start finds them: in here is each entry that is a version, and nothing else; what a version that is gone has said of
//! its parents is gone with it, so that two nodes that have the same records say the same of them.

use crate::crypto::alias::{Alias, Mark};
use crate::index::entry::{Entry, Flag, children_key};
use crate::index::segmented::SegmentedVec;
use crate::index::sorted::{Keys, Side, SortedIndex};
use crate::limits::CALENDAR_MIN;
use crate::time::{Step, stamp_at, step_after};
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
    type Key<'a>
        = &'a [u8]
    where
        Self: 'a;

    fn key(&self, slot: u32) -> &[u8] {
        self.0[slot].parent_key()
    }
}

/// So many versions are marked at once when a start has found all: their marks take some memory.
const AT_ONCE: usize = 1 << 20;

fn same_mark((one, _): &(Mark, u32), (other, _): &(Mark, u32)) -> bool {
    one == other
}

impl Descent {
    /// A version that names these parents.
    pub(super) fn insert(&mut self, entries: &mut Entries, slot: u32, parents: Vec<Mark>) {
        self.note(entries, slot, parents);
        self.enter(entries, slot);
    }

    /// The same, while a start finds ever more.
    pub(super) fn note(&mut self, entries: &mut Entries, slot: u32, parents: Vec<Mark>) {
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
    }

    /// A start has found all, of which these are the versions: their keys are as they will be.
    pub(super) fn put_in_order(&mut self, entries: &Entries, versions: &[u32]) {
        let children = versions.iter().copied().filter(|slot| entries[*slot].has_parent());
        self.by_first = SortedIndex::of(children, &ByParent(entries));
    }

    /// Of these versions, which are all that are here, those that others name as a parent, each with the first step in which
    /// one of those superseded it. Nothing has to be in order yet.
    pub(super) fn superseded(
        &self,
        entries: &Entries,
        versions: &[u32],
        mark: impl Fn(&Entry) -> Mark,
    ) -> Vec<(u32, Step)> {
        let named = versions.iter().map(|slot| (entries[*slot].parent(), *slot));
        let named = named.filter(|(parent, _)| *parent != Mark::default());
        let mut children: Vec<_> = named.chain(self.by_other.iter().copied()).collect();
        children.sort_unstable();
        let mut superseded = Vec::new();
        for versions in versions.chunks(AT_ONCE).filter(|_| !children.is_empty()) {
            let marked = versions.iter().map(|slot| (mark(&entries[*slot]), *slot));
            let mut marked: Vec<_> = marked.collect();
            marked.sort_unstable();
            let mut children = children.chunk_by(same_mark).peekable();
            for versions in marked.chunk_by(same_mark) {
                let (mark, _) = versions[0];
                while children.next_if(|children| children[0].0 < mark).is_some() {}
                let named = children.next_if(|children| children[0].0 == mark);
                // Two names may have a mark in common.
                let mut first: BTreeMap<Alias, Step> = BTreeMap::new();
                for (_, child) in named.into_iter().flatten() {
                    let child = &entries[*child];
                    // A stamp of before there was this program has the last step of all.
                    let since = step_after(child.version().stamp);
                    let least = first.entry(child.name()).or_insert(since);
                    *least = since.min(*least);
                }
                let since = |slot: &u32| first.get(&entries[*slot].name()).copied();
                let versions = versions.iter().map(|(_, slot)| slot);
                superseded.extend(versions.filter_map(|slot| Some((*slot, since(slot)?))));
            }
        }
        superseded
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
        if entries[slot].has_parent() {
            self.by_first.remove(slot, &ByParent(entries));
        }
    }

    /// Its key has changed.
    pub(super) fn enter(&mut self, entries: &Entries, slot: u32) {
        if entries[slot].has_parent() {
            let keys = ByParent(entries);
            let cursor = self.by_first.seek(keys.key(slot), Side::Before, &keys);
            self.by_first.insert(cursor, slot, &keys);
        }
    }

    /// The first step in which one of the versions superseded this one that name it as a parent. Few are looked at, however
    /// many there are.
    pub(super) fn first(&self, entries: &Entries, version: &Mark, name: Alias) -> Option<Step> {
        let keys = ByParent(entries);
        let child = |key: &[u8]| {
            let cursor = self.by_first.seek(key, Side::Before, &keys);
            let child = self.by_first.after(cursor).next();
            child.filter(|child| entries[*child].parent() == *version)
        };
        let children = [true, false].into_iter().flat_map(|head| {
            let first = child(&children_key(version, &name, 0, head));
            // A stamp of before there was this program has the last step of all.
            let is_old = |slot: &u32| step_after(entries[*slot].version().stamp) == Step::MAX;
            let next = first
                .filter(is_old)
                .and_then(|_| child(&children_key(version, &name, stamp_at(CALENDAR_MIN), head)));
            [first, next]
        });
        let others = self.by_other.range((*version, 0)..=(*version, u32::MAX));
        let all = children.flatten().chain(others.map(|(_, child)| *child));
        let all = all.map(|child| &entries[child]).filter(|child| child.name() == name);
        all.map(|child| step_after(child.version().stamp)).min()
    }
}

#[cfg(test)]
impl Descent {
    /// Bytes for which there is room.
    pub(super) fn room(&self) -> usize {
        self.by_first.room()
    }
}
