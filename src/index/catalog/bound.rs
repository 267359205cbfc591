//! Bound: how many superseded versions of a name are kept, and which are beyond that.
//!
//! Of each name the newest are kept. Which those are is told by the versions alone that are known of the name, and by no
//! calendar: so nodes that know the same agree, and what is beyond counts in no comparison from then on. It is let go a while
//! later; only how long that has been said of it is counted by time, in two ages. Knows no order of versions but that in which
//! those of a name are to go. Invariant: in here is each entry with the flag `Beyond`, once; none that may go stands before one
//! of its name that may not.

use crate::index::entry::{Entry, Flag, GOING_KEY};
use crate::index::segmented::SegmentedVec;
use crate::index::sorted::{Cursor, Keys, Side, SortedIndex, prefix};

type Entries = SegmentedVec<Entry>;

/// Entries ordered by name, and those of a name as they are to go.
struct ByGoing<'a>(&'a Entries);

impl Keys for ByGoing<'_> {
    type Key<'a>
        = [u8; GOING_KEY]
    where
        Self: 'a;

    fn key(&self, slot: u32) -> [u8; GOING_KEY] {
        self.0[slot].going_key()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// So many; none for all.
    keep: Option<usize>,
    /// Beyond it not for long.
    fresh: SortedIndex,
    /// And for longer: they may go.
    ripe: SortedIndex,
    /// All are looked at again, since the bound has changed: after the entry with this key.
    sweep: Option<Vec<u8>>,
    /// Entries that are beyond it now, or are not any more: to be taken by whoever changes something here.
    changed: Vec<u32>,
}

impl Bound {
    /// So many are kept; none for all.
    pub(super) fn keep(&self) -> Option<usize> {
        self.keep
    }

    /// Another bound: then all are to be looked at again.
    pub(super) fn set(&mut self, keep: Option<u32>) {
        let keep = keep.map(|keep| usize::try_from(keep).unwrap_or(usize::MAX));
        if std::mem::replace(&mut self.keep, keep) != keep {
            self.sweep = Some(Vec::new());
        }
    }

    /// After which key it goes on with looking at all, if it does.
    pub(super) fn sweep(&self) -> Option<&[u8]> {
        self.sweep.as_deref()
    }

    /// It has come as far as this, or to the end.
    pub(super) fn swept(&mut self, next: Option<Vec<u8>>) {
        self.sweep = next;
    }

    /// An entry is beyond the bound, or is not. False if that is known.
    pub(super) fn mark(&mut self, entries: &mut Entries, slot: u32, is_beyond: bool) -> bool {
        if entries[slot].is(Flag::Beyond) == is_beyond {
            return false;
        }
        entries[slot].set(Flag::Beyond, is_beyond);
        self.changed.push(slot);
        if is_beyond {
            self.enter(entries, slot);
        } else {
            self.forget(entries, slot);
        }
        true
    }

    /// What is to go before something that may go may go too.
    fn enter(&mut self, entries: &Entries, slot: u32) {
        let keys = ByGoing(entries);
        let key = keys.key(slot);
        let cursor = self.ripe.seek(&key, Side::Before, &keys);
        let next = self.ripe.after(cursor).next();
        if next.is_some_and(|next| entries[next].name() == entries[slot].name()) {
            self.ripe.insert(cursor, slot, &keys);
        } else {
            let cursor = self.fresh.seek(&key, Side::Before, &keys);
            self.fresh.insert(cursor, slot, &keys);
        }
    }

    /// An entry that may be in here goes, or is about to be discarded.
    pub(super) fn forget(&mut self, entries: &Entries, slot: u32) {
        let keys = ByGoing(entries);
        let _ = self.fresh.remove(slot, &keys) || self.ripe.remove(slot, &keys);
    }

    /// What has changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changed)
    }

    /// Something is beyond the bound that may not go yet.
    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// A while has passed.
    pub(super) fn ripen(&mut self, entries: &Entries) {
        let fresh = std::mem::take(&mut self.fresh);
        if self.ripe.is_empty() {
            self.ripe = fresh;
            return;
        }
        let keys = ByGoing(entries);
        let fresh = fresh.after(Cursor::FIRST).map(|slot| (prefix(&keys.key(slot)), slot));
        self.ripe.merge(&fresh.collect::<Vec<_>>(), &keys);
    }

    /// Something may go.
    pub(super) fn has_ripe(&self) -> bool {
        !self.ripe.is_empty()
    }

    /// What may go, in the order in which it is to.
    pub(super) fn ripe(&self) -> impl Iterator<Item = u32> {
        self.ripe.after(Cursor::FIRST)
    }
}

#[cfg(test)]
mod tests;
