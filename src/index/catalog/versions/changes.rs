//! How the versions of names change: what comes, what it supersedes, what is damaged, and what goes.
//!
//! Knows no id and no calendar. Invariant: whatever orders an entry does so by what it is now: it leaves before it changes, and
//! enters again after that.

use super::{ByName, Entries, Versions};
use crate::crypto::alias::{Alias, Mark};
use crate::ids::VersionId;
use crate::index::entry::{Flag, Kind, version_key};
use crate::index::sorted::{Keys, Side};
use crate::seeded::{self, Bug};
use crate::time::{Step, step_after};
use crate::wire::discards::discards;
use crate::wire::record::Record;

/// What a version has to do with others.
#[derive(Debug)]
pub(in crate::index::catalog) struct Lineage {
    /// Of it.
    pub(in crate::index::catalog) mark: Mark,
    /// Of those that it supersedes.
    pub(in crate::index::catalog) parents: Vec<Mark>,
}

/// What changes them.
impl Versions {
    /// A version has come. Of these entries, and of its own, it is another time now when they expire.
    pub(in crate::index::catalog) fn insert(
        &mut self,
        entries: &mut Entries,
        slot: u32,
        record: &Record,
        lineage: Lineage,
    ) -> Vec<u32> {
        let name = entries[slot].name();
        if record.parents.is_empty() && self.insert_first(entries, slot, record, &lineage.mark) {
            return Vec::new();
        }
        let before = self.shows(entries, name);
        self.descent.insert(entries, slot, lineage.parents);
        let mut changed = self.supersede_parents(entries, name, record);
        let since = step_after(record.version.stamp);
        for discarded in discards(record) {
            self.discarded.insert((name, discarded), slot, since);
            changed.extend(self.discard(entries, &name, &discarded, since));
        }
        self.begin(entries, slot, &lineage.mark);
        if entries[slot].kind() == Kind::Tombstone || !changed.is_empty() {
            self.expiry.look_again(entries, name);
        }
        self.count_shown(entries, name, before);
        changed.push(slot);
        changed
    }

    /// Enters the first version of a name, which names no other, as most do. False if it is another, and has to be looked at
    /// more closely.
    fn insert_first(&mut self, entries: &Entries, slot: u32, record: &Record, mark: &Mark) -> bool {
        let (entry, of) = (&entries[slot], (entries[slot].name(), record.version));
        if entry.kind() != Kind::File
            || self.discarded.since(&of).is_some()
            || !discards(record).is_empty()
        {
            return false;
        }
        let past = self.past(entries, &of.0);
        let is_first = self.before(entries, past, of.0).next().is_none();
        if !is_first || self.descent.first(entries, mark, of.0).is_some() {
            return false;
        }
        self.order.insert(past, slot, &ByName(entries));
        self.expiry.enter(entries, slot);
        self.shown += 1;
        true
    }

    /// It enters as what others say that it is.
    fn begin(&mut self, entries: &mut Entries, slot: u32, mark: &Mark) {
        let entry = &entries[slot];
        let (name, version) = (entry.name(), entry.version());
        let superseded = self.descent.first(entries, mark, name);
        let discarded = self.discarded.since(&(name, version));
        let own = Some(step_after(version.stamp)).filter(|_| entry.kind() == Kind::Tombstone);
        let past = superseded.into_iter().chain(discarded).min();
        self.descent.leave(entries, slot);
        if superseded.is_some() {
            entries[slot].become_superseded();
        }
        entries[slot].set_since(past.or(own).unwrap_or_default());
        entries[slot].set(Flag::Discarded, discarded.is_some());
        self.descent.enter(entries, slot);
        self.expiry.enter(entries, slot);
        if discarded.is_some() {
            self.discarded.enter((name, version), slot);
            self.bind_discarded(entries, slot);
        } else {
            self.enter(entries, slot);
            if superseded.is_some() {
                self.bind(entries, slot);
            }
        }
    }

    /// What a record that is here supersedes is superseded. Of these entries it is another time now when they expire.
    pub(in crate::index::catalog) fn supersede_parents(
        &mut self,
        entries: &mut Entries,
        name: Alias,
        record: &Record,
    ) -> Vec<u32> {
        let since = step_after(record.version.stamp);
        let parents = record.parents.iter();
        parents.flat_map(|parent| self.supersede(entries, &name, parent, since)).collect()
    }

    /// An entry goes, if it is in here.
    pub(in crate::index::catalog) fn remove(&mut self, entries: &mut Entries, slot: u32) {
        let entry = &entries[slot];
        if !entry.kind().is_version() {
            return;
        }
        self.descent.remove(entries, slot);
        self.expiry.leave(entries, slot);
        let mut discarded = self.discarded.by(slot);
        discarded.retain(|other| *other != slot);
        self.discarded.remove((entry.name(), entry.version()), slot);
        if entry.is(Flag::Beyond) {
            self.bound.forget(entries, slot);
        }
        discarded.into_iter().for_each(|slot| self.bind_discarded(entries, slot));
        let entry = &entries[slot];
        if self.is_loading || entry.is(Flag::Discarded) {
            return;
        }
        let name = entry.name();
        self.damaged -= u64::from(entry.is_damaged_head());
        let before = self.shows(entries, name);
        self.order.remove(slot, &ByName(entries));
        if entries[slot].is_superseded() && !entries[slot].is(Flag::Beyond) {
            self.unbind(entries, name);
        }
        self.count_shown(entries, name, before);
    }

    /// The bytes of a version are damaged; what it was is still known.
    pub(in crate::index::catalog) fn become_damaged(&mut self, entries: &mut Entries, slot: u32) {
        entries[slot].set(Flag::Damaged, true);
        self.damaged += u64::from(entries[slot].is_damaged_head());
        if seeded::is_on(Bug::ForgetDamaged) {
            let name = entries[slot].name();
            let before = self.shows(entries, name);
            self.order.remove(slot, &ByName(entries));
            self.count_shown(entries, name, before);
        }
    }

    /// A damaged version has been had again.
    pub(in crate::index::catalog) fn become_sound(&mut self, entries: &mut Entries, slot: u32) {
        self.damaged -= u64::from(entries[slot].is_damaged_head());
        entries[slot].set(Flag::Damaged, false);
    }

    /// From now on what is dated after this stamp is dated in the future.
    pub(in crate::index::catalog) fn set_latest(&mut self, latest: u64) {
        self.latest = latest;
    }

    /// A version leaves the orders of names and of times, since it is to change.
    fn leave(&mut self, entries: &Entries, slot: u32) {
        self.damaged -= u64::from(entries[slot].is_damaged_head());
        self.order.remove(slot, &ByName(entries));
        self.expiry.leave(entries, slot);
    }

    fn enter(&mut self, entries: &Entries, slot: u32) {
        let names = ByName(entries);
        let cursor = self.order.seek(names.key(slot), Side::Before, &names);
        self.order.insert(cursor, slot, &names);
    }

    /// Marks a version as one that another of that time supersedes, if it is here. The entries that this has changed.
    fn supersede(
        &mut self,
        entries: &mut Entries,
        name: &Alias,
        version: &VersionId,
        since: Step,
    ) -> Vec<u32> {
        let heads = self.slots(entries, &version_key(name, version, true));
        for slot in &heads {
            self.leave(entries, *slot);
            self.descent.leave(entries, *slot);
            entries[*slot].become_superseded();
            entries[*slot].set_since(since);
            self.descent.enter(entries, *slot);
            self.expiry.enter(entries, *slot);
            self.enter(entries, *slot);
            self.bind(entries, *slot);
        }
        let others = self.slots(entries, &version_key(name, version, false));
        let later = others.into_iter().filter(|slot| since < entries[*slot].since());
        let mut changed: Vec<_> = later.collect();
        // One that is discarded is as one that others supersede, and as one that this does.
        for slot in self.discarded.entries((*name, *version)) {
            self.descent.leave(entries, slot);
            self.expiry.leave(entries, slot);
            entries[slot].become_superseded();
            self.expiry.enter(entries, slot);
            self.descent.enter(entries, slot);
            changed.extend((since < entries[slot].since()).then_some(slot));
        }
        for slot in &changed {
            self.expiry.leave(entries, *slot);
            entries[*slot].set_since(since);
            self.expiry.enter(entries, *slot);
        }
        changed.extend(heads);
        changed
    }

    /// Takes a version out of the versions of its name, and keeps its record for as long as one that is superseded.
    fn discard(
        &mut self,
        entries: &mut Entries,
        name: &Alias,
        version: &VersionId,
        since: Step,
    ) -> Vec<u32> {
        let mut slots = self.discarded.entries((*name, *version));
        slots.retain(|slot| since < entries[*slot].since());
        for slot in &slots {
            self.expiry.leave(entries, *slot);
            entries[*slot].set_since(since);
            self.expiry.enter(entries, *slot);
        }
        let others: Vec<_> = self.of_version(entries, name, version).collect();
        for slot in &others {
            let entry = &entries[*slot];
            let since = if entry.is_superseded() { since.min(entry.since()) } else { since };
            self.leave(entries, *slot);
            if entries[*slot].is(Flag::Beyond) {
                self.mark_beyond(entries, *slot, false);
            } else if entries[*slot].is_superseded() {
                self.unbind(entries, *name);
            }
            entries[*slot].set(Flag::Discarded, true);
            entries[*slot].set_since(since);
            self.discarded.enter((*name, *version), *slot);
            self.expiry.enter(entries, *slot);
            self.bind_discarded(entries, *slot);
        }
        slots.extend(others);
        slots
    }

    /// `before`: whether a reader of the name saw anything before it changed.
    fn count_shown(&mut self, entries: &Entries, name: Alias, before: bool) {
        let after = self.shows(entries, name);
        self.shown = self.shown + u64::from(after) - u64::from(before);
    }
}
