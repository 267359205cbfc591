//! Bound: how many superseded versions of a name are kept, and which are beyond that.
//!
//! Of each name the newest are kept. Which those are is told by the versions alone that are known of the name, and by no
//! calendar: so nodes that know the same agree, and what is beyond counts in no comparison from then on. It is let go a while
//! later; only how long that has been said of it is counted by time, in two ages. Knows no order of versions. Invariant: in
//! here is each entry with the flag `Beyond`, once.

use crate::index::entry::{Entry, Flag};
use crate::index::segmented::SegmentedVec;
use std::collections::BTreeSet;

type Entries = SegmentedVec<Entry>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// So many; none for all.
    keep: Option<usize>,
    /// Beyond it not for long.
    fresh: BTreeSet<u32>,
    /// And for longer: they may go.
    ripe: BTreeSet<u32>,
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

    /// An entry is beyond the bound, or is not.
    pub(super) fn mark(&mut self, entries: &mut Entries, slot: u32, is_beyond: bool) {
        if entries[slot].is(Flag::Beyond) != is_beyond {
            entries[slot].set(Flag::Beyond, is_beyond);
            self.changed.push(slot);
            if is_beyond {
                self.fresh.insert(slot);
            } else {
                self.forget(slot);
            }
        }
    }

    /// An entry that may be in here goes.
    pub(super) fn forget(&mut self, slot: u32) {
        let _ = self.fresh.remove(&slot) || self.ripe.remove(&slot);
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
    pub(super) fn ripen(&mut self) {
        self.ripe.append(&mut self.fresh);
    }

    /// What may go.
    pub(super) fn ripe(&self) -> impl Iterator<Item = u32> {
        self.ripe.iter().copied()
    }
}

#[cfg(test)]
mod tests;
