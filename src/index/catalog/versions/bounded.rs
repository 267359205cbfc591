//! Which superseded versions of a name are beyond the bound: all but the newest ones, by their rank.
//!
//! A version more, or less, changes that of one entry at most, which is found from the end of the name's versions: however many
//! there are, and as long as there were no more than the bound, nothing is looked for. Invariant: but while all are looked
//! at again, an entry has the flag `Beyond` if as many that are superseded too and newer are here as are kept, or if it is
//! discarded by one that has the flag: so it counts in comparisons as long as that one does, and does not outlive it.

use super::{ByName, Entries, Versions};
use crate::crypto::alias::Alias;
use crate::index::entry::{Flag, record_key};
use crate::index::sorted::{Cursor, Side};
use crate::seeded::{self, Bug};
use crate::wire::message::VersionMark;

/// What is kept of the superseded versions of a name.
#[derive(Debug, Clone, Copy)]
enum Kept {
    All,
    /// What lies after the cursor; the first of it, if anything.
    After(Cursor, Option<u32>),
}

impl Versions {
    /// The network is set to keep so many.
    pub(in crate::index::catalog) fn set_keep(&mut self, keep: Option<u32>) {
        self.bound.set(keep);
    }

    /// An entry is beyond the bound, or is not; with it what it discards.
    pub(super) fn mark_beyond(&mut self, entries: &mut Entries, slot: u32, is_beyond: bool) {
        let mut slots = vec![slot];
        while let Some(slot) = slots.pop() {
            if self.bound.mark(entries, slot, is_beyond) && !seeded::is_on(Bug::BoundNotDiscarded) {
                let discarded = self.discarded.by(slot).into_iter();
                let follows = |slot: &u32| self.has_discarder_beyond(entries, *slot) == is_beyond;
                slots.extend(discarded.filter(follows));
            }
        }
    }

    /// Whether a record that discards an entry is beyond the bound. What does not expire stays, whoever discards it.
    fn has_discarder_beyond(&self, entries: &Entries, slot: u32) -> bool {
        let entry = &entries[slot];
        let of = (entry.name(), entry.version());
        let mut by = self.discarded.by_whom(&of);
        entry.kind().expires() && by.any(|by| entries[by].is(Flag::Beyond))
    }

    /// An entry that is discarded is here, and among those; or what discarded it is not here any more.
    pub(super) fn bind_discarded(&mut self, entries: &mut Entries, slot: u32) {
        let is_beyond = self.has_discarder_beyond(entries, slot);
        self.mark_beyond(entries, slot, is_beyond);
    }

    fn kept(&self, entries: &Entries, name: Alias) -> Kept {
        let Some(keep) = self.bound.keep() else {
            return Kept::All;
        };
        let past = self.past(entries, &name);
        let cursor = self.order().back(past, keep);
        if cursor <= self.past_heads(entries, &name) {
            return Kept::All;
        }
        let first = self.order().after(cursor).next();
        Kept::After(cursor, first.filter(|_| keep > 0))
    }

    /// Whether a version would be beyond the bound that is not here, and is superseded.
    pub(in crate::index::catalog) fn would_be_beyond(
        &self,
        entries: &Entries,
        name: Alias,
        rank: &VersionMark,
    ) -> bool {
        if self.bound.keep() == Some(0) {
            return true;
        }
        let keys = ByName(entries);
        let Some(keep) = self.bound.keep() else {
            return false;
        };
        let own = self.order().seek(&record_key(&name, rank, false), Side::Before, &keys);
        // As many after it as are kept.
        own <= self.order().back(self.past(entries, &name), keep)
    }

    /// A superseded version more is among those of its name.
    pub(super) fn bind(&mut self, entries: &mut Entries, slot: u32) {
        if !entries[slot].kind().expires() || seeded::is_on(Bug::BoundOnlyOnce) {
            return;
        }
        let Kept::After(cursor, first) = self.kept(entries, entries[slot].name()) else {
            return;
        };
        let is_kept = first.is_some_and(|first| entries[first].key() <= entries[slot].key());
        let beyond = if is_kept { self.order().before(cursor).next() } else { Some(slot) };
        if let Some(beyond) = beyond {
            self.mark_beyond(entries, beyond, true);
        }
    }

    /// One that was not beyond the bound is not among the superseded versions of this name any more.
    pub(super) fn unbind(&mut self, entries: &mut Entries, name: Alias) {
        let first = match self.kept(entries, name) {
            _ if self.bound.keep().is_none() => return,
            Kept::After(_, first) => first,
            Kept::All => self.order().after(self.past_heads(entries, &name)).next(),
        };
        let first = first.filter(|first| entries[*first].name() == name);
        if let Some(first) = first {
            self.mark_beyond(entries, first, false);
        }
    }

    /// Looks at so many entries again, if the bound has changed. True if there are more.
    pub(in crate::index::catalog) fn rebind(
        &mut self,
        entries: &mut Entries,
        looks: usize,
    ) -> bool {
        let Some(after) = self.bound.sweep() else {
            return false;
        };
        let side = if after.is_empty() { Side::Before } else { Side::After };
        let cursor = self.order().seek(after, side, &ByName(entries));
        let slots: Vec<_> = self.order().after(cursor).take(looks).collect();
        let mut of: Option<(Alias, Kept)> = None;
        for slot in slots.iter().copied() {
            let entry = &entries[slot];
            if !entry.is_superseded() || !entry.kind().expires() {
                continue;
            }
            let kept = match of {
                Some((name, kept)) if name == entry.name() => kept,
                _ => self.kept(entries, entry.name()),
            };
            of = Some((entry.name(), kept));
            let is_beyond = match kept {
                Kept::All => false,
                Kept::After(_, None) => true,
                Kept::After(_, Some(first)) => entry.key() < entries[first].key(),
            };
            self.mark_beyond(entries, slot, is_beyond);
        }
        let last = slots.last().map(|last| entries[*last].key().to_vec());
        self.bound.swept(last);
        self.bound.sweep().is_some()
    }
}
